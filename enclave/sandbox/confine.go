// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// confine finishes the jail from the inside, on every thread of the worker, and verifies what others did. It runs before
// the worker reads its first byte. fdReady and fdGo are the start-up pipes with the jail's first process. window is where
// the enclave puts the bytes of answers; step says how far confine came.
func confine() (window []byte, step byte, err error) {
	if _, err := unix.Write(fdReady, []byte{0}); err != nil {
		return nil, 2, err
	}
	var b [1]byte
	if n, err := unix.Read(fdGo, b[:]); err != nil || n != 1 {
		return nil, 3, fmt.Errorf("not released: %w", err)
	}
	os.Clearenv()
	if err := os.Chdir("/"); err != nil {
		return nil, 4, err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return nil, 5, err
	}
	closeAll([]int{0, 1, 2, fdGo})
	if window, err = readWindow(fdWindow); err != nil {
		return nil, 9, err
	}
	if err := unix.CloseRange(fdReady+1, math.MaxInt32, 0); err != nil {
		return nil, 6, err
	}
	if err := filterCalls(); err != nil {
		return nil, 7, err
	}
	if err := verifyConfined(); err != nil {
		return nil, 8, err
	}
	return window, 1, nil
}

// verifyConfined trusts none of the steps before it: no capability, no new privileges, a filter, an empty root.
func verifyConfined() error {
	caps, err := capabilities()
	if err != nil {
		return err
	}
	if caps != 0 {
		return errors.New("capabilities left")
	}
	if v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || v != 1 {
		return errors.New("privileges may be raised")
	}
	if v, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err != nil || v != 2 {
		return errors.New("no seccomp filter")
	}
	if v, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || v != 0 {
		return errors.New("dumpable")
	}
	names, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	if len(names) != 0 {
		return errors.New("root is not empty")
	}
	return nil
}

// capabilities is the union of the calling thread's permitted, effective and inheritable sets.
func capabilities() (uint64, error) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return 0, err
	}
	low := data[0].Permitted | data[0].Effective | data[0].Inheritable
	high := data[1].Permitted | data[1].Effective | data[1].Inheritable
	return uint64(high)<<32 | uint64(low), nil
}
