// SPDX-License-Identifier: Apache-2.0

//go:build !race

package sandbox

// raceEnabled: this is not a build with the race detector.
const raceEnabled = false
