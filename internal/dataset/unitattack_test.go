// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// unitPackage is CSV of three contributors with a hundred records each, several segments for each.
func unitPackage(t *testing.T) (*fixture, *people, *Packed) {
	t.Helper()
	f, p := newFixture(t), newPeople()
	var src strings.Builder
	src.WriteString("who,text\n")
	for i := range 300 {
		fmt.Fprintf(&src, "p%d,%x\n", i%3, envelope.Sum([]byte{byte(i), byte(i >> 8)}))
	}
	cfg := f.byContributor(p, FormatCSV, src.String(), "who")
	cfg.SegmentBytes, cfg.BatchBytes = 4<<10, 1<<10
	return f, p, f.pack(cfg)
}

// only is the span of one unit.
func only(m *Manifest, i int) []Span {
	return m.Keep(func(u *ErasureUnit) bool { return *u == m.Units[i] })
}

// watched notes which blobs are read.
type watched struct {
	BlobReader
	read map[envelope.Digest]bool
}

func (w watched) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	w.read[d] = true
	return w.BlobReader.ReadAt(ctx, d, p, off)
}

// TestWithheldSegmentsAreNeverFetched: what is not granted costs nothing, and the host learns nothing by its absence.
func TestWithheldSegmentsAreNeverFetched(t *testing.T) {
	f, p, packed := unitPackage(t)
	m := packed.Manifest
	w := watched{f.store, map[envelope.Digest]bool{}}
	granted := map[envelope.Digest]bool{m.Tree.Levels[0]: true, m.Indexes[0].Blob: true, m.Segments[0].Blob: true}
	u := m.Units[1]
	for _, g := range m.Segments[u.First : u.First+u.Count] {
		granted[g.Blob] = true
	}
	s, err := OpenStream(t.Context(), m, w, f.key, StreamOptions{Leaves: only(m, 1), Units: map[envelope.Digest]Key{u.ID: p.keys[u.ID]}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for off := int64(0); off < s.Size(); {
		b, err := s.Batch(t.Context(), off)
		if err != nil || b.Offset != off {
			t.Fatal(err)
		}
		off += int64(len(b.Raw))
	}
	if d := cmp.Diff(granted, w.read); d != "" {
		t.Errorf("blobs granted (-) and read (+):\n%s", d)
	}
}

// TestHostServesWithheldSegment: another contributor's bytes under a granted unit's digest do not pass for them.
func TestHostServesWithheldSegment(t *testing.T) {
	f, p, packed := unitPackage(t)
	m := packed.Manifest
	mine, other := m.Segments[m.Units[1].First], m.Segments[m.Units[2].First]
	h := aliasStore{f.store, mine.Blob, other.Blob}
	s, err := OpenStream(t.Context(), m, h, f.key, StreamOptions{Leaves: only(m, 1), Units: p.keys})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Batch(t.Context(), s.Ends()[0]); !errors.Is(err, ErrIntegrity) {
		t.Errorf("%v, want a refusal", err)
	}
}

// TestUnitKeyOfAnother: no key opens another contributor's records, not the package's either.
func TestUnitKeyOfAnother(t *testing.T) {
	f, p, packed := unitPackage(t)
	m := packed.Manifest
	mine, other := m.Units[1].ID, m.Units[2].ID
	for name, k := range map[string]Key{"another's": p.keys[other], "the package's": f.key, "a fresh one": NewKey()} {
		if got, err := readSpans(t, f, m, map[envelope.Digest]Key{mine: k}, only(m, 1)); !errors.Is(err, ErrKey) || strings.Contains(got, "p") {
			t.Errorf("%s: %d bytes, %v, want ErrKey", name, len(got), err)
		}
	}
	wiped := NewKey()
	wiped.Wipe()
	for name, keys := range map[string]map[envelope.Digest]Key{"none": nil, "another's only": {other: p.keys[other]}, "zero": {mine: {}}, "wiped": {mine: wiped}} {
		if s, err := OpenStream(t.Context(), m, f.store, f.key, StreamOptions{Leaves: only(m, 1), Units: keys}); err == nil || s != nil {
			t.Errorf("%s: opened", name)
		}
	}
}

// TestUnitsSwapped: identities that trade places do not open each other's segments, whoever arranges it.
func TestUnitsSwapped(t *testing.T) {
	f, p, packed := unitPackage(t)
	m := *packed.Manifest
	m.Units = append([]ErasureUnit{}, m.Units...)
	m.Units[0].ID, m.Units[1].ID = m.Units[1].ID, m.Units[0].ID
	if _, err := readSpans(t, f, &m, p.keys, m.AllLeaves().Leaves); !errors.Is(err, ErrKey) {
		t.Errorf("%v, want ErrKey", err)
	}
	m.Units[0], m.Units[1] = m.Units[1], m.Units[0]
	if err := m.Validate(); !errors.Is(err, ErrManifest) {
		t.Errorf("out of order: %v, want ErrManifest", err)
	}
}

// TestRangeCutsUnit: a contributor's records are granted whole or not at all.
func TestRangeCutsUnit(t *testing.T) {
	f, p, packed := unitPackage(t)
	m := packed.Manifest
	if m.Units[0].Count < 3 {
		t.Fatalf("units of %d segments", m.Units[0].Count)
	}
	leaf := int64(0)
	for i, g := range m.Segments {
		whole := i == 0
		for _, u := range m.Units {
			whole = whole || u.Count == 1 && u.First == int64(i)
		}
		spans := []Span{{leaf, g.Leaves}}
		if _, err := m.Select(spans); (err == nil) != whole || err != nil && !errors.Is(err, ErrRange) {
			t.Errorf("segment %d: %v", i, err)
		}
		if s, err := OpenStream(t.Context(), m, f.store, f.key, StreamOptions{Leaves: spans, Units: p.keys}); (err == nil) != whole {
			t.Errorf("segment %d: opened: %v, %v", i, s != nil, err)
		}
		leaf += g.Leaves
	}
	if _, err := m.Select([]Span{{0, leaf + 1}}); !errors.Is(err, ErrRange) {
		t.Errorf("beyond the tree: %v", err)
	}
}

// TestShreddedUnit: without one contributor's key everybody else's records still open, and hers do not, although manifest
// and blobs are what they were.
func TestShreddedUnit(t *testing.T) {
	f, p, packed := unitPackage(t)
	m := packed.Manifest
	gone := m.Units[1].ID
	p.keys[gone].Wipe()
	rest := m.Keep(func(u *ErasureUnit) bool { return u.ID != gone })
	got, err := readSpans(t, f, m, p.keys, rest)
	if err != nil || strings.Count(got, "\n") != 201 || strings.Contains(got, p.names[gone]+",") {
		t.Errorf("%d records, %v", strings.Count(got, "\n")-1, err)
	}
	if _, err := readSpans(t, f, m, p.keys, m.AllLeaves().Leaves); err == nil {
		t.Error("erased records still open")
	}
	if err := VerifyBlobs(t.Context(), m, f.store); err != nil {
		t.Errorf("the ciphertext no longer verifies: %v", err)
	}
}

// TestIngestionChecksumHidesErased: who keeps the package's key and everybody else's records cannot try guesses at the
// records of a contributor whose key is gone.
func TestIngestionChecksumHidesErased(t *testing.T) {
	f, p, packed := unitPackage(t)
	m := packed.Manifest
	stream, err := readSpans(t, f, m, p.keys, m.AllLeaves().Leaves)
	if err != nil {
		t.Fatal(err)
	}
	mac := func(k Key, text string) []byte {
		sum, err := ingestionHash(k)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write([]byte(text))
		return sum.Sum(nil)
	}
	got := m.Metadata.Ingestion.Checksum
	if got == envelope.Digest(mac(f.key, stream)) {
		t.Error("the checksum is of all records, under the package's key alone")
	}
	header := stream[:strings.Index(stream, "\n")+1]
	want := header
	for i, u := range m.Units {
		text, err := readSpans(t, f, m, p.keys, only(m, i))
		if err != nil {
			t.Fatal(err)
		}
		want += string(mac(p.keys[u.ID], strings.TrimPrefix(text, header)))
	}
	if got != envelope.Digest(mac(f.key, want)) {
		t.Error("the checksum is not what the specification says")
	}
}

// TestConsentCoversNothingByDefault: records of contributors who agreed to something else, no longer, or to nothing are no
// part of a consented selection.
func TestConsentCoversNothingByDefault(t *testing.T) {
	f, p := newFixture(t), newPeople()
	cfg := f.byContributor(p, FormatCSV, "who\na\nb\nc\nd\n", "who")
	agreed := func(end int64, purposes ...string) *Consent {
		return &Consent{"form", append([]string{}, purposes...), end}
	}
	cfg.Contributors.Consents = map[envelope.Digest]*Consent{
		UnitID(p.index, "a"): agreed(2000, "research"), UnitID(p.index, "b"): agreed(3000, "advertising", "research"), UnitID(p.index, "c"): agreed(3000),
	}
	cfg.Manifest.Terms.Consent = true
	m := f.pack(cfg).Manifest
	for _, c := range []struct {
		purpose string
		now     int64
		want    string
	}{
		{"research", 1999, "ab"}, {"research", 2000, "b"}, {"advertising", 1, "b"}, {"research", 3000, ""}, {"else", 1, ""}, {"", 1, ""},
	} {
		got := map[string]bool{}
		for i := range m.Units {
			sel, err := m.Select(only(m, i))
			if err != nil {
				t.Fatal(err)
			}
			until, err := sel.Consented(m, c.purpose, c.now)
			if err == nil {
				got[p.names[m.Units[i].ID]] = true
			} else if !errors.Is(err, ErrConsent) {
				t.Fatal(err)
			}
			if err == nil && until != m.Units[i].Consent.NotAfter {
				t.Errorf("until %d", until)
			}
		}
		want := map[string]bool{}
		for _, n := range c.want {
			want[string(n)] = true
		}
		if !maps.Equal(got, want) {
			t.Errorf("%q at %d: %v, want %q", c.purpose, c.now, got, c.want)
		}
	}
}

func TestManifestUnitsRefused(t *testing.T) {
	_, _, packed := unitPackage(t)
	for name, change := range map[string]func(*Manifest){
		"none in a list":           func(m *Manifest) { m.Units = []ErasureUnit{} },
		"of code":                  func(m *Manifest) { m.Kind = KindCode },
		"of nothing":               func(m *Manifest) { m.Units[0].Count = 0 },
		"without identity":         func(m *Manifest) { m.Units[0].ID = envelope.Digest{} },
		"negative":                 func(m *Manifest) { m.Units[0].First = -1 },
		"overlapping":              func(m *Manifest) { m.Units[0].Count++ },
		"beyond the segments":      func(m *Manifest) { m.Units[2].Count++ },
		"overflow":                 func(m *Manifest) { m.Units[2].First = 1<<63 - 1 },
		"one contributor twice":    func(m *Manifest) { m.Units[1].ID = m.Units[0].ID },
		"consent without end":      func(m *Manifest) { m.Units[0].Consent = &Consent{"r", []string{}, 0} },
		"consent to nothing named": func(m *Manifest) { m.Units[0].Consent = &Consent{"r", nil, 1} },
		"consent unsorted":         func(m *Manifest) { m.Units[0].Consent = &Consent{"r", []string{"b", "a"}, 1} },
		"long reference": func(m *Manifest) {
			m.Units[0].Consent = &Consent{strings.Repeat("r", MaxReference+1), []string{"a"}, 1}
		},
		"records of nobody": func(m *Manifest) { m.Terms.Consent, m.Units = true, m.Units[1:] },
	} {
		m := *packed.Manifest
		m.Units = append([]ErasureUnit{}, m.Units...)
		change(&m)
		m.Metadata.UsageInfo = m.offer()
		if err := m.Validate(); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v, want ErrManifest", name, err)
		}
	}
}
