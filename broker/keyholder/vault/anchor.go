// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
)

const maxAnchor = 64 << 10

// ErrConflict says that the anchor is not what the caller thinks: somebody else wrote it, or put another ledger here.
var ErrConflict = errors.New("vault: the ledger's anchor was changed by somebody else")

// Anchor keeps the ledger's anchor in a KV engine of version 2, where an old copy of the owner's directory does not bring
// an old anchor back. It is safe for concurrent use.
type Anchor struct {
	client *client
	path   string

	mu      sync.Mutex
	known   bool // value and version are what Vault held when we last heard
	value   []byte
	version int64
}

// entry is what lies in Vault.
type entry struct {
	Anchor []byte `json:"anchor"`
}

type metadata struct {
	Version  int64  `json:"version"`
	Deletion string `json:"deletion_time"`
	Destroy  bool   `json:"destroyed"`
}

// Anchor is an anchor that uses the keyholder's connection and token.
func (k *Keyholder) Anchor(a config.VaultAnchor) (*Anchor, error) {
	if err := k.ready(); err != nil {
		return nil, err
	}
	if a.Mount == "" || a.Path == "" {
		return nil, fmt.Errorf("%w: an anchor needs mount and path", keyholder.ErrInput)
	}
	return &Anchor{client: k.client, path: a.Mount + "/data/" + a.Path}, nil
}

// Load is the anchor; nil when there never was one. One that was deleted is [ErrConflict]: forgetting it is what whoever
// puts an old ledger back would like.
func (a *Anchor) Load(ctx context.Context) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.load(ctx); err != nil {
		return nil, err
	}
	return bytes.Clone(a.value), nil
}

func (a *Anchor) load(ctx context.Context) error {
	a.known = false
	r, err := a.client.call(ctx, http.MethodGet, a.path, nil)
	if s, ok := errors.AsType[*statusError](err); ok && s.code == http.StatusNotFound {
		// Nothing there: no text, and no version. A path that is no KV engine has a text, a deleted entry a version.
		if s.cause != "" {
			return fmt.Errorf("%w: %w; see mount and path", keyholder.ErrInput, s)
		}
		if r.Data.Metadata.Version != 0 {
			return fmt.Errorf("%w: version %d was deleted", ErrConflict, r.Data.Metadata.Version)
		}
		a.known, a.value, a.version = true, nil, 0
		return nil
	}
	if err != nil {
		return classify(err, keyholder.ErrInput)
	}
	m := r.Data.Metadata
	if r.Data.Entry == nil || len(r.Data.Entry.Anchor) == 0 || m.Version < 1 || m.Deletion != "" || m.Destroy {
		return fmt.Errorf("%w: what lies there is no anchor", ErrConflict)
	}
	a.known, a.value, a.version = true, r.Data.Entry.Anchor, m.Version
	return nil
}

// Store replaces previous (nil: there was none) by next. [ErrConflict] when something else lies there. After
// [keyholder.ErrUnavailable] it may have happened or not; the same call may be made again and then tells.
func (a *Anchor) Store(ctx context.Context, previous, next []byte) error {
	if len(next) == 0 || len(next) > maxAnchor {
		return fmt.Errorf("%w: anchor of %d bytes", keyholder.ErrInput, len(next))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.known || !bytes.Equal(a.value, previous) {
		if err := a.load(ctx); err != nil {
			return err
		}
	}
	if a.version != 0 && bytes.Equal(a.value, next) {
		return nil // an earlier call did it, and its answer was lost
	}
	if !bytes.Equal(a.value, previous) {
		return fmt.Errorf("%w: it has version %d", ErrConflict, a.version)
	}
	a.known = false // until Vault has answered
	r, err := a.client.call(ctx, http.MethodPut, a.path, map[string]any{
		"options": map[string]int64{"cas": a.version}, "data": entry{next},
	})
	if s, ok := errors.AsType[*statusError](err); ok && s.code == http.StatusBadRequest {
		return a.lost(ctx, next, s)
	}
	if err != nil {
		return classify(err, keyholder.ErrInput)
	}
	if r.Data.Version != a.version+1 {
		return fmt.Errorf("%w: version %d follows %d", ErrConflict, r.Data.Version, a.version)
	}
	a.known, a.value, a.version = true, bytes.Clone(next), r.Data.Version
	return nil
}

// lost looks at why check-and-set refused: a retry of ours that had got through before is no conflict.
func (a *Anchor) lost(ctx context.Context, next []byte, cause error) error {
	if err := a.load(ctx); err != nil {
		return err
	}
	if bytes.Equal(a.value, next) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrConflict, cause)
}
