// SPDX-License-Identifier: Apache-2.0

//go:build race

package sandbox

// raceEnabled: the race detector maps terabytes of address space, so no process under it can be limited in that.
const raceEnabled = true
