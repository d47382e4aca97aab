// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"encoding/binary"
	"slices"
)

// Guests by hand, in the binary format: name and result types are WebAssembly's.
const (
	typeI32 = 0x7f
	typeI64 = 0x7e
)

// hostFunc is an imported function with one i32 as its result.
type hostFunc struct {
	module, name string
	params       []byte
}

func leb(v int) []byte { return binary.AppendUvarint(nil, uint64(v)) }

func lebString(b string) []byte { return append(leb(len(b)), b...) }

// i32 is i32.const.
func i32(v int) []byte {
	b := []byte{0x41}
	for ; v >= 0x40; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func call(i int) []byte { return append([]byte{0x10}, leb(i)...) }

func section(id byte, items ...[]byte) []byte {
	body := append(leb(len(items)), slices.Concat(items...)...)
	return append(append([]byte{id}, leb(len(body))...), body...)
}

// command is a WASI command: imports, 16 MiB of memory that begins with data, and _start with locals and code.
func command(imports []hostFunc, locals []byte, data []byte, code ...[]byte) []byte {
	types, imported := [][]byte{{0x60, 0, 0}}, [][]byte{}
	for i, f := range imports {
		types = append(types, slices.Concat([]byte{0x60}, lebString(string(f.params)), []byte{1, typeI32}))
		imported = append(imported, slices.Concat(lebString(f.module), lebString(f.name), []byte{0}, leb(i+1)))
	}
	var declared []byte
	for _, l := range locals {
		declared = append(declared, 1, l)
	}
	body := slices.Concat(leb(len(locals)), declared, slices.Concat(code...), []byte{0x0b})
	return slices.Concat(
		[]byte("\x00asm\x01\x00\x00\x00"),
		section(1, types...), section(2, imported...), section(3, []byte{0}), section(5, append([]byte{0}, leb(256)...)),
		section(7, append(lebString("_start"), append([]byte{0}, leb(len(imports))...)...), append(lebString("memory"), 2, 0)),
		section(10, append(leb(len(body)), body...)),
		section(11, slices.Concat([]byte{0}, i32(0), []byte{0x0b}, lebString(string(data)))),
	)
}

// at is where guests put what they read.
const at = 1 << 16

// fdReader is a guest that reads /data/name to its end by WASI's fd_read, piece bytes at a time.
func fdReader(name string, piece int) []byte {
	const wasi = "wasi_snapshot_preview1"
	data := make([]byte, 64, 64+len(name)) // the iovec at 0, the descriptor at 16, the count at 20, the name at 64
	binary.LittleEndian.PutUint32(data[0:], at)
	binary.LittleEndian.PutUint32(data[4:], uint32(piece))
	return command([]hostFunc{
		{wasi, "path_open", []byte{typeI32, typeI32, typeI32, typeI32, typeI32, typeI64, typeI64, typeI32, typeI32}},
		{wasi, "fd_read", []byte{typeI32, typeI32, typeI32, typeI32}},
	}, nil, append(data, name...),
		i32(3), i32(0), i32(64), i32(len(name)), i32(0), []byte{0x42, 0x02, 0x42, 0x02}, i32(0), i32(16), call(0),
		[]byte{0x04, 0x40, 0x00, 0x0b}, // if it failed: unreachable
		[]byte{0x03, 0x40},             // loop
		i32(16), []byte{0x28, 2, 0}, i32(0), i32(1), i32(20), call(1), []byte{0x04, 0x40, 0x00, 0x0b},
		i32(20), []byte{0x28, 2, 0, 0x0d, 0, 0x0b}, // until the count is 0
	)
}

// hostReader is a guest that reads the file name below /data to its end by the host call glovebox.read.
func hostReader(name string, piece int) []byte {
	return command([]hostFunc{
		{"glovebox", "open", []byte{typeI32, typeI32}},
		{"glovebox", "read", []byte{typeI32, typeI64, typeI32, typeI32}},
	}, []byte{typeI32, typeI32, typeI64}, []byte(name), // file, count, offset
		i32(0), i32(len(name)), call(0), []byte{0x21, 0},
		[]byte{0x03, 0x40},                                     // loop
		[]byte{0x20, 0, 0x20, 2}, i32(at), i32(piece), call(1), // read(file, offset, at, piece)
		[]byte{0x22, 1, 0xad, 0x20, 2, 0x7c, 0x21, 2}, // count, offset += count
		[]byte{0x20, 1, 0x0d, 0, 0x0b},                // until the count is 0
	)
}
