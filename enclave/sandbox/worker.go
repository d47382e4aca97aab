// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"os"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// What a worker ends with that could not do its work. The Go runtime ends a process with codeFatal when it cannot go on,
// which is when it gets no memory; nothing else here does.
const (
	codeConfine = 1
	codeFatal   = 2
	codeServed  = 3
	codeHeader  = 4
	codePanic   = 5
)

// workerMain is a worker: confine itself, read one header, run one module, hand back one artefact, die. It holds no key
// and no descriptor but its three pipes, and in a session the file of its guest's memory.
func workerMain() (code int) {
	defer func() {
		if recover() != nil {
			code = codePanic
		}
	}()
	window, step, err := confine()
	if _, werr := unix.Write(fdReady, []byte{step}); werr != nil || err != nil {
		return codeConfine
	}
	unix.Close(fdReady)
	down, up, out := os.NewFile(fdDown, "down"), os.NewFile(fdUp, "up"), os.NewFile(fdOut, "out")
	b, err := readFrame(down, maxHeader)
	if err != nil {
		return codeHeader
	}
	var h header
	if err := envelope.DecodeStrict(b, maxHeader, &h); err != nil {
		return codeHeader
	}
	if err := applyLimits(h); err != nil {
		return codeHeader
	}
	if h.Mode == modeRun || h.Mode == modeAhead || h.Mode == modeBatches {
		unix.Close(fdMemory)
	}
	if h.Mode != modeTrain {
		if err := unix.Munmap(confined.results); err != nil {
			return codeHeader
		}
		confined.results = nil
	}
	w := bufio.NewWriterSize(out, 1<<20)
	source := newPipeData(down, up, window, h.Files)
	switch h.Mode {
	case modeRun:
		err = runModule(h, source, w)
	case modeAhead:
		err = runAhead(h, down, up, window, w)
	case modeRecords:
		err = serveRecords(h, source, w)
	case modeBatches:
		err = serveBatches(h, source, w)
	case modeTrain:
		err = serveTraining(h, source, w)
	case modeTest:
		err = probe(h, source).write(w)
	default:
		return codeHeader
	}
	if err != nil || w.Flush() != nil {
		return codeServed
	}
	return 0
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
