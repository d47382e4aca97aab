// SPDX-License-Identifier: Apache-2.0

package keyholdertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func opens(t *testing.T, k keyholder.Keyholder, wrapped []byte, what string) {
	t.Helper()
	if got, err := k.Unwrap(t.Context(), testContext, wrapped); err != nil || !bytes.Equal(got, testKey) {
		t.Errorf("%s does not open: %v", what, err)
	}
}

func cancelled(t *testing.T, k keyholder.Keyholder) {
	w := wrap(t, k)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := k.Unwrap(ctx, testContext, w); got != nil || !errors.Is(err, keyholder.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Unwrap with a cancelled context: %v, key returned: %v", err, got != nil)
	}
	if got, err := k.Wrap(ctx, testContext, testKey); got != nil || !errors.Is(err, keyholder.ErrUnavailable) {
		t.Errorf("Wrap with a cancelled context: %v, key returned: %v", err, got != nil)
	}
	opens(t, k, w, "after a cancelled call, the key")
}

// items wraps n keys, each for its own unit.
func items(t *testing.T, k keyholder.Keyholder, n int) (in []keyholder.Item, keys [][]byte) {
	t.Helper()
	for i := range n {
		c := keyholder.UnitContext([16]byte{1}, envelope.Hash("test", fmt.Append(nil, i)))
		key := bytes.Repeat([]byte{byte(i + 1)}, 32)
		w, err := k.Wrap(t.Context(), c, key)
		if err != nil {
			t.Fatal(err)
		}
		in, keys = append(in, keyholder.Item{Context: c, Wrapped: w}), append(keys, key)
	}
	return in, keys
}

func batch(t *testing.T, k keyholder.Keyholder) {
	in, keys := items(t, k, 20)
	got, err := keyholder.UnwrapAll(t.Context(), k, in)
	if err != nil || len(got) != len(in) {
		t.Fatalf("UnwrapAll: %v, %d keys", err, len(got))
	}
	for i := range in {
		one, err := k.Unwrap(t.Context(), in[i].Context, in[i].Wrapped)
		if err != nil || !bytes.Equal(one, got[i]) || !bytes.Equal(one, keys[i]) {
			t.Errorf("key %d: batch and single differ: %v", i, err)
		}
	}
	if got, err := keyholder.UnwrapAll(t.Context(), k, nil); err != nil || len(got) != 0 {
		t.Errorf("UnwrapAll of nothing: %v", err)
	}
}

func batchWithOneBad(t *testing.T, k keyholder.Keyholder) {
	in, _ := items(t, k, 6)
	for name, c := range map[string]struct {
		spoil func(*keyholder.Item)
		want  error
	}{
		"context of another unit": {func(it *keyholder.Item) { it.Context = in[0].Context }, keyholder.ErrUnwrap},
		"flipped byte":            {func(it *keyholder.Item) { it.Wrapped[len(it.Wrapped)-1] ^= 1 }, keyholder.ErrUnwrap},
		"no bytes":                {func(it *keyholder.Item) { it.Wrapped = nil }, keyholder.ErrInput},
	} {
		bad := append([]keyholder.Item(nil), in...)
		bad[3].Wrapped = bytes.Clone(bad[3].Wrapped)
		c.spoil(&bad[3])
		if got, err := keyholder.UnwrapAll(t.Context(), k, bad); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %v, keys returned: %v", name, err, got != nil)
		}
		b, ok := k.(keyholder.Batch)
		if !ok {
			continue
		}
		if got, err := b.UnwrapAll(t.Context(), bad); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s, asked directly: %v, keys returned: %v", name, err, got != nil)
		}
	}
}

func rotate(t *testing.T, k keyholder.Keyholder) {
	r := k.(keyholder.Rotator)
	old := wrap(t, k)
	if err := r.Rotate(t.Context()); err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	opens(t, k, old, "a key wrapped before the rotation")
	opens(t, k, wrap(t, k), "a key wrapped after the rotation")
	moved, err := r.Rewrap(t.Context(), testContext, old)
	if err != nil {
		t.Fatalf("Rewrap: %v", err)
	}
	if bytes.Equal(moved, old) {
		t.Error("Rewrap changed nothing")
	}
	opens(t, k, moved, "the rewrapped key")
	opens(t, k, old, "the key as it was wrapped before")
	refuse(t, k, []byte("context of another package"), moved, "rewrapped key with another package's context")
}

