// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/enclave/train/clip"
)

// windowBytes is the size of the memory through which the enclave hands a worker plaintext without copying it through
// a pipe.
const windowBytes = 4 << 20

// windowSeals fix the size for good, so that neither side can make the other's access fault.
const windowSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// resultsBytes is the size of the memory through which a worker that trains hands gradients back: two of the longest. A page of it is
// there once it was written to.
const resultsBytes = 2 * 4 * clip.MaxParams

// newWindow makes the memory for one worker: write for the enclave, read for the worker. A mapping made through the
// second descriptor cannot be made writable, so that the window carries bytes in one direction only.
func newWindow() (write, read int, err error) {
	if write, err = newShared("glovebox", windowBytes); err != nil {
		return -1, -1, err
	}
	read, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", write), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		unix.Close(write)
		return -1, -1, fmt.Errorf("window: open for reading: %w", err)
	}
	return write, read, nil
}

// newResults makes the memory that a worker writes and the enclave only reads.
func newResults() (int, error) { return newShared("results", resultsBytes) }

// newShared makes a file without a name whose size nobody can change.
func newShared(name string, size int64) (fd int, err error) {
	fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // a kernel before 6.3 knows no executable bit of such files
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return -1, fmt.Errorf("window: %w", err)
	}
	if err := unix.Ftruncate(fd, size); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("window: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, windowSeals); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("window: seal: %w", err)
	}
	return fd, nil
}

// mapWindow is the enclave's side. It verifies what the spawner sent.
func mapWindow(fd int) ([]byte, error) {
	if err := checkWindow(fd, windowBytes); err != nil {
		return nil, err
	}
	return unix.Mmap(fd, 0, windowBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// mapResults is both sides' view of a worker's results. The enclave writes nothing there; it gives the pages back in the end.
func mapResults(fd int) ([]byte, error) {
	if err := checkWindow(fd, resultsBytes); err != nil {
		return nil, err
	}
	return unix.Mmap(fd, 0, resultsBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
}

// readWindow is the worker's side, and the last use of the descriptor.
func readWindow(fd int) ([]byte, error) {
	if err := checkWindow(fd, windowBytes); err != nil {
		return nil, err
	}
	b, err := unix.Mmap(fd, 0, windowBytes, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	if err := unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE); err == nil {
		return nil, errors.New("window: writable")
	}
	return b, unix.Close(fd)
}

// checkWindow demands the size, and seals that keep it.
func checkWindow(fd int, size int64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("window: %w", err)
	}
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return fmt.Errorf("window: seals: %w", err)
	}
	if st.Size != size || seals&windowSeals != windowSeals {
		return fmt.Errorf("window of %d bytes with seals %#x", st.Size, seals)
	}
	return nil
}
