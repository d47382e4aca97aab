// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// erased is a package of three versions: a, b and c contribute, then b and c again while a is erased, then c is erased
// alone. What a and c had is no longer in the store, and their keys are gone.
func erased(t testing.TB) (f *fixture, p *people, one, two, three *Packed) {
	t.Helper()
	f, p = newFixture(t), newPeople()
	yes := &Consent{Reference: "form 1", Purposes: []string{"research"}, NotAfter: 4_000_000_000}
	id := func(name string) envelope.Digest { return UnitID(p.index, name) }
	all := map[envelope.Digest]*Consent{id("a"): yes, id("b"): yes, id("c"): yes, id("d"): yes}
	src := "n,who\n"
	for i := range 60 {
		src += fmt.Sprintf("%d,%c\n", i, 'a'+i%3)
	}
	by := func(src string) PackConfig {
		cfg := f.byContributor(p, FormatCSV, src, "who")
		cfg.SegmentBytes, cfg.BatchBytes = 64, 32
		cfg.Contributors.Consents, cfg.Manifest.Terms.Consent = all, true
		cfg.PublishColumns = true
		return cfg
	}
	verified := func(p *Packed) *envelope.Verified[Manifest] {
		v, err := Verify(p.Signed)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	one = f.pack(by(src))
	cfg := by("n,who\n60,b\n61,c\n62,d\n")
	cfg.Previous, cfg.Erased = verified(one), map[envelope.Digest]string{id("a"): "asked for it"}
	two = f.pack(cfg)
	cfg = f.config(FormatCSV, "")
	cfg.Source, cfg.Previous, cfg.Erase, cfg.Manifest = nil, verified(two), true, *two.Manifest
	cfg.Erased = map[envelope.Digest]string{id("a"): "not again", id("c"): "key destroyed"}
	three = f.pack(cfg)
	for i := range three.Manifest.Segments {
		if three.Manifest.Erased(i) != nil {
			if err := f.store.Remove(t.Context(), three.Manifest.Segments[i].Blob); err != nil {
				t.Fatal(err)
			}
		}
	}
	delete(p.keys, id("a"))
	delete(p.keys, id("c"))
	return f, p, one, two, three
}

// TestErasedIsGone: what is erased is in no count, no selection and no list of blobs, and everything else opens and verifies
// without it.
func TestErasedIsGone(t *testing.T) {
	f, p, one, two, three := erased(t)
	if r := []int64{one.Manifest.Records, two.Manifest.Records, three.Manifest.Records}; !slices.Equal(r, []int64{60, 43, 22}) {
		t.Errorf("%v records", r)
	}
	m := three.Manifest
	if m.Contributors() != 2 || len(m.Tombstones) != 3 || len(m.Segments) != len(two.Manifest.Segments) || m.Tree.Root != two.Manifest.Tree.Root {
		t.Errorf("%d contributors, %d tombstones, %d segments", m.Contributors(), len(m.Tombstones), len(m.Segments))
	}
	if d := cmp.Diff(two.Manifest.Metadata.RecordSet, m.Metadata.RecordSet); d != "" || len(m.Metadata.RecordSet[0].Field) != 2 {
		t.Errorf("columns changed:\n%s", d)
	}
	for _, u := range m.Units {
		if gone := m.Erased(int(u.First)) != nil; gone != (u.Consent == nil) || gone == (p.keys[u.ID] != Key{}) {
			t.Errorf("unit %v: erased %v, consent %v", u.ID, gone, u.Consent)
		}
	}
	if err := VerifyBlobs(t.Context(), m, f.store); err != nil {
		t.Errorf("without the erased blobs: %v", err)
	}
	got, err := readSpans(t, f, m, p.keys, m.AllLeaves().Leaves)
	if err != nil || !strings.HasPrefix(got, "n,who\n") || strings.Count(got, ",b\n") != 21 || strings.Count(got, "\n") != 23 || !strings.Contains(got, "62,d\n") {
		t.Errorf("%v, %q", err, got)
	}
	if want := padme(int64(len(got))); m.RawBytes != want {
		t.Errorf("%d raw bytes, want %d", m.RawBytes, want)
	}
	for i, g := range m.Segments {
		if gone := m.Erased(i) != nil; gone == slices.Contains(m.Blobs(), g.Blob) {
			t.Errorf("segment %d: erased %v, and the store is to have it %v", i, gone, !gone)
		}
	}
	var leaves int64
	for _, s := range append(m.ErasedLeaves(), m.AllLeaves().Leaves...) {
		leaves += s.Count
	}
	if leaves != m.Tree.Size {
		t.Errorf("%d leaves erased or not, of %d", leaves, m.Tree.Size)
	}
}

// TestErasedIsNotSelected: an erased segment is refused with its reason, in whatever spans, and Whole never gives it.
func TestErasedIsNotSelected(t *testing.T) {
	f, p, _, _, three := erased(t)
	m := three.Manifest
	all := []Span{{0, m.Tree.Size}}
	for _, spans := range append([][]Span{all}, m.ErasedLeaves()) {
		_, err := m.Select(spans)
		if !errors.Is(err, ErrRange) || !strings.Contains(err.Error(), "erased in version") {
			t.Errorf("%v: %v, want ErrRange with the reason", spans, err)
		}
		if _, err := readSpans(t, f, m, p.keys, spans); !errors.Is(err, ErrRange) {
			t.Errorf("%v: opened, %v", spans, err)
		}
	}
	if d := cmp.Diff(m.AllLeaves().Leaves, m.Whole(all)); d != "" {
		t.Errorf("the whole package is narrowed to other leaves than are there:\n%s", d)
	}
}

// TestErasedBlobThatIsThere must still be the one that the owner signed.
func TestErasedBlobThatIsThere(t *testing.T) {
	f, _, _, _, three := erased(t)
	m := three.Manifest
	g := &m.Segments[m.Tombstones[0].First]
	if err := VerifyBlobs(t.Context(), m, patched{f.store, g.Blob, make([]byte, g.Bytes)}); !errors.Is(err, ErrLeaf) {
		t.Errorf("another blob in the place of an erased one: %v, want ErrLeaf", err)
	}
	if err := VerifyBlobs(t.Context(), m, patched{f.store, g.Blob, make([]byte, g.Bytes-1)}); !errors.Is(err, ErrTruncated) {
		t.Errorf("a short blob in the place of an erased one: %v, want ErrTruncated", err)
	}
	if err := f.store.Remove(t.Context(), m.Segments[0].Blob); err != nil {
		t.Fatal(err)
	}
	if err := VerifyBlobs(t.Context(), m, f.store); !errors.Is(err, ErrNoBlob) {
		t.Errorf("a blob that is not erased is missing: %v, want ErrNoBlob", err)
	}
}

// TestErasedLeafHashFlipped: hashes of leaves that nobody has any more are still held to the root.
func TestErasedLeafHashFlipped(t *testing.T) {
	f, _, _, _, three := erased(t)
	m := *three.Manifest
	level := bytes.Clone(whole(t, f.store, m.Tree.Levels[0]))
	level[m.ErasedLeaves()[0].First*32] ^= 1
	if err := VerifyBlobs(t.Context(), &m, patched{f.store, m.Tree.Levels[0], level}); !errors.Is(err, ErrProof) {
		t.Errorf("%v, want ErrProof", err)
	}
}

// TestTombstonesContradict changes one thing at a time so that the manifest contradicts itself.
func TestTombstonesContradict(t *testing.T) {
	_, _, one, two, three := erased(t)
	c := three.Manifest
	id := func(m *Manifest, i int) *ErasureUnit {
		return &m.Units[slices.IndexFunc(m.Units, func(u ErasureUnit) bool { return u.First == m.Tombstones[i].First })]
	}
	mine := func(m *Manifest) int { // a tombstone of the contributor who has two
		return slices.IndexFunc(m.Tombstones, func(t Tombstone) bool { return t.Version == 3 })
	}
	living := slices.IndexFunc(c.Units, func(u ErasureUnit) bool { return c.Erased(int(u.First)) == nil })
	for name, change := range map[string]func(m *Manifest){
		"empty list":         func(m *Manifest) { m.Tombstones = []Tombstone{} },
		"none":               func(m *Manifest) { m.Tombstones = nil },
		"one dropped":        func(m *Manifest) { m.Tombstones = m.Tombstones[1:] },
		"twice":              func(m *Manifest) { m.Tombstones = append(m.Tombstones[:1:1], m.Tombstones...) },
		"out of order":       func(m *Manifest) { slices.Reverse(m.Tombstones) },
		"of the header":      settled(func(m *Manifest) { m.Tombstones = append([]Tombstone{{0, 1, 3, "2027-01-15", "x"}}, m.Tombstones...) }),
		"part of a unit":     settled(func(m *Manifest) { m.Tombstones[0].Count-- }),
		"more than a unit":   settled(func(m *Manifest) { m.Tombstones[0].Count++ }),
		"count enormous":     func(m *Manifest) { m.Tombstones[0].Count = 1<<63 - 1 },
		"count negative":     func(m *Manifest) { m.Tombstones[0].Count = -1 },
		"first negative":     func(m *Manifest) { m.Tombstones[0].First = -1 },
		"first beyond":       func(m *Manifest) { m.Tombstones[2].First = 1 << 62 },
		"version of its own": func(m *Manifest) { m.Tombstones[0].Version = 1 },
		"future version":     func(m *Manifest) { m.Tombstones[0].Version = 4 },
		"other versions":     func(m *Manifest) { m.Tombstones[mine(m)].Version = 2 },
		"no date":            func(m *Manifest) { m.Tombstones[0].Date = "" },
		"no such day":        func(m *Manifest) { m.Tombstones[0].Date = "2027-02-30" },
		"no reason":          func(m *Manifest) { m.Tombstones[0].Reason = "" },
		"long reason":        func(m *Manifest) { m.Tombstones[0].Reason = strings.Repeat("x", MaxReference+1) },
		"reason of lines":    func(m *Manifest) { m.Tombstones[0].Reason = "a\nb" },
		"reason of escapes":  func(m *Manifest) { m.Tombstones[0].Reason = "\x1b[2J" },
		"consent stays":      func(m *Manifest) { id(m, 0).Consent = m.Units[living].Consent },
		"half a contributor": settled(func(m *Manifest) { m.Tombstones = slices.Delete(m.Tombstones, mine(m), mine(m)+1) }),
		"records of all":     func(m *Manifest) { m.Records = 63 },
		"raw bytes of none":  func(m *Manifest) { m.RawBytes = 2 },
		"size of all": func(m *Manifest) {
			n := m.Tombstones
			m.Tombstones = nil
			m.Metadata.Distribution = m.distribution()
			m.Tombstones = n
		},
		"consent of erased": settled(func(m *Manifest) {
			m.Tombstones = append(m.Tombstones, Tombstone{m.Units[living].First, m.Units[living].Count, 3, "2027-01-15", "x"})
			slices.SortFunc(m.Tombstones, func(a, b Tombstone) int { return int(a.First - b.First) })
			for i := range m.Units {
				if m.Units[i].ID != m.Units[living].ID {
					m.Units[i].Consent = nil
				}
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			m := *c
			m.Tombstones, m.Units = slices.Clone(c.Tombstones), slices.Clone(c.Units)
			m.Metadata.Distribution = slices.Clone(c.Metadata.Distribution)
			change(&m)
			if err := m.Validate(); !errors.Is(err, ErrManifest) {
				t.Errorf("%v, want ErrManifest", err)
			}
		})
	}
	for name, m := range map[string]*Manifest{"first": one.Manifest, "second": two.Manifest, "third": c} {
		if err := m.Validate(); err != nil {
			t.Errorf("%s version: %v", name, err)
		}
	}
}

// TestTombstoneWithoutField deletes and zeroes every field of every tombstone of a signed manifest.
func TestTombstoneWithoutField(t *testing.T) {
	f, _, _, _, three := erased(t)
	_, payload, _, err := envelope.Parts(three.Signed)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, path := range jsonPaths(t, payload) {
		if len(path) < 2 || path[1] != "tombstones" {
			continue
		}
		for _, how := range []string{"delete", "zero", "null"} {
			changed, ok := withoutField(t, payload, path, how)
			if !ok {
				continue
			}
			tried++
			if _, err := Verify(f.resign(changed)); err == nil {
				t.Errorf("%s %s: accepted", how, strings.Join(path, "."))
			}
		}
	}
	if tried < 40 {
		t.Errorf("only %d changes tried", tried)
	}
}

// TestTombstonesGrow: a later version takes no tombstone back, changes none, and dates none before itself.
func TestTombstonesGrow(t *testing.T) {
	_, _, one, two, three := erased(t)
	for _, v := range [][2]*Packed{{one, two}, {two, three}, {one, three}, {three, three}} {
		if err := TombstonesGrow(v[0].Manifest, v[1].Manifest); err != nil {
			t.Error(err)
		}
		if err := v[1].Manifest.keeps(v[0].Manifest); err != nil {
			t.Error(err)
		}
	}
	for name, change := range map[string]func(m *Manifest){
		"taken back": func(m *Manifest) { m.Tombstones = nil },
		"reworded": func(m *Manifest) {
			i := slices.IndexFunc(m.Tombstones, early)
			m.Tombstones[i].Reason = "never happened"
		},
		"redated":   func(m *Manifest) { i := slices.IndexFunc(m.Tombstones, early); m.Tombstones[i].Date = "2020-01-01" },
		"backdated": func(m *Manifest) { i := slices.IndexFunc(m.Tombstones, late); m.Tombstones[i].Version = 2 },
	} {
		m := *three.Manifest
		m.Tombstones = slices.Clone(m.Tombstones)
		change(&m)
		if err := TombstonesGrow(two.Manifest, &m); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v, want ErrManifest", name, err)
		}
		if err := m.keeps(two.Manifest); !errors.Is(err, ErrHistory) {
			t.Errorf("%s: %v, want ErrHistory", name, err)
		}
	}
}

// settled makes sums agree with the tombstones again.
func settled(change func(m *Manifest)) func(m *Manifest) {
	return func(m *Manifest) {
		change(m)
		m.Records = 0
		for i := range m.Segments {
			if m.Erased(i) == nil {
				m.Records += m.Segments[i].Records
			}
		}
		m.Metadata.Distribution = m.distribution()
	}
}

// patched has another blob in the place of one.
type patched struct {
	*DirStore
	d envelope.Digest
	b []byte
}

func (s patched) Size(ctx context.Context, d envelope.Digest) (int64, error) {
	if d == s.d {
		return int64(len(s.b)), nil
	}
	return s.DirStore.Size(ctx, d)
}

func (s patched) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	if d == s.d {
		return bytes.NewReader(s.b).ReadAt(p, off)
	}
	return s.DirStore.ReadAt(ctx, d, p, off)
}