func rewrapOfAnother(t *testing.T, k keyholder.Keyholder) {
	r, w := k.(keyholder.Rotator), wrap(t, k)
	if err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Rewrap(t.Context(), []byte("context of another package"), w); !errors.Is(err, keyholder.ErrUnwrap) || got != nil {
		t.Errorf("Rewrap with another package's context: %v", err)
	}
	w[len(w)-1] ^= 1
	if got, err := r.Rewrap(t.Context(), testContext, w); !errors.Is(err, keyholder.ErrUnwrap) || got != nil {
		t.Errorf("Rewrap of altered bytes: %v", err)
	}
}

func rotateWhileOpening(t *testing.T, k keyholder.Keyholder) {
	w := wrap(t, k)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				opens(t, k, w, "during rotations, a key")
			}
		})
	}
	for range 2 {
		if err := k.(keyholder.Rotator).Rotate(t.Context()); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func retire(t *testing.T, k keyholder.Keyholder) {
	r, lost := k.(keyholder.Retirer), wrap(t, k)
	kept := wrap(t, k)
	before, err := r.Versions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v, err := r.Version(lost); err != nil || v != before.Latest {
		t.Errorf("wrapped by version %d, the latest is %d: %v", v, before.Latest, err)
	}
	if err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if kept, err = r.Rewrap(t.Context(), testContext, kept); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Version(kept); err != nil || v != before.Latest+1 {
		t.Errorf("rewrapped by version %d, want %d: %v", v, before.Latest+1, err)
	}
	for range 2 { // the second time there is nothing left to do
		if err := r.Retire(t.Context(), before.Latest+1); err != nil {
			t.Fatalf("Retire: %v", err)
		}
	}
	refuse(t, k, testContext, lost, "a key of a shredded version")
	if got, err := r.Rewrap(t.Context(), testContext, lost); !errors.Is(err, keyholder.ErrUnwrap) || got != nil {
		t.Errorf("Rewrap of a key of a shredded version: %v", err)
	}
	opens(t, k, kept, "the rewrapped key")
	if v, err := r.Versions(t.Context()); err != nil || v != (keyholder.Versions{Oldest: before.Latest + 1, Latest: before.Latest + 1}) {
		t.Errorf("Versions after Retire: %+v, %v", v, err)
	}
	if err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Version(wrap(t, k)); err != nil || v != before.Latest+2 {
		t.Errorf("the version after a shredded one is %d: %v", v, err)
	}
}

func retireLatest(t *testing.T, k keyholder.Keyholder) {
	r, w := k.(keyholder.Retirer), wrap(t, k)
	v, err := r.Versions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Retire(t.Context(), v.Latest+1); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("retiring the version that wraps: %v", err)
	}
	opens(t, k, w, "after a refused Retire, the key")
}

// Outage checks that a keyholder that is away says so and nothing else. newKeyholder gives one together with what takes it
// away, and what brings it back.
func Outage(t *testing.T, newKeyholder func(t *testing.T) (k keyholder.Keyholder, down, up func())) {
	t.Helper()
	k, down, up := newKeyholder(t)
	w := wrap(t, k)
	in, _ := items(t, k, 3)
	down()
	if got, err := k.Unwrap(t.Context(), testContext, w); !errors.Is(err, keyholder.ErrUnavailable) || got != nil || errors.Is(err, keyholder.ErrUnwrap) {
		t.Errorf("Unwrap: %v, key returned: %v", err, got != nil)
	}
	if got, err := k.Wrap(t.Context(), testContext, testKey); !errors.Is(err, keyholder.ErrUnavailable) || got != nil {
		t.Errorf("Wrap: %v, bytes returned: %v", err, got != nil)
	}
	if got, err := keyholder.UnwrapAll(t.Context(), k, in); !errors.Is(err, keyholder.ErrUnavailable) || got != nil {
		t.Errorf("UnwrapAll: %v, keys returned: %v", err, got != nil)
	}
	if r, ok := k.(keyholder.Rotator); ok {
		if got, err := r.Rewrap(t.Context(), testContext, w); !errors.Is(err, keyholder.ErrUnavailable) || got != nil {
			t.Errorf("Rewrap: %v, bytes returned: %v", err, got != nil)
		}
	}
	up()
	opens(t, k, w, "when it is back, the key")
}
