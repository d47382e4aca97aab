// SPDX-License-Identifier: Apache-2.0

//go:build race

package clip

const raceEnabled = true
