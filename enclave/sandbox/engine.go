// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// errModule marks a module that this runtime does not admit.
var errModule = errors.New("module not admitted")

// startFunction is what a WASI command exports.
const startFunction = "_start"

// engine runs one module, once. Instructions are not counted in this runtime class: a class that rewrites the module to
// count fuel does so in admit, between the check and the compilation.
type engine struct {
	header
	data *dataFS
	out  *outFS
	log  *headBuffer
	mem  *guestMemory
}

// failed is the artefact of a run that ended for the given reason.
func failed(kind, detail error) *artefact {
	reason := ReasonTrap
	if errors.Is(kind, errModule) {
		reason = ReasonModule
	}
	return &artefact{result: result{Reason: reason, Detail: clip(detail.Error())}}
}

func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxDetail-3)], "") // a canonical encoding holds valid UTF-8 only
}

// run executes the module and gathers what it leaves.
func (e *engine) run(ctx context.Context, module []byte) *artefact {
	err := e.execute(ctx, module)
	a := &artefact{}
	switch exit := (*sys.ExitError)(nil); {
	case errors.Is(err, errModule):
		a = failed(errModule, err)
	case e.out.exceeded:
		a.result = result{Reason: ReasonOutput, Detail: "the code wrote more than declared or allowed"}
	case err == nil, errors.As(err, &exit) && exit.ExitCode() == 0:
		a.outputs, a.Undeclared = e.out.collect()
	case e.mem.denied:
		a.result = result{Reason: ReasonMemory, Detail: clip(err.Error())}
	default:
		a = failed(nil, err)
	}
	if e.Logs {
		a.logs = e.log.buf
	}
	return a
}

// execute compiles and runs the module. A panic of the engine is a trap of the module that caused it.
func (e *engine) execute(ctx context.Context, module []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("engine: %v", p)
		}
	}()
	e.mem = &guestMemory{limit: uint64(e.MemoryBytes) / pageBytes * pageBytes}
	ctx = experimental.WithCompilationWorkers(experimental.WithMemoryAllocator(ctx, e.mem), workerCores)
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().
		WithCoreFeatures(api.CoreFeaturesV2).WithDebugInfoEnabled(false))
	wasi, err := wasi_snapshot_preview1.NewBuilder(r).Compile(ctx)
	if err != nil {
		return err
	}
	if _, err := r.InstantiateModule(ctx, wasi, wazero.NewModuleConfig()); err != nil {
		return err
	}
	compiled, err := admit(ctx, r, wasi, module)
	if err != nil {
		return err
	}
	m, err := r.InstantiateModule(ctx, compiled, e.config())
	if err != nil {
		return err
	}
	return m.Close(ctx)
}

// admit compiles a module that is a WASI command and imports nothing but WASI preview 1.
func admit(ctx context.Context, r wazero.Runtime, wasi wazero.CompiledModule, module []byte) (wazero.CompiledModule, error) {
	c, err := r.CompileModule(ctx, module)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errModule, err)
	}
	known := wasi.ExportedFunctions()
	for _, f := range c.ImportedFunctions() {
		from, name, _ := f.Import()
		def, ok := known[name]
		if from != wasi_snapshot_preview1.ModuleName || !ok {
			return nil, fmt.Errorf("%w: unknown import %q %q", errModule, from, name)
		}
		if !slices.Equal(f.ParamTypes(), def.ParamTypes()) || !slices.Equal(f.ResultTypes(), def.ResultTypes()) {
			return nil, fmt.Errorf("%w: import %q has another signature", errModule, name)
		}
	}
	if len(c.ImportedMemories()) != 0 {
		return nil, fmt.Errorf("%w: imports a memory", errModule)
	}
	start, ok := c.ExportedFunctions()[startFunction]
	if !ok || len(start.ParamTypes())+len(start.ResultTypes()) != 0 {
		return nil, fmt.Errorf("%w: no %s function", errModule, startFunction)
	}
	return c, nil
}

// config gives the module its whole world: two directories, a fake clock, a seeded random source, its parameters.
func (e *engine) config() wazero.ModuleConfig {
	var log io.Writer = io.Discard
	if e.Logs {
		log = e.log
	}
	fs := wazero.NewFSConfig().(sysfs.FSConfig).WithSysFSMount(e.data.mount(), "/data")
	fs = fs.(sysfs.FSConfig).WithSysFSMount(e.out, "/out")
	clock := &fakeClock{}
	c := wazero.NewModuleConfig().WithName("").WithStartFunctions(startFunction).WithArgs("guest").
		WithFSConfig(fs).WithStdout(log).WithStderr(log).WithRandSource(rand.NewChaCha8([32]byte(e.Seed))).
		WithWalltime(clock.walltime, clockStep).WithNanotime(clock.nanotime, clockStep).WithNanosleep(clock.sleep)
	for _, k := range slices.Sorted(maps.Keys(e.Params)) {
		c = c.WithEnv(k, e.Params[k])
	}
	return c
}

// fakeClock is time without information: it starts at a fixed point and moves by one step with each reading and by the
// time asked for with each sleep, which returns at once.
type fakeClock struct{ nanos int64 }

func (c *fakeClock) nanotime() int64 {
	c.nanos += clockStep
	return c.nanos
}

func (c *fakeClock) walltime() (sec int64, nsec int32) {
	n := c.nanotime()
	return clockEpoch + n/1e9, int32(n % 1e9)
}

func (c *fakeClock) sleep(ns int64) { c.nanos += max(ns, 0) }
