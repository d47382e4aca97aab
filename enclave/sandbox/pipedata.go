// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/enclave/wasm"
)

// pipeData is the worker's view of its input files: range requests over its pipes, answers in its window. What an answer
// brings beyond what was asked for stays in the window and serves the reads that follow, so that a module that reads in
// small pieces, forwards or backwards, asks once a batch. A worker runs one thread of guest code, so requests never overlap.
type pipeData struct {
	down   io.Reader
	up     io.Writer
	files  []File
	window []byte // read-only memory; the enclave writes it while it answers, and never else
	held   []span // what each part of the window holds
	part   int    // bytes of one
}

// span is a piece of a file in one part of the window; zero is none.
type span struct {
	file int
	off  int64
	n    int
}

// parts is how many files are kept in the window beside each other, each in a part as large as a batch can be. A larger part
// would only be colder.
const parts = 4

// newPipeData divides the window. Which part a file has depends on its place alone.
func newPipeData(down io.Reader, up io.Writer, window []byte, files []File) *pipeData {
	return &pipeData{down: down, up: up, files: files, window: window, held: make([]span, parts), part: len(window) / parts}
}

var _ wasm.Files = (*pipeData)(nil)

// Lookup implements wasm.Files.
func (d *pipeData) Lookup(name string) (index int, size int64, ok bool) {
	for i, f := range d.files {
		if f.Name == name {
			return i, f.Size, true
		}
	}
	return 0, 0, false
}

var errRange = errors.New("read outside the file")

// ReadAt implements wasm.Files. It fills p from one file; at the end of the file it returns less, and no error.
func (d *pipeData) ReadAt(file int, p []byte, off int64) (int, error) {
	if off < 0 || file < 0 || file >= len(d.files) {
		return 0, errRange
	}
	size := d.files[file].Size
	if off >= size {
		return 0, nil
	}
	p = p[:min(int64(len(p)), size-off)]
	for done := 0; done < len(p); {
		n := d.kept(file, p[done:], off+int64(done))
		if n == 0 {
			var err error
			if n, err = d.request(file, p[done:], off+int64(done)); err != nil {
				return done, err
			}
		}
		done += n
	}
	return len(p), nil
}

// kept copies what the window already holds.
func (d *pipeData) kept(file int, p []byte, off int64) int {
	i := file % len(d.held)
	h := d.held[i]
	if h.file != file || off < h.off || off >= h.off+int64(h.n) {
		return 0
	}
	from := d.window[i*d.part:][off-h.off : h.n]
	return copy(p, from)
}

// request makes one round trip for the beginning of p, as much as a part of the window takes. It copies each piece of the
// answer while the enclave makes the next.
func (d *pipeData) request(file int, p []byte, off int64) (int, error) {
	i := file % len(d.held)
	room := d.window[i*d.part:][:d.part]
	p = p[:min(len(p), len(room))]
	d.held[i] = span{}
	q := request{file: uint32(file), want: uint32(len(p)), offset: uint64(off), at: uint32(i * d.part), space: uint32(len(room))}
	if _, err := d.up.Write(q.append(make([]byte, 0, requestBytes))); err != nil {
		return 0, err
	}
	lead, filled := int64(0), int64(0)
	for done := 0; done < len(p); {
		var b [pieceBytes]byte
		if _, err := io.ReadFull(d.down, b[:]); err != nil {
			return 0, err
		}
		n := int64(binary.BigEndian.Uint32(b[4:]))
		if filled == 0 {
			lead = int64(binary.BigEndian.Uint32(b[:]))
		}
		if n == 0 || n > int64(len(room))-filled || filled == 0 && (lead >= n || lead > off) {
			return 0, fmt.Errorf("%w: %d bytes, %d of them early, where %d fit", ErrProtocol, n, lead, int64(len(room))-filled)
		}
		filled += n
		done += copy(p[done:], room[lead+int64(done):filled])
		d.held[i] = span{file: file, off: off - lead, n: int(filled)}
	}
	return len(p), nil
}
