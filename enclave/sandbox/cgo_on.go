// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package sandbox

import "golang.org/x/sys/unix"

// cgoEnabled: the C library may be in this build, and then makes the threads in its own way. It is in tests, which link much
// that the enclave does not; the enclave is built without.
const cgoEnabled = true

// threads are the flags of clone that make a thread.
var threads = []uint32{
	threadFlags, threadFlags | unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID,
}

var advice = []uint32{
	unix.MADV_DONTNEED, unix.MADV_FREE, unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE, unix.MADV_COLLAPSE, unix.MADV_DONTDUMP,
}

// allowedUnderC is what a thread of the C library asks for beside the rest.
var allowedUnderC = []rule{{unix.SYS_SET_ROBUST_LIST, nil}, {unix.SYS_RSEQ, nil}}
