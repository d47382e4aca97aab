// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/sha256x"
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
	// Ahead is how many leaves may be fetched at a time, before AfterLeaf is called for the first of them: BeforeLeaf is
	// called for each. Only leaves that a batch asked for needs are. Nil: one, if BeforeLeaf is not.
	Ahead func() int64
	// AfterLeaf is called when a fetched leaf was proven, with its RFC 6962 hash and length. May be nil.
	AfterLeaf func(index int64, hash envelope.Digest, bytes int)
}

// AllLeaves are the options that permit every leaf of a valid manifest's package, but those of erased segments.
func (m *Manifest) AllLeaves() StreamOptions {
	if len(m.Tombstones) == 0 {
		return StreamOptions{Leaves: []Span{{0, m.Tree.Size}}}
	}
	return StreamOptions{Leaves: m.Keep(func(*ErasureUnit) bool { return true })}
}

// Batch is a run of the plaintext stream.
type Batch struct {
	Offset  int64  // of Raw in the stream
	Raw     []byte // valid until the next call
	Records int    // that begin in it
	Index   int64  // of the batch in the package
}

// Stream is the plaintext of a package, or of the segments that may be read, one batch at a time, in memory bounded by a
// few leaves and a batch. It is for one goroutine.
// After an error other than [ErrOffset] the stream may be asked again; it then starts its segment over.
type Stream struct {
	m       *Manifest
	blobs   *keptOpen
	opts    StreamOptions
	size    int64
	proof   treeProver
	dec     *batchDecoder
	starts  []segmentStart
	seg     int      // open segment, by its place in starts; -1 for none
	msg     *message // of the open segment, which is derived; nil: not yet derived
	derived message
	keys    deriver
	context []byte // scratch, of derived
	leaf    []byte // ciphertext, of one leaf or a few
	sums    [2]sha256x.Hash
	plain   []byte // decrypted, from plainAt on not yet consumed
	plainAt int
	next    int64  // leaf of the open segment after the one in plain
	todo    []byte // of the open segment's index: headers of the batches after the one at hand
	end     int64  // of the batch at hand in the segment's plaintext
	frame   []byte
	raw     []byte
	at      Batch // last batch delivered
	closed  bool
}

// segmentStart is where a segment begins in the stream, in the package's tree and in its count of batches.
type segmentStart struct {
	raw, leaf, batch int64
	g                *Segment
	key              Key
	headers          []byte // of its batches, as the index has them
}

// OpenStream opens a verified manifest's package. It reads the indexes of the selected segments' versions, and nothing else
// until the first [Stream.Batch].
func OpenStream(ctx context.Context, m *Manifest, r BlobReader, k Key, o StreamOptions) (*Stream, error) {
	if err := m.validateContents(); err != nil {
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
	s := &Stream{m: m, blobs: &keptOpen{BlobReader: r}, opts: o, proof: treeProver{tree: m.Tree, blobs: r}, seg: -1}
	if err := s.place(sel, k); err != nil {
		return nil, err
	}
	if err := s.locate(ctx, k, sel); err != nil {
		s.wipe()
		return nil, err
	}
	if s.dec, err = newBatchDecoder(); err != nil {
		return nil, err
	}
	s.leaf, s.plain = make([]byte, headerSize+mostLeaves*leafSize), make([]byte, 0, leafPlain)
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
		}
		at.leaf, at.batch = at.leaf+g.Leaves, at.batch+g.Batches
	}
	return nil
}

// locate finds by the indexes where every batch of the selected segments is.
func (s *Stream) locate(ctx context.Context, k Key, sel *Selection) error {
	var room slab
	for i := range s.m.Indexes {
		x := &s.m.Indexes[i]
		if _, ok := slices.BinarySearchFunc(s.starts, x.Version, func(at segmentStart, v int64) int { return cmp.Compare(at.g.Version, v) }); !ok {
			continue
		}
		err := readIndex(ctx, s.m, x, s.blobs, k, func(segment int, headers []byte) {
			if at, ok := slices.BinarySearch(sel.Segments, segment); ok {
				s.starts[at].headers = room.clone(headers)
			}
		})
		if err != nil {
			return err
		}
	}
	for i := range s.starts {
		s.starts[i].raw = s.size
		s.size += rawLength(s.starts[i].headers)
	}
	if whole := len(sel.Segments) == s.m.live(); s.size > s.m.RawBytes || whole && padme(s.size) != s.m.RawBytes {
		return fmt.Errorf("%w: a stream of %d bytes, want %d", ErrDiscrepant, s.size, s.m.RawBytes)
	}
	return nil
}

// slab is memory for many small copies.
type slab struct{ free []byte }

