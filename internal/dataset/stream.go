// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"fmt"
	"sort"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// StreamOptions say what a stream may read and who is told.
type StreamOptions struct {
	// Leaves are those that may be fetched, in whole segments and whole erasure units. The stream is what they hold, as
	// if the package had nothing else. A stream without any is refused: use [Manifest.AllLeaves] for all of them.
	Leaves []Span
	// Units has the key of each erasure unit that Leaves hold.
	Units map[envelope.Digest]Key
	// BeforeLeaf is called before a leaf is fetched; its error ends the read. May be nil.
	BeforeLeaf func(index int64) error
	// AfterLeaf is called when a fetched leaf was proven, with its RFC 6962 hash and length. May be nil.
	AfterLeaf func(index int64, hash envelope.Digest, bytes int)
}

// AllLeaves are the options that permit every leaf.
func (m *Manifest) AllLeaves() StreamOptions { return StreamOptions{Leaves: []Span{{0, m.Tree.Size}}} }

// Batch is a run of the plaintext stream.
type Batch struct {
	Offset  int64  // of Raw in the stream
	Raw     []byte // valid until the next call
	Records int    // that begin in it
	Index   int64  // of the batch in the package
}

// Stream is the plaintext of a package, or of the segments that may be read, one batch at a time, in memory bounded by a
// leaf and a batch. It is for one goroutine.
// After an error other than [ErrOffset] the stream may be asked again; it then starts its segment over.
type Stream struct {
	m       *Manifest
	blobs   BlobReader
	opts    StreamOptions
	size    int64
	proof   treeProver
	dec     *batchDecoder
	starts  []segmentStart
	seg     int // open segment, by its place in starts; -1 for none
	msg     *message
	leaf    []byte // ciphertext
	plain   []byte // decrypted, from plainAt on not yet consumed
	plainAt int
	next    int64 // next leaf of the open segment
	frame   []byte
	raw     []byte
	at      Batch // last batch delivered
	seen    Segment
	closed  bool
}

// segmentStart is where a segment begins in the stream, in the package's tree and in its count of batches.
type segmentStart struct {
	raw, leaf, batch int64
	g                *Segment
	key              Key
}

// OpenStream opens a verified manifest's package. Nothing is read until the first [Stream.Batch].
func OpenStream(_ context.Context, m *Manifest, r BlobReader, k Key, o StreamOptions) (*Stream, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if err := k.usable(); err != nil {
		return nil, err
	}
	if r == nil {
		return nil, fmt.Errorf("%w: no reader", ErrConfig)
	}
	sel, err := m.Select(o.Leaves)
	if err != nil {
		return nil, err
	}
	s := &Stream{m: m, blobs: r, opts: o, size: sel.RawBytes, proof: treeProver{tree: m.Tree, blobs: r}, seg: -1}
	if err := s.place(sel, k); err != nil {
		return nil, err
	}
	if s.dec, err = newBatchDecoder(); err != nil {
		return nil, err
	}
	s.leaf, s.plain = make([]byte, maxLeaf), make([]byte, 0, leafChunks*chunkSize)
	return s, nil
}

// place lays the selected segments out, one after the other, each with its key.
func (s *Stream) place(sel *Selection, k Key) error {
	s.starts = make([]segmentStart, 0, len(sel.Segments))
	var at segmentStart
	selected, units := sel.Segments, sel.Units
	for i := range s.m.Segments {
		g := &s.m.Segments[i]
		if len(selected) > 0 && selected[0] == i {
			selected = selected[1:]
			for len(units) > 0 && int64(i) >= s.m.Units[units[0]].First+s.m.Units[units[0]].Count {
				units = units[1:]
			}
			at.g, at.key = g, k
			if len(units) > 0 && int64(i) >= s.m.Units[units[0]].First {
				at.key = s.opts.Units[s.m.Units[units[0]].ID]
			}
			if err := at.key.usable(); err != nil {
				return fmt.Errorf("segment %d: %w", i, err)
			}
			s.starts = append(s.starts, at)
			at.raw += g.RawBytes
		}
		at.leaf, at.batch = at.leaf+g.Leaves, at.batch+g.Batches
	}
	return nil
}

// Size is the length of the plaintext stream.
func (s *Stream) Size() int64 { return s.size }

// Close wipes the stream's buffers. The key is the caller's to wipe.
func (s *Stream) Close() {
	s.reset()
	clear(s.plain[:cap(s.plain)])
	clear(s.raw[:cap(s.raw)])
	clear(s.frame[:cap(s.frame)])
	if !s.closed {
		s.dec.close()
	}
	s.closed = true
}

// Batch returns the batch that holds the stream's byte at off. Calls in ascending order stream; a step backwards or into
// another segment starts that segment over. Errors: [ErrOffset], what BeforeLeaf or the reader returned, and
// those of [ErrIntegrity].
func (s *Stream) Batch(ctx context.Context, off int64) (Batch, error) {
	if s.closed || off < 0 || off >= s.size {
		return Batch{}, fmt.Errorf("%w: %d of %d", ErrOffset, off, s.size)
	}
	if s.seg >= 0 && s.holds(off) {
		return s.at, nil
	}
	b, err := s.seek(ctx, off)
	if err != nil {
		g := s.starts[max(s.seg, 0)].g
		s.reset()
		return Batch{}, fmt.Errorf("segment %d of version %d: %w", g.Index, g.Version, err)
	}
	return b, nil
}

// holds reports whether the batch at hand has the byte at off.
func (s *Stream) holds(off int64) bool {
	return off >= s.at.Offset && off < s.at.Offset+int64(len(s.at.Raw))
}

