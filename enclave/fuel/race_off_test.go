// SPDX-License-Identifier: Apache-2.0

//go:build !race

package fuel_test

const raceEnabled = false
