// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"bytes"
	"fmt"
	"testing"
)

// TestRecordsThatDoNotFit: where manifests say that records are larger than memory they are read back the same, and it is said
// that others see which of them are.
func TestRecordsThatDoNotFit(t *testing.T) {
	for name, room := range map[string]int64{"in memory": 64 << 20, "spilt": 1 << 10} {
		s := newRecords(2, 48<<20, room)
		defer s.Close()
		s.units = make([][]record, 4000)
		text := func(i, k int) []byte { return bytes.Repeat([]byte{byte(i), byte(k)}, i%6000) }
		for i := range 4000 {
			for k := range 3 {
				check(t, s.add(i, 0, "", text(i, k)))
			}
		}
		if s.Hidden() != (name == "in memory") || s.Len() != 4000 {
			t.Errorf("%s: hidden %t, %d units", name, s.Hidden(), s.Len())
		}
		for _, i := range []int{0, 1, 1234, 3999} {
			u, err := s.Unit(i)
			check(t, err)
			if len(u) != 2 || !bytes.Equal(u[0], text(i, 0)) || !bytes.Equal(u[1], text(i, 1)) {
				t.Errorf("%s: unit %d is another", name, i)
			}
		}
	}
}

// TestContributorWithAMillionRecords: the first few are kept, and no room is taken by the others.
func TestContributorWithAMillionRecords(t *testing.T) {
	s := newRecords(3, 0, 100)
	s.units = make([][]record, 2)
	for i := range 1_000_000 {
		check(t, s.add(1, 0, "", fmt.Appendf(nil, "%d", i)))
	}
	if u, err := s.Unit(1); err != nil || len(u) != 3 || string(u[2]) != "2" || len(s.chunks) != 1 || len(s.chunks[0]) != 3 {
		t.Errorf("%q, %v, %d chunks", u, err, len(s.chunks))
	}
	chunk := s.chunks[0]
	s.Close()
	if bytes.ContainsAny(chunk[:cap(chunk)], "012") {
		t.Error("records are left after close")
	}
}

// TestUnitsAreWhatManifestsSay: records of a contributor are one unit wherever their segments lie, and a unit of which steps or
// consent leave nothing does not change how many there are.
func TestUnitsAreWhatManifestsSay(t *testing.T) {
	s := newRecords(1, 0, 1<<20)
	s.units = make([][]record, 3)
	check(t, s.add(-1, 0, "", []byte("of nobody")))
	check(t, s.add(3, 0, "", []byte("beyond")))
	for i := range 3 {
		if u, err := s.Unit(i); err != nil || u != nil {
			t.Errorf("unit %d: %q", i, u)
		}
	}
	if s.Len() != 3 {
		t.Error(s.Len())
	}
}