func (s *Stream) seek(ctx context.Context, off int64) (Batch, error) {
	i := sort.Search(len(s.starts), func(i int) bool { return s.starts[i].raw > off }) - 1
	if i != s.seg || off < s.at.Offset {
		s.reset()
		s.seg = i
		s.at = Batch{Offset: s.starts[i].raw, Index: s.starts[i].batch - 1}
	}
	for {
		if err := s.nextBatch(ctx, off); err != nil {
			return Batch{}, err
		}
		if s.holds(off) {
			return s.at, nil
		}
	}
}

// reset forgets the open segment.
func (s *Stream) reset() {
	s.seg, s.msg, s.next, s.plainAt, s.seen = -1, nil, 0, 0, Segment{}
	s.plain, s.at = s.plain[:0], Batch{}
}

// nextBatch decodes the batch after the one at hand. A batch that ends before want is not decompressed.
func (s *Stream) nextBatch(ctx context.Context, want int64) error {
	head, err := s.take(ctx, batchHeader)
	if err != nil {
		return err
	}
	h, err := parseBatchHeader(head)
	if err != nil {
		return err
	}
	frame, err := s.take(ctx, h.packed)
	if err != nil {
		return err
	}
	g := s.starts[s.seg].g
	s.seen.Batches, s.seen.Records, s.seen.RawBytes = s.seen.Batches+1, s.seen.Records+int64(h.records), s.seen.RawBytes+int64(h.raw)
	if s.seen.Batches > g.Batches || s.seen.Records > g.Records || s.seen.RawBytes > g.RawBytes {
		return fmt.Errorf("%w: more batches, records or bytes", ErrDiscrepant)
	}
	end := s.starts[s.seg].raw + s.seen.RawBytes
	s.at = Batch{Offset: end, Records: h.records, Index: s.at.Index + 1}
	if end > want {
		if s.raw, err = s.dec.decode(s.raw, h, frame); err != nil { // frame is valid until the next leaf
			return err
		}
		s.at.Offset, s.at.Raw = end-int64(h.raw), s.raw
	}
	if s.seen.RawBytes == g.RawBytes {
		return s.finish(ctx)
	}
	return nil
}

// finish checks, before a segment's last batch is delivered, that nothing is missing and nothing follows.
func (s *Stream) finish(ctx context.Context) error {
	g := s.starts[s.seg].g
	if s.seen.Batches != g.Batches || s.seen.Records != g.Records {
		return fmt.Errorf("%w: %d batches and %d records, want %d and %d", ErrDiscrepant, s.seen.Batches, s.seen.Records, g.Batches, g.Records)
	}
	for s.plainAt == len(s.plain) && s.next < g.Leaves {
		if err := s.fetch(ctx); err != nil {
			return err
		}
	}
	if s.plainAt != len(s.plain) || s.next != g.Leaves {
		return fmt.Errorf("%w: data after the last batch", ErrDiscrepant)
	}
	return nil
}

// take consumes n bytes of the open segment's plaintext. They are valid until the next call; a run that crosses leaves
// is gathered in a buffer.
func (s *Stream) take(ctx context.Context, n int) ([]byte, error) {
	if s.plainAt == len(s.plain) {
		if err := s.fetch(ctx); err != nil {
			return nil, err
		}
	}
	if n <= len(s.plain)-s.plainAt {
		s.plainAt += n
		return s.plain[s.plainAt-n : s.plainAt], nil
	}
	s.frame = s.frame[:0]
	for {
		part := s.plain[s.plainAt:min(len(s.plain), s.plainAt+n-len(s.frame))]
		s.frame = append(s.frame, part...)
		s.plainAt += len(part)
		if len(s.frame) == n {
			return s.frame, nil
		}
		if err := s.fetch(ctx); err != nil {
			return nil, err
		}
	}
}

// fetch reads the open segment's next leaf, proves it, and only then decrypts it.
func (s *Stream) fetch(ctx context.Context) error {
	g := s.starts[s.seg].g
	if s.next >= g.Leaves {
		return fmt.Errorf("%w: segment ends inside a batch", ErrDiscrepant)
	}
	index := s.starts[s.seg].leaf + s.next
	if s.opts.BeforeLeaf != nil {
		if err := s.opts.BeforeLeaf(index); err != nil {
			return err
		}
	}
	off, n := leafSpan(g.Bytes, s.next)
	leaf := s.leaf[:n]
	if err := readFull(ctx, s.blobs, g.Blob, leaf, off); err != nil {
		return fmt.Errorf("leaf %d: %w", index, err)
	}
	want, err := s.proof.leaf(ctx, index)
	if err != nil {
		return err
	}
	got := leafHash(leaf)
	if got != want {
		return fmt.Errorf("leaf %d: %w", index, ErrLeaf)
	}
	if s.opts.AfterLeaf != nil {
		s.opts.AfterLeaf(index, got, n)
	}
	return s.decrypt(g, leaf)
}

func (s *Stream) decrypt(g *Segment, leaf []byte) error {
	if s.next == 0 {
		msg, err := openMessage(s.starts[s.seg].key, leaf[:headerSize], segmentContext(s.m.Dataset, g.Version, g.Index))
		if err != nil {
			return err
		}
		s.msg, leaf = msg, leaf[headerSize:]
	}
	s.plain, s.plainAt = s.plain[:0], 0
	last := s.next == g.Leaves-1
	for chunk := s.next * leafChunks; ; chunk++ {
		n := min(len(leaf), sealedChunk)
		ends := n == len(leaf)
		out, err := s.msg.open(s.plain, chunk, leaf[:n], last && ends)
		if err != nil {
			return err
		}
		s.plain, leaf = out, leaf[n:]
		if ends {
			s.next++
			return nil
		}
	}
}
