// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
)

// hooked is the file keyholder with something happening in between.
type hooked struct {
	*keyholder.File
	rewraps     int // that succeed before one fails; negative: all
	afterRotate func()
}

func (h *hooked) Rotate(ctx context.Context) error {
	err := h.File.Rotate(ctx)
	if f := h.afterRotate; f != nil {
		h.afterRotate = nil
		f()
	}
	return err
}

func (h *hooked) Rewrap(ctx context.Context, c, w []byte) ([]byte, error) {
	if h.rewraps == 0 {
		return nil, keyholder.ErrUnavailable
	}
	h.rewraps--
	return h.File.Rewrap(ctx, c, w)
}

// TestRewrapBesideShredRevivesNobody: whoever moves wrapped keys by a list from before an erasure does not bring back the
// key that was erased.
func TestRewrapBesideShredRevivesNobody(t *testing.T) {
	c, k, id := unitOwner(t)
	ids, wrapped := unitsOf(t, k, id, 3)
	must(t, config.AddUnits(c.Layout().Dir, id, wrapped))
	f := k.(*keyholder.File)
	list, err := c.WrappedKeys()
	must(t, err)
	refused := 0
	h := &hooked{File: f, rewraps: -1, afterRotate: func() {
		for i := range list {
			if err := list[i].Rewrap(t.Context(), f, f); errors.Is(err, config.ErrShredded) {
				refused++
			}
		}
	}}
	must(t, c.ShredUnit(t.Context(), h, id, ids[0]))
	if _, err := os.Stat(unitFile(c, id, ids[0], ".wrap")); refused != 1 || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the erased contributor's key is back on disk: %d refused, %v", refused, err)
	}
	for _, unit := range ids[1:] {
		if _, err := opens(t, c, k, id, unit); err != nil {
			t.Errorf("another contributor's key: %v", err)
		}
	}
}

// TestRewrapBesideShredLosesNobody: what somebody else wrapped anew meanwhile is not replaced by what an older version wraps.
func TestRewrapBesideShredLosesNobody(t *testing.T) {
	c, k, id := unitOwner(t)
	ids, wrapped := unitsOf(t, k, id, 3)
	must(t, config.AddUnits(c.Layout().Dir, id, wrapped))
	f := k.(*keyholder.File)
	list, err := c.WrappedKeys()
	must(t, err)
	must(t, f.Rotate(t.Context()))
	for i := range list {
		moved, err := c.WrappedKeys() // somebody else's
		must(t, err)
		must(t, moved[i].Rewrap(t.Context(), f, f))
		if err := list[i].Rewrap(t.Context(), f, f); !errors.Is(err, config.ErrChanged) {
			t.Errorf("replaced what was not read: %v", err)
		}
	}
	for _, unit := range ids {
		if _, err := opens(t, c, k, id, unit); err != nil {
			t.Errorf("a key is lost: %v", err)
		}
	}
}

// TestShredWithTheKeyholderAway: an erasure whose renewal failed is known as half done and finished later, however often it
// is tried, by one new version; no backup opens then.
func TestShredWithTheKeyholderAway(t *testing.T) {
	c, k, id := unitOwner(t)
	ids, wrapped := unitsOf(t, k, id, 4)
	must(t, config.AddUnits(c.Layout().Dir, id, wrapped))
	f := k.(*keyholder.File)
	before, err := f.Versions(t.Context())
	must(t, err)
	h := &hooked{File: f}
	for n := range 3 {
		h.rewraps = n
		if err := c.ShredUnit(t.Context(), h, id, ids[0]); !errors.Is(err, keyholder.ErrUnavailable) && n < 2 {
			t.Fatalf("the keyholder is away: %v", err)
		}
		if half, err := c.HalfShredded(); err != nil || n < 2 && (len(half) != 1 || half[0].ID != ids[0]) {
			t.Errorf("half done: %v, %v", half, err)
		}
		if _, err := c.UnitKey(id, ids[0]); !errors.Is(err, config.ErrShredded) {
			t.Errorf("half shredded: %v", err)
		}
	}
	h.rewraps = -1
	must(t, c.ShredUnit(t.Context(), h, id, ids[0]))
	must(t, c.ShredUnit(t.Context(), h, id, ids[0]))
	if after, err := f.Versions(t.Context()); err != nil || after.Latest != before.Latest+1 || after.Oldest != after.Latest {
		t.Errorf("versions %+v after %+v, %v", after, before, err)
	}
	if half, err := c.HalfShredded(); err != nil || len(half) != 0 {
		t.Errorf("done: %v, %v", half, err)
	}
	if _, err := k.Unwrap(t.Context(), keyholder.UnitContext(id, ids[0]), wrapped[ids[0]]); err == nil {
		t.Error("a backup opens")
	}
	for _, unit := range ids[1:] {
		if _, err := opens(t, c, k, id, unit); err != nil {
			t.Error(err)
		}
	}
}

// TestErasedKeyPutBack: a key that was put back beside its mark is half shredded, and goes again.
func TestErasedKeyPutBack(t *testing.T) {
	c, k, id := unitOwner(t)
	ids, wrapped := unitsOf(t, k, id, 2)
	must(t, config.AddUnits(c.Layout().Dir, id, wrapped))
	must(t, c.ShredUnit(t.Context(), k, id, ids[0]))
	for name, put := range map[string]func(path string) error{
		"from a backup": func(path string) error { return os.WriteFile(path, wrapped[ids[0]], 0o600) },
		"a link":        func(path string) error { return os.Symlink("/nowhere/at/all", path) },
	} {
		path := unitFile(c, id, ids[0], ".wrap")
		must(t, put(path))
		half, err := c.HalfShredded()
		if err != nil || len(half) != 1 || half[0].ID != ids[0] {
			t.Errorf("%s: half done: %v, %v", name, half, err)
		}
		must(t, c.ShredUnits(t.Context(), k, half))
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if half, err = c.HalfShredded(); err != nil || len(half) != 0 {
			t.Errorf("%s: %v, %v", name, half, err)
		}
	}
}

// TestLockKeysExcludes: one at a time, and who cannot wait is told.
func TestLockKeysExcludes(t *testing.T) {
	c, _, _ := unitOwner(t)
	unlock, err := c.Layout().TryLockKeys()
	must(t, err)
	if _, err := c.Layout().TryLockKeys(); !errors.Is(err, config.ErrLocked) {
		t.Errorf("twice: %v", err)
	}
	got := make(chan error, 1)
	go func() {
		second, err := c.Layout().LockKeys()
		if err == nil {
			err = second()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	must(t, unlock())
	must(t, <-got)
}
