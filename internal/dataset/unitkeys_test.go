// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// TestNoBatchCrossesUnits: batches with room for everybody's records hold one contributor's each, in segments of hers alone.
func TestNoBatchCrossesUnits(t *testing.T) {
	f, p := newFixture(t), newPeople()
	src := "who,text\n" + strings.Repeat("ann,a\nbob,b\ncyd,c\n", 50)
	cfg := f.byContributor(p, FormatCSV, src, "who")
	cfg.SegmentBytes, cfg.BatchBytes = 0, 0
	m := f.pack(cfg).Manifest
	s, err := OpenStream(t.Context(), m, f.store, f.key, StreamOptions{Leaves: m.AllLeaves().Leaves, Units: p.keys})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ends, found := s.Ends(), map[envelope.Digest]int{}
	for off := int64(0); off < s.Size(); {
		b, err := s.Batch(t.Context(), off)
		if err != nil {
			t.Fatal(err)
		}
		segment := 0
		for off >= ends[segment] {
			segment++
		}
		want := "who"
		for _, u := range m.Units {
			if int64(segment) >= u.First && int64(segment) < u.First+u.Count {
				want = p.names[u.ID]
				found[u.ID] += b.Records
			}
		}
		for line := range strings.Lines(string(b.Raw)) {
			if who, _, _ := strings.Cut(line, ","); who != want {
				t.Fatalf("a batch of %s has a record of %s", want, who)
			}
		}
		if off += int64(len(b.Raw)); off > ends[segment] {
			t.Errorf("a batch ends beyond segment %d", segment)
		}
	}
	for id, name := range p.names {
		if found[id] != 50 {
			t.Errorf("%d records of %s, want 50", found[id], name)
		}
	}
}

// TestUnitKeysStayAtTheBroker reads, as an attacker does who kept all that a pack wrote and has the package's key, every byte of
// it: the keys of units are not there in any form, are not derived from what is there, and none of its runs of 32 bytes opens a unit.
func TestUnitKeysStayAtTheBroker(t *testing.T) {
	f, p, packed := unitPackage(t)
	m := packed.Manifest
	written := map[string][]byte{"manifest": packed.Signed}
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			written[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil || len(written) < len(m.Segments) {
		t.Fatalf("%d files, %v", len(written), err)
	}
	sub, err := indexKey(f.key)
	if err != nil {
		t.Fatal(err)
	}
	if written["index"], err = openAll(sub, indexContext(m.Dataset, 1), whole(t, f.store, m.Indexes[0].Blob)); err != nil {
		t.Fatal(err)
	}
	if written["header"], err = openAll(f.key, segmentContext(m.Dataset, 1, 0), whole(t, f.store, m.Segments[0].Blob)); err != nil {
		t.Fatal(err)
	}
	u := m.Units[0]
	sealed := whole(t, f.store, m.Segments[u.First].Blob)
	opens := func(k []byte) bool {
		key, err := KeyFromBytes(k)
		if err != nil {
			return false
		}
		_, err = openAll(key, segmentContext(m.Dataset, 1, m.Segments[u.First].Index), sealed)
		return err == nil
	}
	if !opens(p.keys[u.ID].Bytes()) {
		t.Fatal("the unit's own key does not open it")
	}
	for name, b := range written {
		for id, k := range p.keys {
			for _, form := range []string{string(k.Bytes()), hex.EncodeToString(k.Bytes()), base64.StdEncoding.EncodeToString(k.Bytes()), base64.RawURLEncoding.EncodeToString(k.Bytes())} {
				if bytes.Contains(b, []byte(form)) {
					t.Errorf("%s has the key of unit %s", name, id)
				}
			}
		}
		for at := 0; at+KeySize <= len(b) && (!testing.Short() || at < 512); at++ {
			if opens(b[at : at+KeySize]) {
				t.Fatalf("%s has at %d what opens a unit", name, at)
			}
		}
	}
	for name, from := range map[string][]byte{"the package's key": f.key.Bytes(), "the key of names": p.index, "the unit's name": u.ID[:], "the dataset": m.Dataset[:]} {
		h := sha256.Sum256(append(bytes.Clone(from), u.ID[:]...))
		id := UnitID(from, p.names[u.ID])
		for _, k := range [][]byte{from, h[:], id[:]} {
			if opens(k) {
				t.Errorf("%s gives the key of a unit", name)
			}
		}
	}
}
