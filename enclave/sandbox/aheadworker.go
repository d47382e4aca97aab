// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/glovebox-dev/glovebox/enclave/wasm"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// aheadReady is what a worker says when it has compiled a module ahead.
const aheadReady = 'C'

// runAhead compiles the module, which follows the header, waits for the header of a run of it, and goes on as [runModule] does. An
// error means that the module was not compiled, or that nobody wants it.
func runAhead(h header, down, up *os.File, window []byte, w *bufio.Writer) error {
	module, err := readFrame(down, MaxModule)
	if err != nil {
		return err
	}
	ctx := context.Background()
	var compiled *wasm.Module
	if err := limitCompile(func() (err error) {
		compiled, err = compileCommand(ctx, module)
		return err
	}); err != nil {
		return err
	}
	debug.FreeOSMemory() // what compiling took, before the wait
	if err := w.WriteByte(aheadReady); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	b, err := readFrame(down, maxHeader)
	if err != nil {
		return err
	}
	var next header
	if err := envelope.DecodeStrict(b, maxHeader, &next); err != nil {
		return err
	}
	if next.Mode != modeRun || next.MemoryBytes != h.MemoryBytes || next.OutputBytes != h.OutputBytes || next.Grouped != h.Grouped {
		return fmt.Errorf("%w: a run of another shape", ErrProtocol)
	}
	if err := applyLimits(next); err != nil {
		return err
	}
	g := newGuest(next, newPipeData(down, up, window, next.Files))
	g.module = compiled
	return g.serve(ctx, w, func() error { return g.instantiate(ctx) })
}
