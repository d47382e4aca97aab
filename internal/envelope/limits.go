// SPDX-License-Identifier: Apache-2.0

package envelope

const (
	// MaxEnvelope bounds any signed thing, in bytes, before it is parsed. A manifest of a large dataset is the largest.
	MaxEnvelope = 24 << 20
	// maxDepth bounds JSON nesting. Our own formats stay below ten; embedded JSON-LD may be deeper.
	maxDepth = 64
	// maxExact is the largest integer that canonical JSON keeps exact.
	maxExact = 1<<53 - 1
	// maxKeyFile bounds a key file in bytes.
	maxKeyFile = 16 << 10
)
