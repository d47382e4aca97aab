// SPDX-License-Identifier: Apache-2.0

package fuel

import "math"

// The cost table "fuel/1", in units. An instruction that is not named here costs costPlain.
const (
	costPlain = 1
	costFree  = 0 // nop, block, loop, else, end, drop

	costDivide   = 8   // integer and float division, remainder, square root
	costCall     = 4   // call
	costIndirect = 8   // call_indirect
	costRefFunc  = 64  // ref.func
	costTable    = 4   // table.get, table.set, table.size, br_table
	costBulk     = 64  // memory.init, memory.copy, memory.fill, table.init, table.copy, table.fill, data.drop, elem.drop
	costGrow     = 256 // memory.grow, table.grow

	localsPerUnit = 16 // a function's own locals that are cleared for one unit, rounded down

	shiftBytes    = 3    // a byte-moving instruction costs its length shifted right by so much, besides costBulk
	unitsPerPage  = 8192 // memory.grow, for each page asked for, besides costGrow
	unitsPerEntry = 1    // table.grow, table.init, table.copy, table.fill, for each entry, besides the above
)

// CallImport is what a call of an imported function costs, besides that of the call. The rewritten module charges it.
const CallImport int64 = 256

// unchecked is how many units may be charged before the counter is compared with zero.
const unchecked = 4096

// Bytes is what a host call that moves n bytes costs, besides CallImport. The host charges it, by lowering the global.
func Bytes(n uint64) int64 {
	return int64(min(n>>shiftBytes, math.MaxInt64))
}

// cost is what an instruction costs before its operands are known.
func (m *module) cost(in instruction) int64 {
	switch in.op {
	case opNop, opBlock, opLoop, opElse, opEnd, opDrop:
		return costFree
	case opCall:
		if int(in.index) < m.imported {
			return costCall + CallImport
		}
		return costCall
	case opCallIndirect:
		if m.importTaken {
			return costIndirect + CallImport
		}
		return costIndirect
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

// variable is what an instruction costs besides for each unit of its last operand: the operand is shifted right and
// multiplied. Zero means that it has no such cost.
func variable(op, sub byte) (shift uint, factor int64) {
	switch {
	case op == opMemoryGrow:
		return 0, unitsPerPage
	case op != opMisc:
		return 0, 0
	}
	switch sub {
	case miscMemoryInit, miscMemoryCopy, miscMemoryFill:
		return shiftBytes, 1
	case miscTableInit, miscTableCopy, miscTableGrow, miscTableFill:
		return 0, unitsPerEntry
	default:
		return 0, 0
	}
}
