// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/sha256x"
)

// padding is only read.
var padding [chunkSize]byte

// sealer is what one segment after another is sealed with, so that only the first one allocates it. It serves one at a time,
// from start to End or Abort.
type sealer struct {
	onLeaf  func(envelope.Digest) error // takes the hash of every leaf
	keys    deriver
	context []byte
	sum     sha256x.Hash
	chunk   [chunkSize]byte // plaintext of the chunk at hand
}

// segmentWriter seals one segment, or an index, into a store while it is being produced: plaintext in, leaves out to a Put
// that runs beside it. Its memory is a chunk and the leaves on their way.
type segmentWriter struct {
	with   *sealer // nil: it has not begun
	msg    message
	put    putting
	chunk  []byte // plaintext of the chunk at hand, in the sealer's memory
	leaf   []byte // sealed chunks of the leaf at hand, in put's memory
	chunks int64  // sealed so far
	plain  int64  // bytes of plaintext so far
	seg    Segment

	held  *bytes.Buffer            // plaintext that waits for the segment's end; nil: it is sealed as it comes
	begin func(plain []byte) error // starts a segment that was held
	again *keptSegment             // the store has it already, and nothing is sealed
	mark  envelope.Digest          // keyed checksum of the source up to its end
	heads []byte                   // headers of its batches, for the journal
}

func newSegmentWriter(ctx context.Context, st Store, with *sealer, k Key, salt []byte, id ID, seg Segment) (*segmentWriter, error) {
	w := &segmentWriter{seg: seg}
	with.context = appendSegmentContext(with.context[:0], id, seg.Version, seg.Index)
	return w, w.start(ctx, st, with, k, salt, with.context)
}

// start begins the message.
func (w *segmentWriter) start(ctx context.Context, st Store, with *sealer, k Key, salt, context []byte) error {
	if err := with.keys.derive(&w.msg, k, salt, context); err != nil {
		return err
	}
	w.with, w.chunk = with, with.chunk[:0]
	w.put.start(ctx, st)
	w.leaf = append(append(w.put.space(), salt...), w.msg.commitment[:]...)
	return nil
}

// Write takes plaintext.
func (w *segmentWriter) Write(p []byte) (int, error) {
	switch {
	case w.again != nil:
		return len(p), nil
	case w.held != nil:
		return w.held.Write(p)
	}
	n := len(p)
	w.plain += int64(n)
	for len(p) > 0 {
		if len(w.chunk) == 0 && len(p) >= chunkSize {
			if err := w.seal(p[:chunkSize]); err != nil {
				return 0, err
			}
			p = p[chunkSize:]
			continue
		}
		m := copy(w.chunk[len(w.chunk):chunkSize], p)
		w.chunk, p = w.chunk[:len(w.chunk)+m], p[m:]
		if len(w.chunk) == chunkSize {
			if err := w.sealChunk(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

func (w *segmentWriter) sealChunk() error {
	plain := w.chunk
	w.chunk = w.chunk[:0]
	return w.seal(plain)
}

// seal seals one chunk, from wherever it is.
func (w *segmentWriter) seal(plain []byte) error {
	w.leaf = w.msg.seal(w.leaf, w.chunks, plain)
	w.chunks++
	if w.chunks%leafChunks == 0 {
		return w.endLeaf()
	}
	return nil
}

// endLeaf hashes the leaf twice at once: for the tree and, with all before it, for the blob's name.
func (w *segmentWriter) endLeaf() error {
	sum := &w.with.sum
	sum.Reset()
	sum.Write(leafPrefix)
	sha256x.WriteTwo(sum, w.leaf, &w.put.sum, w.leaf)
	if err := w.with.onLeaf(sum.Sum()); err != nil {
		return err
	}
	w.seg.Leaves++
	if err := w.put.keep(len(w.leaf)); err != nil {
		return err
	}
	w.leaf = w.put.space()
	return nil
}

// End pads, and seals the last chunk, which is short and perhaps empty. The store may still be flushing when it returns.
func (w *segmentWriter) End() error {
	if w.again != nil {
		return w.again.same(&w.seg, w.mark)
	}
	if plain := w.held; plain != nil {
		w.held = nil
		if err := w.begin(plain.Bytes()); err != nil {
			return err
		}
		if _, err := w.Write(plain.Bytes()); err != nil {
			return err
		}
	}
	defer clear(w.with.chunk[:])
	for left := padme(w.plain) - w.plain; left > 0; left -= chunkSize {
		if _, err := w.Write(padding[:min(left, chunkSize)]); err != nil {
			return err
		}
	}
	if err := w.sealChunk(); err != nil {
		return err
	}
	if len(w.leaf) > 0 {
		if err := w.endLeaf(); err != nil {
			return err
		}
	}
	w.put.End()
	return nil
}

// Wait returns the segment once its blob is kept.
func (w *segmentWriter) Wait() (Segment, error) {
	if w.again != nil {
		return w.again.Segment, nil
	}
	var err error
	w.seg.Blob, w.seg.Bytes, err = w.put.Wait()
	return w.seg, err
}

// Abort makes the store forget what it was given so far.
func (w *segmentWriter) Abort(cause error) {
	if w.with != nil {
		w.put.Abort(cause)
		clear(w.with.chunk[:])
	}
}
