// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/glovebox-dev/glovebox/enclave/train"
)

// Where the guest of these tests has its buffers: the record, 4 KiB, the gradient and behind it the parameters.
const (
	trainRecordAt   = 1024
	trainGradientAt = 8192
)

// trainModule is a guest of train/1 by hand, with so many parameters: 0.5 and zeros. A record is a byte that says what to do, and
// a float32.
func trainModule(params int) []byte { return trainModuleOf(params, (trainGradientAt+8*params)>>16+1) }

// trainModuleOf has so many pages of memory.
func trainModuleOf(params, pages int) []byte {
	const i32, i64, f32 = 0x7f, 0x7e, 0x7d
	paramsAt := trainGradientAt + 4*params
	b := []byte("\x00asm\x01\x00\x00\x00")
	types := [][]byte{
		{0x60, 1, i32, 0}, {0x60, 1, i32, 1, i32}, {0x60, 2, i32, i32, 1, i32}, {0x60, 0, 1, i64}, {0x60, 0, 1, i32}, {0x60, 1, i32, 1, i64}, {0x60, 1, i32, 1, f32},
	}
	b = append(b, section(1, types...)...)
	b = append(b, section(2, slices.Concat(name("wasi_snapshot_preview1"), name("proc_exit"), []byte{0, 0}))...)
	b = append(b, section(3, []byte{1}, []byte{2}, []byte{3}, []byte{4}, []byte{4}, []byte{1}, []byte{5}, []byte{6})...)
	b = append(b, section(5, slices.Concat([]byte{1}, leb(uint64(pages)), leb(uint64(pages+20))))...)
	b = append(b, section(6, slices.Concat([]byte{i32, 1}, i32const(0), []byte{0x0b}))...)
	exports := [][]byte{append(name("memory"), 2, 0)}
	for i, n := range []string{"open", "init", "params", "gradient_buffer", "record_buffer", "gradient", "prepare", "predict"} {
		exports = append(exports, append(name("train_"+n), 0, byte(i+1)))
	}
	b = append(b, section(7, exports...)...)
	at := i32const(trainRecordAt)
	var bodies [][]byte
	for _, c := range [][]byte{
		i32const(512), // the configuration: its first byte is what train_init returns
		slices.Concat(i32const(int32(paramsAt)), []byte{0x43}, float(0.5), []byte{0x38, 2, 0}, i32const(512), []byte{0x2d, 0, 0}),
		i64const(int64(paramsAt)<<32 | int64(params)), i32const(trainGradientAt), at,
		slices.Concat(trainGradient(paramsAt), i32const(0)),
		slices.Concat(refusing(), i64const(trainRecordAt<<32), []byte{0x20, 0, 0xad, 0x84}), // a record as it is
		slices.Concat(refusing(), at, []byte{0x2a, 0, 1}),                                   // its number
	} {
		bodies = append(bodies, vec(slices.Concat([]byte{0}, c, []byte{0x0b})))
	}
	return append(b, section(10, bodies...)...)
}

func float(f float32) []byte { return binary.LittleEndian.AppendUint32(nil, math.Float32bits(f)) }

// saying is code for a record's first byte.
func saying(b byte, code ...[]byte) []byte {
	return slices.Concat(i32const(trainRecordAt), []byte{0x2d, 0, 0}, i32const(int32(b)), []byte{0x46, 0x04, 0x40}, slices.Concat(code...), []byte{0x0b})
}

// refusing ends badly for a record of t.
func refusing() []byte { return saying('t', opUnreachable) }

// trainGradient does what a record says, and gives its number, how often it was called by a word in memory and by a global, the first
// parameter, and the last byte of a record's buffer, which no record reaches.
func trainGradient(paramsAt int) []byte {
	to := func(n int32, value ...[]byte) []byte {
		return slices.Concat(i32const(trainGradientAt+4*n), slices.Concat(value...), []byte{0x38, 2, 0})
	}
	read := func(at int32) []byte { return append(i32const(at), 0x2a, 0, 0) }
	converted := func(c ...[]byte) []byte { return append(slices.Concat(c...), 0xb2) }
	words := slices.Concat(i32const(0), i32const(0), []byte{0x28, 2, 0}, i32const(1), []byte{0x6a, 0x36, 2, 0})
	global := slices.Concat([]byte{0x23, 0}, i32const(1), []byte{0x6a, 0x24, 0})
	grow := func(pages int32) []byte { return append(i32const(pages), 0x40, 0, 0x1a) }
	spoil := slices.Concat(i32const(0), i32const(0x55), i32const(1<<16), []byte{0xfc, 11, 0})
	return slices.Concat(
		words, global,
		to(0, read(trainRecordAt+1)),
		to(1, converted(i32const(0), []byte{0x28, 2, 0})), to(2, converted([]byte{0x23, 0})), to(3, read(int32(paramsAt))),
		to(4, converted(i32const(trainRecordAt+63), []byte{0x2d, 0, 0})),
		saying('t', spoil, opUnreachable),
		saying('f', opForEver),
		saying('e', spoil, i32const(0), callFn(0)),
		saying('r', spoil, i32const(1), []byte{0x0f}),
		saying('g', grow(2), spoil, i32const(1), []byte{0x0f}),
		saying('G', grow(20), i32const(1), []byte{0x0f}),
		saying('n', to(5, []byte{0x43}, float(float32(math.NaN())))),
		saying('h', to(5, []byte{0x43}, float(math.MaxFloat32))),
		saying('p', i32const(int32(paramsAt)), []byte{0x43}, float(9), []byte{0x38, 2, 0}),
		saying('z', spoil, []byte{0x43}, float(9), []byte{0x1a}, i32const(1), []byte{0x0f}),
	)
}

// order is a record.
func order(what byte, number float32) []byte { return append([]byte{what}, float(number)...) }

// each are units of one record.
func each(records ...[]byte) (all []train.Unit) {
	for _, r := range records {
		all = append(all, train.Unit{r})
	}
	return all
}
