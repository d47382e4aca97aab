// SPDX-License-Identifier: Apache-2.0

package fuel

import "fmt"

// Opcodes that the parser or the rewrite treats on their own.
const (
	opUnreachable  = 0x00
	opNop          = 0x01
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelect       = 0x1b
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opLoad         = 0x28 // i32.load, the first of the memory instructions
	opStore        = 0x3e // i64.store32, the last
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32Eqz       = 0x45 // the first of the numeric instructions without immediates
	opI64LtS       = 0x53
	opI64Sub       = 0x7d
	opI64Mul       = 0x7e
	opExtendU      = 0xad // i64.extend_i32_u
	opExtend32S    = 0xc4 // i64.extend32_s, the last of them
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVector       = 0xfd
)

// What follows opMisc.
const (
	miscSaturate   = 7 // the last of the saturating truncations
	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscElemDrop   = 13
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17
)

// instruction is one instruction of a body. Where it lies, the caller knows.
type instruction struct {
	op      byte
	sub     byte     // what follows opMisc or opVector
	index   uint32   // label, function, local
	values  uint32   // weight of what a call or the label of a block, loop or if takes and gives: see weight
	targets []uint32 // of br_table, the default last; valid until the next call
}

// scope is what a body's indices are checked against: the counts of the module as it came.
type scope struct {
	*module
	locals  int
	targets []uint32 // reused
}

// next reads one instruction. It knows every instruction that the supported features have and refuses any other.
func (s *scope) next(r *reader) instruction {
	in := instruction{op: r.byte()}
	switch op := in.op; {
	case op >= opLoad && op <= opStore:
		s.memarg(r)
	case op >= opI32Eqz && op <= opExtend32S:
	case op >= opLocalGet && op <= opLocalTee:
		in.index = r.index("local", s.locals)
	case op == opGlobalGet || op == opGlobalSet:
		r.index("global", s.globals)
	case op == opBlock || op == opLoop || op == opIf:
		in.values = s.blockType(r, op)
	case op == opBr || op == opBrIf:
		in.index = r.u32()
	case op == opBrTable:
		in.targets = s.branches(r)
	case op == opCall:
		if in.index = r.index("function", len(s.functions)); r.err == nil {
			in.values = s.types[s.functions[in.index]].both()
		}
	case op == opCallIndirect:
		if t := r.index("type", len(s.types)); r.err == nil {
			in.values = s.types[t].both()
		}
		r.index("table", len(s.tables))
	case op <= opNop || op == opElse || op == opEnd || op == opReturn || op == opDrop || op == opSelect || op == opRefIsNull:
	case op == opI32Const:
		r.signed(32)
	case op == opI64Const:
		r.signed(64)
	case op == opF32Const:
		r.bytes(4)
	case op == opF64Const:
		r.bytes(8)
	case op == opSelectTyped:
		if r.byte() != 1 {
			r.fail(fmt.Errorf("select of more than one value"))
		}
		r.valueType()
	case op == opTableGet || op == opTableSet:
		r.index("table", len(s.tables))
	case op == opMemorySize || op == opMemoryGrow:
		s.memory(r)
	case op == opRefNull:
		r.refType()
	case op == opRefFunc:
		s.refFunc(r)
	case op == opMisc:
		in.sub = s.misc(r)
	case op == opVector:
		in.sub = s.vector(r)
	default:
		r.p-- // the error names where the instruction is
		r.fail(fmt.Errorf("instruction %#x%s", op, feature(op)))
	}
	return in
}

// refFunc reads a function whose address is taken. The engine checks that it is declared too, but by then StartExport would
// have declared what was the start function.
func (s *scope) refFunc(r *reader) {
	f := r.index("function", len(s.functions))
	if r.err == nil && (int(f) >= len(s.taken) || !s.taken[f]) {
		r.fail(fmt.Errorf("ref.func of function %d, which is not declared", f))
	}
}

// feature names what an instruction that is not supported belongs to.
func feature(op byte) string {
	switch {
	case op == 0x12 || op == 0x13:
		return ": tail calls are not supported"
	case op >= 0x06 && op <= 0x0a || op == 0x18 || op == 0x19 || op == 0x1f:
		return ": exceptions are not supported"
	case op == 0x14 || op == 0x15 || op >= 0xd3 && op <= 0xd6 || op == 0xfb:
		return ": garbage collection and typed references are not supported"
	case op == 0xfe:
		return ": threads and atomics are not supported"
	default:
		return " is unknown"
	}
}

