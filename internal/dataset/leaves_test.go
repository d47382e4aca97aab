// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/fstest"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// bigBatches packs noise in batches that need many leaves.
func bigBatches(t *testing.T) (*fixture, *Packed, []byte) {
	t.Helper()
	f, data := newFixture(t), randomBytes(3<<20)
	cfg := f.config(FormatFiles, "")
	cfg.Source, cfg.Files = nil, fstest.MapFS{"noise": {Data: data}}
	cfg.SegmentBytes, cfg.BatchBytes = 2<<20, MaxBatchBytes
	return f, f.pack(cfg), data
}

// TestAhead: leaves are fetched a few at a time where that is permitted, never more than that, and never but for the batch that
// was asked for.
func TestAhead(t *testing.T) {
	f, p, data := bigBatches(t)
	for _, allowed := range []int64{-1, 1, 2, 3, 100} {
		var asked, proven, most int64
		o := p.Manifest.AllLeaves()
		o.BeforeLeaf = func(i int64) error {
			if i != asked {
				t.Fatalf("leaf %d is asked for, want %d", i, asked)
			}
			asked++
			most = max(most, asked-proven)
			return nil
		}
		o.AfterLeaf = func(i int64, _ envelope.Digest, _ int) {
			if i != proven {
				t.Fatalf("leaf %d is proven, want %d", i, proven)
			}
			proven++
		}
		if allowed >= 0 {
			o.Ahead = func() int64 { return allowed }
		}
		s, err := OpenStream(t.Context(), p.Manifest, f.store, f.key, o)
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Batch(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if limit := (int64(len(b.Raw))+leafPlain)/leafPlain + 1; asked != proven || asked > limit {
			t.Errorf("ahead %d: %d leaves fetched for the first batch, want at most %d", allowed, asked, limit)
		}
		got, err := io.ReadAll(s.Reader(t.Context()))
		if err != nil || !bytes.Contains(got, data) {
			t.Errorf("ahead %d: %d bytes, %v", allowed, len(got), err)
		}
		if want := min(max(allowed, 1), mostLeaves); asked != p.Manifest.Tree.Size || most != want {
			t.Errorf("ahead %d: %d of %d leaves, %d at a time, want %d", allowed, asked, p.Manifest.Tree.Size, most, want)
		}
		s.Close()
	}
}

// TestAheadStops: what BeforeLeaf refuses is not fetched, though more was permitted at a time.
func TestAheadStops(t *testing.T) {
	f, p, _ := bigBatches(t)
	stop := errors.New("allowance spent")
	o, proven := p.Manifest.AllLeaves(), 0
	o.Ahead = func() int64 { return 100 }
	o.BeforeLeaf = func(i int64) error {
		if i == 3 {
			return stop
		}
		return nil
	}
	o.AfterLeaf = func(int64, envelope.Digest, int) { proven++ }
	s, err := OpenStream(t.Context(), p.Manifest, f.store, f.key, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Batch(t.Context(), 0); !errors.Is(err, stop) || proven > 3 {
		t.Errorf("%v after %d leaves, want the callback's error", err, proven)
	}
}

// TestHostFlipsOneOfManyLeaves: each of some leaves that were fetched together is proven by itself, and nothing of the batch is
// delivered.
func TestHostFlipsOneOfManyLeaves(t *testing.T) {
	f, p, _ := bigBatches(t)
	g := p.Manifest.Segments[0]
	whole := make([]byte, g.Bytes)
	if err := readFull(t.Context(), f.store, g.Blob, whole, 0); err != nil {
		t.Fatal(err)
	}
	for i := range int64(9) {
		off, n := leafSpan(g.Bytes, i)
		flipped := bytes.Clone(whole)
		flipped[off+int64(n)/2] ^= 1
		var proven int64
		o := p.Manifest.AllLeaves()
		o.AfterLeaf = func(int64, envelope.Digest, int) { proven++ }
		s, err := OpenStream(t.Context(), p.Manifest, servesInstead{f.store, g.Blob, flipped}, f.key, o)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := s.Batch(t.Context(), 0); !errors.Is(err, ErrLeaf) || b.Raw != nil || proven != i {
			t.Errorf("leaf %d: %v after %d leaves, want ErrLeaf after %d", i, err, proven, i)
		}
		s.Close()
	}
}

// servesInstead has other bytes for one blob.
type servesInstead struct {
	BlobReader
	d envelope.Digest
	b []byte
}

func (s servesInstead) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	if d == s.d {
		return bytes.NewReader(s.b).ReadAt(p, off)
	}
	return s.BlobReader.ReadAt(ctx, d, p, off)
}

// TestProverInAnyOrder: tiles are proven again whenever another one was held in between.
func TestProverInAnyOrder(t *testing.T) {
	const n = 70_001
	tree, blobs := buildTree(n)
	p, r := treeProver{tree: tree, blobs: blobs}, rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		i := r.Int64N(n)
		if h, err := p.leaf(t.Context(), i); err != nil || h != leafHash(numberedLeaf(i)) {
			t.Fatalf("leaf %d: %v", i, err)
		}
	}
}

