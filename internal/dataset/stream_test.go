// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func TestStreamByRange(t *testing.T) {
	f, p, src := attacked(t)
	s, err := OpenStream(t.Context(), p.Manifest, f.store, f.key, p.Manifest.AllLeaves())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	byOffset := map[int64]int64{}
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		off := r.Int64N(s.Size())
		b, err := s.Batch(t.Context(), off)
		if err != nil {
			t.Fatal(err)
		}
		if off < b.Offset || off >= b.Offset+int64(len(b.Raw)) || string(b.Raw) != src[b.Offset:b.Offset+int64(len(b.Raw))] {
			t.Fatalf("batch at %d, asked for %d, differs", b.Offset, off)
		}
		if i, ok := byOffset[b.Offset]; ok && i != b.Index {
			t.Fatalf("batch at %d has index %d, had %d", b.Offset, b.Index, i)
		}
		byOffset[b.Offset] = b.Index
	}
	for _, off := range []int64{-1, s.Size(), 1 << 62} {
		if _, err := s.Batch(t.Context(), off); !errors.Is(err, ErrOffset) {
			t.Errorf("offset %d: %v, want ErrOffset", off, err)
		}
	}
}

// TestStreamLeaves: a pass in order fetches every leaf once, in order, and reports the hash and length in the tree.
func TestStreamLeaves(t *testing.T) {
	f, p, _ := attacked(t)
	var asked, got, total int64
	o := p.Manifest.AllLeaves()
	o.BeforeLeaf = func(i int64) error {
		if i != asked {
			t.Errorf("leaf %d fetched, want %d", i, asked)
		}
		asked++
		return nil
	}
	proof := treeProver{tree: p.Manifest.Tree, blobs: f.store}
	o.AfterLeaf = func(i int64, h envelope.Digest, n int) {
		if want, err := proof.leaf(t.Context(), i); err != nil || h != want {
			t.Errorf("leaf %d: another hash (%v)", i, err)
		}
		got, total = got+1, total+int64(n)
	}
	s, err := OpenStream(t.Context(), p.Manifest, f.store, f.key, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, s.Reader(t.Context())); err != nil {
		t.Fatal(err)
	}
	var sealed int64
	for _, g := range p.Manifest.Segments {
		sealed += g.Bytes
	}
	if asked != p.Manifest.Tree.Size || got != asked || total != sealed {
		t.Errorf("%d asked, %d delivered of %d leaves; %d of %d bytes", asked, got, p.Manifest.Tree.Size, total, sealed)
	}
}

