// SPDX-License-Identifier: Apache-2.0

package tlog

// Bounds, checked before parsing.
const (
	MaxCheckpoint = 4 << 10
	MaxBody       = 4 << 10   // a hashedrekord holds a hash, a signature and a key
	maxOrigin     = 255       // bytes
	maxHashes     = 63        // the audit path of the largest tree
	maxSize       = 1<<53 - 1 // the integers that canonical JSON keeps exact
)
