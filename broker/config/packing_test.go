// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// TestShredKeepsUnfinishedPacks: an erasure, which shreds the versions of the key that wrapped everything before, takes the
// key of a pack that was interrupted along.
func TestShredKeepsUnfinishedPacks(t *testing.T) {
	c, k, id := unitOwner(t)
	ids, wrapped := unitsOf(t, k, id, 1)
	must(t, config.AddUnits(c.Layout().Dir, id, wrapped))
	pack := dataset.ID{7}
	key, err := k.Wrap(t.Context(), keyholder.PackContext(pack), []byte("0123456789abcdef0123456789abcdef"))
	must(t, err)
	journal := c.Layout().Packing("a.name")
	must(t, os.MkdirAll(c.Layout().Dir+"/packing", 0o700))
	must(t, c.AddPackKey("a.name", dataset.ID{8}, key))
	must(t, c.AddPackKey("a.name", pack, key))
	must(t, os.WriteFile(journal, nil, 0o600))
	if _, err := c.PackKey("a.name", dataset.ID{8}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the key of the pack before: %v", err)
	}
	must(t, c.ShredUnit(t.Context(), k, id, ids[0]))
	moved, err := c.PackKey("a.name", pack)
	must(t, err)
	if b, err := k.Unwrap(t.Context(), keyholder.PackContext(pack), moved); err != nil || string(b) != "0123456789abcdef0123456789abcdef" {
		t.Errorf("after the erasure: %q, %v", b, err)
	}
	if _, err := k.Unwrap(t.Context(), keyholder.PackContext(pack), key); err == nil {
		t.Error("the shredded version still opens")
	}
	must(t, c.SweepPackKeys())
	if _, err := c.PackKey("a.name", pack); err != nil {
		t.Errorf("swept though its journal is there: %v", err)
	}
	must(t, os.Remove(journal))
	must(t, c.SweepPackKeys())
	if _, err := c.PackKey("a.name", pack); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("not swept: %v", err)
	}
}

// TestLostPackHoldsErasuresUp: an interrupted pack's key that was shredded (keyholder retire --shred) keeps erasures from being
// finished, and the error says which pack it is and what drops it. Afterwards the erasure is finished.
func TestLostPackHoldsErasuresUp(t *testing.T) {
	c, k, id := unitOwner(t)
	pack := dataset.ID{7}
	must(t, os.MkdirAll(c.Layout().Dir+"/packing", 0o700))
	key, err := k.Wrap(t.Context(), keyholder.PackContext(pack), make([]byte, 32))
	must(t, err)
	must(t, c.AddPackKey("a.name", pack, key))
	r, ok := k.(keyholder.Retirer)
	if !ok {
		t.Fatalf("%T has no versions", k)
	}
	must(t, r.Rotate(t.Context()))
	must(t, r.Retire(t.Context(), 2))
	ids, wrapped := unitsOf(t, k, id, 1)
	must(t, config.AddUnits(c.Layout().Dir, id, wrapped))
	for range 2 {
		err = c.ShredUnit(t.Context(), k, id, ids[0])
		if !errors.Is(err, keyholder.ErrUnwrap) || !strings.Contains(err.Error(), "unfinished pack of a.name") ||
			!strings.Contains(err.Error(), "glovebox creator pack SOURCE --dir "+c.Layout().Dir+" --name a.name --restart") {
			t.Errorf("%v", err)
		}
	}
	if half, err := c.HalfShredded(); err != nil || len(half) != 1 {
		t.Errorf("%d erasures to be finished, %v", len(half), err)
	}
	must(t, c.DropPackKey("a.name"))
	must(t, c.ShredUnit(t.Context(), k, id, ids[0]))
	if half, err := c.HalfShredded(); err != nil || len(half) != 0 {
		t.Errorf("%d erasures to be finished, %v", len(half), err)
	}
}
