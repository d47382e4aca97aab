// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func testKeys(units int) (k Keys, ids []envelope.Digest) {
	k.Package = NewKey()
	for i := range units {
		u := UnitKey{envelope.Sum([]byte{byte(i)}), NewKey()}
		k.Units, ids = append(k.Units, u), append(ids, u.ID)
	}
	return k, ids
}

func TestKeysRoundTrip(t *testing.T) {
	for _, c := range []struct {
		by    bool
		units int
		size  int
	}{{false, 0, 32}, {true, 0, 37}, {true, 3, 37 + 192}} {
		k, ids := testKeys(c.units)
		b := k.Append(nil, c.by)
		if len(b) != c.size || KeysSize(c.by, c.units) != c.size {
			t.Errorf("%d units: %d bytes", c.units, len(b))
		}
		got, err := ParseKeys(b, c.by, ids)
		if err != nil || !bytes.Equal(got.Append(nil, c.by), b) {
			t.Errorf("%d units: %v", c.units, err)
		}
	}
}

// TestKeysOfOtherUnits: keys are those of exactly the granted units, in their order.
func TestKeysOfOtherUnits(t *testing.T) {
	k, ids := testKeys(3)
	b := k.Append(nil, true)
	swapped := []envelope.Digest{ids[1], ids[0], ids[2]}
	for name, c := range map[string]struct {
		b    []byte
		by   bool
		want []envelope.Digest
	}{
		"swapped":      {b, true, swapped},
		"another":      {b, true, append(ids[:2:2], envelope.Sum([]byte("x")))},
		"fewer":        {b, true, ids[:2]},
		"more":         {b, true, append(ids[:3:3], envelope.Sum([]byte("x")))},
		"none wanted":  {b, true, nil},
		"no units":     {b, false, nil},
		"only one key": {k.Package.Bytes(), true, nil},
		"cut":          {b[:len(b)-1], true, ids},
		"longer":       {append(bytes.Clone(b), 0), true, ids},
		"empty":        {nil, true, ids},
		"zero key":     {append(bytes.Clone(b[:len(b)-KeySize]), make([]byte, KeySize)...), true, ids},
		"zero package": {append(append(bytes.Clone(b[:5]), make([]byte, KeySize)...), b[keysHeader:]...), true, ids},
		"version":      {append([]byte{2}, b[1:]...), true, ids},
		"count":        {append([]byte{1, 0, 0, 0, 2}, b[5:]...), true, ids},
	} {
		if got, err := ParseKeys(c.b, c.by, c.want); err == nil || got.Package.Bytes() != nil && len(got.Units) > 0 {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	k, ids := testKeys(2)
	good := k.Append(nil, true)
	f.Add(good)
	f.Add(good[:40])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseKeys(b, true, ids)
		if err == nil && !bytes.Equal(got.Append(nil, true), b) {
			t.Error("accepted and written otherwise")
		}
	})
}
