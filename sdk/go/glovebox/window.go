// SPDX-License-Identifier: Apache-2.0

package glovebox

import (
	"bytes"
	"io"
)

const (
	readBytes = 256 << 10 // how much is asked for at a time: about a batch
	// MaxRecord bounds one CSV or JSON Lines record in bytes. What a creator packs is below it.
	MaxRecord = 16 << 20
)

// window is a buffer over a reader that grows only as long as one record needs it to.
type window struct {
	r      io.Reader
	buf    []byte
	lo, hi int // what is read and not yet taken
	err    error
}

func newWindow(r io.Reader) *window { return &window{r: r, buf: make([]byte, readBytes)} }

// held is what is read and not yet taken.
func (w *window) held() []byte { return w.buf[w.lo:w.hi] }

// more reads on. False means that nothing more comes; w.err says why, io.EOF at the end.
func (w *window) more() bool {
	if w.err != nil {
		return false
	}
	if w.lo > 0 && (w.lo == w.hi || w.hi == len(w.buf)) {
		w.hi = copy(w.buf, w.buf[w.lo:w.hi])
		w.lo = 0
	}
	if w.hi == len(w.buf) {
		w.buf = append(w.buf, make([]byte, len(w.buf))...)
	}
	for range 100 {
		n, err := w.r.Read(w.buf[w.hi:])
		w.hi += n
		w.err = err
		if n > 0 {
			return true
		}
		if err != nil {
			return false
		}
	}
	w.err = io.ErrNoProgress
	return false
}

// line takes the next line with its end. With quoted, a line end inside double quotes does not count. It is empty at the
// end of the data.
func (w *window) line(quoted bool) ([]byte, error) {
	scanned, open := 0, false
	for {
		for {
			h := w.held()[scanned:]
			i := bytes.IndexByte(h, '\n')
			if i < 0 {
				if quoted && bytes.Count(h, quote)%2 == 1 {
					open = !open
				}
				scanned += len(h)
				break
			}
			if quoted && bytes.Count(h[:i], quote)%2 == 1 {
				open = !open
			}
			scanned += i + 1
			if !open {
				return w.take(scanned), nil
			}
		}
		if scanned > MaxRecord {
			return nil, wrap(ErrRecord, "has no end within 16 MiB")
		}
		if !w.more() {
			if w.err != io.EOF {
				return nil, w.err
			}
			if open {
				return nil, wrap(ErrRecord, "has a quoted field that never ends")
			}
			return w.take(scanned), nil
		}
	}
}

var quote = []byte{'"'}

// take hands out the next n bytes, which are held. They are valid until the next call of any method.
func (w *window) take(n int) []byte {
	w.lo += n
	return w.buf[w.lo-n : w.lo : w.lo]
}

// block takes exactly n bytes; fewer, without an error, at the end of the data.
func (w *window) block(n int) ([]byte, error) {
	for w.hi-w.lo < n {
		if !w.more() {
			if w.err != io.EOF {
				return nil, w.err
			}
			break
		}
	}
	return w.take(min(n, w.hi-w.lo)), nil
}

// Read hands out what is held first and then reads past the buffer.
func (w *window) Read(p []byte) (int, error) {
	if w.lo < w.hi {
		n := copy(p, w.held())
		w.lo += n
		return n, nil
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.r.Read(p)
	w.err = err
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// skip passes over n bytes, without reading them where the reader is a [File].
func (w *window) skip(n int64) error {
	k := min(n, int64(w.hi-w.lo))
	w.lo, n = w.lo+int(k), n-k
	if n == 0 {
		return nil
	}
	if s, ok := w.r.(*File); ok && w.err == nil {
		if at, err := s.Seek(n, io.SeekCurrent); err != nil || at > s.Size() {
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	for n > 0 {
		b, err := w.block(int(min(n, readBytes)))
		if err != nil {
			return err
		}
		if len(b) == 0 {
			return io.ErrUnexpectedEOF
		}
		n -= int64(len(b))
	}
	return nil
}
