// SPDX-License-Identifier: Apache-2.0

package dp

import "math"

// fourier transforms vectors of one length, a power of two, in place (Cooley and Tukey, 1965). Spectra are in bit-reversed order, in
// which they can be multiplied as well as in any other, so that nothing is ever sorted.
type fourier []complex128 // e^(-2πik/n), k < n/2

func newFourier(n int) fourier {
	w := make(fourier, n/2)
	for k := range w {
		s, c := math.Sincos(2 * math.Pi * float64(k) / float64(n))
		w[k] = complex(c, -s)
	}
	return w
}

// forward decimates in frequency: natural order to bit-reversed order.
func (w fourier) forward(a []complex128) {
	for half, stride := len(a)/2, 1; half > 0; half, stride = half/2, stride*2 {
		for i := 0; i < len(a); i += 2 * half {
			x, y := a[i:i+half], a[i+half:i+2*half]
			for k := range x {
				u, v := x[k], y[k]
				x[k], y[k] = u+v, (u-v)*w[k*stride]
			}
		}
	}
}

// inverse decimates in time: bit-reversed order to natural order, with the factor 1/n.
func (w fourier) inverse(a []complex128) {
	for half, stride := 1, len(a)/2; half < len(a); half, stride = half*2, stride/2 {
		for i := 0; i < len(a); i += 2 * half {
			x, y := a[i:i+half], a[i+half:i+2*half]
			for k := range x {
				t := w[k*stride]
				u, v := x[k], y[k]*complex(real(t), -imag(t))
				x[k], y[k] = u+v, u-v
			}
		}
	}
	f := complex(1/float64(len(a)), 0)
	for i := range a {
		a[i] *= f
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