func early(t Tombstone) bool { return t.Version == 2 }
func late(t Tombstone) bool  { return t.Version == 3 }

// TestEraseRefused: a version that only erases erases something, leaves something, and adds nothing.
func TestEraseRefused(t *testing.T) {
	f, p, _, _, three := erased(t)
	v, err := Verify(three.Signed)
	if err != nil {
		t.Fatal(err)
	}
	everybody := map[envelope.Digest]string{}
	for _, u := range v.Predicate.Units {
		everybody[u.ID] = "x"
	}
	b := map[envelope.Digest]string{UnitID(p.index, "b"): "x"}
	for name, change := range map[string]func(c *PackConfig){
		"nothing":              func(*PackConfig) {},
		"erased before":        func(c *PackConfig) { c.Erased = map[envelope.Digest]string{UnitID(p.index, "a"): "x"} },
		"a stranger":           func(c *PackConfig) { c.Erased = map[envelope.Digest]string{UnitID(p.index, "z"): "x"} },
		"everybody":            func(c *PackConfig) { c.Erased = everybody },
		"with a source":        func(c *PackConfig) { c.Erased, c.Source = b, strings.NewReader("n,who\n1,z\n") },
		"without one before":   func(c *PackConfig) { c.Erased, c.Previous = b, nil },
		"of another's version": func(c *PackConfig) { c.Erased, c.Manifest.Name = b, "other" },
		"without a reason":     func(c *PackConfig) { c.Erased = map[envelope.Digest]string{UnitID(p.index, "b"): ""} },
	} {
		cfg := f.config(FormatCSV, "")
		cfg.Source, cfg.Previous, cfg.Erase, cfg.Manifest = nil, v, true, *three.Manifest
		change(&cfg)
		if _, err := Pack(t.Context(), cfg); !errors.Is(err, ErrConfig) && !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
		if err := VerifyBlobs(t.Context(), three.Manifest, f.store); err != nil {
			t.Fatalf("%s: what failed took blobs along: %v", name, err)
		}
	}
	first := f.byContributor(p, FormatCSV, "n,who\n1,b\n", "who")
	first.Erased = b
	if _, err := Pack(t.Context(), first); !errors.Is(err, ErrConfig) {
		t.Errorf("a first version that erases: %v", err)
	}
}
