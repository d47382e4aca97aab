// SPDX-License-Identifier: Apache-2.0

// Package vault is a keyholder whose key never leaves HashiCorp Vault: data keys are wrapped by its transit engine, with a
// key derived for each package. It also keeps the ledger's anchor in Vault's KV engine.
//
// Trust domain: the owner's side; only glovebox-broker links it. Its one job: Vault decides, and whatever it does not
// answer is an error. docs/vault.md says how to set Vault up.
package vault

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	label        = "glovebox.dev/key-wrap-vault/v1\n"
	contextLabel = "glovebox.dev/vault-context/v1"
	keyType      = "aes256-gcm96"
	prefix       = "vault:v"
	perCall      = 256 // keys in one request
)

// Config says which key, where and as whom.
type Config struct {
	*config.VaultKeyholder
	Owner   bool                // log in as the owner, who packs and rotates, not as the broker
	Resolve func(string) string // of file names; nil: as they are
}

type options struct {
	address, namespace, caFile, serverName string
	timeout                                time.Duration
}

// Keyholder is a key of Vault's transit engine. Close it to stop renewing its token.
type Keyholder struct {
	client *client
	mount  string
	key    string
	stop   context.CancelFunc
	done   chan struct{}
}

// Open logs in and looks at the key. A key that could leave Vault, or that is not derived for each package, is
// [keyholder.ErrInput].
func Open(ctx context.Context, c Config) (*Keyholder, error) {
	return open(ctx, c, func(k *Keyholder) error { return k.inspect(ctx) })
}

// open logs in, has inspect look, and keeps the token alive.
func open(ctx context.Context, c Config, inspect func(*Keyholder) error) (*Keyholder, error) {
	if c.VaultKeyholder == nil {
		return nil, fmt.Errorf("%w: no vault configuration", keyholder.ErrInput)
	}
	valid := config.Keyholder{Kind: config.KeyholderVault, Vault: c.VaultKeyholder}
	if err := valid.Validate(); err != nil {
		return nil, err
	}
	cl, err := newClient(c)
	if err != nil {
		return nil, err
	}
	if err := cl.login(ctx, 0); err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	k := &Keyholder{client: cl, mount: c.Mount, key: c.Key, done: make(chan struct{})}
	if err := inspect(k); err != nil {
		return nil, err
	}
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	k.stop = stop
	go func() {
		defer close(k.done)
		cl.keep(keeping)
	}()
	return k, nil
}

func newClient(c Config) (*client, error) {
	resolve := c.Resolve
	if resolve == nil {
		resolve = func(s string) string { return s }
	}
	o := options{c.Address, c.Namespace, "", c.ServerName, c.Timeout()}
	if c.CAFile != "" {
		o.caFile = resolve(c.CAFile)
	}
	cl := &client{options: o, wake: make(chan struct{}, 1)}
	cl.auth.VaultAuth, cl.auth.resolve = c.Auth, resolve
	if c.Owner && c.VaultKeyholder.Owner != nil {
		cl.auth.VaultAuth = *c.VaultKeyholder.Owner
	}
	var err error
	if cl.http, err = newHTTP(o); err != nil {
		return nil, err
	}
	if cl.api, err = newAPI(o, cl.http); err != nil {
		return nil, err
	}
	cl.anon, err = newAPI(o, cl.http)
	return cl, err
}

// Close stops renewing the token. The token itself ends by its time.
func (k *Keyholder) Close() error {
	if k == nil || k.stop == nil {
		return nil
	}
	k.stop()
	<-k.done
	return nil
}

func (k *Keyholder) path(verb string) string { return k.mount + "/" + verb + "/" + k.key }

func (k *Keyholder) ready() error {
	if k == nil || k.client == nil {
		return fmt.Errorf("%w: no vault", keyholder.ErrInput)
	}
	return nil
}

func (k *Keyholder) describe(ctx context.Context) (*data, error) {
	r, err := k.client.call(ctx, http.MethodGet, k.path("keys"), nil)
	if err != nil {
		return nil, classify(err, keyholder.ErrInput)
	}
	return &r.Data, nil
}

