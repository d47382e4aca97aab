// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// sparseStore has a package of any size whose segments are made up when they are read: all have the same plaintext, each is sealed
// under its own context. What it was given, the tree and the index, is on disk.
type sparseStore struct {
	Store
	key      Key
	salt     []byte
	id       ID
	plain    []byte                    // of every segment
	segments map[envelope.Digest]int64 // indexes of version 1, by what the blobs are called
	fetched  atomic.Int64              // bytes
}

func (s *sparseStore) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	s.fetched.Add(int64(len(p)))
	i, ok := s.segments[d]
	if !ok {
		return s.Store.ReadAt(ctx, d, p, off)
	}
	msg, err := deriveMessage(s.key, s.salt, segmentContext(s.id, 1, i))
	if err != nil {
		return 0, err
	}
	header := append(slices.Clip(s.salt), msg.commitment[:]...)
	chunk, n := make([]byte, 0, sealedChunk), 0
	for n < len(p) {
		at := off + int64(n)
		if at < headerSize {
			n += copy(p[n:], header[at:])
			continue
		}
		c := (at - headerSize) / sealedChunk
		chunk = msg.seal(chunk[:0], c, s.plain[min(c*chunkSize, int64(len(s.plain))):min((c+1)*chunkSize, int64(len(s.plain)))])
		n += copy(p[n:], chunk[(at-headerSize)%sealedChunk:])
	}
	return n, nil
}

// sparsePackage is a package of so many segments of 16 MiB that no compressor touches, of which one in stride can be read: of
// the others the tree has made-up leaves, because to hash them all is not what is measured.
type sparsePackage struct {
	store   *sparseStore
	p       *Packed
	stride  int
	headers []byte // of a segment's batches
}

// newSparsePackage plans, and signs, what Pack would for incompressible data: batches, padding, segments, tree, index, manifest.
func newSparsePackage(b *testing.B, f *fixture, like *Manifest, segments, stride int) *sparsePackage {
	m := *like
	s := &sparsePackage{stride: stride, store: &sparseStore{
		Store: f.store, key: f.key, salt: make([]byte, saltSize), id: m.Dataset, segments: map[envelope.Digest]int64{},
	}}
	s.fill(b)
	m.Segments, m.Records, m.RawBytes = nil, 0, 0
	p := &packer{ctx: b.Context(), cfg: &PackConfig{Store: f.store}}
	p.tree.sink = p.hash
	var index indexBuilder
	for i := range segments {
		g, err := s.segment(b.Context(), int64(i), p.tree.add)
		if err != nil {
			b.Fatal(err)
		}
		for h := s.headers; len(h) > 0; h = h[batchHeader:] {
			if err := index.add(h); err != nil {
				b.Fatal(err)
			}
		}
		m.Segments = append(m.Segments, g)
		m.Records, m.RawBytes = m.Records+g.Records, m.RawBytes+DefaultSegmentBytes
	}
	m.RawBytes = padme(m.RawBytes)
	p.m.Records, p.prog.RawBytes = m.Records, m.RawBytes
	if err := p.endTree(); err != nil {
		b.Fatal(err)
	}
	m.Tree = p.m.Tree
	x, err := index.seal(b.Context(), f.store, f.key, func(Key, []byte, []byte) ([]byte, error) { return s.store.salt, nil }, m.Dataset, 1)
	if err != nil {
		b.Fatal(err)
	}
	m.Indexes = []Index{x}
	if err := m.describe(nil, randomBytes(32), time.Unix(1_800_000_000, 0)); err != nil {
		b.Fatal(err)
	}
	signed, id, err := envelope.Sign(f.signer, envelope.ManifestType, m.subjects(), &m)
	if err != nil {
		b.Fatal(err)
	}
	v, err := Verify(signed)
	if err != nil {
		b.Fatal(err)
	}
	s.p = &Packed{signed, id, &v.Predicate}
	return s
}

// fill makes the plaintext of every segment.
func (s *sparsePackage) fill(b *testing.B) {
	enc, err := newBatchEncoder(DefaultBatchBytes)
	if err != nil {
		b.Fatal(err)
	}
	batch := enc.encode(randomBytes(DefaultBatchBytes), 100)
	for range DefaultSegmentBytes / DefaultBatchBytes {
		s.store.plain, s.headers = append(s.store.plain, batch...), append(s.headers, batch[:batchHeader]...)
	}
	s.store.plain = append(s.store.plain, make([]byte, padme(int64(len(s.store.plain)))-int64(len(s.store.plain)))...)
}

