// SPDX-License-Identifier: Apache-2.0

package sandbox

// int80 stands in for a door that this architecture does not have: ENOSYS.
func int80(uint32) uint32 { return ^uint32(38) + 1 }

// refusedHere are calls that only this architecture has.
var refusedHere []refusedCall

var trampolines []uintptr
