// SPDX-License-Identifier: Apache-2.0

//go:build race

package sandbox

import "golang.org/x/sys/unix"

// raceEnabled: the race detector maps terabytes of address space, so no process under it can be limited in that.
const raceEnabled = true

// With the race detector the C library makes the threads, in its own way.
var threads = []uint32{
	threadFlags, threadFlags | unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID,
}

var advice = []uint32{
	unix.MADV_DONTNEED, unix.MADV_FREE, unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE, unix.MADV_COLLAPSE, unix.MADV_DONTDUMP,
}

// allowedUnderRace is what a thread of the C library asks for beside the rest.
var allowedUnderRace = []rule{{unix.SYS_SET_ROBUST_LIST, nil}, {unix.SYS_RSEQ, nil}}