// clone copies b to where no other copy is.
func (s *slab) clone(b []byte) []byte {
	if len(b) > len(s.free) {
		s.free = make([]byte, max(len(b), 32<<10))
	}
	n := copy(s.free, b)
	out := s.free[:n:n]
	s.free = s.free[n:]
	return out
}

// Ends are where the selected segments end in the stream, in their order.
func (s *Stream) Ends() []int64 {
	out := make([]int64, len(s.starts))
	for i := range out {
		out[i] = s.size
		if i+1 < len(s.starts) {
			out[i] = s.starts[i+1].raw
		}
	}
	return out
}

// Size is the length of the plaintext stream.
func (s *Stream) Size() int64 { return s.size }

// Close wipes the stream's buffers. The key is the caller's to wipe.
func (s *Stream) Close() {
	s.reset()
	s.wipe()
	if !s.closed {
		s.dec.close()
	}
	s.closed = true
}

func (s *Stream) wipe() {
	for _, b := range [][]byte{s.plain, s.raw, s.frame} {
		clear(b[:cap(b)])
	}
	for i := range s.starts {
		clear(s.starts[i].headers)
	}
	s.derived, s.keys = message{}, deriver{}
}

// Batch returns the batch that holds the stream's byte at off, and fetches no leaf but those that have a part of it, and a
// segment's first, which its key is derived with. Calls in ascending order fetch each leaf once; a step backwards fetches anew. Errors: [ErrOffset], what BeforeLeaf or the reader returned, and
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
	if i != s.seg {
		s.reset()
	}
	if i != s.seg || off < s.at.Offset {
		s.seg, s.todo, s.end = i, s.starts[i].headers, 0
		s.at = Batch{Offset: s.starts[i].raw, Index: s.starts[i].batch - 1}
		s.plain, s.plainAt, s.next = s.plain[:0], 0, 0 // read anew: what is delivered again is fetched again
	}
	return s.find(ctx, off)
}

// find goes on to the batch that holds off. Those before it are neither fetched nor opened, as far as they fill leaves.
func (s *Stream) find(ctx context.Context, off int64) (Batch, error) {
	for {
		if len(s.todo) == 0 {
			return Batch{}, fmt.Errorf("%w: no batch has offset %d", ErrDiscrepant, off)
		}
		head := s.todo[:batchHeader]
		h, err := parseBatchHeader(head)
		if err != nil {
			return Batch{}, err
		}
		start := s.end
		s.todo, s.end = s.todo[batchHeader:], start+int64(batchHeader+h.packed)
		s.at = Batch{Offset: s.at.Offset + int64(len(s.at.Raw)), Records: h.records, Index: s.at.Index + 1}
		if off >= s.at.Offset+int64(h.raw) {
			s.at.Offset += int64(h.raw)
			continue
		}
		err = s.open(ctx, start, head, h)
		return s.at, err
	}
}

// reset forgets the open segment.
func (s *Stream) reset() {
	s.blobs.Close()
	s.seg, s.msg, s.next, s.plainAt, s.todo, s.end = -1, nil, 0, 0, nil, 0
	s.plain, s.at = s.plain[:0], Batch{}
}

// open decodes the batch at an offset of the segment's plaintext, whose header is the index's.
func (s *Stream) open(ctx context.Context, start int64, head []byte, h batchInfo) error {
	if err := s.goTo(ctx, start); err != nil {
		return err
	}
	got, err := s.take(ctx, batchHeader)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, head) {
		return fmt.Errorf("%w: the index has another batch", ErrDiscrepant)
	}
	frame, err := s.take(ctx, h.packed)
	if err != nil {
		return err
	}
	if s.raw, err = s.dec.decode(s.raw, h, frame); err != nil { // frame is valid until the next leaf
		return err
	}
	if len(s.todo) == 0 {
		if err := s.finish(ctx); err != nil {
			return err
		}
	}
	s.at.Raw = s.raw
	return nil
}

// goTo makes the plaintext at an offset of the open segment the next to be taken.
func (s *Stream) goTo(ctx context.Context, offset int64) error {
	leaf := offset / leafPlain
	if s.msg == nil && leaf > 0 {
		if err := s.fetch(ctx); err != nil {
			return err
		}
	}
	if s.next != leaf+1 {
		s.next = leaf
		if err := s.fetch(ctx); err != nil {
			return err
		}
	}
	s.plainAt = min(int(offset%leafPlain), len(s.plain))
	return nil
}

// finish checks, before a segment's last batch is delivered, that nothing but padding follows.
func (s *Stream) finish(ctx context.Context) error {
	g := s.starts[s.seg].g
	for {
		if !zero(s.plain[s.plainAt:]) {
			return fmt.Errorf("%w: data after the last batch", ErrDiscrepant)
		}
		s.plainAt = len(s.plain)
		if s.next == g.Leaves {
			return nil
		}
		if err := s.fetch(ctx); err != nil {
			return err
		}
	}
}
