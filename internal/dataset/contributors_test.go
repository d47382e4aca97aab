// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"archive/tar"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// people hands out units as an owner does.
type people struct {
	index []byte
	keys  map[envelope.Digest]Key
	names map[envelope.Digest]string
}

func newPeople() *people {
	return &people{[]byte("an index key"), map[envelope.Digest]Key{}, map[envelope.Digest]string{}}
}

func (p *people) unit(name string) (envelope.Digest, Key, error) {
	id := UnitID(p.index, name)
	if _, ok := p.keys[id]; !ok {
		p.keys[id], p.names[id] = NewKey(), name
	}
	return id, p.keys[id], nil
}

// byContributor is a config that groups src by a column or member.
func (f *fixture) byContributor(p *people, format Format, src, by string) PackConfig {
	c := f.config(format, src)
	c.Contributors = &Contributors{By: by, Unit: p.unit}
	c.Temp = f.t.TempDir()
	return c
}

// survey is CSV with its records by contributor: some quoted, some over several lines, the last without a line end.
func survey(r *rand.Rand, contributors, records int) (src string, by map[string][]string) {
	by = map[string][]string{}
	var b strings.Builder
	b.WriteString("id,who,said\r\n")
	for i := range records {
		name := fmt.Sprintf("person %d", r.IntN(contributors))
		rec := fmt.Sprintf("%d,%s,%x", i, name, r.Uint64())
		switch r.IntN(3) {
		case 0:
			name += ", \"x\""
			rec = fmt.Sprintf("%d,%q,\"a\nb %s\"", i, name, strings.Repeat("z", r.IntN(2000)))
			rec = strings.ReplaceAll(rec, `\"`, `""`)
		case 1:
			rec += "\r"
		}
		by[name] = append(by[name], rec+"\n")
		b.WriteString(rec + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n"), by
}

// readSpans streams what spans hold.
func readSpans(t *testing.T, f *fixture, m *Manifest, keys map[envelope.Digest]Key, spans []Span) (string, error) {
	t.Helper()
	s, err := OpenStream(t.Context(), m, f.store, f.key, StreamOptions{Leaves: spans, Units: keys})
	if err != nil {
		return "", err
	}
	defer s.Close()
	b, err := io.ReadAll(s.Reader(t.Context()))
	if err == nil && int64(len(b)) != s.Size() {
		t.Errorf("%d bytes of a stream of %d", len(b), s.Size())
	}
	return string(b), err
}

// TestCodeSeesContributorsGranted: whatever contributors are left out, the stream is the header and the records of the
// others, each contributor's in their order, and opens with no other key.
func TestCodeSeesContributorsGranted(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 4))
		f, p := newFixture(t), newPeople()
		src, by := survey(r, 1+r.IntN(12), 1+r.IntN(1500))
		cfg := f.byContributor(p, FormatCSV, src, "who")
		cfg.SegmentBytes, cfg.BatchBytes = 32<<10, 4<<10
		cfg.testOnlyGroupMemory = []int{0, 1, 20_000}[r.IntN(3)]
		m := f.pack(cfg).Manifest
		if err := VerifyBlobs(t.Context(), m, f.store); err != nil {
			t.Fatal(err)
		}
		if m.Contributors() != int64(len(by)) || m.Units[0].First != 1 || m.Segments[0].Records != 0 {
			t.Fatalf("%d contributors of %d, first unit at segment %d after %d records", m.Contributors(), len(by), m.Units[0].First, m.Segments[0].Records)
		}
		for range 8 {
			want, keys := "id,who,said\r\n", map[envelope.Digest]Key{}
			var records int64
			spans := m.Keep(func(u *ErasureUnit) bool {
				if r.IntN(2) == 0 {
					return false
				}
				keys[u.ID] = p.keys[u.ID]
				mine := by[p.names[u.ID]]
				want += strings.Join(mine, "")
				records += int64(len(mine))
				return true
			})
			got, err := readSpans(t, f, m, keys, spans)
			if err != nil || got != want {
				t.Fatalf("seed %d: %d bytes, want %d: %v", seed, len(got), len(want), err)
			}
			sel, err := m.Select(spans)
			if err != nil || sel.Records != records || int64(len(sel.IDs(m))) != int64(len(keys)) || sel.RawBytes < int64(len(got)) {
				t.Errorf("selection %+v of %d records, %v", sel, records, err)
			}
			if _, err := csv.NewReader(strings.NewReader(got)).ReadAll(); err != nil {
				t.Errorf("no CSV: %v", err)
			}
		}
	}
}

