// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"fmt"
	"math"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// Hardening is what the kernel granted this process. It is part of the configuration digest.
type Hardening struct {
	Undumpable bool `json:"undumpable"` // no ptrace, no core, /proc/self owned by root
	Locked     bool `json:"locked"`     // no page goes to swap
}

// Harden makes the process undumpable, forbids core files, keeps tracebacks short, and locks memory where the limit allows
// it. Call it after the keyless spawner has started: an undumpable process cannot set up its children's namespaces.
func Harden() (Hardening, error) {
	debug.SetTraceback("none")
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return Hardening{}, fmt.Errorf("%w: forbid core files: %w", ErrConfig, err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return Hardening{}, fmt.Errorf("%w: make undumpable: %w", ErrConfig, err)
	}
	h := Hardening{Undumpable: true}
	// Locking future pages under a small limit would make later allocations fail, so it is all or nothing.
	var lim unix.Rlimit
	unlimited := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &lim) == nil && lim.Cur == math.MaxUint64
	if !unlimited {
		unlimited = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: math.MaxUint64, Max: math.MaxUint64}) == nil
	}
	if unlimited {
		h.Locked = unix.Mlockall(unix.MCL_CURRENT|unix.MCL_FUTURE|unix.MCL_ONFAULT) == nil
	}
	return h, nil
}
