// SPDX-License-Identifier: Apache-2.0

package sandbox

import "golang.org/x/sys/unix"

// int80 makes a system call without arguments through the door of 32-bit programs.
//
//go:noescape
func int80(nr uint32) uint32

// refusedHere are calls that only this architecture has.
var refusedHere = []refusedCall{
	{"fork", unix.SYS_FORK, nil},
	{"open", unix.SYS_OPEN, nil},
	{"I/O ports", unix.SYS_IOPL, []uintptr{3}},
	{"segments", unix.SYS_MODIFY_LDT, nil},
	{"thread base", unix.SYS_ARCH_PRCTL, nil},
	{"kexec from a file", unix.SYS_KEXEC_FILE_LOAD, nil},
}

// trampolines are uprobe and uretprobe, which kernels from 6.11 on have for code that they themselves put into a process.
// No filter sees them; made from anywhere else they end the process.
var trampolines = []uintptr{335, 336}