// segment names a segment and hands its leaves on.
func (s *sparsePackage) segment(ctx context.Context, i int64, leaf func(envelope.Digest) error) (Segment, error) {
	batches := int64(DefaultSegmentBytes / DefaultBatchBytes)
	g := Segment{Version: 1, Index: i, Blob: envelope.Sum(fmt.Appendf(nil, "segment %d", i)), Bytes: sealedSize(int64(len(s.store.plain))), Batches: batches, Records: 100 * batches}
	s.store.segments[g.Blob] = i
	var err error
	if g.Leaves, err = segmentLeaves(g.Bytes); err != nil {
		return g, err
	}
	sealed := make([]byte, maxLeaf)
	for l := range g.Leaves {
		var h envelope.Digest
		if i%int64(s.stride) == 0 {
			off, n := leafSpan(g.Bytes, l)
			if _, err := s.store.ReadAt(ctx, g.Blob, sealed[:n], off); err != nil {
				return g, err
			}
			h = leafHash(sealed[:n])
		} else {
			binary.BigEndian.PutUint64(h[:], uint64(i))
			binary.BigEndian.PutUint64(h[8:], uint64(l)+1)
		}
		if err := leaf(h); err != nil {
			return g, err
		}
	}
	return g, nil
}

// ranges opens the package anew and reads n ranges of 1 MiB, each in a segment drawn from all that can be read. Everything that is
// delivered was proven.
func (s *sparsePackage) ranges(b *testing.B, n int) (open time.Duration, took []time.Duration, fetched int64) {
	start := time.Now()
	st, err := OpenStream(b.Context(), s.p.Manifest, s.store, s.store.key, s.p.Manifest.AllLeaves())
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	open = time.Since(start)
	s.store.fetched.Store(0)
	real := (len(s.p.Manifest.Segments) + s.stride - 1) / s.stride
	for r := rand.New(rand.NewPCG(3, 4)); len(took) < n; {
		off := int64(r.IntN(real)*s.stride)*DefaultSegmentBytes + r.Int64N(DefaultSegmentBytes-1<<20)
		start := time.Now()
		for at := off; at < off+1<<20; {
			batch, err := st.Batch(b.Context(), at)
			if err != nil {
				b.Fatal(err)
			}
			at = batch.Offset + int64(len(batch.Raw))
		}
		took = append(took, time.Since(start))
	}
	return open, took, s.store.fetched.Load() / int64(n)
}

// BenchmarkSparse plans packages of 1, 10 and 100 GB as a pack does, about one gigabyte of each sealed and the rest of made-up leaves,
// and reads ranges of 1 MiB at random places through index and proofs, from a store that makes segments up as they are
// asked for. peak-MB is the most memory that planning, signing, verifying, opening and reading took above what the process had before.
func BenchmarkSparse(b *testing.B) {
	for _, gb := range []int64{1, 10, 100} {
		b.Run(fmt.Sprintf("%dGB", gb), func(b *testing.B) {
			f := newFixture(b)
			like := f.pack(f.config(FormatJSONL, "{}\n")).Manifest
			segments, stride := int(gb*1e9/DefaultSegmentBytes)+1, 1+int(gb)*99/100
			for b.Loop() {
				f.sparsely(b, like, segments, stride)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func (f *fixture) sparsely(b *testing.B, like *Manifest, segments, stride int) {
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600); err != nil {
		b.Skipf("peak memory cannot be measured here: %v", err)
	}
	base := peakRSS(b)
	start := cpuTime(b)
	s := newSparsePackage(b, f, like, segments, stride)
	b.ReportMetric((cpuTime(b) - start).Seconds(), "plan-cpu-s")
	var opens, reads []time.Duration
	var fetched int64
	for range 5 {
		open, took, n := s.ranges(b, 40)
		opens, reads, fetched = append(opens, open), append(reads, took...), n
	}
	slices.Sort(opens)
	slices.Sort(reads)
	m := s.p.Manifest
	var tree int64
	for n := m.Tree.Size; n > 0; n >>= tileHeight {
		tree += n * int64(len(tlog.Hash{}))
	}
	b.ReportMetric(float64(len(m.Segments)), "segments")
	b.ReportMetric(float64(m.Tree.Size), "leaves")
	b.ReportMetric(float64(len(s.p.Signed)), "manifest-bytes")
	b.ReportMetric(float64(m.Indexes[0].Bytes), "index-bytes")
	b.ReportMetric(float64(tree), "tree-bytes")
	b.ReportMetric(opens[len(opens)/2].Seconds()*1000, "open-p50-ms")
	b.ReportMetric(reads[len(reads)/2].Seconds()*1000, "range-p50-ms")
	b.ReportMetric(reads[len(reads)*99/100].Seconds()*1000, "range-p99-ms")
	b.ReportMetric(float64(fetched), "fetched-bytes/range")
	b.ReportMetric(float64(peakRSS(b)-base)/1e6, "peak-MB")
}
