// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// windowBytes is the size of the memory through which the enclave hands a worker plaintext without copying it through
// a pipe.
const windowBytes = 4 << 20

// windowSeals fix the size for good, so that neither side can make the other's access fault.
const windowSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// newWindow makes the memory for one worker: write for the enclave, read for the worker. A mapping made through the
// second descriptor cannot be made writable, so that the window carries bytes in one direction only.
func newWindow() (write, read int, err error) {
	write, err = unix.MemfdCreate("glovebox", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // a kernel before 6.3 knows no executable bit of such files
		write, err = unix.MemfdCreate("glovebox", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return -1, -1, fmt.Errorf("window: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(write)
		}
	}()
	if err := unix.Ftruncate(write, windowBytes); err != nil {
		return -1, -1, fmt.Errorf("window: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(write), unix.F_ADD_SEALS, windowSeals); err != nil {
		return -1, -1, fmt.Errorf("window: seal: %w", err)
	}
	read, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", write), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("window: open for reading: %w", err)
	}
	return write, read, nil
}

// mapWindow is the enclave's side. It verifies what the spawner sent.
func mapWindow(fd int) ([]byte, error) {
	if err := checkWindow(fd); err != nil {
		return nil, err
	}
	return unix.Mmap(fd, 0, windowBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// readWindow is the worker's side, and the last use of the descriptor.
func readWindow(fd int) ([]byte, error) {
	if err := checkWindow(fd); err != nil {
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
func checkWindow(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("window: %w", err)
	}
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return fmt.Errorf("window: seals: %w", err)
	}
	if st.Size != windowBytes || seals&windowSeals != windowSeals {
		return fmt.Errorf("window of %d bytes with seals %#x", st.Size, seals)
	}
	return nil
}
