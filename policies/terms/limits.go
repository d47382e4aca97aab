// SPDX-License-Identifier: Apache-2.0

package terms

// Bounds of what is read.
const (
	MaxFile   = 64 << 10 // a terms file or an offer: one page, and room for comments
	maxSteps  = 1 << 20  // a steps file
	maxDepth  = 16       // of nesting
	maxValues = 1024     // of one list
	maxText   = 2048     // of one value
	maxErrors = 100      // reported at once
)
