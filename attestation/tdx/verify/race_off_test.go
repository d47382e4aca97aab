// SPDX-License-Identifier: Apache-2.0

//go:build !race

package verify_test

// raceDetector: a library that races fails every test that shows it.
const raceDetector = false
