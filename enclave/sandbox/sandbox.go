// SPDX-License-Identifier: Apache-2.0

// Package sandbox runs a buyer's code on plaintext it must not carry away: one job, one worker process that holds no key.
//
// Trust domain: enclave, in three processes of the same measured binary. The enclave process holds keys and never runs
// foreign code. The spawner, started before there is any key, starts workers. A worker serves one job inside its own
// namespaces and dies. Everything a worker sends is hostile and bounded before it is read; a worker that misbehaves is
// killed, never argued with. The package's one job: [Spawner.Run] returns declared, bounded outputs or a reason.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of this package.
var (
	// ErrSpec is a job this sandbox cannot be asked to run: a limit missing or beyond what it supports.
	ErrSpec = errors.New("sandbox: invalid specification")
	// ErrIsolation means that the kernel refused a part of the jail. The sandbox never runs with less.
	ErrIsolation = errors.New("sandbox: isolation refused by the kernel")
	// ErrSpawner means that the spawner process is gone; the enclave must stop serving.
	ErrSpawner = errors.New("sandbox: spawner gone")
	// ErrSelfTest means that a worker could do something it must not be able to do.
	ErrSelfTest = errors.New("sandbox: self-test failed")
	// ErrProtocol means that a worker sent what no honest worker sends.
	ErrProtocol = errors.New("sandbox: worker broke the protocol")
	// ErrData marks a failure of [Data]; the provider's own error is wrapped beside it.
	ErrData = errors.New("sandbox: data provider failed")
)

// Spec is one run. Every limit is required.
type Spec struct {
	Module      []byte            // WebAssembly with WASI preview 1, a command that exports _start
	Tenant      string            // whose run it is: it may get a worker that [Spawner.Prepare] had compile the module for the same; "": none
	Files       []File            // read-only below /data
	Outputs     []Output          // the only files of /out that leave
	MemoryBytes int64             // linear memory of the module, rounded down to whole pages of 64 KiB
	OutputBytes int64             // everything in /out together, undeclared files included
	Fuel        int64             // units, by the engine's table of costs
	Wall        time.Duration     // from the start of the worker to its last byte
	Params      map[string]string // the module's environment; it has no other
	Seed        [32]byte          // of the module's random source
	Logs        bool              // keep the first MaxLogs bytes of stdout and stderr
	Words       io.Writer         // gets stdout and stderr as they are written, instead of Logs. Nil in every enclave
}

// File is one input. Its bytes come from [Data] by range, when the module reads them.
type File struct {
	Name string // slash-separated path below /data
	Size int64
}

// Output declares one file of /out.
type Output struct {
	Name     string // one path element
	MaxBytes int64
}

// Data provides the bytes of [Spec].Files. Calls come one at a time, in the order the worker asks.
type Data interface {
	// Range lends bytes of a file: some from before off, as many as before says, and at least one from off on, valid until
	// the next call. The worker wants so many from off on, and off and want are within the file. A longer answer, at either
	// end, is welcome, because what the worker has it need not ask for; it may hold what costs the job nothing beyond what
	// was wanted. An error ends the run: the worker is killed and [Spawner.Run] returns the error.
	Range(ctx context.Context, file int, off int64, want int) (lent []byte, before int, err error)
}

// Outcome is what became of a run. Detail and Logs may hold plaintext and never reach the host unsealed.
type Outcome struct {
	Reason     string // one of the Reason constants; empty means completed
	Detail     string
	Outputs    []Artefact // in the order of Spec.Outputs; a declared file that was not written is absent
	Undeclared int        // files in /out that were not declared, dropped
	Logs       []byte
	Original   envelope.Digest // SHA-256 of the module; zero, as the next two, if it was not admitted and so did not run
	Rewritten  envelope.Digest // SHA-256 of the module as it ran, with the counting in it
	Costs      string          // the table that fuel was counted by
	Fuel       int64           // units used; 0 if the worker was killed, for the count died with it
	Peak       int64           // bytes, resident: of the worker's largest process or, where it has a control group, of all if that is more
	CPU        time.Duration
	Wall       time.Duration
	Isolation  string // what confined the worker
}

// Artefact is one output file.
type Artefact struct {
	Name string
	Data []byte
}

// validate refuses what no worker should be started for.
func (s *Spec) validate(d Data) error {
	bad := func(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrSpec, fmt.Sprintf(f, a...)) }
	switch {
	case s.MemoryBytes < pageBytes || s.MemoryBytes > maxMemory:
		return bad("memory limit %d, want %d to %d", s.MemoryBytes, pageBytes, int64(maxMemory))
	case s.OutputBytes < 1 || s.OutputBytes > maxOutput:
		return bad("output limit %d, want 1 to %d", s.OutputBytes, int64(maxOutput))
	case s.Fuel < 1 || s.Fuel > maxFuel:
		return bad("fuel limit %d, want 1 to %d", s.Fuel, int64(maxFuel))
	case s.Wall <= 0 || s.Wall > maxWall:
		return bad("wall limit %s, want more than nothing and at most %s", s.Wall, maxWall)
	case len(s.Files) > maxFiles || len(s.Outputs) == 0 || len(s.Outputs) > maxOutputs:
		return bad("%d files and %d outputs", len(s.Files), len(s.Outputs))
	case len(s.Files) > 0 && d == nil:
		return bad("files without a data provider")
	case len(s.Params) > maxParams:
		return bad("%d parameters, at most %d", len(s.Params), maxParams)
	}
	if err := s.validateNames(); err != nil {
		return bad("%v", err)
	}
	return nil
}
