// SPDX-License-Identifier: Apache-2.0

package blas

import (
	"math"
	"math/rand/v2"
)

// refGemm is the definition in docs/spec/blas.md, word for word.
func refGemm(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	for i := range m {
		for j := range n {
			var sum float32
			for p := range k {
				ai, bi := i*lda+p, p*ldb+j
				if transA {
					ai = p*lda + i
				}
				if transB {
					bi = j*ldb + p
				}
				sum = float32(sum + float32(a[ai]*b[bi]))
			}
			v := float32(alpha * sum)
			if beta != 0 {
				v = float32(v + float32(beta*c[i*ldc+j]))
			}
			if v != v {
				v = math.Float32frombits(0x7fc00000)
			}
			c[i*ldc+j] = v
		}
	}
}

// odd are values that arithmetic treats specially.
var odd = []uint32{
	0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x3f800000, 0xbf800000, 0x7f7fffff, 0xff7fffff,
	0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7fc12345, 0x7f800001, 0xff812345, 0x33800000, 0x4b800000, 0x1e3ce508,
}

// values fills a slice in one of several manners.
func values(r *rand.Rand, n int) []float32 {
	s := make([]float32, n)
	manner := r.IntN(6)
	for i := range s {
		switch manner {
		case 0: // every bit pattern
			s[i] = math.Float32frombits(r.Uint32())
		case 1: // mostly tame, at times not
			s[i] = r.Float32()*2 - 1
			if r.IntN(40) == 0 {
				s[i] = math.Float32frombits(odd[r.IntN(len(odd))])
			}
		case 2: // products that are denormal
			s[i] = math.Float32frombits(r.Uint32()&0x80ffffff | 0x1f000000)
		case 3: // sums that overflow
			s[i] = math.Float32frombits(r.Uint32()&0x80ffffff | 0x5f000000)
		default:
			s[i] = r.Float32()*2 - 1
		}
	}
	return s
}

func scalar(r *rand.Rand) float32 {
	switch r.IntN(6) {
	case 0:
		return 0
	case 1:
		return 1
	case 2:
		return -1
	case 3:
		return math.Float32frombits(odd[r.IntN(len(odd))])
	default:
		return r.Float32()*4 - 2
	}
}

func firstDifference(x, y []float32) int {
	for i := range x {
		if math.Float32bits(x[i]) != math.Float32bits(y[i]) {
			return i
		}
	}
	return -1
}
