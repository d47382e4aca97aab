// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package glovebox

import "unsafe"

//go:wasmimport glovebox sgemm
func hostSgemm(transA, transB, m, n, k int32, alpha float32, a unsafe.Pointer, lda int32, b unsafe.Pointer, ldb int32, beta float32, c unsafe.Pointer, ldc int32)

//go:wasmimport glovebox sgemv
func hostSgemv(trans, m, n int32, alpha float32, a unsafe.Pointer, lda int32, x unsafe.Pointer, incX int32, beta float32, y unsafe.Pointer, incY int32)

//go:wasmimport glovebox saxpy
func hostSaxpy(n int32, alpha float32, x unsafe.Pointer, incX int32, y unsafe.Pointer, incY int32)

//go:wasmimport glovebox sexp
func hostSexp(n int32, x, y unsafe.Pointer)

func at(s []float32) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s)) }

func flag(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

func sgemm(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	hostSgemm(flag(transA), flag(transB), int32(m), int32(n), int32(k), alpha, at(a), int32(lda), at(b), int32(ldb), beta, at(c), int32(ldc))
}

func sgemv(trans bool, m, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) {
	hostSgemv(flag(trans), int32(m), int32(n), alpha, at(a), int32(lda), at(x), int32(incX), beta, at(y), int32(incY))
}

func saxpy(n int, alpha float32, x []float32, incX int, y []float32, incY int) {
	hostSaxpy(int32(n), alpha, at(x), int32(incX), at(y), int32(incY))
}

func sexp(n int, x, y []float32) { hostSexp(int32(n), at(x), at(y)) }
