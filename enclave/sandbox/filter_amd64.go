// SPDX-License-Identifier: Apache-2.0

package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch      = unix.AUDIT_ARCH_X86_64
	foreignNumbers = 1 << 30 // x32's
)

var deniedHere = []uint32{
	unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_INOTIFY_INIT, unix.SYS_USELIB, unix.SYS_MODIFY_LDT,
	unix.SYS_IOPL, unix.SYS_IOPERM,
}
