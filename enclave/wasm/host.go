// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// hostModule is the module that guests import beside WASI.
const hostModule = "glovebox"

var (
	errBounds = errors.New("pointer or length outside of the memory")
	errAlign  = errors.New("pointer to numbers is not a multiple of 4")
	errNoData = errors.New("data ended early")
)

// hostBuilder compiles one module of functions that guests may import.
type hostBuilder func(context.Context, wazero.Runtime) (string, wazero.CompiledModule, error)

// jobModules are what a job and a guest of record/1 may import.
func jobModules() []hostBuilder { return []hostBuilder{wasiModule, gloveboxModule} }

// hostModules instantiates everything a guest may import and lists it.
func hostModules(ctx context.Context, r wazero.Runtime, builders []hostBuilder) (fuel.Imports, error) {
	imports := fuel.Imports{}
	list := func(module string, c wazero.CompiledModule) {
		for name, f := range c.ExportedFunctions() {
			imports[[2]string{module, name}] = fuel.Signature{Params: f.ParamTypes(), Results: f.ResultTypes()}
		}
	}
	for _, b := range builders {
		name, c, err := b(ctx, r)
		if err != nil {
			return nil, err
		}
		list(name, c)
		if _, err := r.InstantiateModule(ctx, c, wazero.NewModuleConfig().WithName(name)); err != nil {
			return nil, err
		}
	}
	return imports, nil
}

// gloveboxModule compiles the functions of glovebox. Any pointer or length outside of the guest's memory is a trap.
func gloveboxModule(ctx context.Context, r wazero.Runtime) (string, wazero.CompiledModule, error) {
	const (
		i32 = api.ValueTypeI32
		i64 = api.ValueTypeI64
		f32 = api.ValueTypeF32
	)
	type types = []api.ValueType
	b := r.NewHostModuleBuilder(hostModule)
	for _, f := range []struct {
		name            string
		params, results types
		run             func(call)
	}{
		{"open", types{i32, i32}, types{i32}, thawed(open)},
		{"size", types{i32}, types{i64}, thawed(size)},
		{"read", types{i32, i64, i32, i32}, types{i32}, thawed(read)},
		{"sgemm", types{i32, i32, i32, i32, i32, f32, i32, i32, i32, i32, f32, i32, i32}, nil, sgemm},
		{"sgemv", types{i32, i32, i32, f32, i32, i32, i32, i32, f32, i32, i32}, nil, sgemv},
		{"saxpy", types{i32, f32, i32, i32, i32, i32}, nil, saxpy},
		{"sexp", types{i32, i32, i32}, nil, sexp},
	} {
		run := f.run
		b = b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
			run(newCall(ctx, m, stack))
		}), f.params, f.results).Export(f.name)
	}
	c, err := b.Compile(ctx)
	return hostModule, c, err
}

// call is one call of a host function: whose, its memory, its arguments and then its result.
type call struct {
	*Instance
	ctx   context.Context
	guest api.Module
	mem   api.Memory // nil if the module has none
	stack []uint64
}

func newCall(ctx context.Context, guest api.Module, stack []uint64) call {
	c := call{ctx.Value(instanceKey{}).(*Instance), ctx, guest, nil, stack}
	if c.memory.all != nil { // else the engine's answer is a nil in an interface
		c.mem = guest.Memory()
	}
	return c
}

func (c call) int(arg int) int       { return int(int32(c.stack[arg])) }
func (c call) u32(arg int) uint32    { return uint32(c.stack[arg]) }
func (c call) float(arg int) float32 { return api.DecodeF32(c.stack[arg]) }

// bytes is a part of the guest's memory, which the host reads and writes in place.
func (c call) bytes(ptr, length uint32) []byte {
	if c.mem == nil {
		panic(errBounds)
	}
	b, ok := c.mem.Read(ptr, length)
	if !ok {
		panic(errBounds)
	}
	return b
}

// floats are the numbers from the pointer that is the given argument to the end of the memory.
func (c call) floats(arg int) []float32 {
	ptr := c.u32(arg)
	if ptr%4 != 0 {
		panic(errAlign)
	}
	if c.mem == nil || uint64(ptr) > c.memory.size {
		panic(errBounds)
	}
	b := c.memory.all[ptr:c.memory.size]
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/4)
}

// thawed is a function that is there until there is a snapshot.
func thawed(run func(call)) func(call) {
	return func(c call) {
		if c.frozen {
			panic(errFrozen)
		}
		run(c)
	}
}

// open gives the index of a file, or -1.
func open(c call) {
	length := c.u32(1)
	name := c.bytes(c.u32(0), length)
	c.stack[0] = api.EncodeI32(-1)
	if length > maxNameBytes || c.config.Files == nil {
		return
	}
	c.spend(fuel.Bytes(uint64(length)))
	if index, size, ok := c.config.Files.Lookup(string(name)); ok {
		c.opened[int32(index)] = size
		c.stack[0] = api.EncodeI32(int32(index))
	}
}

// size gives the bytes of an open file, or -1.
func size(c call) {
	size, ok := c.opened[int32(c.int(0))]
	if !ok {
		size = -1
	}
	c.stack[0] = api.EncodeI64(size)
}

// read fills a part of the memory from a file and gives how much: less than asked only at the end of the file.
func read(c call) {
	file := c.int(0)
	size, ok := c.opened[int32(file)]
	off, p := int64(c.stack[1]), c.bytes(c.u32(2), c.u32(3))
	if !ok || off < 0 {
		panic(fmt.Errorf("read of file %d at %d", file, off))
	}
	p = p[:min(int64(len(p)), max(size-off, 0))]
	c.stack[0] = api.EncodeU32(uint32(len(p)))
	if len(p) == 0 {
		return
	}
	c.spend(fuel.Bytes(uint64(len(p))))
	n, err := c.config.Files.ReadAt(file, p, off)
	if err != nil {
		panic(fmt.Errorf("read: %w", err))
	}
	if n < len(p) {
		panic(errNoData)
	}
}
