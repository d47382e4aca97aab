// SPDX-License-Identifier: Apache-2.0

package scan

import "math/bits"

// Eight bytes are looked at as one number: a loop over bytes costs many times as much, in WebAssembly above all.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// notDigits marks the bytes of x that are no digits by their high bits. No sum carries from byte to byte.
func notDigits(x uint64) uint64 {
	x ^= '0' * ones
	return (x&^highs + (0x80-10)*ones | x) & highs
}

// notLetters marks the bytes that are no letters; those beyond ASCII are.
func notLetters(x uint64) uint64 {
	low := x&^highs | 0x20*ones
	return (^(low + (0x80-'a')*ones) | (low + (0x80-'{')*ones)) &^ x & highs
}

// notAlnums marks the bytes that are no letters and digits of ASCII.
func notAlnums(x uint64) uint64 {
	low := x&^highs | 0x20*ones
	return (^(low+(0x80-'a')*ones)|(low+(0x80-'{')*ones))&notDigits(x) | x&highs
}

// first is how many bytes precede the first mark.
func first(marks uint64) int { return bits.TrailingZeros64(marks) >> 3 }

// after is how many bytes follow the last mark.
func after(marks uint64) int { return bits.LeadingZeros64(marks) >> 3 }
