// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// verifiedVersion signs what change makes of a version, without any of the checks that a pack makes.
func (f *fixture) verifiedVersion(m *Manifest, change func(*Manifest)) *envelope.Verified[Manifest] {
	f.t.Helper()
	c := *m
	c.Segments, c.Indexes, c.Units = slices.Clone(m.Segments), slices.Clone(m.Indexes), slices.Clone(m.Units)
	c.Tree.Levels = slices.Clone(m.Tree.Levels)
	change(&c)
	if err := c.describe(nil, bytes.Repeat([]byte{1}, 32), time.Unix(1_800_000_000, 0)); err != nil {
		f.t.Fatal(err)
	}
	signed, _, err := envelope.Sign(f.signer, envelope.ManifestType, c.subjects(), &c)
	if err != nil {
		f.t.Fatal(err)
	}
	v, err := Verify(signed)
	if err != nil {
		f.t.Fatalf("the changed manifest must be valid by itself: %v", err)
	}
	return v
}

// versions are three of one dataset, several tiles each.
func versions(t *testing.T) (*fixture, []*envelope.Verified[Manifest]) {
	t.Helper()
	f := newFixture(t)
	var out []*envelope.Verified[Manifest]
	cfg := f.config(FormatCSV, bigCSV(600_000))
	for range 3 {
		cfg.SegmentBytes, cfg.BatchBytes = 2<<10, 1<<10
		p := f.pack(cfg)
		var v *envelope.Verified[Manifest]
		cfg, v = f.next(p, FormatCSV, bigCSV(20_000))
		out = append(out, v)
	}
	if out[0].Predicate.Tree.Size <= 256 {
		t.Fatalf("%d leaves are one tile; want several", out[0].Predicate.Tree.Size)
	}
	return f, out
}

func TestHistory(t *testing.T) {
	f, v := versions(t)
	for i := range v {
		for k := i; k < len(v); k++ {
			if err := VerifyHistory(t.Context(), v[i], v[k], f.store); err != nil {
				t.Errorf("version %d after %d: %v", k+1, i+1, err)
			}
		}
	}
	terms := f.verifiedVersion(&v[0].Predicate, func(m *Manifest) {
		m.Version, m.Previous, m.Terms.MaxUses = 2, &v[0].ID, 1
	})
	if err := VerifyHistory(t.Context(), v[0], terms, f.store); err != nil {
		t.Errorf("a version with other terms and no more records: %v", err)
	}
}

// TestHistoryInFewReads: what is read is of the order of the tree's height, whatever its size.
func TestHistoryInFewReads(t *testing.T) {
	f, v := versions(t)
	n := 0
	counting := hostileHost{f.store, func(_ envelope.Digest, p []byte, _ int64, got int) int { n += len(p); return got }}
	if err := VerifyHistory(t.Context(), v[0], v[2], counting); err != nil {
		t.Fatal(err)
	}
	if most := 4 * 32 << tileHeight; n == 0 || n > most {
		t.Errorf("%d bytes of hashes read, want at most %d", n, most)
	}
}