// TestGroupingSpills: with little memory the same package comes out, and no file is left or readable.
func TestGroupingSpills(t *testing.T) {
	src, _ := survey(rand.New(rand.NewPCG(1, 2)), 40, 4000)
	var sums []string
	for _, memory := range []int{0, 1, 4096, 100_000} {
		f, p := newFixture(t), newPeople()
		cfg := f.byContributor(p, FormatCSV, src, "who")
		cfg.testOnlyGroupMemory = memory
		m := f.pack(cfg).Manifest
		got, err := readSpans(t, f, m, p.keys, m.AllLeaves().Leaves)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, envelope.Sum([]byte(got)).Hex())
		left, err := os.ReadDir(cfg.Temp)
		if err != nil || len(left) != 0 {
			t.Errorf("%d files left, %v", len(left), err)
		}
	}
	if len(slices.Compact(sums)) != 1 {
		t.Errorf("memory changes the package: %v", sums)
	}
}

// TestSpillIsEncrypted looks at the temporary file through its descriptor, and changes it.
func TestSpillIsEncrypted(t *testing.T) {
	g := newGrouper(t.TempDir())
	defer g.close()
	g.memory = 1
	k := g.open()
	for i := range 3 {
		if err := g.add(k, []byte(fmt.Sprintf("canary %d", i))); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, g.end)
	if _, err := g.file.ReadAt(b, 0); err != nil || bytes.Contains(b, []byte("canary")) {
		t.Fatalf("plaintext in the file, or %v", err)
	}
	var got []string
	if err := g.each(k, func(r []byte) error { got = append(got, string(r)); return nil }); err != nil || len(got) != 3 || got[2] != "canary 2" {
		t.Fatalf("%q, %v", got, err)
	}
	for at := range b {
		b[at] ^= 1
		if _, err := g.file.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		if err := g.each(k, func([]byte) error { return nil }); err == nil {
			t.Errorf("byte %d changed, and not noticed", at)
		}
		b[at] ^= 1
	}
}

