// SPDX-License-Identifier: Apache-2.0

package rim

// MaxRIM bounds a manifest, in bytes; NVIDIA's have 20,000.
const MaxRIM = 256 << 10

const (
	maxDepth        = 8
	maxElements     = 512 // NVIDIA's have 90
	maxScope        = 16  // namespaces in scope: every element may need all of them copied and sorted; NVIDIA's have 4
	maxAttributes   = 80
	maxVersion      = 64
	maxIndex        = 254
	maxSize         = 64
	maxAlternatives = 64
)
