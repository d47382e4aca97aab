// SPDX-License-Identifier: Apache-2.0

package sandbox

import "time"

const (
	// MaxModule bounds a module in bytes; a larger one is refused with reason "module".
	MaxModule = 64 << 20
	// MaxLogs bounds the logs of a run; the first bytes are kept.
	MaxLogs = 64 << 10

	// MaxRecord bounds a record of a session and its answer, in bytes: a record must fit the window.
	MaxRecord = windowBytes

	pageBytes  = 64 << 10 // of WebAssembly
	maxMemory  = 4 << 30  // what 32-bit WebAssembly can address
	maxOutput  = 1 << 30
	maxWall    = 30 * 24 * time.Hour
	maxFuel    = 1<<53 - 1
	maxFiles   = 4096
	maxOutputs = 256
	maxParams  = 256
	maxParam   = 32 << 10 // name and value
	maxName    = 255      // one path element
	maxPath    = 1024

	maxDetail     = 4 << 10
	maxHeader     = 32 << 20 // the description of a run that a worker receives: names and parameters
	maxAdmission  = 1 << 10
	maxResult     = 32 << 10
	maxOutFiles   = 1024 // in /out, undeclared ones included
	maxOpenFiles  = 64   // descriptors of a worker process
	maxTasks      = 128  // threads of a worker's processes
	maxControl    = 16 << 10
	maxTestReport = 64 << 10

	// workerOverhead is what a worker may use beside the module's memory and its outputs: the Go runtime, the module and
	// its native code, which takes most while it is compiled.
	workerOverhead = 1 << 30
	// reservedAddresses is address space that the Go runtime and the engine reserve and never touch, and a second view of the guest's
	// memory, for what it was before its first record.
	reservedAddresses = 4<<30 + maxMemory

	// idleMemory is what an unused worker may use in its control group: its own code and the Go runtime.
	idleMemory = 256 << 20

	// maxPrepared is how many workers wait with a compiled module: at most one for each module and tenant.
	maxPrepared   = 4
	aheadPatience = time.Minute // for a module to be compiled ahead

	startTimeout = 20 * time.Second // a worker that is not confined by then never will be
	killPatience = time.Second      // a worker that its init has not ended and reaped by then ends with it, its figures lost
	exitTimeout  = 10 * time.Second // a killed worker that is not reaped by then makes the spawner suspect
	testTimeout  = 30 * time.Second
)