func TestContributorsOfJSONLines(t *testing.T) {
	f, p := newFixture(t), newPeople()
	src := `{"who":"b","n":1}` + "\n" + `{"n":2,"who":7}` + "\n" + `{"who":"b","n":{"who":"c"}}`
	m := f.pack(f.byContributor(p, FormatJSONL, src, "who")).Manifest
	b := UnitID(p.index, "b")
	got, err := readSpans(t, f, m, p.keys, m.Keep(func(u *ErasureUnit) bool { return u.ID == b }))
	if want := `{"who":"b","n":1}` + "\n" + `{"who":"b","n":{"who":"c"}}` + "\n"; err != nil || got != want || m.Contributors() != 2 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestContributorsOfFiles(t *testing.T) {
	f, p := newFixture(t), newPeople()
	cfg := f.byContributor(p, FormatFiles, "", "")
	cfg.Source, cfg.Files = nil, fstest.MapFS{
		"alice/1.txt": {Data: []byte("a1")}, "alice/x/" + strings.Repeat("long", 60) + ".txt": {Data: []byte("a2")},
		"bob/1.txt": {Data: make([]byte, 700)}, "carol.txt": {Data: []byte("c")}, "nobody/empty": {Mode: os.ModeDir},
	}
	m := f.pack(cfg).Manifest
	if m.Contributors() != 3 || m.Records != 4 {
		t.Fatalf("%d contributors, %d records", m.Contributors(), m.Records)
	}
	for _, without := range []string{"alice", "bob", "carol.txt"} {
		id := UnitID(p.index, without)
		got, err := readSpans(t, f, m, p.keys, m.Keep(func(u *ErasureUnit) bool { return u.ID != id }))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for r := tar.NewReader(strings.NewReader(got)); ; n++ {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || strings.HasPrefix(h.Name, without) {
				t.Fatalf("without %s: %v, %v", without, h, err)
			}
		}
		if want := map[string]int{"alice": 2, "bob": 3, "carol.txt": 3}[without]; n != want {
			t.Errorf("without %s: %d files, want %d", without, n, want)
		}
	}
}

// TestNewVersionOfContributors: old units stay, new records make further units of old and new contributors, and consents
// are stated anew for all of them.
func TestNewVersionOfContributors(t *testing.T) {
	f, p := newFixture(t), newPeople()
	one := f.pack(f.byContributor(p, FormatCSV, "n,who\n1,a\n2,b\n3,a", "who"))
	cfg, _ := f.next(one, FormatCSV, "")
	more := f.byContributor(p, FormatCSV, "n,who\n4,b\n5,c", "who")
	more.Previous = cfg.Previous
	a, b, c := UnitID(p.index, "a"), UnitID(p.index, "b"), UnitID(p.index, "c")
	yes := &Consent{Reference: "form 1", Purposes: []string{"research"}, NotAfter: 4_000_000_000}
	more.Contributors.Consents = map[envelope.Digest]*Consent{b: yes}
	two := f.pack(more)
	m := two.Manifest
	if len(m.Units) != 4 || m.Contributors() != 3 || !slices.Equal(m.Segments[:len(one.Manifest.Segments)], one.Manifest.Segments) {
		t.Fatalf("%d units of %d contributors", len(m.Units), m.Contributors())
	}
	for _, u := range m.Units {
		if (u.Consent != nil) != (u.ID == b) {
			t.Errorf("unit %v of version %d: consent %v", u.ID, m.Segments[u.First].Version, u.Consent)
		}
	}
	for want, keep := range map[string][]envelope.Digest{
		"n,who\n2,b\n4,b\n": {b}, "n,who\n1,a\n3,a\n5,c\n": {a, c}, "n,who\n": {},
	} {
		got, err := readSpans(t, f, m, p.keys, m.Keep(func(u *ErasureUnit) bool { return slices.Contains(keep, u.ID) }))
		if err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	third := f.byContributor(p, FormatCSV, "n,who\n6,c", "who")
	v, err := Verify(two.Signed)
	if err != nil {
		t.Fatal(err)
	}
	third.Previous = v
	m3 := f.pack(third).Manifest
	if d := cmp.Diff(m.Units, m3.Units[:len(m.Units)]); d != "" {
		t.Errorf("consents changed though none were given:\n%s", d)
	}
	third.Contributors = nil
	third.Source = strings.NewReader("n,who\n6,c")
	if _, err := Pack(t.Context(), third); !errors.Is(err, ErrConfig) {
		t.Errorf("records that nobody could erase: %v, want ErrConfig", err)
	}
}

// TestContributorsAfterPlainVersion: a dataset can be packed by contributor from its second version on.
func TestContributorsAfterPlainVersion(t *testing.T) {
	f, p := newFixture(t), newPeople()
	one := f.pack(f.config(FormatCSV, "n,who\n1,a"))
	cfg, _ := f.next(one, FormatCSV, "")
	more := f.byContributor(p, FormatCSV, "n,who\n2,b", "who")
	more.Previous = cfg.Previous
	m := f.pack(more).Manifest
	got, err := readSpans(t, f, m, p.keys, m.AllLeaves().Leaves)
	if err != nil || got != "n,who\n1,a\n2,b\n" {
		t.Errorf("%q, %v", got, err)
	}
	more.Source, more.Manifest.Terms.Consent = strings.NewReader("n,who\n2,b"), true
	if _, err := Pack(t.Context(), more); !errors.Is(err, ErrManifest) {
		t.Errorf("consent asked for records of nobody: %v", err)
	}
}

func TestContributorsRefused(t *testing.T) {
	const src = "n,who\n1,a\n2,b\n"
	same := NewKey()
	for name, c := range map[string]struct {
		format  Format
		src, by string
		change  func(*PackConfig)
		want    error
	}{
		"no such column": {FormatCSV, src, "whom", nil, ErrContributor},
		"column twice":   {FormatCSV, "who,who\na,a\n", "who", nil, ErrContributor},
		"empty name":     {FormatCSV, "n,who\n1,\n", "who", nil, ErrContributor},
		"no text":        {FormatCSV, "n,who\n1,\xff\n", "who", nil, ErrContributor},
		"long name":      {FormatCSV, "n,who\n1," + strings.Repeat("a", MaxContributor+1) + "\n", "who", nil, ErrContributor},
		"no column":      {FormatCSV, src, "", nil, ErrConfig},
		"only a header":  {FormatCSV, "n,who\n", "who", nil, ErrEmpty},
		"ragged":         {FormatCSV, "n,who\n1\n", "who", nil, ErrRagged},
		"no member":      {FormatJSONL, `{"n":1}`, "who", nil, ErrContributor},
		"member twice":   {FormatJSONL, `{"who":"a","who":"b"}`, "who", nil, ErrContributor},
		"member is null": {FormatJSONL, `{"who":null}`, "who", nil, ErrContributor},
		"no object":      {FormatJSONL, `["who"]`, "who", nil, ErrContributor},
		"no unit":        {FormatCSV, src, "who", func(c *PackConfig) { c.Contributors.Unit = nil }, ErrConfig},
		"no key": {FormatCSV, src, "who", func(c *PackConfig) {
			c.Contributors.Unit = func(n string) (envelope.Digest, Key, error) { return envelope.Sum([]byte(n)), Key{}, nil }
		}, ErrConfig},
		"one unit of two": {FormatCSV, src, "who", func(c *PackConfig) {
			c.Contributors.Unit = func(string) (envelope.Digest, Key, error) { return envelope.Digest{1}, same, nil }
		}, ErrConfig},
		"code": {FormatCSV, src, "who", func(c *PackConfig) { c.Manifest.Kind = KindCode }, ErrConfig},
		"erased": {FormatCSV, src, "who", func(c *PackConfig) {
			c.Contributors.Unit = func(string) (envelope.Digest, Key, error) { return envelope.Digest{}, Key{}, io.ErrNoProgress }
		}, io.ErrNoProgress},
		"consent asked": {FormatCSV, src, "who", func(c *PackConfig) { c.Contributors, c.Manifest.Terms.Consent = nil, true }, ErrConfig},
	} {
		f := newFixture(t)
		cfg := f.byContributor(newPeople(), c.format, c.src, c.by)
		if c.change != nil {
			c.change(&cfg)
		}
		if _, err := Pack(t.Context(), cfg); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		} else if strings.Contains(err.Error(), "1,a") || strings.Contains(err.Error(), "person") {
			t.Errorf("%s: the error quotes records: %v", name, err)
		}
		f.wantEmpty()
	}
}

// TestTooManyContributors is refused before anything is sealed.
func TestTooManyContributors(t *testing.T) {
	var src strings.Builder
	src.WriteString("who\n")
	for i := range MaxSegments {
		fmt.Fprintf(&src, "%d\n", i)
	}
	f := newFixture(t)
	_, err := Pack(t.Context(), f.byContributor(newPeople(), FormatCSV, src.String(), "who"))
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "several datasets") {
		t.Errorf("%v, want ErrTooLarge and what to do", err)
	}
	f.wantEmpty()
}

