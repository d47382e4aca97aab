// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"fmt"
	"slices"
	"sort"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Span is a run of leaves.
type Span struct{ First, Count int64 }

// Selection is what a package has in some spans of its leaves.
type Selection struct {
	Segments []int // ascending
	Units    []int // of Manifest.Units, ascending; each is whole in Segments
	Leaves   int64
	Records  int64
	RawBytes int64 // a bound that everybody knows: the stream of them is no longer
}

// Select finds what spans hold of a valid manifest's package. They must ascend, not overlap, and hold whole segments and
// whole erasure units, none of them erased; else [ErrRange].
func (m *Manifest) Select(spans []Span) (*Selection, error) {
	sel, seg, leaf := &Selection{}, 0, int64(0)
	for _, s := range spans {
		if s.Count < 1 || s.First < leaf || s.First > m.Tree.Size-s.Count {
			return nil, fmt.Errorf("%w: leaves %d+%d of %d", ErrRange, s.First, s.Count, m.Tree.Size)
		}
		for ; leaf < s.First; seg++ {
			leaf += m.Segments[seg].Leaves
		}
		if leaf != s.First {
			return nil, fmt.Errorf("%w: leaf %d is not the first of a segment", ErrRange, s.First)
		}
		for ; leaf < s.First+s.Count; seg++ {
			if t := m.Erased(seg); t != nil {
				return nil, fmt.Errorf("%w: segment %d was erased in version %d: %s", ErrRange, seg, t.Version, t.Reason)
			}
			leaf += m.Segments[seg].Leaves
			sel.add(seg, &m.Segments[seg])
		}
		if leaf != s.First+s.Count {
			return nil, fmt.Errorf("%w: leaf %d is not the last of a segment", ErrRange, s.First+s.Count-1)
		}
	}
	if len(sel.Segments) == 0 {
		return nil, fmt.Errorf("%w: none is permitted", ErrRange)
	}
	sel.RawBytes = min(sel.RawBytes, m.RawBytes)
	return sel, sel.findUnits(m.Units)
}

func (s *Selection) add(i int, g *Segment) {
	s.Segments = append(s.Segments, i)
	s.Leaves, s.Records, s.RawBytes = s.Leaves+g.Leaves, s.Records+g.Records, s.RawBytes+g.mostRaw()
}

func (s *Selection) findUnits(units []ErasureUnit) error {
	for i := range units {
		u := &units[i]
		from := sort.SearchInts(s.Segments, int(u.First))
		n := sort.SearchInts(s.Segments, int(u.First+u.Count)) - from
		switch int64(n) {
		case 0:
		case u.Count:
			s.Units = append(s.Units, i)
		default:
			return fmt.Errorf("%w: a part of erasure unit %d", ErrRange, i)
		}
	}
	return nil
}

// IDs are the selected contributors, each once, in the order of their first units.
func (s *Selection) IDs(m *Manifest) []envelope.Digest {
	var out []envelope.Digest
	seen := map[envelope.Digest]bool{}
	for _, i := range s.Units {
		if id := m.Units[i].ID; !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

// Consented refuses, with [ErrConsent], a selection with a unit whose contributor did not agree to the purpose at a time in
// Unix seconds, where the terms ask for consent. until is when the first of the consents ends; 0 where none is asked for.
func (s *Selection) Consented(m *Manifest, purpose string, now int64) (until int64, err error) {
	if !m.Terms.Consent {
		return 0, nil
	}
	for _, i := range s.Units {
		c := m.Units[i].Consent
		if !c.Covers(purpose, now) {
			return 0, fmt.Errorf("%w: unit %d, purpose %q", ErrConsent, i, purpose)
		}
		if until == 0 || c.NotAfter < until {
			until = c.NotAfter
		}
	}
	return until, nil
}

// Contributors is how many contributors have units that are there.
func (m *Manifest) Contributors() int64 {
	seen := make(map[envelope.Digest]bool, len(m.Units))
	for i := range m.Units {
		if m.Erased(int(m.Units[i].First)) == nil {
			seen[m.Units[i].ID] = true
		}
	}
	return int64(len(seen))
}

// Keep gives the spans of all leaves but those of units that are erased or that keep refuses: as few spans as can be.
func (m *Manifest) Keep(keep func(u *ErasureUnit) bool) []Span {
	var out []Span
	leaf, at := int64(0), int64(0)
	take := func(to int64, kept bool) {
		n := int64(0)
		for ; at < to; at++ {
			n += m.Segments[at].Leaves
		}
		if last := len(out) - 1; kept && last >= 0 && out[last].First+out[last].Count == leaf {
			out[last].Count += n
		} else if kept && n > 0 {
			out = append(out, Span{leaf, n})
		}
		leaf += n
	}
	for i := range m.Units {
		u := &m.Units[i]
		take(u.First, true)
		take(u.First+u.Count, m.Erased(int(u.First)) == nil && keep(u))
	}
	take(int64(len(m.Segments)), true)
	return out
}

// Whole narrows spans, which ascend and do not overlap, to the whole segments and whole units in them that are there.
func (m *Manifest) Whole(spans []Span) []Span {
	covered := make([]bool, len(m.Segments))
	leaf := int64(0)
	for i := range m.Segments {
		n := m.Segments[i].Leaves
		for len(spans) > 0 && spans[0].First+spans[0].Count <= leaf {
			spans = spans[1:]
		}
		covered[i] = m.Erased(i) == nil && len(spans) > 0 && spans[0].First <= leaf && spans[0].First+spans[0].Count >= leaf+n
		leaf += n
	}
	for _, u := range m.Units {
		unit := covered[u.First : u.First+u.Count]
		if slices.Contains(unit, false) {
			clear(unit)
		}
	}
	var out []Span
	leaf = 0
	for i := range m.Segments {
		n := m.Segments[i].Leaves
		if last := len(out) - 1; covered[i] && last >= 0 && out[last].First+out[last].Count == leaf {
			out[last].Count += n
		} else if covered[i] {
			out = append(out, Span{leaf, n})
		}
		leaf += n
	}
	return out
}
