// SPDX-License-Identifier: Apache-2.0

//go:build !wasip1

package dataset

import (
	"os"
	"syscall"
)

// tryLock takes the file for this process alone, or fails at once.
func tryLock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