// TestGroupingInBoundedMemory groups far more than it may hold: what it takes does not grow with the source.
func TestGroupingInBoundedMemory(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector's own memory would be measured")
	}
	size := int64(192 << 20)
	if testing.Short() {
		size = 96 << 20
	}
	f, p := newFixture(t), newPeople()
	var rows strings.Builder
	rows.WriteString("who,value\n")
	for i := range 20_000 {
		fmt.Fprintf(&rows, "p%d,%x\n", i%700, envelope.Sum([]byte{byte(i), byte(i >> 8)}))
	}
	cfg := f.byContributor(p, FormatCSV, "", "who")
	cfg.SegmentBytes, cfg.BatchBytes = 0, 0
	cfg.Source = &endlessCSV{left: size, row: []byte(rows.String())}
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600); err != nil {
		t.Skipf("peak memory cannot be measured here: %v", err)
	}
	base := peakRSS(t)
	m := f.pack(cfg).Manifest
	peak := peakRSS(t) - base
	t.Logf("%d MiB of %d contributors in %d segments: peak %d MiB above baseline", m.RawBytes>>20, m.Contributors(), len(m.Segments), peak>>20)
	if m.RawBytes < size || m.Contributors() != 700 {
		t.Errorf("%d bytes of %d contributors", m.RawBytes, m.Contributors())
	}
	if most := int64(memoryBound + 3*groupMemory); peak > most {
		t.Errorf("peak memory is %d MiB above baseline, want at most %d", peak>>20, most>>20)
	}
}
