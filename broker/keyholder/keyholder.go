// SPDX-License-Identifier: Apache-2.0

// Package keyholder keeps the key that wraps an owner's data keys.
//
// Trust domain: the owner's side. Its one job: a data key is stored wrapped, for one package, and comes back only here.
package keyholder

import (
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of this package. [ErrUnwrap] says nothing about why: wrong key, wrong package and altered bytes look the same.
var (
	ErrUnwrap = errors.New("keyholder: the wrapped key does not open")
	ErrInput  = errors.New("keyholder: unusable input")
)

// Bounds, in bytes.
const (
	MaxKey     = 64
	MaxContext = 4 << 10
	MaxWrapped = 1 << 10
)

// Keyholder wraps and unwraps data keys under a key it does not hand out. The context is authenticated: a key wrapped for
// one package does not open as another's. Implementations are safe for concurrent use and pass [keyholdertest.Run].
type Keyholder interface {
	Wrap(ctx context.Context, context, key []byte) ([]byte, error)
	Unwrap(ctx context.Context, context, wrapped []byte) ([]byte, error)
}

const contextLabel = "glovebox.dev/key-wrap-context/v1"

// Context is what a package's data key is wrapped with: its manifest's digest, labelled.
func Context(manifest envelope.Digest) []byte {
	d := envelope.Hash(contextLabel, manifest[:])
	return d[:]
}

// checkWrap bounds what every implementation accepts.
func checkWrap(context, key []byte) error {
	if len(context) == 0 || len(context) > MaxContext || len(key) == 0 || len(key) > MaxKey {
		return fmt.Errorf("%w: context of %d bytes, key of %d", ErrInput, len(context), len(key))
	}
	return nil
}

func checkUnwrap(context, wrapped []byte) error {
	if len(context) == 0 || len(context) > MaxContext || len(wrapped) == 0 || len(wrapped) > MaxWrapped {
		return fmt.Errorf("%w: context of %d bytes, wrapped key of %d", ErrInput, len(context), len(wrapped))
	}
	return nil
}
