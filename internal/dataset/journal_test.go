// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTornJournal: whatever byte of the journal is lost or changed, the pack goes on from what is whole, or has to begin
// anew, and never ends as something else.
func TestTornJournal(t *testing.T) {
	r := resumables(t)["csv"]
	text, blobs := r.whole(t)
	a := r.begin(t)
	a.interrupt(4)
	whole, err := os.ReadFile(a.path)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 30 {
		b := bytes.Clone(whole)
		at := rng.IntN(len(b))
		switch i % 3 {
		case 0:
			b = b[:at]
		case 1:
			b[at] ^= 1 << rng.IntN(8)
		case 2:
			b = append(b[:at], b[min(len(b), at+1+rng.IntN(200)):]...)
		}
		if err := os.WriteFile(a.path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := a.pack(nil)
		if errors.Is(err, ErrNoJournal) && at < len(r.head) {
			continue
		}
		if err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		got, have := a.result(p)
		if got != text || cmp.Diff(blobs, have) != "" {
			t.Errorf("byte %d: another result", at)
		}
	}
}

// TestAttackJournalForged: whoever can write the creator's folder, but has no key, swaps the blobs of two segments and mends the
// checksums. The pack ends as if nobody had.
func TestAttackJournalForged(t *testing.T) {
	r := resumables(t)["csv"]
	text, blobs := r.whole(t)
	a := r.begin(t)
	a.interrupt(4)
	j, err := OpenJournal(a.path)
	if err != nil {
		t.Fatal(err)
	}
	kept := slices.Clone(j.kept)
	if err := j.rewind(0); err != nil {
		t.Fatal(err)
	}
	x, y := 0, 0
	for x = range kept {
		if y = slices.IndexFunc(kept, func(k keptSegment) bool {
			return k.Segment.Index > int64(x) && k.Segment.Bytes == kept[x].Segment.Bytes
		}); y >= 0 {
			break
		}
	}
	if y < 0 {
		t.Fatal("no two segments of one length")
	}
	kept[x].Segment.Blob, kept[y].Segment.Blob = kept[y].Segment.Blob, kept[x].Segment.Blob
	for i := range kept {
		if err := j.write(journalLine{Kept: &kept[i]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	from := -1
	p, err := a.pack(func(c *PackConfig) { c.Resumed = func(kept, _ int) { from = kept } })
	if err != nil {
		t.Fatal(err)
	}
	if got, have := a.result(p); got != text || cmp.Diff(blobs, have) != "" {
		t.Error("another result")
	}
	if from != x {
		t.Errorf("went on after %d segments, want %d", from, x)
	}
}

// TestJournalHasNoPlaintext looks for records, contributors' names and keys in the journal, whose mode is 0600.
func TestJournalHasNoPlaintext(t *testing.T) {
	for name, r := range resumables(t) {
		a := r.begin(t)
		a.interrupt(3)
		b, err := os.ReadFile(a.path)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(a.path)
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, st.Mode(), err)
		}
		for _, secret := range []string{"person", "said", "value", string(r.key.Bytes())} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s: %q is in the journal", name, secret)
			}
		}
	}
}

func TestJournalIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	if _, err := OpenJournal(path); !errors.Is(err, ErrNoJournal) {
		t.Errorf("none: %v", err)
	}
	j, err := BeginJournal(path, ID{1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenJournal(path); !errors.Is(err, ErrPacking) {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := BeginJournal(path, ID{1}, time.Now()); !errors.Is(err, ErrPacking) {
		t.Errorf("begun twice: %v", err)
	}
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenJournal(path); !errors.Is(err, ErrNoJournal) {
		t.Errorf("removed: %v", err)
	}
	if _, err := BeginJournal(path, ID{}, time.Now()); !errors.Is(err, ErrConfig) {
		t.Errorf("without a dataset: %v", err)
	}
}

// TestFailedVersionKeepsPrevious: two versions may share a blob of hashes; a later one that fails leaves it.
func TestFailedVersionKeepsPrevious(t *testing.T) {
	f := newFixture(t)
	cfg := f.config(FormatCSV, bigCSV(85_000))
	cfg.SegmentBytes, cfg.BatchBytes = 300, 300 // more than a tile of leaves
	first := f.pack(cfg)
	v, err := Verify(first.Signed)
	if err != nil {
		t.Fatal(err)
	}
	next := f.config(FormatCSV, "id,value\n1,2\n")
	next.Previous, next.Manifest.Metadata.Description = v, strings.Repeat("x", MaxText+1) // refused when all is sealed
	if _, err := Pack(t.Context(), next); !errors.Is(err, ErrManifest) {
		t.Fatal(err)
	}
	if err := VerifyBlobs(t.Context(), first.Manifest, f.store); err != nil {
		t.Errorf("the first version: %v", err)
	}
	if len(first.Manifest.Tree.Levels) < 2 {
		t.Error("the versions share no level")
	}
}

// FuzzJournal: whatever a journal says, opening it ends without a panic, and what is taken over is in order.
func FuzzJournal(f *testing.F) {
	line := func(before string, text string) string {
		var sum [32]byte
		for l := range strings.Lines(before) {
			sum = chain(sum, []byte(strings.TrimSuffix(l[17:], "\n")))
		}
		sum = chain(sum, []byte(text))
		return fmt.Sprintf("%s%x %s\n", before, sum[:journalSumSize], text)
	}
	head := line("", `{"head":{"format":"glovebox.dev/pack-journal/v1","seed":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","dataset":"01000000000000000000000000000000","begun":1,"keys":""}}`)
	config := line(head, `{"config":{"terms":"sha256:`+strings.Repeat("0a", 32)+`"}}`)
	kept := line(config, `{"kept":{"segment":{"version":1,"index":0,"blob":"sha256:`+strings.Repeat("0b", 32)+`","bytes":100,"leaves":1,"batches":1,"records":1},"checksum":"sha256:`+strings.Repeat("0c", 32)+`","headers":"AAAAAAAAAAAAAAAA","seal":"sha256:`+strings.Repeat("0d", 32)+`"}}`)
	for _, s := range []string{"", "\n", head, config, kept, kept[:len(kept)-1], kept + kept} {
		f.Add([]byte(s))
	}
	path := filepath.Join(f.TempDir(), "journal")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := OpenJournal(path)
		if err != nil {
			if !errors.Is(err, ErrNoJournal) {
				t.Fatal(err)
			}
			return
		}
		defer j.Close()
		for i, k := range j.kept {
			if k.Segment.Index != int64(i) || int64(len(k.Headers)) != batchHeader*k.Segment.Batches {
				t.Errorf("segment %d: %+v", i, k)
			}
		}
		if string(b) == kept && j.Kept() != 1 {
			t.Error("a journal of one segment was not read")
		}
	})
}
