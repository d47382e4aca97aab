// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// workerMain is a worker: confine itself, read one header, run one module, hand back one artefact, die. It holds no key
// and no descriptor but its three pipes.
func workerMain() int {
	_, step, err := confine()
	if _, werr := unix.Write(fdReady, []byte{step}); werr != nil || err != nil {
		return 1
	}
	unix.Close(fdReady)
	down, up, out := os.NewFile(fdDown, "down"), os.NewFile(fdUp, "up"), os.NewFile(fdOut, "out")
	b, err := readFrame(down, maxHeader)
	if err != nil {
		return 2
	}
	var h header
	if err := envelope.DecodeStrict(b, maxHeader, &h); err != nil {
		return 2
	}
	if err := applyLimits(h); err != nil {
		return 2
	}
	w := bufio.NewWriterSize(out, 1<<20)
	source := &pipeData{down: down, up: up, files: h.Files}
	switch h.Mode {
	case modeRun:
		err = runModule(h, source).write(w)
	case modeTest:
		err = probe(h, source).write(w)
	default:
		return 2
	}
	if err != nil || w.Flush() != nil {
		return 3
	}
	return 0
}

// runModule reads the module, which follows the header, and runs it.
func runModule(h header, d *pipeData) *artefact {
	module, err := readFrame(d.down, MaxModule)
	if err != nil {
		return failed(errModule, err)
	}
	e := &engine{header: h, data: newDataFS(d), out: newOutFS(h.Outputs, h.OutputBytes), log: &headBuffer{limit: MaxLogs}}
	return e.run(context.Background(), module)
}

// pipeData reads files by range requests over the worker's pipes. A worker runs one thread of guest code, so requests
// never overlap.
type pipeData struct {
	down, up *os.File
	files    []File
}

var errRange = errors.New("read outside the file")

// readAt fills p from one file. At the end of the file it returns less.
func (d *pipeData) readAt(file int, p []byte, off int64) (int, error) {
	if off < 0 || file >= len(d.files) {
		return 0, errRange
	}
	size := d.files[file].Size
	if off >= size {
		return 0, nil
	}
	p = p[:min(int64(len(p)), size-off)]
	for done := 0; done < len(p); {
		n, err := d.request(file, p[done:min(len(p), done+MaxRead)], off+int64(done))
		if err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// request makes one round trip. An answer is a length, which is that of the request, and the bytes.
func (d *pipeData) request(file int, p []byte, off int64) (int, error) {
	q := request{file: uint32(file), length: uint32(len(p)), offset: uint64(off)}
	if _, err := d.up.Write(q.append(make([]byte, 0, requestBytes))); err != nil {
		return 0, err
	}
	var n [4]byte
	if _, err := io.ReadFull(d.down, n[:]); err != nil {
		return 0, err
	}
	if binary.BigEndian.Uint32(n[:]) != q.length {
		return 0, fmt.Errorf("%w: answer of another length", ErrProtocol)
	}
	return io.ReadFull(d.down, p)
}

// headBuffer keeps the first limit bytes written to it and counts the rest as written.
type headBuffer struct {
	buf   []byte
	limit int
}

func (h *headBuffer) Write(p []byte) (int, error) {
	h.buf = append(h.buf, p[:min(len(p), h.limit-len(h.buf))]...)
	return len(p), nil
}