// inspect refuses a key with properties that would make the promises of a keyholder untrue.
func (k *Keyholder) inspect(ctx context.Context) error {
	d, err := k.describe(ctx)
	if err != nil {
		return err
	}
	var wrong []string
	for text, bad := range map[string]bool{
		"is of type " + brief(d.Type) + ", not " + keyType: d.Type != keyType,
		"is not derived":          !d.Derived,
		"is exportable":           d.Exportable,
		"allows plaintext backup": d.Backup,
		"may be deleted":          d.Deletable,
		"is convergent":           d.Convergent,
		"has no version":          d.Latest < 1,
	} {
		if bad {
			wrong = append(wrong, text)
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w: vault's key %s %s; see docs/vault.md", keyholder.ErrInput, k.key, strings.Join(wrong, ", "))
	}
	return nil
}

// input is one entry of a request to the transit engine.
type input struct {
	Context    []byte `json:"context"` // derives the key; unlike associated data, rewrapping keeps it
	Plaintext  []byte `json:"plaintext,omitempty"`
	Ciphertext string `json:"ciphertext,omitempty"`
}

func derive(context []byte) []byte {
	d := envelope.Hash(contextLabel, context)
	return d[:]
}

// Wrap encrypts key in Vault, under the latest version of the key derived for context.
func (k *Keyholder) Wrap(ctx context.Context, context, key []byte) ([]byte, error) {
	if err := errors.Join(k.ready(), keyholder.CheckWrap(context, key)); err != nil {
		return nil, err
	}
	r, err := k.client.call(ctx, http.MethodPut, k.path("encrypt"), input{Context: derive(context), Plaintext: key})
	if err != nil {
		return nil, classify(err, keyholder.ErrInput)
	}
	return fromVault(r.Data.Ciphertext)
}

// Unwrap decrypts in Vault. The caller wipes the result.
func (k *Keyholder) Unwrap(ctx context.Context, context, wrapped []byte) ([]byte, error) {
	if err := errors.Join(k.ready(), keyholder.CheckUnwrap(context, wrapped)); err != nil {
		return nil, err
	}
	ct, err := toVault(wrapped)
	if err != nil {
		return nil, err
	}
	r, err := k.client.call(ctx, http.MethodPut, k.path("decrypt"), input{Context: derive(context), Ciphertext: ct})
	if err != nil {
		return nil, classify(err, keyholder.ErrUnwrap)
	}
	if n := len(r.Data.Plaintext); n == 0 || n > keyholder.MaxKey {
		clear(r.Data.Plaintext)
		return nil, fmt.Errorf("%w: vault gives %d bytes", keyholder.ErrUnwrap, n)
	}
	return r.Data.Plaintext, nil
}

// UnwrapAll decrypts many keys, a few hundred in each request. It gives all or none; the caller wipes the result.
func (k *Keyholder) UnwrapAll(ctx context.Context, items []keyholder.Item) (keys [][]byte, err error) {
	defer func() {
		if err != nil {
			keyholder.Wipe(keys)
			keys = nil
		}
	}()
	if err := k.ready(); err != nil {
		return nil, err
	}
	batch := make([]input, len(items))
	for i, it := range items {
		if err := keyholder.CheckUnwrap(it.Context, it.Wrapped); err != nil {
			return nil, err
		}
		ct, err := toVault(it.Wrapped)
		if err != nil {
			return nil, err
		}
		batch[i] = input{Context: derive(it.Context), Ciphertext: ct}
	}
	for len(batch) > 0 {
		n := min(perCall, len(batch))
		got, err := k.decryptBatch(ctx, batch[:n])
		keys = append(keys, got...)
		if err != nil {
			return keys, err
		}
		batch = batch[n:]
	}
	return keys, nil
}

func (k *Keyholder) decryptBatch(ctx context.Context, batch []input) ([][]byte, error) {
	r, err := k.client.call(ctx, http.MethodPut, k.path("decrypt"), map[string]any{"batch_input": batch})
	var keys [][]byte
	var bad error
	if r != nil {
		for i, res := range r.Data.Results {
			keys = append(keys, res.Plaintext)
			if n := len(res.Plaintext); bad == nil && (res.Error != "" || n == 0 || n > keyholder.MaxKey) {
				bad = fmt.Errorf("%w: key %d of the batch: %s", keyholder.ErrUnwrap, i, brief(res.Error))
			}
		}
	}
	switch {
	case err != nil:
		return keys, classify(err, keyholder.ErrUnwrap)
	case bad != nil:
		return keys, bad
	case len(keys) != len(batch):
		return keys, fmt.Errorf("%w: vault gives %d keys for %d", keyholder.ErrUnwrap, len(keys), len(batch))
	}
	return keys, nil
}

// Rotate makes a new version in Vault.
func (k *Keyholder) Rotate(ctx context.Context) error {
	if err := k.ready(); err != nil {
		return err
	}
	_, err := k.client.call(ctx, http.MethodPut, k.path("keys")+"/rotate", map[string]any{})
	return classify(err, keyholder.ErrInput)
}

// Rewrap moves a wrapped key to the latest version inside Vault: nobody outside sees it.
func (k *Keyholder) Rewrap(ctx context.Context, context, wrapped []byte) ([]byte, error) {
	if err := errors.Join(k.ready(), keyholder.CheckUnwrap(context, wrapped)); err != nil {
		return nil, err
	}
	ct, err := toVault(wrapped)
	if err != nil {
		return nil, err
	}
	r, err := k.client.call(ctx, http.MethodPut, k.path("rewrap"), input{Context: derive(context), Ciphertext: ct})
	if err != nil {
		return nil, classify(err, keyholder.ErrUnwrap)
	}
	return fromVault(r.Data.Ciphertext)
}

// Versions asks Vault which versions decrypt.
func (k *Keyholder) Versions(ctx context.Context) (keyholder.Versions, error) {
	if err := k.ready(); err != nil {
		return keyholder.Versions{}, err
	}
	d, err := k.describe(ctx)
	if err != nil {
		return keyholder.Versions{}, err
	}
	return keyholder.Versions{Oldest: max(d.Oldest, d.MinKeptHere, 1), Latest: d.Latest}, nil
}

// Version is the version that wrapped a key.
func (k *Keyholder) Version(wrapped []byte) (int, error) {
	v, _, err := keyholder.Decode(label, wrapped)
	return v, err
}

// Retire raises the lowest version that decrypts, then has Vault delete those below for good.
func (k *Keyholder) Retire(ctx context.Context, oldest int) error {
	v, err := k.Versions(ctx)
	switch {
	case err != nil:
		return err
	case oldest > v.Latest:
		return fmt.Errorf("%w: version %d wraps now and cannot be retired; rotate first", keyholder.ErrInput, v.Latest)
	}
	d, err := k.describe(ctx)
	if err != nil {
		return err
	}
	if oldest <= max(d.MinKeptHere, 1) {
		return nil
	}
	// Vault trims below the lower of these two; wrapping never uses anything but the latest.
	limits := map[string]int{"min_decryption_version": max(oldest, d.Oldest), "min_encryption_version": max(oldest, d.Oldest, d.MinEncrypt)}
	if _, err := k.client.call(ctx, http.MethodPut, k.path("keys")+"/config", limits); err != nil {
		return classify(err, keyholder.ErrInput)
	}
	_, err = k.client.call(ctx, http.MethodPut, k.path("keys")+"/trim", map[string]int{"min_available_version": oldest})
	return classify(err, keyholder.ErrInput)
}

// fromVault makes one form of a ciphertext. Vault's own, "vault:v1:" and Base64, has several for the same bytes.
func fromVault(s string) ([]byte, error) {
	version, body, ok := strings.Cut(strings.TrimPrefix(s, prefix), ":")
	v, err := strconv.Atoi(version)
	b, err2 := base64.StdEncoding.Strict().DecodeString(body)
	if !ok || !strings.HasPrefix(s, prefix) || err != nil || err2 != nil || v < 1 || len(b) == 0 {
		return nil, fmt.Errorf("%w: vault's ciphertext is not understood", keyholder.ErrUnavailable)
	}
	w := keyholder.Encode(label, v, b)
	if len(w) > keyholder.MaxWrapped {
		return nil, fmt.Errorf("%w: vault's ciphertext has %d bytes", keyholder.ErrUnavailable, len(b))
	}
	return w, nil
}

func toVault(wrapped []byte) (string, error) {
	v, b, err := keyholder.Decode(label, wrapped)
	if err != nil {
		return "", err
	}
	return prefix + strconv.Itoa(v) + ":" + base64.StdEncoding.EncodeToString(b), nil
}
