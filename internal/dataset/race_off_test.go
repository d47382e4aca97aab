// SPDX-License-Identifier: Apache-2.0

//go:build !race

package dataset

// raceDetector keeps shadow memory: what a test measures is not the package's.
const raceDetector = false
