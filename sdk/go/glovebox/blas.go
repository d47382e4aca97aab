// SPDX-License-Identifier: Apache-2.0

package glovebox

import (
	"strconv"
	"unsafe"
)

// The functions of this file run outside the guest, on the machine's vector instructions, and cost fuel by their sizes.
// docs/spec/blas.md defines each down to the last bit, so that the model is the same on every machine and in tests
// outside the sandbox. Matrices are stored row by row; a leading dimension is the number of elements from one row to the
// next. Arguments that do not fit panic: a slice that is too short, a negative size, an output that overlaps an input.

// Sgemm sets C = alpha·op(A)·op(B) + beta·C, where op(A) has m rows of k columns, op(B) k rows of n and C m rows of n. op
// transposes if its flag is set. With beta 0 what C held is not read. C must not overlap A or B.
func Sgemm(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	notNegative("Sgemm", m, n, k)
	a = operand("Sgemm: a", transA, m, k, a, lda)
	b = operand("Sgemm: b", transB, k, n, b, ldb)
	c = operand("Sgemm: c", false, m, n, c, ldc)
	if m == 0 || n == 0 {
		return
	}
	apart("Sgemm: c", c, a)
	apart("Sgemm: c", c, b)
	sgemm(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// Sgemv sets y = alpha·op(A)·x + beta·y, where A is stored as m rows of n columns. x has n elements, incX apart, and y m,
// incY apart; with trans it is the other way round. With beta 0 what y held is not read. y must not overlap A or x.
func Sgemv(trans bool, m, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) {
	notNegative("Sgemv", m, n)
	rows, depth := m, n
	if trans {
		rows, depth = n, m
	}
	a = operand("Sgemv: a", false, m, n, a, lda)
	x = vector("Sgemv: x", depth, x, incX)
	y = vector("Sgemv: y", rows, y, incY)
	if rows == 0 {
		return
	}
	apart("Sgemv: y", y, a)
	apart("Sgemv: y", y, x)
	sgemv(trans, m, n, alpha, a, lda, x, incX, beta, y, incY)
}

// Saxpy sets y[i] = alpha·x[i] + y[i] for n elements, incX and incY apart. x and y must be the same elements or not
// overlap.
func Saxpy(n int, alpha float32, x []float32, incX int, y []float32, incY int) {
	notNegative("Saxpy", n)
	x, y = vector("Saxpy: x", n, x, incX), vector("Saxpy: y", n, y, incY)
	if n == 0 {
		return
	}
	if &x[0] != &y[0] || incX != incY {
		apart("Saxpy: y", y, x)
	}
	saxpy(n, alpha, x, incX, y, incY)
}

// Sexp sets y[i] to e to the power of x[i] for n elements. x and y must be the same elements or not overlap. Use it rather
// than math.Exp, which has other bits on other machines outside the sandbox.
func Sexp(n int, x, y []float32) {
	notNegative("Sexp", n)
	x, y = vector("Sexp: x", n, x, 1), vector("Sexp: y", n, y, 1)
	if n == 0 {
		return
	}
	if &x[0] != &y[0] {
		apart("Sexp: y", y, x)
	}
	sexp(n, x, y)
}

func notNegative(what string, sizes ...int) {
	for _, n := range sizes {
		if n < 0 {
			panic("glovebox." + what + ": a size of " + strconv.Itoa(n))
		}
	}
}

// operand cuts a matrix to what rows of cols elements, or with trans cols of rows, reach.
func operand(what string, trans bool, rows, cols int, data []float32, ld int) []float32 {
	if trans {
		rows, cols = cols, rows
	}
	if ld < max(cols, 1) {
		panic("glovebox." + what + ": rows of " + strconv.Itoa(cols) + " elements are " + strconv.Itoa(ld) + " apart")
	}
	if rows == 0 || cols == 0 {
		return nil
	}
	if cols > len(data) || rows-1 > (len(data)-cols)/ld { // divided rather than multiplied: no size overflows
		panic("glovebox." + what + ": " + strconv.Itoa(len(data)) + " elements are too few for " + strconv.Itoa(rows) + " rows of " + strconv.Itoa(cols))
	}
	return data[:(rows-1)*ld+cols]
}

// vector cuts a vector to what n elements, inc apart, reach.
func vector(what string, n int, data []float32, inc int) []float32 {
	if inc < 1 {
		panic("glovebox." + what + ": elements are " + strconv.Itoa(inc) + " apart")
	}
	if n == 0 {
		return nil
	}
	if len(data) == 0 || n-1 > (len(data)-1)/inc {
		panic("glovebox." + what + ": " + strconv.Itoa(len(data)) + " elements are too few for " + strconv.Itoa(n))
	}
	return data[:(n-1)*inc+1]
}

// apart refuses extents that share an element.
func apart(what string, x, y []float32) {
	if len(x) > 0 && len(y) > 0 &&
		uintptr(unsafe.Pointer(&x[0])) <= uintptr(unsafe.Pointer(&y[len(y)-1])) &&
		uintptr(unsafe.Pointer(&y[0])) <= uintptr(unsafe.Pointer(&x[len(x)-1])) {
		panic("glovebox." + what + " overlaps an input")
	}
}
