// SPDX-License-Identifier: Apache-2.0

package fuel_test

import (
	"encoding/binary"
	"slices"
)

// Value types and a few opcodes, for modules that tests write by hand.
const (
	i32 = 0x7f
	i64 = 0x7e
	f64 = 0x7c
)

// uleb and sleb are the binary format's numbers.
func uleb(v uint64) []byte { return binary.AppendUvarint(nil, v) }

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

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

// vec is a vector: its length and its items.
func vec(items ...[]byte) []byte { return cat(uleb(uint64(len(items))), cat(items...)) }

func str(s string) []byte { return cat(uleb(uint64(len(s))), []byte(s)) }

func sec(id byte, body []byte) []byte { return cat([]byte{id}, uleb(uint64(len(body))), body) }

func wasm(sections ...[]byte) []byte {
	return cat([]byte("\x00asm\x01\x00\x00\x00"), cat(sections...))
}

func types(t ...[]byte) []byte { return sec(1, vec(t...)) }

func typ(params, results []byte) []byte {
	return cat([]byte{0x60}, uleb(uint64(len(params))), params, uleb(uint64(len(results))), results)
}

func funcs(indices ...uint64) []byte {
	items := make([][]byte, len(indices))
	for i, n := range indices {
		items[i] = uleb(n)
	}
	return sec(3, vec(items...))
}

func export(name string, kind byte, index uint64) []byte {
	return cat(str(name), []byte{kind}, uleb(index))
}

// fn is a function's body without locals; end is added.
func fn(code ...[]byte) []byte { return fnLocals([]byte{0}, code...) }

func fnLocals(locals []byte, code ...[]byte) []byte {
	b := cat(locals, cat(code...), []byte{0x0b})
	return cat(uleb(uint64(len(b))), b)
}

// single is a module of one function of no parameters and these results, exported as "f", with a memory of one page,
// a table of two entries and a mutable global.
func single(results []byte, body []byte) []byte {
	return wasm(
		types(typ(nil, results)), funcs(0),
		sec(4, vec([]byte{0x70, 0, 2})), sec(5, vec([]byte{0, 1})),
		sec(6, vec([]byte{i32, 1, 0x41, 0, 0x0b})),
		sec(7, vec(export("f", 0, 0), export("memory", 2, 0))),
		sec(10, vec(body)),
	)
}