func (s *scope) memarg(r *reader) {
	if s.memories == 0 {
		r.fail(fmt.Errorf("memory instruction without a memory"))
	}
	if align := r.u32(); align >= 32 {
		r.fail(fmt.Errorf("alignment 2^%d, or a memory other than the first", align))
	}
	r.u32()
}

// memory reads a memory index, which is one byte and zero.
func (s *scope) memory(r *reader) {
	if s.memories == 0 {
		r.fail(fmt.Errorf("memory instruction without a memory"))
	}
	if r.byte() != 0 {
		r.fail(fmt.Errorf("memory other than the first"))
	}
}

// blockType reads an empty type, a value type or a type index, of 33 signed bits that must not be negative. It returns the
// weight of what a branch to the label takes along: a loop's parameters, else the results.
func (s *scope) blockType(r *reader, op byte) uint32 {
	if r.more() {
		switch t := r.b[r.p]; t {
		case typeEmpty, typeI32, typeI64, typeF32, typeF64, typeV128, typeFuncref, typeExternref:
			r.p++
			if op == opLoop || t == typeEmpty {
				return 0
			}
			return weight(t)
		}
	}
	i := r.signed(33)
	if i < 0 || i >= int64(len(s.types)) {
		r.fail(fmt.Errorf("block type %d, of %d", i, len(s.types)))
		return 0
	}
	if op == opLoop {
		return s.types[i].taken
	}
	return s.types[i].given
}

func (s *scope) branches(r *reader) []uint32 {
	n := r.count("targets of br_table", maxBrTable, 1)
	s.targets = s.targets[:0]
	for i := 0; i <= n && r.err == nil; i++ {
		s.targets = append(s.targets, r.u32())
	}
	return s.targets
}

func (s *scope) misc(r *reader) byte {
	sub := r.u32()
	switch {
	case sub <= miscSaturate:
	case sub == miscMemoryInit:
		r.index("data segment", s.data)
		s.memory(r)
	case sub == miscDataDrop:
		r.index("data segment", s.data)
		s.fix("data.drop")
	case sub == miscMemoryCopy:
		s.memory(r)
		s.memory(r)
	case sub == miscMemoryFill:
		s.memory(r)
	case sub == miscTableInit:
		r.index("element segment", s.elements)
		r.index("table", len(s.tables))
	case sub == miscElemDrop:
		r.index("element segment", s.elements)
	case sub == miscTableCopy:
		r.index("table", len(s.tables))
		r.index("table", len(s.tables))
	case sub == miscTableGrow || sub == miscTableSize || sub == miscTableFill:
		r.index("table", len(s.tables))
	default:
		r.fail(fmt.Errorf("instruction 0xfc %d is unknown", sub))
	}
	return byte(sub)
}

// vector reads what follows opVector. Numbers of two bytes must be written with two: wazero reads one byte, and takes
// the second, which then is 0x01, for a nop.
func (s *scope) vector(r *reader) byte {
	sub := r.byte()
	if sub >= 0x80 {
		if next := r.byte(); r.err == nil && next != 1 {
			r.fail(fmt.Errorf("instruction 0xfd %#x %#x: relaxed vector instructions and longer forms are not supported", sub, next))
		}
	}
	switch {
	case sub <= 11 || sub == 92 || sub == 93:
		s.memarg(r)
	case sub == 12 || sub == 13:
		r.bytes(16)
	case sub >= 21 && sub <= 34:
		r.byte()
	case sub >= 84 && sub <= 91:
		s.memarg(r)
		r.byte()
	case vectorHole(sub):
		r.fail(fmt.Errorf("instruction 0xfd %d is unknown", sub))
	}
	return sub
}

// vectorHole tells the numbers below 256 that no vector instruction has.
func vectorHole(sub byte) bool {
	switch sub {
	case 154, 162, 165, 166, 175, 176, 178, 179, 180, 187, 194, 197, 198, 207, 208, 210, 211, 212, 226, 238:
		return true
	default:
		return false
	}
}
