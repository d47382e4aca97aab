// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// Error numbers of WASI preview 1 that this package gives itself.
const (
	wasiSuccess     = 0
	wasiBadf        = 8
	wasiFault       = 21
	wasiInval       = 28
	wasiMfile       = 33
	wasiNameTooLong = 37
)

// errFrozen ends a guest that asks for state which a restore would not put back.
var errFrozen = errors.New("not available after a snapshot")

// rule is what stands between a guest and the engine's implementation of one WASI function.
type rule struct {
	flat  int64  // units, beside those for bytes
	iovs  int    // argument that points to buffers, followed by their number; 0 if there are none
	sizes []int  // arguments that are lengths of buffers
	paths []int  // arguments that are lengths of paths
	scale uint64 // of the bytes: how many times slower than moving memory
	// run takes the place of the engine's implementation, which it may call.
	run func(c call, e engine)
	// always says that the function is there after a snapshot: it changes nothing, or nothing that a restore leaves.
	always bool
}

// flatPath and eachOfPath are for looking up a name, which is cleaned byte by byte; flatList is for listing a directory, which may
// have a thousand files.
const (
	flatPath   = 16 << 10
	eachOfPath = 32
	flatList   = 1 << 20
)

// rules are those of the functions that need one: all that move bytes, all whose arguments make the host allocate. The others
// cost what every import costs.
var rules = map[string]rule{
	"args_get":            {always: true},
	"args_sizes_get":      {always: true},
	"environ_get":         {always: true, run: environ},
	"environ_sizes_get":   {always: true},
	"clock_res_get":       {always: true},
	"clock_time_get":      {always: true},
	"random_get":          {always: true, sizes: []int{1}, scale: 8},
	"sched_yield":         {always: true},
	"proc_exit":           {always: true},
	"poll_oneoff":         {always: true, run: poll},
	"fd_write":            {always: true, iovs: 1, run: write},
	"fd_pwrite":           {iovs: 1},
	"fd_read":             {iovs: 1},
	"fd_pread":            {iovs: 1},
	"fd_readdir":          {sizes: []int{2}, scale: 1, flat: flatList},
	"fd_renumber":         {run: renumber},
	"fd_prestat_dir_name": {sizes: []int{2}, scale: 1},

	"path_open":               {paths: []int{3}, flat: flatPath, run: openPath},
	"path_create_directory":   {paths: []int{2}, flat: flatPath},
	"path_filestat_get":       {paths: []int{3}, flat: flatPath},
	"path_filestat_set_times": {paths: []int{3}, flat: flatPath},
	"path_link":               {paths: []int{3, 6}, flat: flatPath},
	"path_readlink":           {paths: []int{2}, flat: flatPath},
	"path_remove_directory":   {paths: []int{2}, flat: flatPath},
	"path_rename":             {paths: []int{2, 5}, flat: flatPath},
	"path_symlink":            {paths: []int{1, 4}, flat: flatPath},
	"path_unlink_file":        {paths: []int{2}, flat: flatPath},
}

// wasiModule compiles WASI preview 1: the engine's implementation behind the rules.
func wasiModule(ctx context.Context, r wazero.Runtime) (string, wazero.CompiledModule, error) {
	const name = wasi_snapshot_preview1.ModuleName
	theirs, err := wasi_snapshot_preview1.NewBuilder(r).Compile(ctx)
	if err != nil {
		return name, nil, err
	}
	defer theirs.Close(ctx)
	b, e := r.NewHostModuleBuilder(name), engine{}
	for export, def := range theirs.ExportedFunctions() {
		f, ok := def.GoFunction().(api.GoModuleFunction)
		if !ok {
			return name, nil, fmt.Errorf("engine's %s is of another kind", export)
		}
		e[export] = f
		rule := rules[export]
		b = b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
			rule.apply(newCall(ctx, m, stack), export, e)
		}), def.ParamTypes(), def.ResultTypes()).Export(export)
	}
	c, err := b.Compile(ctx)
	return name, c, err
}

// engine is the engine's implementation of WASI.
type engine map[string]api.GoModuleFunction

func (e engine) call(name string, c call) { e[name].Call(c.ctx, c.guest, c.stack) }

