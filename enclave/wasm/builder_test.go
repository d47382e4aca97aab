// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// module is a module in the making: enough of the binary format to write hostile guests by hand.
type module struct {
	imports []imported
	funcs   []function
	memory  []uint64 // initial and, if there is one, maximum pages
	table   []uint64 // as memory, of functions
	elems   []uint64 // functions in the table from 0
	globals []int64  // mutable, i64
	data    []byte   // active, at address 0
	passive []byte   // a passive segment, after data
	start   int      // function index + 1
}

type imported struct {
	module, name    string
	params, results []byte
}

type function struct {
	export          string // none if empty
	params, results []byte
	locals          []byte
	code            []byte // without the final end
}

const (
	i32 byte = 0x7f
	i64 byte = 0x7e
	f32 byte = 0x7d
	f64 byte = 0x7c
)

func leb(v uint64) []byte { return binary.AppendUvarint(nil, v) }

func sleb(v int64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func sized(b []byte) []byte       { return append(leb(uint64(len(b))), b...) }
func named(s string) []byte       { return sized([]byte(s)) }
func con32(v int64) []byte        { return append([]byte{0x41}, sleb(int64(int32(v)))...) }
func con64(v int64) []byte        { return append([]byte{0x42}, sleb(v)...) }
func callTo(i int) []byte         { return append([]byte{0x10}, leb(uint64(i))...) }
func op(b ...byte) []byte         { return b }
func code(parts ...[]byte) []byte { return slices.Concat(parts...) }
func globalGet(i int) []byte      { return append([]byte{0x23}, leb(uint64(i))...) }
func globalSet(i int) []byte      { return append([]byte{0x24}, leb(uint64(i))...) }
func localGet(i int) []byte       { return append([]byte{0x20}, leb(uint64(i))...) }
func localSet(i int) []byte       { return append([]byte{0x21}, leb(uint64(i))...) }
func forever(body ...[]byte) []byte { // loop body br 0 end
	return code(op(0x03, 0x40), code(body...), op(0x0c, 0x00, 0x0b))
}

func vector(items [][]byte) []byte {
	return append(leb(uint64(len(items))), slices.Concat(items...)...)
}

func section(id byte, items [][]byte) []byte {
	if len(items) == 0 {
		return nil
	}
	return append([]byte{id}, sized(vector(items))...)
}

func limits(l []uint64) []byte {
	b := append([]byte{byte(len(l) - 1)}, leb(l[0])...)
	if len(l) > 1 {
		b = append(b, leb(l[1])...)
	}
	return b
}

var (
	unreachable = op(0x00)
	drop        = op(0x1a)
	memorySize  = op(0x3f, 0)
	memoryGrow  = op(0x40, 0)
	memoryFill  = op(0xfc, 11, 0)
	load32      = op(0x28, 2, 0)
	store32     = op(0x36, 2, 0)
	load64      = op(0x29, 3, 0)
	store64     = op(0x37, 3, 0)
)

// bytes encodes the module. Memory and globals are exported too.
func (m module) bytes() []byte {
	var types, imports, funcs, exports, bodies [][]byte
	typeOf := func(params, results []byte) []byte {
		t := code(op(0x60), sized(params), sized(results))
		at := slices.IndexFunc(types, func(u []byte) bool { return bytes.Equal(t, u) })
		if at < 0 {
			at, types = len(types), append(types, t)
		}
		return leb(uint64(at))
	}
	for _, i := range m.imports {
		imports = append(imports, code(named(i.module), named(i.name), op(0), typeOf(i.params, i.results)))
	}
	for n, f := range m.funcs {
		funcs = append(funcs, typeOf(f.params, f.results))
		if f.export != "" {
			exports = append(exports, code(named(f.export), op(0), leb(uint64(len(imports)+n))))
		}
		var locals [][]byte
		for _, l := range f.locals {
			locals = append(locals, op(1, l))
		}
		bodies = append(bodies, sized(code(vector(locals), f.code, op(0x0b))))
	}
	b := code([]byte("\x00asm\x01\x00\x00\x00"), section(1, types), section(2, imports), section(3, funcs))
	if m.table != nil {
		b = append(b, section(4, [][]byte{code(op(0x70), limits(m.table))})...)
	}
	if m.memory != nil {
		b = append(b, section(5, [][]byte{limits(m.memory)})...)
		exports = append(exports, code(named("memory"), op(2, 0)))
	}
	var globals [][]byte
	for _, g := range m.globals {
		globals = append(globals, code(op(i64, 1), con64(g), op(0x0b)))
	}
	b = append(b, code(section(6, globals), section(7, exports))...)
	if m.start > 0 {
		b = append(b, append([]byte{8}, sized(leb(uint64(m.start-1)))...)...)
	}
	if m.elems != nil {
		var elems [][]byte
		for _, e := range m.elems {
			elems = append(elems, leb(e))
		}
		b = append(b, section(9, [][]byte{code(op(0), con32(0), op(0x0b), vector(elems))})...)
	}
	var data [][]byte
	if m.data != nil {
		data = append(data, code(op(0), con32(0), op(0x0b), sized(m.data)))
	}
	if m.passive != nil {
		data = append(data, code(op(1), sized(m.passive)))
		b = append(b, append([]byte{12}, sized(leb(uint64(len(data))))...)...)
	}
	return append(b, code(section(10, bodies), section(11, data))...)
}

// command is a module whose _start is the given code, with one page of memory.
func command(c ...[]byte) module {
	return module{memory: []uint64{1}, funcs: []function{{export: "_start", code: code(c...)}}}
}

// compile admits and compiles what must be admitted.
func compile(t testing.TB, b []byte) *Module {
	t.Helper()
	m, err := Compile(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// enough is a configuration for guests that have no special needs.
func enough() Config { return Config{MemoryBytes: 64 << 20, Fuel: 1e8} }

func instantiate(t testing.TB, m *Module, c Config) *Instance {
	t.Helper()
	i, err := m.Instantiate(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Close() })
	return i
}

// run runs a command and gives the instance and its end.
func run(t testing.TB, b []byte, c Config) (*Instance, error) {
	t.Helper()
	i := instantiate(t, compile(t, b), c)
	return i, i.Run(t.Context())
}
