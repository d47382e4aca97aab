// SPDX-License-Identifier: Apache-2.0

package tlog

// Bounds, checked before parsing.
const (
	MaxCheckpoint = 8 << 10
	MaxWitnesses  = 16        // cosignatures under a checkpoint, and members of a policy
	MaxBody       = 4 << 10   // a hashedrekord holds a hash, a signature and a key
	maxOrigin     = 255       // bytes
	maxHashes     = 63        // the audit path of the largest tree
	maxSize       = 1<<53 - 1 // the integers that canonical JSON keeps exact
)
