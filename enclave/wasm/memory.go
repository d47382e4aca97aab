// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"errors"
	"fmt"
	"math"
	"os"
	"unsafe"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// guestMemory is the linear memory of one instance: one range of addresses for as long as the instance lives, of which
// untouched pages cost nothing. It stands in for the engine's own page limit, which refuses growth without telling anyone,
// so that "out of memory" can be told from any other trap.
//
// With a file, the pages are the file's until there is a snapshot. The snapshot then is the file as it stands: the memory
// becomes a private view of it, whose changes the kernel keeps apart and forgets on request.
type guestMemory struct {
	limit  uint64
	file   *os.File
	all    []byte // the range; the guest's memory is its beginning
	size   uint64 // of the guest's memory
	shrink bool   // the next Reallocate gives the size at the snapshot
	before uint64 // that size
	denied bool   // the limit refused memory
}

var (
	_ experimental.MemoryAllocator = (*guestMemory)(nil)
	_ experimental.LinearMemory    = (*guestMemory)(nil)
)

// Allocate implements experimental.MemoryAllocator. least is what the module needs to start. A second call is for the same
// module, instantiated anew: it gets the same range, empty.
func (g *guestMemory) Allocate(least, most uint64) experimental.LinearMemory {
	if least > g.limit {
		g.denied = true
		panic(fmt.Sprintf("module needs %d bytes of memory to start, limit %d", least, g.limit))
	}
	var err error
	if g.all != nil {
		err = g.mapFixed(0, uint64(len(g.all)), false)
	} else {
		err = g.reserve(max(min(most, g.limit), pageBytes))
	}
	if err != nil {
		g.denied = true
		panic(err.Error())
	}
	return g
}

func (g *guestMemory) reserve(size uint64) error {
	fd, flags := -1, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE
	if g.file != nil {
		if err := prepare(g.file, int64(size)); err != nil {
			return err
		}
		fd, flags = int(g.file.Fd()), unix.MAP_SHARED
	}
	b, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		return fmt.Errorf("map %d bytes: %w", size, err)
	}
	g.all = b
	return nil
}

// Reallocate implements experimental.LinearMemory; nil makes memory.grow return -1.
func (g *guestMemory) Reallocate(size uint64) []byte {
	if g.shrink {
		size = g.before
	}
	if size > uint64(len(g.all)) {
		g.denied = true
		return nil
	}
	g.size = size
	return g.all[:size:size]
}

// Free implements experimental.LinearMemory. The engine calls it while a guest that exits is still on the stack, and keeps
// pointers: the instance gives the range back when it is closed.
func (g *guestMemory) Free() {}

func (g *guestMemory) close() {
	if g.all != nil {
		_ = unix.Munmap(g.all)
		g.all = nil
	}
}

// mapFixed puts fresh pages in the place of [from, to): a private view of the file, or zeros.
func (g *guestMemory) mapFixed(from, to uint64, view bool) error {
	fd, off, flags := -1, int64(0), unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE
	if view {
		fd, off = int(g.file.Fd()), int64(from)
	} else {
		flags |= unix.MAP_ANON
	}
	at := unsafe.Pointer(&g.all[from])
	if _, err := unix.MmapPtr(fd, off, at, uintptr(to-from), unix.PROT_READ|unix.PROT_WRITE, flags); err != nil {
		return fmt.Errorf("map %d bytes anew: %w", to-from, err)
	}
	return nil
}

// view makes the memory a private view of the file. Long runs that the file has no pages for become plain zeros: a page of a
// view costs the file one too, even if it was never written before. They are few, because each costs every restore something.
func (g *guestMemory) view() error {
	end, least := uint64(len(g.all)), max(g.size/maxHoles, minHole)
	if err := g.mapFixed(0, end, true); err != nil {
		return err
	}
	for at := uint64(0); at < end; {
		data, err := g.seek(at, unix.SEEK_DATA)
		if err != nil {
			return err
		}
		if data = min(data, end); data-at >= least {
			if err := g.mapFixed(at, data, false); err != nil {
				return err
			}
		}
		if at = data; at < end {
			if at, err = g.seek(at, unix.SEEK_HOLE); err != nil {
				return err
			}
		}
	}
	return nil
}

// seek finds the next page that the file has, or has not. Past the last one it is the end of everything.
func (g *guestMemory) seek(at uint64, whence int) (uint64, error) {
	n, err := unix.Seek(int(g.file.Fd()), int64(at), whence)
	if errors.Is(err, unix.ENXIO) {
		return math.MaxInt64, nil
	}
	if err != nil {
		return 0, fmt.Errorf("pages of the snapshot: %w", err)
	}
	return uint64(n), nil
}

// forget gives every page back that was changed, or only read, since the snapshot. It costs as much as there are such pages.
func (g *guestMemory) forget() error {
	if len(g.all) == 0 {
		return nil
	}
	if err := unix.Madvise(g.all, unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("forget pages: %w", err)
	}
	return nil
}

// NewSnapshotFile makes a file in memory for [Config].SnapshotFile. It is as long as any guest's memory and holds nothing,
// so that instances neither create nor resize files, which a confined process may not do. It can be made shorter and then
// never longer again: whoever has it can take no more memory by it than its length.
func NewSnapshotFile() (*os.File, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("guest", flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("guest", flags)
	}
	if err != nil {
		return nil, fmt.Errorf("memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), "guest")
	if err := f.Truncate(maxMemory); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		f.Close()
		return nil, fmt.Errorf("memory file: seal: %w", err)
	}
	return f, nil
}

// prepare refuses a file that is too short, or that holds anything: a guest would find it in its memory.
func prepare(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < size {
		return fmt.Errorf("snapshot file of %d bytes for a memory of %d", info.Size(), size)
	}
	if _, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_DATA); !errors.Is(err, unix.ENXIO) {
		return errors.New("snapshot file is not empty")
	}
	return nil
}
