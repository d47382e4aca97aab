// SPDX-License-Identifier: Apache-2.0

package sandbox

import "slices"

// Parts of the jail that a test takes out, one at a time, to see the self-test notice.
const (
	partFilter     = "filter"
	partLandlock   = "landlock"
	partLimits     = "limits"
	partPrivileges = "privileges"
	partRoot       = "root"
	partDumpable   = "dumpable"
	partVerify     = "verify" // the worker's own look at its jail before it says that it is confined
)

// testOnlyArgs are further arguments of every process the sandbox starts, testOnlySkip what they mean there. Nothing but
// this package's tests sets them.
var testOnlyArgs, testOnlySkip []string

func skipped(part string) bool { return slices.Contains(testOnlySkip, part) }
