// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"context"
	"errors"
	"strings"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
	"github.com/glovebox-dev/glovebox/enclave/wasm"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// EngineDigest identifies what executes modules and counts them. It is part of the binding a broker appraises.
func EngineDigest() envelope.Digest { return wasm.Digest() }

// guest is a run of one module in a worker: the header's limits, the inputs, the directory of outputs.
type guest struct {
	header
	data     *pipeData
	out      *outFS
	log      *headBuffer
	words    *bufio.Writer
	module   *wasm.Module
	instance *wasm.Instance
}

func newGuest(h header, d *pipeData) *guest {
	return &guest{header: h, data: d, out: newOutFS(h.Outputs, h.OutputBytes), log: &headBuffer{limit: MaxLogs}}
}

// prepare admits and compiles the module and gives it its world. No instruction of it has run when it returns.
func (g *guest) prepare(ctx context.Context, module []byte) (err error) {
	if g.module, err = compileCommand(ctx, module); err != nil {
		return err
	}
	return g.instantiate(ctx)
}

// compileCommand admits and compiles a module that can be run.
func compileCommand(ctx context.Context, module []byte) (*wasm.Module, error) {
	m, err := wasm.Compile(ctx, module)
	if err != nil {
		return nil, err
	}
	return m, m.Command()
}

// instantiate gives the compiled module its world.
func (g *guest) instantiate(ctx context.Context) (err error) {
	c := wasm.Config{
		MemoryBytes: g.MemoryBytes, Fuel: g.Fuel, Seed: [32]byte(g.Seed), Params: g.Params, Files: g.data,
		Mounts: []wasm.Mount{{Path: "/data", FS: newDataFS(g.data).mount()}, {Path: "/out", FS: g.out}},
	}
	switch {
	case g.Words:
		c.Log = wordsWriter{g.words}
	case g.Logs:
		c.Log = g.log
	}
	g.instance, err = g.module.Instantiate(ctx, c)
	return err
}

// admitted is what the enclave is told before the module's first instruction.
func (g *guest) admitted() admission {
	a := g.module.Admitted()
	return admission{Original: a.Original, Rewritten: a.Rewritten, Costs: fuel.CostTable}
}

// run executes the prepared module and gathers what it leaves.
func (g *guest) run(ctx context.Context) *artefact {
	a := g.leave(g.instance.Run(ctx))
	a.Fuel = g.instance.Used()
	return a
}

// leave is the artefact of a guest that ended with err.
func (g *guest) leave(err error) *artefact {
	a := &artefact{}
	switch {
	case g.out.exceeded:
		a.result = result{Reason: ReasonOutput, Detail: "the code wrote more than declared or allowed"}
	case err == nil:
		a.outputs, a.Undeclared = g.out.collect()
	default:
		a.result = result{Reason: reasonOf(err), Detail: clipped(err.Error())}
	}
	if g.Logs {
		a.logs = g.log.buf
	}
	return a
}

// reasonOf is why a guest ended that ended badly. An exit with a status is a trap that the guest chose.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, wasm.ErrModule):
		return ReasonModule
	case errors.Is(err, wasm.ErrFuel):
		return ReasonFuel
	case errors.Is(err, wasm.ErrMemory):
		return ReasonMemory
	case errors.Is(err, wasm.ErrAnswer):
		return ReasonOutput
	}
	return ReasonTrap
}

func clipped(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxDetail-3)], "") // a canonical encoding holds valid UTF-8 only
}

// runModule reads the module, which follows the header, runs it and writes what came of it. An error means that the
// enclave is gone.
func runModule(h header, d *pipeData, w *bufio.Writer) error {
	module, err := readFrame(d.down, MaxModule)
	if err != nil {
		return err
	}
	ctx, g := context.Background(), newGuest(h, d)
	return g.serve(ctx, w, func() error { return g.prepare(ctx, module) })
}

// serve runs the module, once prepare has made it ready, and writes what came of it.
func (g *guest) serve(ctx context.Context, w *bufio.Writer, prepare func() error) error {
	g.words = w
	if err := limitCompile(prepare); err != nil {
		return g.leave(err).write(w)
	}
	if err := errors.Join(g.admitted().write(w), w.Flush()); err != nil { // before its first instruction
		return err
	}
	return g.run(ctx).write(w)
}
