// SPDX-License-Identifier: Apache-2.0

package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch      = unix.AUDIT_ARCH_AARCH64
	foreignNumbers = 1 << 30 // none; one limit for both architectures
)

var deniedHere = []uint32{unix.SYS_KEXEC_FILE_LOAD}
