// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"
)

// recordModule is a guest of record/1 by hand, with a mutable global, whose records come to address 1024. Its record has
// the locals 0, the address, 1, the length, and three more i32. Function 0 is proc_exit.
func recordModule(pages []uint64, record []byte) []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = append(b, section(1, []byte{0x60, 1, 0x7f, 0}, []byte{0x60, 1, 0x7f, 1, 0x7f}, []byte{0x60, 2, 0x7f, 0x7f, 1, 0x7e})...)
	b = append(b, section(2, slices.Concat(name("wasi_snapshot_preview1"), name("proc_exit"), []byte{0, 0}))...)
	b = append(b, section(3, []byte{1}, []byte{2})...)
	limits := append([]byte{byte(len(pages) - 1)}, leb(pages[0])...)
	if len(pages) > 1 {
		limits = append(limits, leb(pages[1])...)
	}
	b = append(b, section(5, limits)...)
	b = append(b, section(6, slices.Concat([]byte{0x7f, 1}, i32const(0), []byte{0x0b}))...)
	b = append(b, section(7, append(name("memory"), 2, 0), append(name("record_alloc"), 0, 1), append(name("record"), 0, 2))...)
	alloc := vec(slices.Concat([]byte{0}, i32const(1024), []byte{0x0b}))
	return append(b, section(10, alloc, vec(slices.Concat([]byte{1, 3, 0x7f}, record, []byte{0x0b})))...)
}

func i64const(v int64) []byte { return append([]byte{0x42}, sleb(v)...) }

// answerAt ends a record.
func answerAt(ptr, size uint32) []byte {
	return append(i64const(int64(uint64(ptr)<<32|uint64(size))), 0x0f)
}

// hostileRecord does what the first byte of a record says.
func hostileRecord() []byte {
	var all []byte
	on := func(b byte, code ...[]byte) {
		all = slices.Concat(all, []byte{0x20, 0, 0x2d, 0, 0}, i32const(int32(b)), []byte{0x46, 0x04, 0x40}, slices.Concat(code...), []byte{0x0b})
	}
	grow := func(pages int32) []byte { return append(i32const(pages), 0x40, 0) }
	store := func(at int32, value []byte) []byte { return slices.Concat(i32const(at), value, []byte{0x36, 2, 0}) }
	loaded := func(at int32) []byte { return append(i32const(at), 0x28, 2, 0) }
	count := slices.Concat( // in memory, in a global, and the size of the memory
		store(0, slices.Concat(loaded(0), i32const(1), []byte{0x6a})),
		[]byte{0x23, 0}, i32const(1), []byte{0x6a, 0x24, 0}, store(4, []byte{0x23, 0}), store(8, []byte{0x3f, 0}), answerAt(0, 12))
	on('c', count)
	on('g', grow(5), opDrop, store(5<<16, i32const(77)), count)
	on('m', grow(3), opDrop, count) // to its own maximum
	on('w', i32const(16), i32const(0x55), i32const(1<<16-16), []byte{0xfc, 11, 0}, count)
	on('t', store(0, i32const(9)), opUnreachable)
	on('f', store(0, i32const(9)), opForEver)
	on('e', store(0, i32const(9)), i32const(3), callFn(0))
	on('x', i32const(0), callFn(0))
	on('r', store(0, i32const(9)), i32const(0), i32const(0), callFn(2), opDrop) // the record at 0 begins with a 9
	on('p', answerAt(1<<32-16, 16))
	on('q', answerAt(1<<16-8, 9))
	on('l', answerAt(0, 1<<32-1))
	on('o', answerAt(0, 4097))
	on('n', answerAt(0, 0))
	on('z', answerAt(1<<32-1, 0))
	on('M', []byte{0x03, 0x40}, grow(1), i32const(-1), []byte{0x47, 0x0d, 0, 0x0b}, opUnreachable) // until it is refused
	on(9, []byte{0x20, 0, 0x20, 1}, callFn(2), []byte{0x0f})
	return slices.Concat(all, []byte{0x20, 0, 0xad}, i64const(32), []byte{0x86, 0x20, 1, 0xad, 0x84}) // an echo
}

// touchRecord writes to so many pages so far apart as the record says, in two numbers.
func touchRecord() []byte {
	return slices.Concat([]byte{
		0x20, 0, 0x28, 2, 0, 0x21, 2, 0x20, 0, 0x28, 2, 4, 0x21, 3,
		0x03, 0x40, 0x20, 2, 0x45, 0x04, 0x40,
	}, answerAt(1024, 8), []byte{
		0x0b, 0x20, 2, 0x41, 1, 0x6b, 0x21, 2,
		0x20, 4, 0x20, 2, 0x36, 2, 0, 0x20, 4, 0x20, 3, 0x6a, 0x21, 4, 0x0c, 0, 0x0b,
	}, opUnreachable)
}

func touches(pages, apart uint32) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, pages), apart)
}

// sessionSpec is a small session of module.
func sessionSpec(module []byte) SessionSpec {
	return SessionSpec{
		Module: module, MemoryBytes: 64 << 20, Fuel: 1 << 40, RecordFuel: 1 << 24, Wall: time.Minute * slowly(), RecordBytes: 1 << 16, OutputBytes: 4096,
	}
}

func newSessionOf(t testing.TB, s *Spawner, spec SessionSpec) *Session {
	t.Helper()
	x, err := s.Session(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func mustRecord(t testing.TB, x *Session, in string) Answer {
	t.Helper()
	a, err := x.Record(t.Context(), []byte(in))
	if err != nil {
		t.Fatalf("%.20q: %v", in, err)
	}
	return a
}
