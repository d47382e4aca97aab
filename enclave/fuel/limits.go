// SPDX-License-Identifier: Apache-2.0

package fuel

// What a module may be. Beyond these, engines take minutes or gigabytes to compile, or differ in what they refuse.
const (
	maxModule       = 64 << 20 // bytes
	maxTypes        = 20_000
	maxParams       = 1_000 // of a function type; its results as well
	maxImports      = 1_000
	maxFunctions    = 200_000
	maxTables       = 16
	maxTableEntries = 1 << 20 // of all tables together, to begin with; each may grow to its share
	maxPages        = 65_536  // of a memory: 4 GiB
	maxGlobals      = 10_000
	maxExports      = 50_000
	maxName         = 4_096 // bytes of an import's or export's name
	maxElements     = 10_000
	maxElemItems    = 1 << 20 // of all element segments together
	maxData         = 100_000
	maxBody         = 1 << 20 // bytes of a function
	maxLocals       = 5_000   // of a function, with its parameters
	maxNesting      = 4_000   // blocks in blocks, of a function; Go's compiler reaches 1,500
	maxBlocks       = 6_000   // block, loop and if of a function
	maxLoops        = 1_000   // of a function
	maxInLoops      = 64      // loops in loops
	maxBrTable      = 16_384  // targets of one
	maxBranches     = 50_000  // of a function, each target of br_table counted
	maxJumps        = 8_000   // br and br_if of a function; Go's compiler reaches 1,000
	maxMoves        = 1 << 19 // of a function: values that branches carry; Go's compiler reaches 150,000
	maxBulk         = 1_000   // of a function: calls of imports, memory.grow and others that leave its code; Go's compiler reaches 200

	maxRewritten = 128 << 20 // bytes of code, once it counts fuel
)
