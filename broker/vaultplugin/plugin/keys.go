// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// label opens every wrapped key, and is part of what it authenticates.
const label = "glovebox.dev/key-wrap-vault-plugin/v1\n"

// ring is the versions of the wrapping key. Only the newest wraps.
type ring struct {
	Oldest int            `json:"oldest"`
	Latest int            `json:"latest"`
	Keys   map[int][]byte `json:"keys"`
}

// keys reads the ring; the first call makes the first version.
func (b *backend) keys(ctx context.Context, s logical.Storage) (*ring, error) {
	var r ring
	ok, err := get(ctx, s, storedKeys, &r)
	if err != nil {
		return nil, err
	}
	if !ok {
		r = ring{Oldest: 1, Keys: map[int][]byte{}}
		r.add()
		return &r, put(ctx, s, storedKeys, &r)
	}
	if r.Latest < 1 || len(r.Keys[r.Latest]) != kekSize {
		return nil, fmt.Errorf("the wrapping key in storage is damaged")
	}
	return &r, nil
}

func (r *ring) add() {
	k := make([]byte, kekSize)
	rand.Read(k) //nolint:errcheck // never fails since Go 1.24
	r.Latest++
	r.Keys[r.Latest] = k
}

func (r *ring) aead(version int) (cipher.AEAD, error) {
	k := r.Keys[version]
	if version < r.Oldest || len(k) != kekSize || bytes.Equal(k, make([]byte, kekSize)) {
		return nil, errUnwrap
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func authenticated(version int, context []byte) []byte {
	d := envelope.Hash(label, keyholder.Encode("", version, nil), context)
	return d[:]
}

func (r *ring) wrap(context, key []byte) ([]byte, error) {
	a, err := r.aead(r.Latest)
	if err != nil {
		return nil, err
	}
	return keyholder.Encode(label, r.Latest, a.Seal(nil, nil, key, authenticated(r.Latest, context))), nil
}

// unwrap is for this package alone. The caller wipes the result.
func (r *ring) unwrap(context, wrapped []byte) ([]byte, error) {
	version, body, err := keyholder.Decode(label, wrapped)
	if err != nil {
		return nil, errUnwrap
	}
	a, err := r.aead(version)
	if err != nil {
		return nil, errUnwrap
	}
	key, err := a.Open(nil, nil, body, authenticated(version, context))
	if err != nil || len(key) == 0 {
		return nil, errUnwrap
	}
	return key, nil
}

func (b *backend) wrap(ctx context.Context, r *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	context, err := bytesOf(d, "context", keyholder.MaxContext)
	if err != nil {
		return nil, err
	}
	key, err := bytesOf(d, "key", keyholder.MaxKey)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	keys, err := b.keys(ctx, r.Storage)
	if err != nil {
		return nil, err
	}
	return wrapped(keys.wrap(context, key))
}

func (b *backend) rewrap(ctx context.Context, r *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	context, err := bytesOf(d, "context", keyholder.MaxContext)
	if err != nil {
		return nil, err
	}
	old, err := bytesOf(d, "wrapped", keyholder.MaxWrapped)
	if err != nil {
		return nil, err
	}
	keys, err := b.keys(ctx, r.Storage)
	if err != nil {
		return nil, err
	}
	key, err := keys.unwrap(context, old)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return wrapped(keys.wrap(context, key))
}

func wrapped(w []byte, err error) (*logical.Response, error) {
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{"wrapped": base64.StdEncoding.EncodeToString(w)}}, nil
}

func (b *backend) rotate(ctx context.Context, r *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys, err := b.keys(ctx, r.Storage)
	if err != nil {
		return nil, err
	}
	keys.add()
	if err := put(ctx, r.Storage, storedKeys, keys); err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{"oldest": keys.Oldest, "latest": keys.Latest}}, nil
}

// retire destroys versions: what only they wrapped is lost, which is what it is for.
func (b *backend) retire(ctx context.Context, r *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys, err := b.keys(ctx, r.Storage)
	if err != nil {
		return nil, err
	}
	oldest, _ := d.Get("oldest").(int)
	if oldest < keys.Oldest || oldest > keys.Latest {
		return nil, bad("oldest: want %d to %d", keys.Oldest, keys.Latest)
	}
	for v := range keys.Keys {
		if v < oldest {
			delete(keys.Keys, v)
		}
	}
	keys.Oldest = oldest
	return nil, put(ctx, r.Storage, storedKeys, keys)
}