// TestOwnerRewritesHistory: a version that takes back or changes anything of an earlier one is refused, and says what.
func TestOwnerRewritesHistory(t *testing.T) {
	f, v := versions(t)
	one, two, three := v[0], v[1], v[2]
	other := newFixture(t)
	other.store = f.store
	another := f.pack(f.config(FormatCSV, bigCSV(600_000))) // of as many bytes, with a tree of its own
	drop := func(m *Manifest) {                             // the first segment and all that counts it
		s := m.Segments[0]
		m.Segments, m.Records, m.Tree.Size = m.Segments[1:], m.Records-s.Records, m.Tree.Size-s.Leaves
		m.Indexes[0].Bytes = indexBytes(batchesOf(m, 1))
		m.Tree.Levels = m.Tree.Levels[:treeLevels(m.Tree.Size)]
	}
	for name, c := range map[string]struct {
		from   *envelope.Verified[Manifest]
		change func(*Manifest)
		want   string
	}{
		"another dataset":         {two, func(m *Manifest) { m.Dataset[0] ^= 1 }, "another dataset"},
		"another name":            {two, func(m *Manifest) { m.Name = "letters" }, "letters"},
		"another kind":            {two, func(m *Manifest) { m.Kind = KindCode }, "code"},
		"another format":          {two, func(m *Manifest) { m.Format = FormatJSONL }, "jsonl"},
		"the same version":        {one, func(m *Manifest) { m.Terms.MaxUses++ }, "two manifests with version 1"},
		"another version before":  {two, func(m *Manifest) { m.Previous = &three.ID }, "a fork: version 2 continues another version 1"},
		"a segment dropped":       {two, drop, "keep the segments"},
		"a segment's blob":        {two, func(m *Manifest) { m.Segments[0].Blob[0] ^= 1 }, "keep the segments"},
		"records moved":           {two, func(m *Manifest) { m.Segments[0].Records++; m.Segments[1].Records-- }, "keep the segments"},
		"only new segments":       {another3(f, another), func(m *Manifest) { m.Dataset = one.Predicate.Dataset; m.Version, m.Previous = 2, &one.ID }, "keep the segments"},
		"an index":                {two, func(m *Manifest) { m.Indexes[0].Blob[0] ^= 1 }, "keep the indexes"},
		"raw bytes":               {two, func(m *Manifest) { m.RawBytes = padme(max(m.Records, 1<<17)) }, "less than version 1"},
		"a root of another tree":  {two, func(m *Manifest) { m.Tree.Root = one.Predicate.Tree.Root }, "hashes of the later"},
		"a segment added to old":  {two, older, "adds a segment to version 1"},
		"a unit of kept segments": {two, func(m *Manifest) { m.Units = []ErasureUnit{{ID: envelope.Sum([]byte("x")), First: 0, Count: 1}} }, "to another unit"},
	} {
		next := f.verifiedVersion(&c.from.Predicate, c.change)
		err := VerifyHistory(t.Context(), one, next, f.store)
		wanted := ErrHistory
		if strings.HasPrefix(c.want, "hashes") {
			wanted = ErrProof
		}
		if !errors.Is(err, wanted) || !errors.Is(err, envelope.ErrIntegrity) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %v with %q", name, err, wanted, c.want)
		}
	}
	if err := VerifyHistory(t.Context(), two, one, f.store); !errors.Is(err, ErrHistory) {
		t.Errorf("version 1 after 2: %v", err)
	}
	theirs := other.verifiedVersion(&two.Predicate, func(m *Manifest) { m.Owner = other.signer.Public() })
	if err := VerifyHistory(t.Context(), one, theirs, f.store); !errors.Is(err, ErrHistory) || !strings.Contains(err.Error(), "owner") {
		t.Errorf("another owner: %v", err)
	}
	for _, zero := range []*envelope.Verified[Manifest]{{}, {Statement: one.Statement}} {
		if VerifyHistory(t.Context(), zero, two, f.store) == nil || VerifyHistory(t.Context(), one, zero, f.store) == nil {
			t.Error("an unverified manifest was taken")
		}
	}
}

func another3(f *fixture, p *Packed) *envelope.Verified[Manifest] {
	v, err := Verify(p.Signed)
	if err != nil {
		f.t.Fatal(err)
	}
	v.Predicate.Segments, v.Predicate.Indexes = slices.Clone(v.Predicate.Segments), slices.Clone(v.Predicate.Indexes)
	for i := range v.Predicate.Segments {
		v.Predicate.Segments[i].Version = 2
	}
	v.Predicate.Indexes[0].Version = 2
	return v
}

func batchesOf(m *Manifest, version int64) (n int64) {
	for _, s := range m.Segments {
		if s.Version == version {
			n += s.Batches
		}
	}
	return n
}

// older makes the first new segment one of version 1.
func older(m *Manifest) {
	i := slices.IndexFunc(m.Segments, func(s Segment) bool { return s.Version == 2 })
	m.Segments[i].Version, m.Segments[i].Index = 1, m.Segments[i-1].Index+1
	m.Indexes[0].Bytes, m.Indexes[1].Bytes = indexBytes(batchesOf(m, 1)), indexBytes(batchesOf(m, 2))
}

