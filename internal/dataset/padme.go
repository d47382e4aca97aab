// SPDX-License-Identifier: Apache-2.0

package dataset

import "math/bits"

// padme is the length to which n bytes are padded: Padmé (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files
// and Communication with PURBs", PoPETs 2019). It keeps O(log log n) bits of a length, for at most 12% more bytes. A padded
// length is its own.
func padme(n int64) int64 {
	if n < 2 {
		return max(n, 0)
	}
	e := bits.Len64(uint64(n)) - 1 // ⌊log₂ n⌋
	mask := int64(1)<<(e-bits.Len64(uint64(e))) - 1
	return (n + mask) &^ mask
}
