// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	pluginLabel = "glovebox.dev/key-wrap-vault-plugin/v1\n"
	noUnwrap    = "the wrapped key does not open" // what the plug-in says of one
)

// Plugin is a keyholder inside Vault that checks evidence and seals by itself: Glovebox's own secrets engine
// (broker/vaultplugin). It implements [keyholder.Sealer] and [keyholder.Retirer]; it unwraps nothing.
type Plugin struct{ k *Keyholder }

// OpenPlugin logs in and looks whether the engine is configured.
func OpenPlugin(ctx context.Context, c Config) (*Plugin, error) {
	k, err := open(ctx, c, func(k *Keyholder) error {
		_, err := k.pluginVersions(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Plugin{k}, nil
}

// Close stops renewing the token.
func (p *Plugin) Close() error { return p.k.Close() }

// Anchor is the ledger's anchor in Vault's KV engine.
func (p *Plugin) Anchor(a config.VaultAnchor) (*Anchor, error) { return p.k.Anchor(a) }

func (p *Plugin) ready() error {
	if p == nil {
		return fmt.Errorf("%w: no vault", keyholder.ErrInput)
	}
	return p.k.ready()
}

func (p *Plugin) put(ctx context.Context, path string, body any) (*reply, error) {
	r, err := p.k.client.call(ctx, http.MethodPut, p.k.mount+"/"+path, body)
	if s, ok := errors.AsType[*statusError](err); ok && s.code == http.StatusBadRequest && strings.Contains(s.cause, noUnwrap) {
		return nil, fmt.Errorf("%w: %w", keyholder.ErrUnwrap, err)
	}
	if err != nil {
		return nil, classify(err, keyholder.ErrInput)
	}
	return r, nil
}

type pluginKey struct {
	Context []byte `json:"context"`
	Key     []byte `json:"key,omitempty"`
	Wrapped []byte `json:"wrapped,omitempty"`
}

// Wrap has the engine wrap a key under its newest version.
func (p *Plugin) Wrap(ctx context.Context, context, key []byte) ([]byte, error) {
	if err := errors.Join(p.ready(), keyholder.CheckWrap(context, key)); err != nil {
		return nil, err
	}
	return p.wrapped(ctx, "wrap", pluginKey{Context: context, Key: key})
}

func (p *Plugin) wrapped(ctx context.Context, path string, body pluginKey) ([]byte, error) {
	r, err := p.put(ctx, path, body)
	if err != nil {
		return nil, err
	}
	if _, _, err := keyholder.Decode(pluginLabel, r.Data.Wrapped); err != nil || len(r.Data.Wrapped) > keyholder.MaxWrapped {
		return nil, fmt.Errorf("%w: vault gives no wrapped key", keyholder.ErrUnavailable)
	}
	return r.Data.Wrapped, nil
}

// Unwrap is refused: no key leaves Vault.
func (p *Plugin) Unwrap(context.Context, []byte, []byte) ([]byte, error) {
	return nil, fmt.Errorf("%w: Vault's Glovebox engine shows no key; it seals them to enclaves by itself", keyholder.ErrInput)
}

// Challenge is a nonce of the engine's, good for two minutes.
func (p *Plugin) Challenge(ctx context.Context, manifest, job envelope.Digest) (n envelope.Nonce, err error) {
	if err := p.ready(); err != nil {
		return n, err
	}
	r, err := p.put(ctx, "challenge", map[string]envelope.Digest{"manifest": manifest, "job": job})
	if err != nil {
		return n, err
	}
	if err := n.UnmarshalText([]byte(r.Data.Nonce)); err != nil {
		return n, fmt.Errorf("%w: vault gives no nonce", keyholder.ErrUnavailable)
	}
	return n, nil
}

// Seal has the engine check the evidence and seal the keys to the enclave that it is of.
func (p *Plugin) Seal(ctx context.Context, q keyholder.SealRequest) ([]byte, error) {
	if err := p.ready(); err != nil {
		return nil, err
	}
	for _, it := range q.Items {
		if err := keyholder.CheckUnwrap(it.Context, it.Wrapped); err != nil {
			return nil, err
		}
	}
	r, err := p.put(ctx, "seal", map[string]any{
		"items": q.Items, "by_contributor": q.ByContributor, "manifest": q.Manifest, "job": q.Job, "evidence": q.Evidence, "grant": q.Grant,
	})
	if err != nil {
		return nil, err
	}
	if len(r.Data.Sealed) == 0 {
		return nil, fmt.Errorf("%w: vault gives no sealed key", keyholder.ErrUnavailable)
	}
	return r.Data.Sealed, nil
}

// Rotate makes a new version of the engine's key.
func (p *Plugin) Rotate(ctx context.Context) error {
	if err := p.ready(); err != nil {
		return err
	}
	_, err := p.put(ctx, "rotate", struct{}{})
	return err
}

// Rewrap wraps the same key again, by the newest version, inside Vault.
func (p *Plugin) Rewrap(ctx context.Context, context, wrapped []byte) ([]byte, error) {
	if err := errors.Join(p.ready(), keyholder.CheckUnwrap(context, wrapped)); err != nil {
		return nil, err
	}
	if _, _, err := keyholder.Decode(pluginLabel, wrapped); err != nil {
		return nil, err
	}
	return p.wrapped(ctx, "rewrap", pluginKey{Context: context, Wrapped: wrapped})
}

// Versions are those that still open.
func (p *Plugin) Versions(ctx context.Context) (keyholder.Versions, error) {
	if err := p.ready(); err != nil {
		return keyholder.Versions{}, err
	}
	return p.k.pluginVersions(ctx)
}

func (k *Keyholder) pluginVersions(ctx context.Context) (v keyholder.Versions, err error) {
	r, err := k.client.call(ctx, http.MethodGet, k.mount+"/config", nil)
	if err != nil {
		return v, classify(err, keyholder.ErrInput)
	}
	v = keyholder.Versions{Oldest: r.Data.PluginOldest, Latest: r.Data.PluginLatest}
	if v.Oldest < 1 || v.Latest < v.Oldest {
		return v, fmt.Errorf("%w: %s is no engine of Glovebox, or not configured; see docs/vault.md", keyholder.ErrInput, k.mount)
	}
	return v, nil
}

// Version is the version that wrapped a key.
func (p *Plugin) Version(wrapped []byte) (int, error) {
	v, _, err := keyholder.Decode(pluginLabel, wrapped)
	return v, err
}

// Retire destroys the versions below oldest.
func (p *Plugin) Retire(ctx context.Context, oldest int) error {
	if err := p.ready(); err != nil {
		return err
	}
	_, err := p.put(ctx, "retire", map[string]int{"oldest": oldest})
	return err
}
