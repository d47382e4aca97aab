// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// guestMemory allocates linear memory within the job's limit and remembers a refusal. It stands in for the engine's own
// page limit, which refuses growth without telling anyone, so that "out of memory" can be told from any other trap.
type guestMemory struct {
	limit  uint64
	denied bool
}

var _ experimental.MemoryAllocator = (*guestMemory)(nil)

// Allocate implements experimental.MemoryAllocator. least is what the module needs to start.
func (g *guestMemory) Allocate(least, most uint64) experimental.LinearMemory {
	if least > g.limit {
		g.denied = true
		panic(fmt.Sprintf("module needs %d bytes of memory to start, limit %d", least, g.limit))
	}
	size := max(min(most, g.limit), pageBytes)
	b, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		g.denied = true
		panic(fmt.Sprintf("map %d bytes: %v", size, err))
	}
	return &linearMemory{owner: g, all: b}
}

type linearMemory struct {
	owner *guestMemory
	all   []byte // untouched pages cost nothing
}

// Reallocate implements experimental.LinearMemory; nil makes memory.grow return -1.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.all)) {
		m.owner.denied = true
		return nil
	}
	return m.all[:size:size]
}

// Free implements experimental.LinearMemory.
func (m *linearMemory) Free() {
	if m.all != nil {
		_ = unix.Munmap(m.all)
		m.all = nil
	}
}
