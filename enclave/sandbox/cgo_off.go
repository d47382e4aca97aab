// SPDX-License-Identifier: Apache-2.0

//go:build !cgo

package sandbox

import "golang.org/x/sys/unix"

// cgoEnabled: the Go runtime makes the threads.
const cgoEnabled = false

// threads are the flags of clone that make a thread.
var threads = []uint32{threadFlags}

// advice is what the Go runtime tells the kernel about its memory.
var advice = []uint32{unix.MADV_DONTNEED, unix.MADV_FREE, unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE, unix.MADV_COLLAPSE}

var allowedUnderC []rule
