// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestDuplicates compares the count with one by a map, for every format, batches that cut records, and by contributor.
func TestDuplicates(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 9))
		f := newFixture(t)
		var lines []string
		seen := map[string]bool{}
		want := int64(0)
		ends := []string{"\n", "\r\n"}
		for range 1 + r.IntN(400) {
			l := fmt.Sprintf("%d,%q", r.IntN(100), strings.Repeat("a\n", r.IntN(9))+strings.Repeat("z", 900*r.IntN(2)))
			l = strings.ReplaceAll(l, `\n`, "\n")
			if seen[l] {
				want++
			}
			seen[l] = true
			lines = append(lines, l+ends[r.IntN(2)])
		}
		lines[len(lines)-1] = strings.TrimRight(lines[len(lines)-1], "\r\n")
		cfg := f.config(FormatCSV, "who,what\n"+strings.Join(lines, ""))
		cfg.BatchBytes = 1000
		if got := f.pack(cfg).Manifest.Metadata.Duplicates; got != (Duplicates{want, true}) {
			t.Errorf("seed %d: %+v, want %d", seed, got, want)
		}
		by := f.byContributor(newPeople(), FormatCSV, "who,what\n"+strings.Join(lines, ""), "who")
		if got := f.pack(by).Manifest.Metadata.Duplicates; got != (Duplicates{want, true}) {
			t.Errorf("seed %d: %+v by contributor, want %d", seed, got, want)
		}
		for i := range lines {
			lines[i] = fmt.Sprintf("{\"a\":%q}\n", strings.TrimRight(lines[i], "\r\n"))
		}
		if got := f.pack(f.config(FormatJSONL, strings.Join(lines, ""))).Manifest.Metadata.Duplicates; got != (Duplicates{want, true}) {
			t.Errorf("seed %d: %+v in lines, want %d", seed, got, want)
		}
	}
}

// TestDuplicateFiles: files are equal by their contents, whatever they are called.
func TestDuplicateFiles(t *testing.T) {
	f := newFixture(t)
	files := fstest.MapFS{}
	add := func(name string, b []byte) { files[name] = &fstest.MapFile{Data: b, Mode: fs.ModePerm} }
	long := strings.Repeat("directory/", 30)
	big := bytes.Repeat([]byte("0123456789"), 3000)
	add("a", []byte("one"))
	add("b", []byte("one"))           // 1
	add("c", []byte("one\x00"))       // the padding is not the contents
	add(long+"é.bin", big)            // with an extended header
	add("plain.bin", big)             // 2
	add("other.bin", big[1:])         // as long in blocks
	add("empty", nil)                 //
	add("nothing", nil)               // 3
	add(long+"size=.txt", []byte("")) // 4
	cfg := f.config(FormatFiles, "")
	cfg.Source, cfg.Files = nil, files
	m := f.pack(cfg).Manifest
	if m.Records != 9 || m.Metadata.Duplicates != (Duplicates{4, true}) {
		t.Errorf("%+v of %d files", m.Metadata.Duplicates, m.Records)
	}
}

// TestDuplicatesBeyondMemory: with more different records than are remembered the count is a lower bound, and says so.
func TestDuplicatesBeyondMemory(t *testing.T) {
	const limit = 3 << 12
	d := duplicateCounter{seen: hashSet{limit: limit}}
	record := func(i int) { d.take(fmt.Appendf(nil, "%d\n", i), true) }
	for i := range limit {
		record(i)
	}
	record(5)
	if got := d.result(); got != (Duplicates{1, true}) {
		t.Errorf("%+v before the bound", got)
	}
	for range 3 {
		record(limit + 1)
	}
	record(7)
	if got := d.result(); got != (Duplicates{2, false}) {
		t.Errorf("%+v beyond the bound", got)
	}
	if n := len(d.seen.slots); n != 4*limit/3 {
		t.Errorf("%d slots", n)
	}
}

// FuzzTarMember: whatever a run of tar says, reading it ends, in whatever pieces it comes, and with one result.
func FuzzTarMember(f *testing.F) {
	var b []byte
	files := fstest.MapFS{"a": {Data: []byte("x")}, strings.Repeat("é", 150): {Data: make([]byte, 700)}}
	if err := scanFiles(files, ".", func(p []byte, _ bool) error { b = append(b, p...); return nil }); err != nil || len(b) == 0 {
		f.Fatal(err)
	}
	f.Add(b, 100)
	f.Add(b[:600], 1)
	f.Add(bytes.Repeat([]byte{0xff}, 2000), 7)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		whole, parts := duplicateCounter{files: true}, duplicateCounter{files: true}
		parts.h.SetSeed(whole.h.Seed())
		whole.take(nil, true)
		parts.take(nil, true)
		whole.take(b, false)
		for p := range slices.Chunk(b, max(step, 1)) {
			parts.take(p, false)
		}
		if whole.h.Sum64() != parts.h.Sum64() {
			t.Error("another result in parts")
		}
	})
}

func TestDuplicatesValidated(t *testing.T) {
	f := newFixture(t)
	m := *f.pack(f.config(FormatCSV, "a\n1\n1\n")).Manifest
	if m.Metadata.Duplicates != (Duplicates{1, true}) {
		t.Fatalf("%+v", m.Metadata.Duplicates)
	}
	for _, n := range []int64{-1, 2, MaxAmount} {
		m.Metadata.Duplicates.Count = n
		if err := m.Validate(); !errors.Is(err, ErrManifest) {
			t.Errorf("%d duplicates of 2 records: %v", n, err)
		}
	}
}
