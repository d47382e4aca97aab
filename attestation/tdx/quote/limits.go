// SPDX-License-Identifier: Apache-2.0

package quote

// Bounds, checked before parsing. A quote with its certificates has some 5,000 bytes, and kernels hand it over in a buffer
// of 8,000 or 16,384.
const (
	MaxQuote = 128 << 10

	headerSize  = 48
	body10Size  = 584 // TD report 1.0
	body15Size  = 648 // TD report 1.5
	descriptor5 = 2 + 4
	lengthSize  = 4
)
