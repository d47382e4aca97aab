// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"encoding/binary"
	"math/bits"
)

// keccak256 is Keccak with the padding from before FIPS 202, which Ethereum kept; the standard library has only the later one. The
// message is shorter than one block.
func keccak256(short []byte) (sum [32]byte) {
	const rate = 136
	var block [rate]byte
	copy(block[:], short)
	block[len(short)] = 1
	block[rate-1] |= 0x80
	var a [25]uint64
	for i := range rate / 8 {
		a[i] = binary.LittleEndian.Uint64(block[i*8:])
	}
	keccakF(&a)
	for i := range 4 {
		binary.LittleEndian.PutUint64(sum[i*8:], a[i])
	}
	return sum
}

// keccakF is the permutation Keccak-f[1600] of FIPS 202, section 3.3.
func keccakF(a *[25]uint64) {
	register := byte(1)
	for range 24 {
		var c [5]uint64
		for x := range 5 { // theta
			c[x] = a[x] ^ a[x+5] ^ a[x+10] ^ a[x+15] ^ a[x+20]
		}
		for x := range 5 {
			d := c[(x+4)%5] ^ bits.RotateLeft64(c[(x+1)%5], 1)
			for y := 0; y < 25; y += 5 {
				a[x+y] ^= d
			}
		}
		x, y, moving := 1, 0, a[1] // rho and pi
		for t := range 24 {
			x, y = y, (2*x+3*y)%5
			a[x+5*y], moving = bits.RotateLeft64(moving, (t+1)*(t+2)/2), a[x+5*y]
		}
		for y := 0; y < 25; y += 5 { // chi
			row := [5]uint64(a[y : y+5])
			for x := range 5 {
				a[y+x] = row[x] ^ ^row[(x+1)%5]&row[(x+2)%5]
			}
		}
		for j := range 7 { // iota
			if register&1 != 0 {
				a[0] ^= 1 << (1<<j - 1)
			}
			register = register<<1 ^ 0x71*(register>>7)
		}
	}
}
