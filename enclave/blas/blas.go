// SPDX-License-Identifier: Apache-2.0

// Package blas computes the float32 linear algebra that guests import as sgemm, sgemv, saxpy and sexp, defined bit for bit.
//
// Trust domain: the worker process, on matrices that hostile code chose. Its one job: turn slices into slices. It never panics
// and never reads or writes outside the slices that it is given: every call that does not fit is refused.
//
// docs/spec/blas.md defines each function down to the last bit. Every product and every sum is rounded to float32 on its own,
// in one given order, and a NaN is always written as 0x7fc00000, so that the assembly for AVX2, the plain Go of this package
// and a loop in C give the same bytes on every machine. The kernels vectorise over columns, which changes no order of additions.
//
// Neither Go nor this package ever sets the processor's flush-to-zero or denormals-are-zero flags, so denormal numbers are
// computed with like any others.
package blas

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// Version names the definition of the functions and their cost in fuel. A change of either is a new version.
const Version = "blas/1"

// ErrArgument is the root of every refusal: a negative size, a leading dimension below the row's length, an increment below
// one, a slice too short for the sizes, or an output that overlaps an input.
var ErrArgument = errors.New("blas: argument")

// canonicalNaN is the only NaN that the package writes.
const canonicalNaN = 0x7fc00000

// round is the value that is stored for v.
func round(v float32) float32 {
	if v != v {
		return math.Float32frombits(canonicalNaN)
	}
	return v
}

// Sgemm sets C = alpha·op(A)·op(B) + beta·C. All matrices are row-major: op(A) has m rows of k columns, op(B) k rows of n, C m
// rows of n; op transposes if its flag is set. A leading dimension is the number of elements from one row as stored to the next.
//
// For every element the sum over k runs in ascending order from +0. If beta is zero, C is not read. If m or n is zero, nothing
// is computed, but arguments are checked all the same. The extent of C must not overlap those of A and B. Errors wrap [ErrArgument], and C is as before.
func Sgemm(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) error {
	if err := sizes(m, n, k); err != nil {
		return err
	}
	ma, errA := operand("a", transA, m, k, a, lda)
	mb, errB := operand("b", transB, k, n, b, ldb)
	mc, errC := operand("c", false, m, n, c, ldc)
	if err := cmp.Or(errA, errB, errC); err != nil {
		return err
	}
	if m == 0 || n == 0 {
		return nil
	}
	if overlap(mc.data, ma.data) || overlap(mc.data, mb.data) {
		return fmt.Errorf("%w: c overlaps an input", ErrArgument)
	}
	gemm(haveSIMD(), m, n, k, alpha, ma, mb, beta, mc)
	return nil
}

// Sgemv sets y = alpha·op(A)·x + beta·y, where A is stored as m rows of n columns. Every element is that of [Sgemm] with a
// single column. x has n elements and y has m; with trans it is the other way round. The extent of y must not overlap those of
// A and x. Errors wrap [ErrArgument], and y is as before.
func Sgemv(trans bool, m, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) error {
	if err := sizes(m, n, 0); err != nil {
		return err
	}
	rows, depth := m, n
	if trans {
		rows, depth = n, m
	}
	ma, errA := operand("a", trans, rows, depth, a, lda)
	vx, errX := vector("x", depth, x, incX)
	vy, errY := vector("y", rows, y, incY)
	if err := cmp.Or(errA, errX, errY); err != nil {
		return err
	}
	if rows == 0 {
		return nil
	}
	if overlap(vy, ma.data) || overlap(vy, vx) {
		return fmt.Errorf("%w: y overlaps an input", ErrArgument)
	}
	gemm(haveSIMD(), rows, 1, depth, alpha, ma, matrix{vx, incX, 1}, beta, matrix{vy, incY, 1})
	return nil
}

// Saxpy sets y[i] = alpha·x[i] + y[i] for n elements. x and y must be the same elements or not overlap. Errors wrap
// [ErrArgument], and y is as before.
func Saxpy(n int, alpha float32, x []float32, incX int, y []float32, incY int) error {
	if err := sizes(n, 0, 0); err != nil {
		return err
	}
	vx, errX := vector("x", n, x, incX)
	vy, errY := vector("y", n, y, incY)
	if err := cmp.Or(errX, errY); err != nil {
		return err
	}
	if overlap(vx, vy) && (&vx[0] != &vy[0] || incX != incY) {
		return fmt.Errorf("%w: y overlaps x", ErrArgument)
	}
	axpy(haveSIMD(), n, alpha, vx, incX, vy, incY)
	return nil
}

// Sexp sets y[i] to e to the power of x[i] for n elements, wrong by less than 0.51 units in the last place. x and y must be the
// same elements or not overlap. Errors wrap [ErrArgument], and y is as before.
func Sexp(n int, x, y []float32) error {
	if err := sizes(n, 0, 0); err != nil {
		return err
	}
	vx, errX := vector("x", n, x, 1)
	vy, errY := vector("y", n, y, 1)
	if err := cmp.Or(errX, errY); err != nil {
		return err
	}
	if overlap(vx, vy) && &vx[0] != &vy[0] {
		return fmt.Errorf("%w: y overlaps x", ErrArgument)
	}
	expAll(haveSIMD(), vx, vy)
	return nil
}

// matrix is a view: element (i, j) is data[i*row+j*col].
type matrix struct {
	data     []float32
	row, col int
}

func (m matrix) transposed() matrix { return matrix{m.data, m.col, m.row} }

func sizes(n ...int) error {
	for _, v := range n {
		if v < 0 {
			return fmt.Errorf("%w: a size of %d", ErrArgument, v)
		}
	}
	return nil
}

// operand is the rows×cols view of what is stored at data, whose extent is cut to what the view reaches.
func operand(name string, trans bool, rows, cols int, data []float32, ld int) (matrix, error) {
	view := matrix{nil, ld, 1}
	if trans {
		view = matrix{nil, 1, ld}
		rows, cols = cols, rows
	}
	if ld < max(cols, 1) {
		return matrix{}, fmt.Errorf("%w: rows of %s have %d elements and are %d apart", ErrArgument, name, cols, ld)
	}
	if rows == 0 || cols == 0 {
		return view, nil
	}
	// Divided rather than multiplied: no size overflows.
	if cols > len(data) || rows-1 > (len(data)-cols)/ld {
		return matrix{}, fmt.Errorf("%w: %s has %d elements, too few for %d rows of %d, %d apart", ErrArgument, name, len(data), rows, cols, ld)
	}
	view.data = data[:(rows-1)*ld+cols]
	return view, nil
}

// vector is data cut to what n elements, inc apart, reach.
func vector(name string, n int, data []float32, inc int) ([]float32, error) {
	if inc < 1 {
		return nil, fmt.Errorf("%w: elements of %s are %d apart", ErrArgument, name, inc)
	}
	if n == 0 {
		return nil, nil
	}
	if len(data) == 0 || n-1 > (len(data)-1)/inc {
		return nil, fmt.Errorf("%w: %s has %d elements, too few for %d, %d apart", ErrArgument, name, len(data), n, inc)
	}
	return data[:(n-1)*inc+1], nil
}

// overlap reports whether two extents share an element.
func overlap(x, y []float32) bool {
	return len(x) > 0 && len(y) > 0 &&
		uintptr(unsafe.Pointer(&x[0])) <= uintptr(unsafe.Pointer(&y[len(y)-1])) &&
		uintptr(unsafe.Pointer(&y[0])) <= uintptr(unsafe.Pointer(&x[len(x)-1]))
}
