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
	p := float64(exp8 + float64(r*exp9))
	p = float64(exp7 + float64(r*p))
	p = float64(exp6 + float64(r*p))
	p = float64(exp5 + float64(r*p))
	p = float64(exp4 + float64(r*p))
	p = float64(exp3 + float64(r*p))
	p = float64(exp2 + float64(r*p))
	p = float64(1 + float64(r*p))
	p = float64(1 + float64(r*p))
	return float32(float64(p * math.Float64frombits(uint64(int64(k)+1023)<<52)))
}

// expAll sets y to the powers of x, which has as many elements and is y or apart from it.
func expAll(simd bool, x, y []float32) {
	done := 0
	if simd {
		done = len(x) / 8 * 8
	}
	if done > 0 {
		exp8s(x[:done], y[:done])
	}
	for i := done; i < len(x); i++ {
		y[i] = exp(x[i])
	}
}
