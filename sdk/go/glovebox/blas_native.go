// SPDX-License-Identifier: Apache-2.0

//go:build !wasip1

package glovebox

import "math"

// Every product and every sum below is converted to float32 on its own: the conversions forbid fused multiply-add.

func sgemm(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	aRow, aCol := strides(transA, lda)
	sums := make([]float32, n)
	for i := range m {
		if transB {
			dots(sums, k, a[min(i*aRow, len(a)):], aCol, b, ldb)
		} else {
			rows(sums, k, a[min(i*aRow, len(a)):], aCol, b, ldb)
		}
		for j, s := range sums {
			store(&c[i*ldc+j], alpha, s, beta)
		}
	}
}

// rows sums up k rows of b, each times an element of a.
func rows(sums []float32, k int, a []float32, step int, b []float32, ldb int) {
	clear(sums)
	for p := range k {
		v, row := a[p*step], b[p*ldb:][:len(sums)]
		for j, w := range row {
			sums[j] = float32(sums[j] + float32(v*w))
		}
	}
}

// dots is rows for a b that is stored transposed.
func dots(sums []float32, k int, a []float32, step int, b []float32, ldb int) {
	for j := range sums {
		var sum float32
		for p := range k {
			sum = float32(sum + float32(a[p*step]*b[j*ldb+p]))
		}
		sums[j] = sum
	}
}

func sgemv(trans bool, m, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) {
	outs, depth := m, n
	if trans {
		outs, depth = n, m
	}
	row, col := strides(trans, lda)
	for i := range outs {
		var sum float32
		for p := range depth {
			sum = float32(sum + float32(a[i*row+p*col]*x[p*incX]))
		}
		store(&y[i*incY], alpha, sum, beta)
	}
}

// strides are the elements between the rows and columns of a view.
func strides(trans bool, ld int) (row, col int) {
	if trans {
		return 1, ld
	}
	return ld, 1
}

// store scales a sum into its place.
func store(at *float32, alpha, sum, beta float32) {
	v := float32(alpha * sum)
	if beta != 0 {
		v = float32(v + float32(beta**at))
	}
	*at = oneNaN(v)
}

// oneNaN replaces every NaN by the one that is ever written.
func oneNaN(v float32) float32 {
	if v != v {
		return math.Float32frombits(0x7fc00000)
	}
	return v
}

func saxpy(n int, alpha float32, x []float32, incX int, y []float32, incY int) {
	for i := range n {
		y[i*incY] = oneNaN(float32(float32(alpha*x[i*incX]) + y[i*incY]))
	}
}

func sexp(n int, x, y []float32) {
	for i, v := range x[:n] {
		y[i] = exp(v)
	}
}

// exp is e to the power of x: x = k·ln 2 + r, a polynomial of degree nine in r, scaled by 2^k, all in float64 arithmetic
// that rounds after every operation, and rounded once to float32.
func exp(x float32) float32 {
	switch {
	case x != x:
		return oneNaN(x)
	case x >= 0x1.62e43p+6:
		return float32(math.Inf(1))
	case x < -0x1.9fe37p+6:
		return 0
	}
	const shift = 0x1.8p+52 // added and taken away, it rounds to an integer
	v := float64(x)
	k := float64(float64(float64(v*0x1.71547652b82fep+0)+shift) - shift)
	r := float64(float64(v-float64(k*0x1.62e42feep-1)) - float64(k*0x1.a39ef35793c76p-33))
	var p float64 = 0x1.71de3a556c734p-19 // 1/9!
	for _, c := range [...]float64{
		0x1.a01a01a01a01ap-16, 0x1.a01a01a01a01ap-13, 0x1.6c16c16c16c17p-10, 0x1.1111111111111p-7,
		0x1.5555555555555p-5, 0x1.5555555555555p-3, 0x1p-1, 1, 1,
	} {
		p = float64(c + float64(r*p))
	}
	return float32(float64(p * math.Float64frombits(uint64(int64(k)+1023)<<52)))
}