// TestProverBySize: every leaf of every small tree, and none with any one hash changed of those that it is proven by.
func TestProverBySize(t *testing.T) {
	for n := int64(1); n <= 600; n += 1 + n/7 {
		tree, blobs := buildTree(n)
		for i := range n {
			p := treeProver{tree: tree, blobs: blobs}
			if h, err := p.leaf(t.Context(), i); err != nil || h != leafHash(numberedLeaf(i)) {
				t.Fatalf("size %d, leaf %d: %v", n, i, err)
			}
			blobs[tree.Levels[0]][i*32] ^= 1
			p = treeProver{tree: tree, blobs: blobs}
			if _, err := p.leaf(t.Context(), i); !errors.Is(err, ErrProof) {
				t.Fatalf("size %d, leaf %d changed: %v, want ErrProof", n, i, err)
			}
			blobs[tree.Levels[0]][i*32] ^= 1
		}
	}
}

// TestStoreNamesAnotherBlob: a store that kept something else than it was given is found out before the manifest names it.
func TestStoreNamesAnotherBlob(t *testing.T) {
	f := newFixture(t)
	cfg := f.config(FormatCSV, bigCSV(100_000))
	cfg.Store = confusedStore{f.store}
	if _, err := Pack(t.Context(), cfg); !errors.Is(err, ErrBlob) {
		t.Errorf("%v, want ErrBlob", err)
	}
}

type confusedStore struct{ *DirStore }

func (s confusedStore) Put(ctx context.Context, r io.Reader) (envelope.Digest, int64, error) {
	d, n, err := s.DirStore.Put(ctx, r)
	d[0] ^= 1
	return d, n, err
}

// TestCopyBlob: a blob that Pack makes has one name, however a store reads it.
func TestCopyBlob(t *testing.T) {
	data := randomBytes(3*partSize + 12_345)
	for _, n := range []int{0, 1, maxLeaf, partSize - 1, partSize, partSize + 1, len(data)} {
		for name, st := range map[string]Store{"copies": newMemoryStore(), "reads": memStore{}} {
			p := startPut(t.Context(), st)
			if _, err := p.Write(data[:n]); err != nil {
				t.Fatal(err)
			}
			p.End()
			if d, m, err := p.Wait(); err != nil || m != int64(n) || d != envelope.Sum(data[:n]) {
				t.Errorf("%s %d bytes: %d, %v", name, n, m, err)
			}
			if m, ok := st.(*memoryStore); ok && !bytes.Equal(m.get(envelope.Sum(data[:n])), data[:n]) {
				t.Errorf("%d bytes: other bytes were kept", n)
			}
		}
	}
}

// TestAbortedPut: the store sees the cause, after whatever it was given before.
func TestAbortedPut(t *testing.T) {
	broken := errors.New("source broke")
	for _, n := range []int{0, 100, 3 * partSize} {
		p := startPut(t.Context(), newMemoryStore())
		if _, err := p.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		p.Abort(broken)
		p.Abort(broken) // changes nothing
		if _, _, err := p.Wait(); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v, want the cause", n, err)
		}
	}
}