// TestOwnerRewritesTree: the manifest lists the same segments as before, but its tree does not begin with their leaves.
func TestOwnerRewritesTree(t *testing.T) {
	f, v := versions(t)
	forged := rehash(t, f, &v[1].Predicate, 3)
	err := VerifyHistory(t.Context(), v[0], forged, f.store)
	if !errors.Is(err, ErrHistory) || !strings.Contains(err.Error(), "does not begin with") {
		t.Errorf("changed leaf: %v, want ErrHistory", err)
	}
}

// rehash signs m over a tree with another leaf at a place, whose hashes are in the store.
func rehash(t *testing.T, f *fixture, m *Manifest, at int) *envelope.Verified[Manifest] {
	t.Helper()
	hashes := whole(t, f.store, m.Tree.Levels[0])
	hashes[at*32] ^= 1
	var levels [3][]byte
	b := treeBuilder{sink: func(l int, h tlog.Hash) error { levels[l] = append(levels[l], h[:]...); return nil }}
	for ; len(hashes) > 0; hashes = hashes[32:] {
		if err := b.add(envelope.Digest(hashes[:32])); err != nil {
			t.Fatal(err)
		}
	}
	return f.verifiedVersion(m, func(m *Manifest) {
		m.Tree.Root = b.root()
		for i := range m.Tree.Levels {
			d, _, err := f.store.Put(t.Context(), bytes.NewReader(levels[i]))
			if err != nil {
				t.Fatal(err)
			}
			m.Tree.Levels[i] = d
		}
	})
}

// TestHistoryOfUnits: contributors' consent is stated anew; their units stay.
func TestHistoryOfUnits(t *testing.T) {
	f, p, packed := unitPackage(t)
	one, err := Verify(packed.Signed)
	if err != nil {
		t.Fatal(err)
	}
	cfg := f.byContributor(p, FormatCSV, "who,text\np1,more\nnew,words\n", "who")
	cfg.Previous = one
	cfg.Contributors.Consents = map[envelope.Digest]*Consent{one.Predicate.Units[0].ID: {Reference: "form 7", Purposes: []string{"research"}, NotAfter: 9}}
	two, err := Verify(f.pack(cfg).Signed)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyHistory(t.Context(), one, two, f.store); err != nil {
		t.Fatalf("new consent, new records of an old and of a new contributor: %v", err)
	}
	for name, change := range map[string]func(*Manifest){
		"dropped": func(m *Manifest) { m.Units = m.Units[1:] },
		"renamed": func(m *Manifest) { m.Units[0].ID[0] ^= 1 },
		"shorter": func(m *Manifest) { m.Units[0].Count-- },
		"all":     func(m *Manifest) { m.Units = nil },
	} {
		if err := VerifyHistory(t.Context(), one, f.verifiedVersion(&two.Predicate, change), f.store); !errors.Is(err, ErrHistory) || !strings.Contains(err.Error(), "units") {
			t.Errorf("%s: %v, want ErrHistory", name, err)
		}
	}
}

// TestHistoryWithoutHashes: hashes that are missing, cut off or changed prove nothing, and are not taken for a rewritten history.
func TestHistoryWithoutHashes(t *testing.T) {
	f, v := versions(t)
	if err := VerifyHistory(t.Context(), v[0], v[1], newFixture(t).store); !errors.Is(err, ErrNoBlob) {
		t.Errorf("missing: %v, want ErrNoBlob", err)
	}
	for i, d := range v[1].Predicate.Tree.Levels {
		flip := hostileHost{f.store, func(of envelope.Digest, p []byte, _ int64, n int) int {
			if of == d && n > 0 {
				p[n-1] ^= 1
			}
			return n
		}}
		if err := VerifyHistory(t.Context(), v[0], v[1], flip); !errors.Is(err, ErrProof) || errors.Is(err, ErrHistory) {
			t.Errorf("level %d changed: %v, want ErrProof", i, err)
		}
	}
	cut := fixedReader{0, nil}
	if err := VerifyHistory(context.Background(), v[0], v[1], cut); !errors.Is(err, ErrTruncated) {
		t.Errorf("cut off: %v, want ErrTruncated", err)
	}
}
