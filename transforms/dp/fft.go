// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"math"
	"math/bits"
)

// fourier transforms vectors of one length, a power of two, in place (Cooley and Tukey, 1965). Spectra are in bit-reversed order, in
// which they can be multiplied as well as in any other, so that nothing is ever sorted.
//
// Both go into one half before the other, so that most levels are of what is in the processor's cache already.
type fourier [][]complex128 // by length 2^(i+1): e^(-2πik/length), k < length/2

func newFourier(n int) fourier {
	w := make(fourier, bits.Len64(uint64(n))-1)
	for i := len(w) - 1; i >= 0; i-- {
		w[i] = make([]complex128, 1<<i)
		for k := range w[i] {
			if i+1 < len(w) {
				w[i][k] = w[i+1][2*k]
				continue
			}
			s, c := math.Sincos(2 * math.Pi * float64(k) / float64(n))
			w[i][k] = complex(c, -s)
		}
	}
	return w
}

// forward decimates in frequency: natural order to bit-reversed order.
func (w fourier) forward(a []complex128) {
	if len(w) == 0 {
		return
	}
	last := w[len(w)-1]
	x, y := a[:len(last)], a[len(last):2*len(last)]
	for k, t := range last {
		u, v := x[k], y[k]
		x[k], y[k] = u+v, (u-v)*t
	}
	w[:len(w)-1].forward(x)
	w[:len(w)-1].forward(y)
}

// inverse decimates in time: bit-reversed order to natural order, with the factor 1/n.
func (w fourier) inverse(a []complex128) {
	w.unscaled(a)
	f := complex(1/float64(len(a)), 0)
	for i := range a {
		a[i] *= f
	}
}

func (w fourier) unscaled(a []complex128) {
	if len(w) == 0 {
		return
	}
	last := w[len(w)-1]
	x, y := a[:len(last)], a[len(last):2*len(last)]
	w[:len(w)-1].unscaled(x)
	w[:len(w)-1].unscaled(y)
	for k, t := range last {
		u, v := x[k], y[k]*complex(real(t), -imag(t))
		x[k], y[k] = u+v, u-v
	}
}

// power is zⁿ by squaring.
func power(z complex128, n int64) complex128 {
	r := complex(1, 0)
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			r *= z
		}
		z *= z
	}
	return r
}
