// SPDX-License-Identifier: Apache-2.0

package wasm

const (
	pageBytes = 64 << 10 // of WebAssembly
	maxMemory = 4 << 30  // what 32-bit WebAssembly can address
	// maxUsable is a page less: the engine counts the bytes of a memory in 32 bits.
	maxUsable = maxMemory - pageBytes
	// maxFuel keeps the counter of package fuel from ever wrapping around.
	maxFuel = 1 << 60

	maxPathBytes   = 4096    // in a WASI call; longer is ENAMETOOLONG
	maxDescriptors = 1024    // that a guest may have open; beyond it is EMFILE
	maxEvents      = 4096    // of one poll_oneoff; more is EINVAL
	maxNameBytes   = 4096    // of glovebox.open; a longer name is no file
	maxGap         = 1 << 30 // bytes that one write or truncation is charged for beside what it moves

	// minHole is the shortest run of pages of a snapshot that were never written which is worth a mapping of its own, and
	// maxHoles how many such runs a memory may have.
	minHole  = 1 << 20
	maxHoles = 32

	maxTrapText = 4 << 10 // bytes that a trap's text may have

	// Of tx/1. Types of findings go into signed statements, so that there are few and short ones.
	maxFindingTypes = 256
	maxFindingType  = 64
	maxScore        = 1000
	maxTokenText    = 4 << 10
	maxSensitivity  = 1 << 40
	maxNoiseEpsilon = 1_000_000_000 // as much as a step may have, in millionths
	// flatAsk is for what the worker asks the enclave process to do: a round trip between two processes, 20 to 30 µs.
	flatAsk = 1 << 18
)

// The guest's clock: a fixed start, and a step for each reading, so that time carries nothing from outside.
const (
	ClockEpoch = 946684800 // 2000-01-01T00:00:00Z, Unix seconds
	clockStep  = 1000      // nanoseconds
)
