// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"fmt"
	"io"
	"os"

	"github.com/tetratelabs/wazero/experimental/sys"
)

// Config is the whole world of an instance. Memory and fuel are required.
type Config struct {
	MemoryBytes int64             // linear memory, rounded down to whole pages of 64 KiB and at most 65535 of them
	Fuel        int64             // units of fuel.CostTable, at most 1<<60
	Seed        [32]byte          // of random_get
	Params      map[string]string // the environment; there is no other
	Log         io.Writer         // stdout and stderr; nil discards. Its errors are ignored: a guest learns nothing from it
	Stdin       io.Reader         // nil: at its end
	Stdout      io.Writer         // instead of Log; its errors are ignored as well
	Mounts      []Mount           // directories for WASI
	Files       Files             // for the host module glovebox; nil: there are none
	Transform   TransformHost     // for the host module glovebox_tx, where the module was compiled with more than findings
	// SnapshotFile backs the memory, for Snapshot; without it there are no snapshots. It comes from [NewSnapshotFile], is
	// used by this instance alone, and stays the caller's to close, after the instance.
	SnapshotFile *os.File
}

// Mount is a directory that the guest finds at Path, for example "/data".
type Mount struct {
	Path string
	FS   sys.FS
}

// Files are the inputs that the host module glovebox reads. Calls come one at a time.
type Files interface {
	// Lookup finds a file by its name below /data.
	Lookup(name string) (index int, size int64, ok bool)
	// ReadAt fills p, a part of the guest's memory, from a file that Lookup found. It is never called with a range outside
	// of the file. An error, and that it returned less, end the guest.
	ReadAt(index int, p []byte, off int64) (int, error)
}

func (c *Config) validate() error {
	switch {
	case c.MemoryBytes < pageBytes || c.MemoryBytes > maxMemory:
		return fmt.Errorf("%w: memory limit %d, want %d to %d", ErrState, c.MemoryBytes, pageBytes, int64(maxMemory))
	case c.Fuel < 1 || c.Fuel > maxFuel:
		return fmt.Errorf("%w: fuel %d, want 1 to %d", ErrState, c.Fuel, int64(maxFuel))
	}
	return nil
}
