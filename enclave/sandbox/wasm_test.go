// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"slices"
)

// wasmModule is a module in the making: enough of the binary format to write small hostile guests by hand.
type wasmModule struct {
	imports []wasmImport
	memory  []uint64 // initial and, if there is one, maximum pages
	table   bool     // an empty table without a maximum
	code    []byte   // body of _start, after the locals, without the final end
	locals  []byte   // value types
	data    []byte   // at address 0
	export  string   // name of the function; "_start" if empty
	start   bool     // it is the start section's too
}

// wasmImport is a function import with i32 parameters and one i32 result.
type wasmImport struct {
	module, name string
	params       int
}

func leb(v uint64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		if v >>= 7; v == 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

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

func vec(b []byte) []byte     { return append(leb(uint64(len(b))), b...) }
func name(s string) []byte    { return vec([]byte(s)) }
func i32const(v int32) []byte { return append([]byte{0x41}, sleb(int64(v))...) }
func callFn(i int) []byte     { return append([]byte{0x10}, leb(uint64(i))...) }
func section(id byte, items ...[]byte) []byte {
	return append([]byte{id}, vec(append(leb(uint64(len(items))), slices.Concat(items...)...))...)
}

// bytes encodes the module.
func (m wasmModule) bytes() []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	types := [][]byte{{0x60, 0, 0}} // the type of _start, then one for each import
	var imports [][]byte
	for _, i := range m.imports {
		params := slices.Repeat([]byte{0x7f}, i.params)
		types = append(types, slices.Concat([]byte{0x60}, vec(params), []byte{1, 0x7f}))
		imports = append(imports, slices.Concat(name(i.module), name(i.name), []byte{0}, leb(uint64(len(types)-1))))
	}
	b = append(b, section(1, types...)...)
	b = append(b, section(2, imports...)...)
	b = append(b, section(3, []byte{0})...)
	if m.table {
		b = append(b, section(4, []byte{0x70, 0, 0})...)
	}
	exportName := m.export
	if exportName == "" {
		exportName = "_start"
	}
	exports := [][]byte{append(name(exportName), append([]byte{0}, leb(uint64(len(imports)))...)...)}
	if m.memory != nil {
		limits := append([]byte{byte(len(m.memory) - 1)}, leb(m.memory[0])...)
		if len(m.memory) > 1 {
			limits = append(limits, leb(m.memory[1])...)
		}
		b = append(b, section(5, limits)...)
		exports = append(exports, append(name("memory"), 2, 0))
	}
	b = append(b, section(7, exports...)...)
	if m.start {
		b = append(b, 8, 1, byte(len(imports)))
	}
	var locals []byte
	for _, l := range m.locals {
		locals = append(locals, 1, l)
	}
	body := slices.Concat(leb(uint64(len(m.locals))), locals, m.code, []byte{0x0b})
	b = append(b, section(10, vec(body))...)
	if m.data != nil {
		b = append(b, section(11, slices.Concat([]byte{0}, i32const(0), []byte{0x0b}, vec(m.data)))...)
	}
	return b
}

var (
	opUnreachable = []byte{0x00}
	opForEver     = []byte{0x03, 0x40, 0x0c, 0x00, 0x0b} // loop br 0 end
	opDrop        = []byte{0x1a}
)
