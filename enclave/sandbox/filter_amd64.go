// SPDX-License-Identifier: Apache-2.0

package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch      = unix.AUDIT_ARCH_X86_64
	foreignNumbers = 1 << 30 // x32's

	threadFlagsHere = unix.CLONE_SETTLS // the runtime adds it on this architecture
)
