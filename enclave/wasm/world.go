// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"io/fs"
	"math/rand/v2"

	"github.com/tetratelabs/wazero/experimental/sys"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// world is what a guest can change outside of its memory, its globals and its files.
type world struct {
	clock  fakeClock
	random rand.ChaCha8
	opened map[int32]int64 // sizes of the files that glovebox.open found
}

func newWorld(seed [32]byte) world {
	return world{random: *rand.NewChaCha8(seed), opened: map[int32]int64{}}
}

// fakeClock is time without information: it starts at a fixed point and moves by one step with each reading and by the
// time asked for with each sleep, which returns at once.
type fakeClock struct{ nanos int64 }

func (c *fakeClock) nanotime() int64 {
	c.nanos += clockStep
	return c.nanos
}

func (c *fakeClock) walltime() (sec int64, nsec int32) {
	n := c.nanotime()
	return ClockEpoch + n/1e9, int32(n % 1e9)
}

func (c *fakeClock) sleep(ns int64) { c.nanos += max(ns, 0) }

// meteredFS charges for what a call makes a file system do beyond the bytes that the call names: filling the gap when a
// file grows past its end.
type meteredFS struct {
	sys.FS
	instance *Instance
}

// OpenFile implements sys.FS.
func (m meteredFS) OpenFile(name string, flag sys.Oflag, perm fs.FileMode) (sys.File, sys.Errno) {
	f, errno := m.FS.OpenFile(name, flag, perm)
	if errno != 0 {
		return nil, errno
	}
	return meteredFile{f, m.instance}, 0
}

type meteredFile struct {
	sys.File
	instance *Instance
}

// fill charges for the bytes from a file's end to at.
func (m meteredFile) fill(at int64) {
	if st, errno := m.File.Stat(); errno == 0 && at > st.Size {
		m.instance.spend(fuel.Bytes(uint64(min(at-st.Size, maxGap))))
	}
}

// Write implements sys.File.
func (m meteredFile) Write(p []byte) (int, sys.Errno) {
	if !m.File.IsAppend() {
		if at, errno := m.File.Seek(0, 1); errno == 0 {
			m.fill(at)
		}
	}
	return m.File.Write(p)
}

// Pwrite implements sys.File.
func (m meteredFile) Pwrite(p []byte, at int64) (int, sys.Errno) {
	m.fill(at)
	return m.File.Pwrite(p, at)
}

// Truncate implements sys.File.
func (m meteredFile) Truncate(size int64) sys.Errno {
	m.fill(size)
	return m.File.Truncate(size)
}
