// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"
)

// The engines of the first table. Each but native and the sandbox's runs the original and the rewritten module.
const (
	inNative         = "native"
	inSandbox        = "sandbox" // enclave/wasm, as jobs run
	inWazero         = "wazero"
	inWazeroFuel     = "wazero+fuel"
	inV8             = "v8"
	inV8Fuel         = "v8+fuel"
	inWasmtime       = "wasmtime"
	inWasmtimeFuel   = "wasmtime+fuel"
	longestRun       = time.Minute
	longestKernelRun = 3 * time.Minute
)

// result is what a kernel took.
type result struct {
	kernel  kernel
	best    map[string]time.Duration // the least of the rounds, by engine
	compile map[string]time.Duration
	fuel    map[string]int64
	skipped map[string]error // engines that did not run, and why
	err     error            // the whole row
}

// measure builds a kernel and runs it everywhere, engine after engine in every round, so that what else the machine does
// falls on all of them.
func measure(ctx context.Context, k kernel, dir string, rounds int) result {
	return measureIn(ctx, k, dir, rounds)
}

// measureIn is measure in some engines of this process; none named: in all, V8 too.
func measureIn(ctx context.Context, k kernel, dir string, rounds int, only ...string) result {
	ctx, cancel := context.WithTimeout(ctx, longestKernelRun)
	defer cancel()
	r := result{
		kernel: k, best: map[string]time.Duration{}, compile: map[string]time.Duration{}, fuel: map[string]int64{},
		skipped: map[string]error{},
	}
	b, err := k.build(ctx, dir)
	if err != nil {
		r.err = err
		return r
	}
	programs, names := r.load(ctx, b, only)
	defer func() {
		for _, p := range programs {
			p.close()
		}
	}()
	output := ""
	for range rounds {
		for _, name := range names {
			got, err := programs[name].run(ctx)
			if err != nil {
				r.err = fmt.Errorf("%s in %s: %w", k, name, err)
				return r
			}
			if output == "" {
				output = got.Output
			}
			r.add(name, got, output)
		}
	}
	if !k.blas && len(only) == 0 {
		r.node(ctx, dir, rounds, b, output)
	}
	return r
}

// load prepares a kernel in engines of this process.
func (r *result) load(ctx context.Context, b built, only []string) (map[string]program, []string) {
	programs, names := map[string]program{inNative: native{b.native}}, []string{inNative}
	for _, e := range []struct {
		name, path string
		prepare    func(context.Context, []byte) (program, time.Duration, error)
	}{
		{inWazero, b.original, newWazero},
		{inWazeroFuel, b.rewritten, newWazero},
		{inSandbox, b.original, newEngine},
		{inWasmtime, b.original, newWasmtime},
		{inWasmtimeFuel, b.rewritten, newWasmtime},
	} {
		if len(only) > 0 && !slices.Contains(only, e.name) {
			continue
		}
		module, err := os.ReadFile(e.path)
		if err != nil {
			r.skipped[e.name] = err
			continue
		}
		p, took, err := e.prepare(ctx, module)
		if err != nil {
			r.skipped[e.name] = err
			continue
		}
		programs[e.name], r.compile[e.name] = p, took
		names = append(names, e.name)
	}
	return programs, names
}

// add takes note of a run. Every engine must print the same, and use the same fuel each time.
func (r *result) add(engine string, got run, output string) {
	d := time.Duration(got.Nanos)
	if best, ok := r.best[engine]; !ok || d < best {
		r.best[engine] = d
	}
	if got.Output != output {
		r.err = fmt.Errorf("%s prints %q in %s, and %q elsewhere", r.kernel, got.Output, engine, output)
	}
	if was, ok := r.fuel[engine]; ok && was != got.Fuel {
		r.err = fmt.Errorf("%s uses %d units in %s, and then %d", r.kernel, was, engine, got.Fuel)
	}
	r.fuel[engine] = got.Fuel
}

func (r *result) node(ctx context.Context, dir string, rounds int, b built, output string) {
	if _, err := exec.LookPath("node"); err != nil {
		r.skipped[inV8] = err
		return
	}
	both, err := inNode(ctx, dir, rounds, b.original, b.rewritten)
	if err != nil {
		r.skipped[inV8] = err
		return
	}
	for i, name := range []string{inV8, inV8Fuel} {
		r.compile[name] = both[i].Compile
		for _, got := range both[i].Runs {
			r.add(name, got, output)
		}
	}
}

// counts are the different numbers of units that engines without charges of their own counted, and how many engines.
func (r *result) counts() (units []int64, engines int) {
	for _, name := range []string{inWazeroFuel, inV8Fuel, inWasmtimeFuel} {
		if n, ok := r.fuel[name]; ok {
			engines++
			if !slices.Contains(units, n) {
				units = append(units, n)
			}
		}
	}
	return units, engines
}
