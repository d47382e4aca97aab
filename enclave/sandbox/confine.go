// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// What confine writes to fdReady: first that the worker has loaded, then that it is done or the step at which it gave up.
// From stepAttempt on, the number of the first attempt that was not refused.
const (
	stepLoaded byte = iota
	stepDone
	stepOutside
	stepRelease
	stepWindow
	stepClose
	stepDumpable
	stepPoller
	stepFilter
	stepVerify
	stepAttempt = 64
)

// stepName says in words where a worker gave up.
func stepName(step byte) string {
	names := map[byte]string{
		stepLoaded: "it ended", stepOutside: "its namespaces are not to be seen", stepRelease: "not released", stepWindow: "no window",
		stepClose: "descriptors stay open", stepDumpable: "dumpable", stepPoller: "no poller", stepFilter: "no seccomp filter",
		stepVerify: "the filter is not in force",
	}
	if n := int(step) - stepAttempt; n >= 0 && n < len(layers) {
		return "it can " + layers[n].name
	}
	if s, ok := names[step]; ok {
		return s
	}
	return fmt.Sprintf("step %d", step)
}

// confine finishes the jail from the inside, on every thread of the worker, and verifies what others did. It runs before
// the worker reads its first byte. fdReady and fdGo are the start-up pipes with the jail's first process. window is where
// the enclave puts the bytes of answers; step says how far confine came.
func confine() (window []byte, step byte, err error) {
	inside, err := ownNamespaces() // while there still is a /proc
	if err != nil {
		return nil, stepOutside, err
	}
	poller, err := startPoller()
	if err != nil {
		return nil, stepPoller, err
	}
	if _, err := unix.Write(fdReady, []byte{stepLoaded}); err != nil {
		return nil, stepRelease, err
	}
	line := make([]byte, maxControl)
	n, err := unix.Read(fdGo, line)
	if err != nil {
		return nil, stepRelease, err
	}
	var setup jailSetup
	if err := envelope.DecodeStrict(line[:n], maxControl, &setup); err != nil {
		return nil, stepRelease, err
	}
	os.Clearenv()
	if err := os.Chdir("/"); err != nil {
		return nil, stepRelease, err
	}
	if window, err = readWindow(fdWindow); err != nil {
		return nil, stepWindow, err
	}
	if confined.results, err = mapResults(fdResults); err != nil {
		return nil, stepWindow, err
	}
	around := &surroundings{outside: setup.Outside, inside: inside, landlock: landlockVersion(), kept: append(poller, fdDown, fdUp, fdOut, fdReady, fdMemory)}
	if err := closeOthers(around.kept); err != nil {
		return nil, stepClose, err
	}
	if err := undumpable(); err != nil {
		return nil, stepDumpable, err
	}
	confined.before, confined.window, confined.kept = tryLayers(around), window, append(poller, fdDown, fdUp, fdOut, fdMemory)
	if !skipped(partFilter) {
		if err := filterCalls(); err != nil {
			return nil, stepFilter, err
		}
	}
	if skipped(partVerify) {
		return window, stepDone, nil
	}
	if err := verifyFilter(); err != nil {
		return nil, stepVerify, err
	}
	for i, a := range confined.before {
		if !a.Refused && a.Result != notOffered {
			return nil, stepAttempt + byte(i), errors.New(a.Try)
		}
	}
	return window, stepDone, nil
}

// confined is what a worker remembers of its own confinement, for the self-test.
var confined struct {
	before report // attempts made before the filter was loaded, when only the other parts of the jail stood in the way
	kept   []int  // descriptors
	window []byte

	results []byte // that a worker that trains writes to
}

func undumpable() error {
	if skipped(partDumpable) {
		return nil
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// startPoller makes the Go runtime set its poller up now, as it else would at any later moment, and finds its two
// descriptors: they are of calls that the filter refuses, and without them the runtime cannot go on.
func startPoller() ([]int, error) {
	time.AfterFunc(time.Hour, func() {}).Stop()
	var found []int
	for fd := range maxOpenFiles {
		switch to, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); to {
		case "anon_inode:[eventpoll]", "anon_inode:[eventfd]":
			found = append(found, fd)
		}
	}
	if len(found) != 2 {
		return nil, fmt.Errorf("%d descriptors of a poller", len(found))
	}
	return found, nil
}

// closeOthers closes every descriptor that is not kept.
func closeOthers(kept []int) error {
	for fd := range maxOpenFiles {
		if !slices.Contains(kept, fd) {
			unix.Close(fd)
		}
	}
	return unix.CloseRange(maxOpenFiles, math.MaxInt32, 0)
}

// verifyFilter trusts none of the steps before it.
func verifyFilter() error {
	if v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || v != 1 {
		return errors.New("privileges may be raised")
	}
	if v, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err != nil || v != unix.SECCOMP_MODE_FILTER {
		return errors.New("no seccomp filter")
	}
	if v, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || v != 0 {
		return errors.New("dumpable")
	}
	if only(unix.EPERM, call(unix.SYS_GETPPID)) == nil {
		return errors.New("the filter lets through what it does not list")
	}
	return nil
}
