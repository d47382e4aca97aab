// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
	"github.com/glovebox-dev/glovebox/enclave/wasm"
)

// budget is more fuel than any kernel uses, and exact in every language.
const budget = 1 << 50

// run is one run of a kernel, from making the instance to its end.
type run struct {
	Nanos  int64  `json:"nanos"` // of processor time
	Fuel   int64  `json:"fuel"`  // used, 0 if it was not counted
	Output string `json:"output"`
}

// program is a kernel made ready by an engine.
type program interface {
	run(ctx context.Context) (run, error)
	close()
}

// cpuTime is what the thread has used of its processor. The caller holds on to its thread. Waiting for a processor that runs
// something else does not count, so a busy machine disturbs less.
func cpuTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic("bench: no clock of the thread: " + err.Error())
	}
	return time.Duration(t.Nano())
}

// allTime is what all threads of the process have used, for work that spreads.
func allTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic("bench: no resource usage: " + err.Error())
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// native is an executable. Its time includes that of starting a process, about a millisecond.
type native struct{ path string }

func (n native) run(ctx context.Context) (run, error) {
	cmd := exec.CommandContext(ctx, n.path)
	out, err := cmd.Output()
	if err != nil {
		return run{}, err
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return run{used.Nanoseconds(), 0, string(out)}, nil
}

func (native) close() {}

// wazeroProgram is a module in wazero as it comes, original or rewritten.
type wazeroProgram struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
}

// hostKey finds the host of a guest in the context of its calls.
type hostKey struct{}

func newWazero(ctx context.Context, module []byte) (program, time.Duration, error) {
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2).WithDebugInfoEnabled(false))
	start := allTime()
	c, err := r.CompileModule(ctx, module)
	took := allTime() - start
	if err != nil {
		return nil, 0, err
	}
	hosts := map[string]wazero.HostModuleBuilder{}
	for _, f := range c.ImportedFunctions() {
		from, name, _ := f.Import()
		if hosts[from] == nil {
			hosts[from] = r.NewHostModuleBuilder(from)
		}
		results := len(f.ResultTypes())
		hosts[from].NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
			all, _ := m.Memory().Read(0, m.Memory().Size())
			v, err := ctx.Value(hostKey{}).(*host).call(from, name, all, stack)
			if err != nil {
				panic(err)
			}
			if results > 0 {
				stack[0] = v
			}
		}), f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	for _, b := range hosts {
		if _, err := b.Instantiate(ctx); err != nil {
			return nil, 0, err
		}
	}
	return &wazeroProgram{r, c}, took, nil
}

func (w *wazeroProgram) run(ctx context.Context) (run, error) {
	h := newHost()
	ctx = context.WithValue(ctx, hostKey{}, h)
	start := cpuTime()
	m, err := w.runtime.InstantiateModule(ctx, w.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return run{}, err
	}
	defer m.Close(ctx)
	counter, counted := m.ExportedGlobal(fuel.GlobalExport).(api.MutableGlobal)
	if counted {
		counter.Set(budget)
	}
	if _, err := m.ExportedFunction("_start").Call(ctx); err != nil && !errors.Is(err, errExit) {
		return run{}, err
	}
	r := run{Nanos: (cpuTime() - start).Nanoseconds(), Output: string(h.out)}
	if counted {
		r.Fuel = budget - int64(counter.Get())
	}
	return r, nil
}

func (w *wazeroProgram) close() { _ = w.runtime.Close(context.Background()) }

// engineProgram is a module in Glovebox's own engine, where host calls cost fuel too.
type engineProgram struct{ module *wasm.Module }

func newEngine(ctx context.Context, module []byte) (program, time.Duration, error) {
	start := allTime()
	m, err := wasm.Compile(ctx, module)
	return engineProgram{m}, allTime() - start, err
}

func (e engineProgram) run(ctx context.Context) (run, error) {
	var out bytes.Buffer
	start := cpuTime()
	i, err := e.module.Instantiate(ctx, wasm.Config{MemoryBytes: 1 << 30, Fuel: budget, Log: &out})
	if err != nil {
		return run{}, err
	}
	defer i.Close()
	if err := i.Run(ctx); err != nil {
		return run{}, err
	}
	return run{(cpuTime() - start).Nanoseconds(), i.Used(), out.String()}, nil
}

func (e engineProgram) close() { _ = e.module.Close() }

// admit rewrites a module that may import whatever it imports.
func admit(ctx context.Context, module []byte) (*fuel.Admitted, error) {
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer r.Close(ctx)
	c, err := r.CompileModule(ctx, module)
	if err != nil {
		return nil, err
	}
	imports := fuel.Imports{}
	for _, f := range c.ImportedFunctions() {
		from, name, _ := f.Import()
		imports[[2]string{from, name}] = fuel.Signature{Params: f.ParamTypes(), Results: f.ResultTypes()}
	}
	return fuel.Admit(module, imports)
}

//go:embed node.mjs
var nodeScript []byte

// inNode runs two modules in V8, taking turns. The first entry is the original's.
func inNode(ctx context.Context, dir string, rounds int, original, rewritten string) ([2]struct {
	Compile time.Duration `json:"compile"`
	Runs    []run         `json:"runs"`
}, error,
) {
	var all [2]struct {
		Compile time.Duration `json:"compile"`
		Runs    []run         `json:"runs"`
	}
	script := dir + "/node.mjs"
	if err := os.WriteFile(script, nodeScript, 0o600); err != nil {
		return all, err
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, "node", script, strconv.Itoa(rounds), strconv.Itoa(budget), original, rewritten)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return all, fmt.Errorf("node: %w: %s", err, stderr.String())
	}
	return all, json.Unmarshal(out, &all)
}
