// SPDX-License-Identifier: Apache-2.0

// Package plugin is the secrets engine: challenge, evidence check, HPKE sealing.
//
// Trust domain: the owner's side, inside Vault's process boundary. Its one job: a data key is wrapped under a key that is
// only here, and leaves only sealed to an enclave whose evidence this package verified against the owner's reference
// values, answering a challenge that this package gave. There is no path that returns a data key. docs/vault.md says how
// to mount it.
package plugin

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Bounds.
const (
	nonceLife    = 2 * time.Minute
	maxReference = 8 << 20
	maxEvidence  = 16 << 20
	maxItems     = 64 << 10
	kekSize      = 32
	maxNonces    = 32 << 10 // stored at once: as many challenges in about four minutes
)

// Where things lie in the engine's storage. Keys are seal-wrapped where Vault can.
const (
	storedConfig = "config"
	storedKeys   = "keys"
	storedNonces = "nonces/"
)

// Errors. Vault turns them into codes for the caller.
var (
	errConfig   = errors.New("not configured: write config first")
	errNonce    = errors.New("the nonce is unknown, used or expired")
	errBusy     = errors.New("too many challenges are outstanding; try again shortly")
	errUnwrap   = errors.New("the wrapped key does not open")
	errEvidence = errors.New("the evidence is refused")
)

type backend struct {
	*framework.Backend
	now func() time.Time

	testOnlyFormats []attestation.Format

	mu     sync.Mutex // one writer of nonces, keys and configuration
	nonces int        // stored, at least; -1 until they were counted
}

// Factory makes the engine; Vault calls it for each mount.
func Factory(ctx context.Context, c *logical.BackendConfig) (logical.Backend, error) {
	b := newBackend()
	return b, b.Setup(ctx, c)
}

func newBackend() *backend {
	b := &backend{now: time.Now, nonces: -1}
	b.Backend = &framework.Backend{
		BackendType:  logical.TypeLogical,
		Help:         "Wraps Glovebox data keys and seals them to attested enclaves. No data key is ever returned.",
		PathsSpecial: &logical.Paths{SealWrapStorage: []string{storedKeys}},
		PeriodicFunc: b.tidy,
		Paths: []*framework.Path{
			{
				Pattern: "config", HelpSynopsis: "Whose broker, and which enclaves.",
				Fields: fields("broker", "reference_key", "reference", "simulated_root"),
				Operations: operations(map[logical.Operation]framework.OperationFunc{
					logical.UpdateOperation: b.writeConfig, logical.ReadOperation: b.readConfig,
				}),
			},
			{
				Pattern: "challenge", HelpSynopsis: "A nonce for one package and job.",
				Fields:     fields("manifest", "job"),
				Operations: operations(map[logical.Operation]framework.OperationFunc{logical.UpdateOperation: b.challenge}),
			},
			{
				Pattern: "wrap", HelpSynopsis: "Wraps a data key.",
				Fields:     fields("context", "key"),
				Operations: operations(map[logical.Operation]framework.OperationFunc{logical.UpdateOperation: b.wrap}),
			},
			{
				Pattern: "rewrap", HelpSynopsis: "Wraps a wrapped key by the newest version.",
				Fields:     fields("context", "wrapped"),
				Operations: operations(map[logical.Operation]framework.OperationFunc{logical.UpdateOperation: b.rewrap}),
			},
			{
				Pattern: "rotate", HelpSynopsis: "Makes a new version of the wrapping key.",
				Operations: operations(map[logical.Operation]framework.OperationFunc{logical.UpdateOperation: b.rotate}),
			},
			{
				Pattern: "retire", HelpSynopsis: "Destroys the versions below one, for good.",
				Fields:     map[string]*framework.FieldSchema{"oldest": {Type: framework.TypeInt}},
				Operations: operations(map[logical.Operation]framework.OperationFunc{logical.UpdateOperation: b.retire}),
			},
			{
				Pattern: "seal", HelpSynopsis: "Seals wrapped keys to an enclave that proves itself.",
				Fields: func() map[string]*framework.FieldSchema {
					f := fields("evidence", "grant", "manifest", "job")
					f["items"] = &framework.FieldSchema{Type: framework.TypeSlice}
					f["by_contributor"] = &framework.FieldSchema{Type: framework.TypeBool}
					return f
				}(),
				Operations: operations(map[logical.Operation]framework.OperationFunc{logical.UpdateOperation: b.seal}),
			},
		},
	}
	return b
}

func fields(names ...string) map[string]*framework.FieldSchema {
	out := map[string]*framework.FieldSchema{}
	for _, n := range names {
		out[n] = &framework.FieldSchema{Type: framework.TypeString}
	}
	return out
}

func operations(list map[logical.Operation]framework.OperationFunc) map[logical.Operation]framework.OperationHandler {
	out := map[logical.Operation]framework.OperationHandler{}
	for op, f := range list {
		out[op] = &framework.PathOperation{Callback: explained(f)}
	}
	return out
}

// explained turns our refusals into answers with code 400: 403 is how Vault speaks of tokens. Anything else is an internal
// error, of which the caller learns nothing.
func explained(f framework.OperationFunc) framework.OperationFunc {
	return func(ctx context.Context, r *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		out, err := f(ctx, r, d)
		switch {
		case err == nil:
			return out, nil
		case errors.Is(err, errNonce), errors.Is(err, errEvidence), errors.Is(err, errUnwrap), errors.Is(err, logical.ErrInvalidRequest), errors.Is(err, errConfig):
			return logical.ErrorResponse(err.Error()), logical.ErrInvalidRequest
		case errors.Is(err, errBusy):
			return nil, logical.CodedError(http.StatusServiceUnavailable, err.Error())
		}
		return nil, err
	}
}

func bad(f string, a ...any) error {
	return fmt.Errorf("%w: %s", logical.ErrInvalidRequest, fmt.Sprintf(f, a...))
}

// bytesOf decodes a base64 field of 1 to limit bytes.
func bytesOf(d *framework.FieldData, name string, limit int) ([]byte, error) {
	s, _ := d.Get(name).(string)
	return decode(name, s, limit)
}

func decode(name, s string, limit int) ([]byte, error) {
	if s == "" || base64.StdEncoding.DecodedLen(len(s)) > limit+2 {
		return nil, bad("%s: want 1 to %d bytes in base64", name, limit)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) == 0 || len(b) > limit {
		return nil, bad("%s: want 1 to %d bytes in base64", name, limit)
	}
	return b, nil
}

func digestOf(d *framework.FieldData, name string) (envelope.Digest, error) {
	s, _ := d.Get(name).(string)
	v, err := envelope.ParseDigest(s)
	if err != nil || v.IsZero() {
		return v, bad("%s: want sha256: and 64 hex digits", name)
	}
	return v, nil
}

func put(ctx context.Context, s logical.Storage, at string, v any) error {
	e, err := logical.StorageEntryJSON(at, v)
	if err != nil {
		return err
	}
	return s.Put(ctx, e)
}

// get reports whether there was something.
func get(ctx context.Context, s logical.Storage, at string, v any) (bool, error) {
	e, err := s.Get(ctx, at)
	if err != nil || e == nil {
		return false, err
	}
	return true, e.DecodeJSON(v)
}
