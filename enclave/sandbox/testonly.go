// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Parts of the jail that a test takes out, one at a time, to see the self-test notice.
const (
	partFilter     = "filter"
	partLandlock   = "landlock"
	partLimits     = "limits"
	partPrivileges = "privileges"
	partRoot       = "root"
	partDumpable   = "dumpable"
	partPatience   = "patience" // most of the time that a compilation may take
	partVerify     = "verify"   // the worker's own look at its jail before it says that it is confined
)

// testOnlyArgs are further arguments of every process the sandbox starts, testOnlySkip what they mean there. Nothing but
// this package's tests sets them.
var testOnlyArgs, testOnlySkip []string

func skipped(part string) bool { return slices.Contains(testOnlySkip, part) }

// testOnlyShared are the namespaces that a test lets a worker share with the machine.
func testOnlyShared() (flags uintptr) {
	for name, flag := range map[string]uintptr{
		"net": unix.CLONE_NEWNET, "ipc": unix.CLONE_NEWIPC, "uts": unix.CLONE_NEWUTS, "pid": unix.CLONE_NEWPID,
	} {
		if skipped(name) {
			flags |= flag
		}
	}
	return flags
}
