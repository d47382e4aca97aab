// SPDX-License-Identifier: Apache-2.0

// Package keyholdertest is the conformance suite of keyholders.
//
// Trust domain: tests only. Its one job: every implementation keeps the same promises.
package keyholdertest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
)

// Run checks one implementation. newKeyholder is called for each case and must give a keyholder with a fresh key.
func Run(t *testing.T, newKeyholder func(t *testing.T) keyholder.Keyholder) {
	t.Helper()
	t.Run("RoundTrip", func(t *testing.T) { roundTrip(t, newKeyholder(t)) })
	t.Run("OtherContext", func(t *testing.T) { otherContext(t, newKeyholder(t)) })
	t.Run("OtherKeyholder", func(t *testing.T) { otherKeyholder(t, newKeyholder(t), newKeyholder(t)) })
	t.Run("EveryByteFlipped", func(t *testing.T) { flipped(t, newKeyholder(t)) })
	t.Run("Truncated", func(t *testing.T) { truncated(t, newKeyholder(t)) })
	t.Run("Bounds", func(t *testing.T) { bounds(t, newKeyholder(t)) })
	t.Run("Concurrent", func(t *testing.T) { concurrent(t, newKeyholder(t)) })
	t.Run("Cancelled", func(t *testing.T) { cancelled(t, newKeyholder(t)) })
	t.Run("Batch", func(t *testing.T) { batch(t, newKeyholder(t)) })
	t.Run("BatchWithOneBad", func(t *testing.T) { batchWithOneBad(t, newKeyholder(t)) })
	k := newKeyholder(t)
	if _, ok := k.(keyholder.Rotator); ok {
		t.Run("Rotate", func(t *testing.T) { rotate(t, newKeyholder(t)) })
		t.Run("RewrapOfAnother", func(t *testing.T) { rewrapOfAnother(t, newKeyholder(t)) })
		t.Run("RotateWhileOpening", func(t *testing.T) { rotateWhileOpening(t, newKeyholder(t)) })
	}
	if _, ok := k.(keyholder.Retirer); ok {
		t.Run("Retire", func(t *testing.T) { retire(t, newKeyholder(t)) })
		t.Run("RetireLatest", func(t *testing.T) { retireLatest(t, newKeyholder(t)) })
	}
}

var (
	testContext = []byte("context of one package")
	testKey     = bytes.Repeat([]byte{0x5a}, 32)
)

func wrap(t *testing.T, k keyholder.Keyholder) []byte {
	t.Helper()
	w, err := k.Wrap(t.Context(), testContext, testKey)
	if err != nil {
		t.Fatalf("Wrap: %v", err)
	}
	return w
}

func roundTrip(t *testing.T, k keyholder.Keyholder) {
	w := wrap(t, k)
	if bytes.Contains(w, testKey) {
		t.Error("the wrapped key shows the key")
	}
	if bytes.Equal(w, wrap(t, k)) {
		t.Error("wrapping twice gave the same bytes: the nonce repeats")
	}
	if len(w) > keyholder.MaxWrapped {
		t.Errorf("wrapped key of %d bytes, more than MaxWrapped", len(w))
	}
	got, err := k.Unwrap(t.Context(), testContext, w)
	if err != nil || !bytes.Equal(got, testKey) {
		t.Fatalf("Unwrap: %v", err)
	}
}

func refuse(t *testing.T, k keyholder.Keyholder, context, wrapped []byte, what string) {
	t.Helper()
	got, err := k.Unwrap(t.Context(), context, wrapped)
	if !errors.Is(err, keyholder.ErrUnwrap) || got != nil {
		t.Errorf("%s: err = %v, key returned: %v", what, err, got != nil)
	}
}

func otherContext(t *testing.T, k keyholder.Keyholder) {
	refuse(t, k, []byte("context of another package"), wrap(t, k), "another package's context")
}

func otherKeyholder(t *testing.T, a, b keyholder.Keyholder) {
	refuse(t, b, testContext, wrap(t, a), "another keyholder's key")
}

func flipped(t *testing.T, k keyholder.Keyholder) {
	w := wrap(t, k)
	for i := range w {
		c := bytes.Clone(w)
		c[i] ^= 1
		refuse(t, k, testContext, c, "flipped byte")
	}
}

func truncated(t *testing.T, k keyholder.Keyholder) {
	w := wrap(t, k)
	for i := 1; i < len(w); i++ {
		refuse(t, k, testContext, w[:i], "truncated")
	}
	refuse(t, k, testContext, append(bytes.Clone(w), 0), "trailing byte")
}

func bounds(t *testing.T, k keyholder.Keyholder) {
	ctx := t.Context()
	for name, c := range map[string]struct{ context, key []byte }{
		"no context":    {nil, testKey},
		"no key":        {testContext, nil},
		"large context": {make([]byte, keyholder.MaxContext+1), testKey},
		"large key":     {testContext, make([]byte, keyholder.MaxKey+1)},
	} {
		if _, err := k.Wrap(ctx, c.context, c.key); !errors.Is(err, keyholder.ErrInput) {
			t.Errorf("Wrap with %s: %v", name, err)
		}
	}
	for name, c := range map[string]struct{ context, wrapped []byte }{
		"no context":    {nil, wrap(t, k)},
		"no bytes":      {testContext, nil},
		"large wrapped": {testContext, make([]byte, keyholder.MaxWrapped+1)},
	} {
		if _, err := k.Unwrap(ctx, c.context, c.wrapped); !errors.Is(err, keyholder.ErrInput) {
			t.Errorf("Unwrap with %s: %v", name, err)
		}
	}
}

func concurrent(t *testing.T, k keyholder.Keyholder) {
	w := wrap(t, k)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if got, err := k.Unwrap(context.Background(), testContext, w); err != nil || !bytes.Equal(got, testKey) {
				t.Errorf("concurrent Unwrap: %v", err)
			}
		})
	}
	wg.Wait()
}