func TestLeafOutsideRange(t *testing.T) {
	f, p, src := attacked(t)
	first, second := p.Manifest.Segments[0], p.Manifest.Segments[1]
	all, err := OpenStream(t.Context(), p.Manifest, f.store, f.key, p.Manifest.AllLeaves())
	if err != nil {
		t.Fatal(err)
	}
	ends := all.Ends()
	var asked []int64
	o := StreamOptions{Leaves: []Span{{first.Leaves, second.Leaves}}, BeforeLeaf: func(i int64) error { asked = append(asked, i); return nil }}
	s, err := OpenStream(t.Context(), p.Manifest, f.store, f.key, o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(s.Reader(t.Context()))
	if want := src[ends[0]:ends[1]]; err != nil || string(got) != want || s.Size() != ends[1]-ends[0] {
		t.Errorf("%d bytes of a stream of %d, %v, want the %d of the second segment", len(got), s.Size(), err, len(want))
	}
	if _, err := s.Batch(t.Context(), s.Size()); !errors.Is(err, ErrOffset) {
		t.Errorf("past what is permitted: %v, want ErrOffset", err)
	}
	if int64(len(asked)) != second.Leaves || asked[0] != first.Leaves {
		t.Errorf("leaves %v were asked for", asked)
	}
}

func TestBeforeLeafStopsStream(t *testing.T) {
	f, p, _ := attacked(t)
	stop := errors.New("allowance spent")
	o, n, delivered := p.Manifest.AllLeaves(), 0, 0
	o.BeforeLeaf = func(int64) error {
		if n++; n > 2 {
			return stop
		}
		return nil
	}
	o.AfterLeaf = func(int64, envelope.Digest, int) { delivered++ }
	s, err := OpenStream(t.Context(), p.Manifest, f.store, f.key, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, s.Reader(t.Context())); !errors.Is(err, stop) {
		t.Errorf("%v, want the callback's error", err)
	}
	if delivered != 2 {
		t.Errorf("%d leaves delivered after a stop at the third", delivered)
	}
}

func TestOpenStreamRefuses(t *testing.T) {
	f, p, _ := attacked(t)
	wiped := NewKey()
	wiped.Wipe()
	all, contradictory := p.Manifest.AllLeaves(), *p.Manifest
	contradictory.Records++
	for name, c := range map[string]struct {
		m *Manifest
		r BlobReader
		k Key
		o StreamOptions
	}{
		"contradiction":   {&contradictory, f.store, f.key, all},
		"zero manifest":   {&Manifest{}, f.store, f.key, all},
		"nil manifest":    {nil, f.store, f.key, all},
		"no reader":       {p.Manifest, nil, f.key, all},
		"no key":          {p.Manifest, f.store, Key{}, all},
		"wiped key":       {p.Manifest, f.store, wiped, all},
		"no leaves":       {p.Manifest, f.store, f.key, StreamOptions{}},
		"past the end":    {p.Manifest, f.store, f.key, StreamOptions{Leaves: []Span{{1, p.Manifest.Tree.Size}}}},
		"overflow":        {p.Manifest, f.store, f.key, StreamOptions{Leaves: []Span{{1<<63 - 1, 2}}}},
		"half a segment":  {p.Manifest, f.store, f.key, StreamOptions{Leaves: []Span{{0, 1}}}},
		"from its middle": {p.Manifest, f.store, f.key, StreamOptions{Leaves: []Span{{1, p.Manifest.Tree.Size - 1}}}},
		"out of order":    {p.Manifest, f.store, f.key, StreamOptions{Leaves: []Span{{p.Manifest.Segments[0].Leaves, p.Manifest.Segments[1].Leaves}, {0, p.Manifest.Segments[0].Leaves}}}},
		"twice":           {p.Manifest, f.store, f.key, StreamOptions{Leaves: []Span{{0, p.Manifest.Segments[0].Leaves}, {0, p.Manifest.Segments[0].Leaves}}}},
		"negative":        {p.Manifest, f.store, f.key, StreamOptions{Leaves: []Span{{-1, 1}}}},
	} {
		if s, err := OpenStream(t.Context(), c.m, c.r, c.k, c.o); err == nil || s != nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestStreamClose(t *testing.T) {
	f, p, _ := attacked(t)
	s, err := OpenStream(t.Context(), p.Manifest, f.store, f.key, p.Manifest.AllLeaves())
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Batch(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, plain := b.Raw[:cap(b.Raw)], s.plain[:cap(s.plain)]
	s.Close()
	s.Close()
	if strings.Trim(string(raw), "\x00") != "" || strings.Trim(string(plain), "\x00") != "" {
		t.Error("plaintext is left in the buffers")
	}
	if _, err := s.Batch(t.Context(), 0); !errors.Is(err, ErrOffset) {
		t.Errorf("closed stream: %v", err)
	}
}

// TestDishonestOwner: an owner who signs a package whose batches are malformed gains an error, and no more.
func TestDishonestOwner(t *testing.T) {
	for name, defect := range map[string]func(int64, []byte) []byte{
		"raw length too long":  func(_ int64, b []byte) []byte { b[3]++; return b },
		"raw length zero":      func(_ int64, b []byte) []byte { copy(b, "\x00\x00\x00\x00"); return b },
		"raw length enormous":  func(_ int64, b []byte) []byte { copy(b, "\xff\xff\xff\xff"); return b },
		"packed length zero":   func(_ int64, b []byte) []byte { copy(b[4:], "\x00\x00\x00\x00"); return b },
		"packed length beyond": func(_ int64, b []byte) []byte { b[5]++; return b },
		"records differ":       func(_ int64, b []byte) []byte { b[11]++; return b },
		"records enormous":     func(_ int64, b []byte) []byte { copy(b[8:], "\xff\xff\xff\xff"); return b },
		"frame garbage":        func(_ int64, b []byte) []byte { clear(b[batchHeader:]); return b },
		"header only":          func(_ int64, b []byte) []byte { return b[:batchHeader] },
		"cut":                  func(_ int64, b []byte) []byte { return b[:len(b)-1] },
		"bytes after":          func(_ int64, b []byte) []byte { return append(b, 0) },
		"batch repeated":       func(_ int64, b []byte) []byte { return append(b, b...) },
		"batches missing":      func(_ int64, b []byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			cfg := f.config(FormatCSV, bigCSV(100_000))
			cfg.testOnlyDefect = defect
			p, err := Pack(t.Context(), cfg)
			if errors.Is(err, ErrManifest) {
				return // too little for its batches: not even signed
			}
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = readAll(t, p.Manifest, f.store, f.key)
			if !errors.Is(err, ErrBatch) && !errors.Is(err, ErrDiscrepant) {
				t.Errorf("%v, want ErrBatch or ErrDiscrepant", err)
			}
		})
	}
}

// TestDishonestEnd: what is wrong at a segment's very end is found before its last batch is handed out.
func TestDishonestEnd(t *testing.T) {
	for name, defect := range map[string]func(int64, []byte) []byte{
		"byte after": func(_ int64, b []byte) []byte { return append(b, 1) },
		"byte in the padding": func(_ int64, b []byte) []byte {
			n := padme(int64(len(b)))
			if n == int64(len(b)) {
				b, n = append(b, 0), n+1
			}
			return append(append(b, make([]byte, n-int64(len(b)))...), 1)[:n+1]
		},
		"chunk after":    func(_ int64, b []byte) []byte { return append(b, make([]byte, chunkSize)...) },
		"leaf after":     func(_ int64, b []byte) []byte { return append(b, make([]byte, 2*leafChunks*chunkSize)...) },
		"fewer records":  func(_ int64, b []byte) []byte { b[11]--; return b },
		"batch after it": func(_ int64, b []byte) []byte { return append(b, b...) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			cfg := f.config(FormatCSV, "a\n1\n2\n")
			cfg.testOnlyDefect = defect
			p, err := Pack(t.Context(), cfg)
			if errors.Is(err, ErrManifest) {
				return // swollen: not even signed
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, _, err := readAll(t, p.Manifest, f.store, f.key); !errors.Is(err, ErrDiscrepant) || len(got) != 0 {
				t.Errorf("%d bytes, %v, want ErrDiscrepant", len(got), err)
			}
		})
	}
}

func TestBatchHeader(t *testing.T) {
	enc, err := newBatchEncoder(MaxBatchBytes)
	if err != nil {
		t.Fatal(err)
	}
	good := enc.encode(labelled("x", MaxBatchBytes), 3)
	if h, err := parseBatchHeader(good); err != nil || h.raw != MaxBatchBytes || h.records != 3 || h.packed != len(good)-batchHeader {
		t.Fatalf("%+v, %v", h, err)
	}
	for name, b := range map[string][]byte{
		"short":              good[:batchHeader-1],
		"raw over the limit": {0, 0x10, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1},
		"raw zero":           {0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0},
		"packed zero":        {0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1},
		"packed over bound":  {0, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 1},
		"records over raw":   {0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 10},
	} {
		if _, err := parseBatchHeader(b); !errors.Is(err, ErrBatch) {
			t.Errorf("%s: %v, want ErrBatch", name, err)
		}
	}
}
