// SPDX-License-Identifier: Apache-2.0

package eventlog

// Bounds, checked before anything is allocated for what a length field claims.
const (
	MaxLog        = 1 << 20 // a log in bytes; firmware with large option tables writes some 100 KiB
	maxEvents     = 8192
	maxAlgorithms = 8
	maxDigest     = 64
	pcrCount      = 24
)
