// SPDX-License-Identifier: Apache-2.0

//go:build pkcs11 && cgo

package pkcs11

import (
	"context"
	"fmt"

	p11 "github.com/miekg/pkcs11"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
)

// Rotate makes a new key in the token.
func (k *Keyholder) Rotate(ctx context.Context) error {
	return k.change(ctx, func(s p11.SessionHandle, v keyholder.Versions) error {
		if v.Latest-v.Oldest+1 >= maxVersions {
			return fmt.Errorf("%w: versions %d to %d; rewrap and retire old ones first", keyholder.ErrInput, v.Oldest, v.Latest)
		}
		return k.generate(s, v.Latest+1)
	})
}

// change edits the keys with every other call held off.
func (k *Keyholder) change(ctx context.Context, edit func(s p11.SessionHandle, v keyholder.Versions) error) error {
	if _, err := k.Versions(ctx); err != nil { // connected, and the keys are known
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || len(k.pool) == 0 {
		return fmt.Errorf("%w: closed", keyholder.ErrUnavailable)
	}
	s := <-k.pool
	err := edit(s, k.versions())
	k.pool <- s
	if err != nil {
		return err
	}
	return k.reload(false)
}

// Rewrap wraps the same key again, by the latest version.
func (k *Keyholder) Rewrap(ctx context.Context, context, wrapped []byte) ([]byte, error) {
	key, err := k.Unwrap(ctx, context, wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return k.Wrap(ctx, context, key)
}

// Versions looks at the keys in the token.
func (k *Keyholder) Versions(ctx context.Context) (v keyholder.Versions, err error) {
	var stale bool
	err = k.with(ctx, func(s p11.SessionHandle) error {
		keys, err := k.find(s)
		if err != nil {
			return err
		}
		v = spanOf(keys)
		stale = v != k.versions()
		return nil
	})
	if err == nil && stale {
		err = k.heal(look)
	}
	return v, err
}

// Version is the version that wrapped a key.
func (k *Keyholder) Version(wrapped []byte) (int, error) {
	v, _, err := keyholder.Decode(label, wrapped)
	return v, err
}

// Retire destroys the keys of the versions below oldest in the token. Backups of the token still hold them.
func (k *Keyholder) Retire(ctx context.Context, oldest int) error {
	return k.change(ctx, func(s p11.SessionHandle, v keyholder.Versions) error {
		if oldest > v.Latest {
			return fmt.Errorf("%w: version %d wraps now and cannot be retired; rotate first", keyholder.ErrInput, v.Latest)
		}
		for n, o := range k.keys {
			if n >= oldest {
				continue
			}
			if err := k.ctx.DestroyObject(s, o); err != nil {
				return classify("destroy a key", err, keyholder.ErrUnavailable)
			}
		}
		return nil
	})
}

func spanOf(keys map[int]p11.ObjectHandle) keyholder.Versions {
	var v keyholder.Versions
	for n := range keys {
		if v.Oldest == 0 || n < v.Oldest {
			v.Oldest = n
		}
		v.Latest = max(v.Latest, n)
	}
	return v
}

func (k *Keyholder) versions() keyholder.Versions { return spanOf(k.keys) }
