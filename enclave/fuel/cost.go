// SPDX-License-Identifier: Apache-2.0

package fuel

import "math"

// The cost table "fuel/1", in units. An instruction that is not named here costs costPlain. A unit is about what a compiled
// guest does in a tenth of a nanosecond: plain code uses 5 to 10 units each nanosecond, code that waits for memory a tenth of one.
const (
	costPlain = 1
	costFree  = 0 // nop, block, loop, else, end, drop

	costDivide   = 16   // integer and float division, remainder, square root
	costCall     = 8    // call
	costIndirect = 16   // call_indirect
	costTable    = 4    // br_table, table.get, table.set, table.size
	costRefFunc  = 256  // ref.func
	costBulk     = 64   // memory.init, memory.copy, memory.fill, table.init, table.copy, table.fill, data.drop, elem.drop
	costGrow     = 1024 // memory.grow, table.grow

	freeJoin  = 4  // values that a join moves for nothing; others cost half a unit
	joinLarge = 32 // values of a join above which each costs 2 units more, because they are not in registers
	freeCall  = 8  // values that a call moves for nothing
	callValue = 8  // for each other: it is written and read several times, often past the caches

	localsPerUnit = 8 // a function's own locals that are cleared for one unit, rounded down

	unitsPerByte  = 1      // memory.init, memory.copy, memory.fill, besides costBulk
	unitsPerEntry = 8      // table.init, table.copy, table.fill, table.grow, besides costBulk or costGrow
	unitsPerPage  = 65_536 // memory.grow, for each page asked for, besides costGrow
)

// CallImport is what a call of an imported function costs, besides that of the call. The rewritten module charges it.
const CallImport int64 = 1024

// unchecked is how many units may be charged before the counter is compared with zero.
const unchecked = 1024

// Bytes is what a host call that moves n bytes costs, besides CallImport. The host charges it, by lowering the global.
func Bytes(n uint64) int64 {
	return int64(min(n, math.MaxInt64/unitsPerByte) * unitsPerByte)
}

// cost is what an instruction costs before its operands are known.
func (m *module) cost(in instruction) int64 {
	switch in.op {
	case opNop, opBlock, opLoop, opElse, opEnd, opDrop:
		return costFree
	case opCall:
		if int(in.index) < m.imported {
			return costCall + CallImport + callMoves(in.values)
		}
		return costCall + callMoves(in.values)
	case opCallIndirect:
		if m.importTaken {
			return costIndirect + CallImport + callMoves(in.values)
		}
		return costIndirect + callMoves(in.values)
	case opBrTable, opTableGet, opTableSet:
		return costTable
	case opMemoryGrow:
		return costGrow
	case opRefFunc:
		return costRefFunc
	case opMisc:
		return miscCost(in.sub)
	case opVector:
		return vectorCost(in.sub)
	case 0x6d, 0x6e, 0x6f, 0x70, 0x7f, 0x80, 0x81, 0x82, // i32 and i64: div_s, div_u, rem_s, rem_u
		0x91, 0x95, 0x9f, 0xa3: // f32 and f64: sqrt, div
		return costDivide
	default:
		return costPlain
	}
}

// weight is what moving a value counts.
func weight(t byte) uint32 {
	if t == typeV128 {
		return 2
	}
	return 1
}

// joinMoves is what moving values of so much weight costs where ways join, callMoves where a function is called.
func joinMoves(weight uint32) int64 {
	n := int64(weight)
	return max(0, n-freeJoin)/2 + 2*max(0, n-joinLarge)
}

func callMoves(weight uint32) int64 { return callValue * max(0, int64(weight)-freeCall) }

func miscCost(sub byte) int64 {
	switch {
	case sub <= miscSaturate:
		return costPlain
	case sub == miscTableGrow:
		return costGrow
	case sub == miscTableSize:
		return costTable
	default:
		return costBulk
	}
}

func vectorCost(sub byte) int64 {
	switch sub {
	case 227, 231, 239, 243: // f32x4 and f64x2: sqrt, div
		return costDivide
	default:
		return costPlain
	}
}

// variable is what an instruction costs besides for each unit of its last operand: zero if nothing.
func variable(op, sub byte) int64 {
	switch {
	case op == opMemoryGrow:
		return unitsPerPage
	case op != opMisc:
		return 0
	}
	switch sub {
	case miscMemoryInit, miscMemoryCopy, miscMemoryFill:
		return unitsPerByte
	case miscTableInit, miscTableCopy, miscTableGrow, miscTableFill:
		return unitsPerEntry
	default:
		return 0
	}
}
