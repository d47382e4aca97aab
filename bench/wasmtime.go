// SPDX-License-Identifier: Apache-2.0

//go:build cgo && !nowasmtime

package main

import (
	"context"
	"math"
	"time"

	"github.com/bytecodealliance/wasmtime-go/v25"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// wasmtimeVersion names the engine in the table.
const wasmtimeVersion = "wasmtime 25.0.0"

// wasmtimeProgram is a module in wasmtime with its default settings, original or rewritten.
type wasmtimeProgram struct {
	engine *wasmtime.Engine
	module *wasmtime.Module
}

func newWasmtime(_ context.Context, module []byte) (program, time.Duration, error) {
	e := wasmtime.NewEngine()
	start := allTime()
	m, err := wasmtime.NewModule(e, module)
	return wasmtimeProgram{e, m}, allTime() - start, err
}

func (w wasmtimeProgram) run(context.Context) (run, error) {
	h, exited := newHost(), false
	start := cpuTime()
	store := wasmtime.NewStore(w.engine)
	defer store.Close()
	linker := wasmtime.NewLinker(w.engine)
	linker.AllowShadowing(true) // a module may import a function twice
	for _, i := range w.module.Imports() {
		from, name, results := i.Module(), *i.Name(), len(i.Type().FuncType().Results())
		err := linker.FuncNew(from, name, i.Type().FuncType(), func(c *wasmtime.Caller, args []wasmtime.Val) ([]wasmtime.Val, *wasmtime.Trap) {
			v, err := h.call(from, name, c.GetExport("memory").Memory().UnsafeData(c), words(args))
			if err != nil {
				exited = err == errExit
				return nil, wasmtime.NewTrap(err.Error())
			}
			return []wasmtime.Val{wasmtime.ValI32(int32(v))}[:results], nil
		})
		if err != nil {
			return run{}, err
		}
	}
	m, err := linker.Instantiate(store, w.module)
	if err != nil {
		return run{}, err
	}
	counter := m.GetExport(store, fuel.GlobalExport)
	if counter != nil {
		if err := counter.Global().Set(store, wasmtime.ValI64(budget)); err != nil {
			return run{}, err
		}
	}
	if _, err := m.GetFunc(store, "_start").Call(store); err != nil && !exited {
		return run{}, err
	}
	r := run{Nanos: (cpuTime() - start).Nanoseconds(), Output: string(h.out)}
	if counter != nil {
		r.Fuel = budget - counter.Global().Get(store).I64()
	}
	return r, nil
}

func (wasmtimeProgram) close() {}

// words are arguments as the engine passes them between functions: numbers of 64 bits.
func words(args []wasmtime.Val) []uint64 {
	out := make([]uint64, len(args))
	for i, a := range args {
		switch a.Kind() {
		case wasmtime.KindI32:
			out[i] = uint64(uint32(a.I32()))
		case wasmtime.KindI64:
			out[i] = uint64(a.I64())
		case wasmtime.KindF32:
			out[i] = uint64(math.Float32bits(a.F32()))
		case wasmtime.KindF64:
			out[i] = math.Float64bits(a.F64())
		}
	}
	return out
}
