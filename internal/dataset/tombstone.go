// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Tombstone says that an erasure unit is gone: its key was destroyed, and its blobs need not exist. Its leaves stay in the
// tree, as hashes, so that the version extends the one before; nothing grants or reads them.
type Tombstone struct {
	First   int64  `json:"first"`   // segment, as the unit has it
	Count   int64  `json:"count"`   // segments
	Version int64  `json:"version"` // the first without it
	Date    string `json:"date"`    // YYYY-MM-DD, of that version
	Reason  string `json:"reason"`  // for everybody to read
}

// Erased is the tombstone of a segment, by its place in the manifest; nil of one that is there.
func (m *Manifest) Erased(segment int) *Tombstone {
	i := sort.Search(len(m.Tombstones), func(i int) bool { return m.Tombstones[i].First > int64(segment) }) - 1
	if i < 0 || int64(segment)-m.Tombstones[i].First >= m.Tombstones[i].Count {
		return nil
	}
	return &m.Tombstones[i]
}

// ErasedLeaves are the leaves of erased segments: ascending and disjoint.
func (m *Manifest) ErasedLeaves() (out []Span) {
	leaf := int64(0)
	for i := range m.Segments {
		n := m.Segments[i].Leaves
		if t := m.Erased(i); t != nil && t.First == int64(i) {
			out = append(out, Span{leaf, n})
		} else if t != nil {
			out[len(out)-1].Count += n
		}
		leaf += n
	}
	return out
}

// live is how many segments are there.
func (m *Manifest) live() int {
	n := len(m.Segments)
	for i := range m.Tombstones {
		n -= int(m.Tombstones[i].Count)
	}
	return n
}

// validateTombstones: each is of one whole unit of an earlier version, in their order. With one of a contributor's units all
// of hers are gone, in the same version, since they have one key; and what is gone has nobody's consent.
func (m *Manifest) validateTombstones() error {
	if m.Tombstones != nil && len(m.Tombstones) == 0 {
		return invalid("a list of no tombstones")
	}
	gone, at := map[envelope.Digest]int64{}, 0
	for i := range m.Units {
		u := &m.Units[i]
		if at == len(m.Tombstones) || m.Tombstones[at].First != u.First {
			continue
		}
		t := &m.Tombstones[at]
		if err := t.validate(m.Segments[u.First].Version, m.Version); err != nil {
			return fmt.Errorf("tombstone %d: %w", at, err)
		}
		if t.Count != u.Count || u.Consent != nil || gone[u.ID] != 0 && gone[u.ID] != t.Version {
			return invalid("tombstone %d is not of a whole unit, or its contributor's consent or another unit of hers stays", at)
		}
		gone[u.ID], at = t.Version, at+1
	}
	if at != len(m.Tombstones) {
		return invalid("tombstone %d is not of a unit, or out of order", at)
	}
	for i := range m.Units {
		if u := &m.Units[i]; gone[u.ID] != 0 && m.Erased(int(u.First)) == nil {
			return invalid("unit %d stays, and another of its contributor's is erased", i)
		}
	}
	return nil
}

// validate checks a tombstone of what version added made, in a manifest of version now.
func (t *Tombstone) validate(added, now int64) error {
	_, err := time.Parse(time.DateOnly, t.Date)
	switch {
	case t.Version <= added || t.Version > now:
		return invalid("erased in version %d what version %d added", t.Version, added)
	case err != nil:
		return invalid("date %q, want YYYY-MM-DD", t.Date)
	case !reason(t.Reason):
		return invalid("want a reason of 1 to %d bytes in one line", MaxReference)
	}
	return nil
}

// reason reports whether a text can stand in a tombstone: it is shown to people.
func reason(s string) bool {
	if s == "" || len(s) > MaxReference || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// TombstonesGrow returns [ErrManifest] unless a later version keeps every tombstone of an earlier one as it was, and each that it
// adds is of a version after that. Both are valid.
func TombstonesGrow(earlier, later *Manifest) error {
	kept := 0
	for _, t := range later.Tombstones {
		switch {
		case kept < len(earlier.Tombstones) && t == earlier.Tombstones[kept]:
			kept++
		case t.Version <= earlier.Version:
			return invalid("segments %d to %d are erased in version %d, which did not say so", t.First, t.First+t.Count-1, t.Version)
		}
	}
	if kept < len(earlier.Tombstones) {
		t := &earlier.Tombstones[kept]
		return invalid("segments %d to %d were erased in version %d, and version %d does not say so", t.First, t.First+t.Count-1, t.Version, later.Version)
	}
	return nil
}

// erase puts tombstones on the units whose keys are gone. Consent to what is not there is none.
func (p *packer) erase(old []Tombstone) error {
	today, before := p.cfg.Now().UTC().Format(time.DateOnly), &Manifest{Tombstones: old}
	p.m.Tombstones = slices.Clone(old)
	for i := range p.m.Units {
		u := &p.m.Units[i]
		why, gone := p.cfg.Erased[u.ID]
		was := before.Erased(int(u.First)) != nil
		if was || gone {
			u.Consent = nil
		}
		if gone && !was {
			p.m.Tombstones = append(p.m.Tombstones, Tombstone{u.First, u.Count, p.m.Version, today, why})
			for k := range u.Count {
				p.m.Records -= p.m.Segments[u.First+k].Records
			}
		}
	}
	slices.SortFunc(p.m.Tombstones, func(a, b Tombstone) int { return cmp.Compare(a.First, b.First) })
	switch {
	case p.cfg.Erase && len(p.m.Tombstones) == len(old):
		return fmt.Errorf("%w: nothing of the previous version is newly erased", ErrConfig)
	case p.cfg.Erase && p.m.Records == 0:
		return fmt.Errorf("%w: nothing would be left of the package; revoke the whole dataset", ErrConfig)
	}
	return nil
}

// erasing refuses what a version without new records cannot have, and drops what was said of records that an earlier one added.
func (c *PackConfig) erasing() error {
	if c.Previous == nil || c.Source != nil || c.Files != nil || c.Contributors != nil || c.Journal != nil {
		return fmt.Errorf("%w: a version that only erases has a previous one, and neither source, contributors nor journal", ErrConfig)
	}
	d := &c.Manifest.Metadata
	d.PIIScan, d.Transforms, d.Anonymity, d.DatePublished = nil, nil, nil, ""
	return nil
}
