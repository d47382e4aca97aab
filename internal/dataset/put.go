// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/sha256x"
)

// partSize is what a store is handed at a time, about 2 MiB: so many leaves that waking it, and in a virtual machine the processor
// that it runs on, costs little beside sealing them.
const partSize = headerSize + 32*leafSize

// part is a piece of a blob on its way to a store.
type part struct {
	n    int
	data [partSize]byte
}

// parts are used again: what they hold is public.
var parts = sync.Pool{New: func() any { return new(part) }}

// putting is a Put in flight. What is kept or written goes to the store in parts while the next one is filled. It is not to
// be copied, and has no channels: they would be two allocations a segment.
type putting struct {
	sum  sha256x.Hash // of all that was kept and written
	fill *part
	from blobReader // what the store reads

	lock   sync.Mutex // of what follows
	change sync.Cond  // of any of it
	full   *part      // nil: the store took it
	ended  bool
	cause  error           // why the blob was aborted; read once it ended
	name   envelope.Digest // of the whole blob; likewise
	done   bool            // the store returned:
	d      envelope.Digest
	n      int64
	err    error
}

func startPut(ctx context.Context, st Store) *putting {
	p := &putting{}
	p.start(ctx, st)
	return p
}

// start begins the Put of a zero putting.
func (p *putting) start(ctx context.Context, st Store) {
	p.sum.Reset()
	p.change.L, p.from.p = &p.lock, p
	go p.run(ctx, st)
}

// run is the store's side.
func (p *putting) run(ctx context.Context, st Store) {
	d, n, err := st.Put(ctx, &p.from)
	if err == nil {
		err = p.from.drained()
	}
	if err == nil && d != p.name {
		err = fmt.Errorf("%w: store kept %s, was given %s", ErrBlob, d.Hex()[:12], p.name.Hex()[:12])
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	p.d, p.n, p.err, p.done = d, n, err, true
	p.change.Broadcast()
}

// space is memory for the blob's next bytes, room for a leaf with its header at least.
func (p *putting) space() []byte {
	if p.fill == nil {
		p.fill = parts.Get().(*part) //nolint:errcheck,forcetypeassert // nothing else is in there
		p.fill.n = 0
	}
	return p.fill.data[p.fill.n:p.fill.n]
}

// keep adds the first n bytes of space to the blob; the caller has added them to sum. It blocks while the store is busy with
// the parts before. When the store failed, its error comes back.
func (p *putting) keep(n int) error {
	p.fill.n += n
	if len(p.fill.data)-p.fill.n >= maxLeaf {
		return nil
	}
	return p.send()
}

func (p *putting) send() error {
	p.lock.Lock()
	defer p.lock.Unlock()
	for p.full != nil && !p.done {
		p.change.Wait()
	}
	if p.done {
		return orEOF(p.err)
	}
	p.full, p.fill = p.fill, nil
	p.change.Broadcast()
	return nil
}

// orEOF is for a store that ended before its blob.
func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// Write adds a copy of b to the blob.
func (p *putting) Write(b []byte) (int, error) {
	p.sum.Write(b)
	for at := 0; at < len(b); {
		n := copy(p.space()[:maxLeaf], b[at:])
		if err := p.keep(n); err != nil {
			return at, err
		}
		at += n
	}
	return len(b), nil
}

// End ends the blob. A failure of the store is for Wait to return.
func (p *putting) End() {
	if p.fill != nil && p.fill.n > 0 && p.send() != nil {
		return
	}
	p.end(p.sum.Sum(), nil)
}

// end says, unless it was said before, that the blob is whole, or why it will never be.
func (p *putting) end(name envelope.Digest, cause error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if !p.ended {
		p.name, p.cause, p.ended = name, cause, true
		p.change.Broadcast()
	}
}

// Wait waits for the ended blob's digest.
func (p *putting) Wait() (envelope.Digest, int64, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	for !p.done {
		p.change.Wait()
	}
	return p.d, p.n, p.err
}

// Abort ends the Put with an error and waits until the store has let go.
func (p *putting) Abort(cause error) {
	p.end(envelope.Digest{}, orEOF(cause))
	p.Wait() //nolint:errcheck // it failed
}

// blobReader is a putting as the store sees it.
type blobReader struct {
	p    *putting
	part *part
	rest []byte  // of part, not yet read
	more [1]byte // a place for what should not be there
}

// drained checks that a store which claims success has read everything.
func (r *blobReader) drained() error {
	if n, err := r.Read(r.more[:]); n != 0 || err != io.EOF { //nolint:errorlint // the reader's plain EOF
		return fmt.Errorf("%w: store did not read the blob to its end", ErrConfig)
	}
	return nil
}

// Read implements io.Reader.
func (r *blobReader) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// next waits for the part after the one at hand.
func (r *blobReader) next() error {
	if r.part != nil {
		parts.Put(r.part)
	}
	r.part, r.rest = nil, nil
	p := r.p
	p.lock.Lock()
	defer p.lock.Unlock()
	for p.full == nil && !p.ended {
		p.change.Wait()
	}
	switch {
	case p.full != nil:
		r.part, r.rest, p.full = p.full, p.full.data[:p.full.n], nil
		p.change.Broadcast()
		return nil
	case p.cause != nil:
		return p.cause
	}
	return io.EOF
}

// CopyBlob is for a [Store]: it copies a blob to where it is kept, and returns the blob's digest and length. What [Pack] makes
// arrives with its digest, and is neither copied nor hashed once more on the way.
func CopyBlob(ctx context.Context, w io.Writer, r io.Reader) (d envelope.Digest, n int64, err error) {
	b, ok := r.(*blobReader)
	if !ok {
		h := sha256.New()
		n, err = io.CopyBuffer(io.MultiWriter(h, onlyWriter{w}), contextReader{ctx, r}, make([]byte, 128<<10))
		return envelope.Digest(h.Sum(nil)), n, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return d, n, err
		}
		m, err := w.Write(b.rest)
		n += int64(m)
		if err != nil {
			return d, n, err
		}
		switch err := b.next(); {
		case err == io.EOF: //nolint:errorlint // the reader's plain EOF
			return b.p.name, n, nil
		case err != nil:
			return d, n, err
		}
	}
}

// contextReader stops reading once ctx has ended.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// onlyWriter hides ReadFrom, so that one buffer is used for hash and file.
type onlyWriter struct{ io.Writer }
