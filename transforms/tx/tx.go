// SPDX-License-Identifier: Apache-2.0

// Package tx is what those who run a creator's module and the sandbox that it runs in say to each other: batches of records,
// what became of them, and what a module may ask for. docs/spec/transform-abi.md defines tx/1.
//
// Trust domain: both ends of a pipe. A [Caller] holds the records and perhaps keys; it believes a [Callee], which runs the
// module, nothing. The package's one job: a module behind any such pipe is a [transforms.Module], and whatever comes back that
// is not what its shape allows is an error, never a record.
package tx

import (
	"errors"
	"time"

	"github.com/glovebox-dev/glovebox/transforms"
)

// Errors of this package. None has text of a record in it.
var (
	// ErrProtocol is a callee that sends what no honest one sends.
	ErrProtocol = errors.New("tx: the sandbox broke the protocol")
	// ErrAnswer is a module's answer that is not what tx/1 or the step's shape allows.
	ErrAnswer = errors.New("tx: not an answer")
	// ErrAsked is a module that asked for what its step does not allow.
	ErrAsked = errors.New("tx: not allowed to the step")
)

// Bounds of tx/1.
const (
	// BatchBytes is when a batch is full: its records have at most so many bytes together, unless it is one record alone.
	BatchBytes = transforms.BatchBytes
	// TextBytes is the same for a command of WASI, which starts anew for each batch: 15 ms for one in Go.
	TextBytes = 1 << 20
	// MaxRecord is the largest record: a file.
	MaxRecord = transforms.MaxFile
	// MaxBatch is how many records a batch may have, MaxAnswer an answer.
	MaxBatch  = 1 << 14
	MaxAnswer = 1 << 16
	// MaxConfig is the longest configuration: the step's, and the names of columns.
	MaxConfig = 4 << 20
	// FlushBytes is the longest answer to the end of the records: what a module kept back.
	FlushBytes = 16 << 20

	maxBatch  = MaxRecord + MaxBatch*frameHead // bytes
	maxText   = 4 << 10                        // of a token
	maxToken  = 16 << 10                       // a token itself
	maxWords  = 64 << 10
	maxResult = 256 << 10 // 256 types of findings
	maxDetail = 4 << 10
)

// AnswerLimit is how long the answer to a batch of n bytes may be: room for what makes records longer, and for a little that
// makes much of nothing.
func AnswerLimit(n int64) int64 { return 4*n + 1<<20 }

// Limits of a step's module beside fuel.
const (
	// MemoryBytes is its linear memory: the largest file, its answer, and as much again to make it in.
	MemoryBytes = 512 << 20
	// Wall is for the whole of a dataset; what hangs runs out of fuel long before.
	Wall = 24 * time.Hour
)

// Fuel of a step's module, in units of the cost table; plain code uses 5 to 10 each nanosecond. They are generous: they end
// what hangs, and are no price.
const (
	StartFuel = 20_000_000_000 // start section, _initialize and tx_init: 2 to 4 s; a Go program takes a hundredth
	BatchFuel = 1_000_000_000  // of each batch
	ByteFuel  = 20_000         // of each of its bytes beside: 2 to 4 µs
)
