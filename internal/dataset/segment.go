// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// segmentWriter seals one segment into a store while it is being produced: plaintext in, leaves out to a Put that runs
// beside it. Its memory is one leaf and one chunk.
type segmentWriter struct {
	msg    *message
	onLeaf func(envelope.Digest) error
	put    *putting
	chunk  []byte // plaintext of the chunk at hand
	leaf   []byte // sealed chunks of the leaf at hand
	chunks int64  // sealed so far
	seg    Segment
}

func newSegmentWriter(ctx context.Context, st Store, k Key, salt []byte, id ID, seg Segment, onLeaf func(envelope.Digest) error) (*segmentWriter, error) {
	msg, err := deriveMessage(k, salt, segmentContext(id, seg.Version, seg.Index))
	if err != nil {
		return nil, err
	}
	w := &segmentWriter{msg: msg, onLeaf: onLeaf, seg: seg, chunk: make([]byte, 0, chunkSize), leaf: make([]byte, 0, maxLeaf)}
	w.leaf = append(append(w.leaf, salt...), msg.commitment[:]...)
	w.put = startPut(ctx, st)
	return w, nil
}

// Write takes plaintext.
func (w *segmentWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
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
	w.leaf = w.msg.seal(w.leaf, w.chunks, w.chunk)
	w.chunk = w.chunk[:0]
	w.chunks++
	if w.chunks%leafChunks == 0 {
		return w.endLeaf()
	}
	return nil
}

func (w *segmentWriter) endLeaf() error {
	if err := w.onLeaf(leafHash(w.leaf)); err != nil {
		return err
	}
	w.seg.Leaves++
	if _, err := w.put.Write(w.leaf); err != nil {
		return err
	}
	w.leaf = w.leaf[:0]
	return nil
}

// End seals the last chunk, which is short and perhaps empty. The store may still be flushing when it returns.
func (w *segmentWriter) End() error {
	defer clear(w.chunk[:chunkSize])
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
	var err error
	w.seg.Blob, w.seg.Bytes, err = w.put.Wait()
	return w.seg, err
}

// Abort makes the store forget what it was given so far.
func (w *segmentWriter) Abort(cause error) {
	w.put.Abort(cause)
	clear(w.chunk[:chunkSize])
}

// putting is a Put in flight, fed by Write.
type putting struct {
	pipe *io.PipeWriter
	done chan struct{}
	d    envelope.Digest
	n    int64
	err  error
}

func startPut(ctx context.Context, st Store) *putting {
	r, w := io.Pipe()
	p := &putting{pipe: w, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.d, p.n, p.err = st.Put(ctx, r)
		if p.err == nil {
			p.err = drained(r)
		}
		r.CloseWithError(fmt.Errorf("store stopped reading: %w", orEOF(p.err)))
	}()
	return p
}

// drained checks that a store which claims success has read everything.
func drained(r io.Reader) error {
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // a pipe's plain EOF
		return fmt.Errorf("%w: store did not read the blob to its end", ErrConfig)
	}
	return nil
}

func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// Write blocks until the store has taken b. When the store failed, its error comes back.
func (p *putting) Write(b []byte) (int, error) {
	n, err := p.pipe.Write(b)
	if err != nil {
		<-p.done
		return n, orEOF(p.err)
	}
	return n, nil
}

// End ends the blob.
func (p *putting) End() { p.pipe.Close() }

// Wait waits for the ended blob's digest.
func (p *putting) Wait() (envelope.Digest, int64, error) {
	<-p.done
	return p.d, p.n, p.err
}

// Abort ends the Put with an error and waits until the store has let go.
func (p *putting) Abort(cause error) {
	p.pipe.CloseWithError(cause)
	<-p.done
}
