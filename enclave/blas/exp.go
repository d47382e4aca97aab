// SPDX-License-Identifier: Apache-2.0

package blas

import "math"

// The constants of exp: each is exactly the float64 as written.
const (
	expMax = 0x1.62e43p+6  // from here on, e to the power of x rounds to infinity
	expMin = -0x1.9fe37p+6 // below, it rounds to zero

	log2E = 0x1.71547652b82fep+0
	ln2Hi = 0x1.62e42feep-1       // 32 bits: its product with any exponent here is exact
	ln2Lo = 0x1.a39ef35793c76p-33 // what ln2Hi lacks
	shift = 0x1.8p+52             // added and taken away, it rounds to an integer

	// 1/n!
	exp2 = 0x1p-1
	exp3 = 0x1.5555555555555p-3
	exp4 = 0x1.5555555555555p-5
	exp5 = 0x1.1111111111111p-7
	exp6 = 0x1.6c16c16c16c17p-10
	exp7 = 0x1.a01a01a01a01ap-13
	exp8 = 0x1.a01a01a01a01ap-16
	exp9 = 0x1.71de3a556c734p-19
)

// exp is e to the power of x, in float64 arithmetic that rounds after every operation, rounded once to float32. math.Exp would
// not do: it is assembly on some machines, with other bits.
func exp(x float32) float32 {
	switch {
	case x != x:
		return math.Float32frombits(canonicalNaN)
	case x >= expMax:
		return float32(math.Inf(1))
	case x < expMin:
		return 0
	}
	v := float64(x)
	k := float64(float64(float64(v*log2E)+shift) - shift)
	r := float64(float64(v-float64(k*ln2Hi)) - float64(k*ln2Lo))
	r2 := float64(r * r)
	r4 := float64(r2 * r2)
	// In pairs, not one coefficient after the other: the processor computes them side by side.
	low := float64(float64(1+r) + float64(r2*float64(exp2+float64(exp3*r))))
	mid := float64(float64(exp4+float64(exp5*r)) + float64(r2*float64(exp6+float64(exp7*r))))
	high := float64(exp8 + float64(exp9*r))
	p := float64(low + float64(r4*float64(mid+float64(r4*high))))
	return float32(float64(p * math.Float64frombits(uint64(int64(k)+1023)<<52)))
}
