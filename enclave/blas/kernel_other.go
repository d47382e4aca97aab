// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package blas

func haveSIMD() bool { return false }

func tile(_ bool, rows, depth int, a matrix, b []float32, step int, acc []float32) {
	tileGo(rows, depth, a, b, step, acc)
}

func axpy(_ bool, n int, alpha float32, x []float32, incX int, y []float32, incY int) {
	axpyGo(n, alpha, x, incX, y, incY)
}

func store(int, float32, *sums, float32, matrix) { panic("blas: no assembly for this processor") }

func transpose8(int, []float32, int, []float32) { panic("blas: no assembly for this processor") }

func exp8s(_, _ []float32) { panic("blas: no assembly for this processor") }
