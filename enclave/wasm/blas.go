// SPDX-License-Identifier: Apache-2.0

package wasm

import "github.com/glovebox-dev/glovebox/enclave/blas"

// The functions of package blas on the guest's memory. Pointers are in bytes, everything else in elements. The fuel is taken
// for the sizes asked for, before anything is looked at; what package blas refuses is a trap.

func sgemm(c call) {
	transA, transB, m, n, k := c.int(0) != 0, c.int(1) != 0, c.int(2), c.int(3), c.int(4)
	a, b, out := c.floats(6), c.floats(8), c.floats(11)
	lda, ldb, ldc := c.int(7), c.int(9), c.int(12)
	c.spend(blas.FuelSgemm(transA, transB, m, n, k, lda, ldb, ldc))
	must(blas.Sgemm(transA, transB, m, n, k, c.float(5), a, lda, b, ldb, c.float(10), out, ldc))
}

func sgemv(c call) {
	trans, m, n := c.int(0) != 0, c.int(1), c.int(2)
	a, x, y := c.floats(4), c.floats(6), c.floats(9)
	lda, incX, incY := c.int(5), c.int(7), c.int(10)
	c.spend(blas.FuelSgemv(trans, m, n, lda, incX, incY))
	must(blas.Sgemv(trans, m, n, c.float(3), a, lda, x, incX, c.float(8), y, incY))
}

func saxpy(c call) {
	n, x, y := c.int(0), c.floats(2), c.floats(4)
	incX, incY := c.int(3), c.int(5)
	c.spend(blas.FuelSaxpy(n, incX, incY))
	must(blas.Saxpy(n, c.float(1), x, incX, y, incY))
}

func sexp(c call) {
	n, x, y := c.int(0), c.floats(1), c.floats(2)
	c.spend(blas.FuelSexp(n))
	must(blas.Sexp(n, x, y))
}

// must makes a refusal a trap.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