// apply charges for a call, refuses what would make the host allocate without bound, and has the engine do the rest.
func (r *rule) apply(c call, name string, e engine) {
	switch {
	case c.frozen && !r.always:
		panic(errFrozen)
	case c.mem == nil && name != "proc_exit": // the engine takes a memory for granted
		panic(errBounds)
	}
	c.spend(r.flat)
	if r.iovs > 0 {
		c.spendBuffers(c.u32(r.iovs), c.u32(r.iovs+1))
	}
	for _, arg := range r.sizes {
		c.spend(fuel.Bytes(r.scale * uint64(min(c.u32(arg), c.mem.Size()))))
	}
	for _, arg := range r.paths {
		if c.u32(arg) > maxPathBytes {
			c.stack[0] = wasiNameTooLong
			return
		}
		c.spend(int64(c.u32(arg)) * eachOfPath)
	}
	if r.run != nil {
		r.run(c, e)
		return
	}
	e.call(name, c)
}

// flatBuffer is for one of a list of buffers.
const flatBuffer = 256

// spendBuffers charges for a list of buffers and for what they hold, however much of it will be used.
func (c call) spendBuffers(ptr, count uint32) {
	list, ok := c.buffers(ptr, count)
	if !ok {
		return // a fault, which the engine finds too
	}
	c.spend(int64(count) * flatBuffer)
	limit := c.mem.Size()
	total := uint64(0) // at most 2^29 buffers of less than 2^32 bytes
	for ; len(list) > 0; list = list[8:] {
		total += uint64(min(binary.LittleEndian.Uint32(list[4:]), limit))
	}
	c.spend(fuel.Bytes(total))
}

// buffers is a list of buffers in the guest's memory: pointers and lengths.
func (c call) buffers(ptr, count uint32) ([]byte, bool) {
	if count > math.MaxUint32/8 {
		return nil, false
	}
	return c.mem.Read(ptr, count*8)
}

// environ charges for the environment.
func environ(c call, e engine) {
	c.spend(fuel.Bytes(c.env))
	e.call("environ_get", c)
}

// poll bounds the number of events. After a snapshot only clocks can be waited for.
func poll(c call, e engine) {
	in, n := c.u32(0), c.u32(2)
	if n > maxEvents {
		c.stack[0] = wasiInval
		return
	}
	c.spend(int64(n) * flatEvent)
	if c.frozen {
		for i := range uint64(n) {
			kind, ok := c.mem.ReadByte(uint32(min(uint64(in)+i*48+8, math.MaxUint32)))
			if ok && kind != 0 {
				panic(errFrozen)
			}
		}
	}
	e.call("poll_oneoff", c)
}

// flatEvent is for one event of poll_oneoff.
const flatEvent = 512

// renumber bounds the table of descriptors, which the engine makes as long as its largest number.
func renumber(c call, e engine) {
	if c.int(1) >= maxDescriptors {
		c.stack[0] = wasiBadf
		return
	}
	e.call("fd_renumber", c)
}

// openPath bounds the number of open files.
func openPath(c call, e engine) {
	result := c.u32(8)
	e.call("path_open", c)
	if c.stack[0] != wasiSuccess {
		return
	}
	if fd, ok := c.mem.ReadUint32Le(result); !ok || fd >= maxDescriptors {
		c.stack[0] = uint64(fd)
		e.call("fd_close", c)
		c.stack[0] = wasiMfile
	}
}

// write is the engine's until there is a snapshot. After it stdout and stderr lead straight to the log, whatever the guest
// made of its descriptors before.
func write(c call, e engine) {
	if !c.frozen {
		e.call("fd_write", c)
		return
	}
	if fd := c.u32(0); fd != 1 && fd != 2 {
		panic(errFrozen)
	}
	list, ok := c.buffers(c.u32(1), c.u32(2))
	total := uint32(0)
	for ; ok && len(list) > 0; list = list[8:] {
		var p []byte
		if p, ok = c.mem.Read(binary.LittleEndian.Uint32(list), binary.LittleEndian.Uint32(list[4:])); ok {
			_, _ = c.config.Log.Write(p)
			total += uint32(len(p))
		}
	}
	if !ok || !c.mem.WriteUint32Le(c.u32(3), total) {
		c.stack[0] = wasiFault
		return
	}
	c.stack[0] = wasiSuccess
}
