// SPDX-License-Identifier: Apache-2.0

package blas

import "golang.org/x/sys/cpu"

// haveSIMD reports whether processor and kernel support AVX2 (the package cpu asks both).
func haveSIMD() bool { return cpu.X86.HasAVX2 }

// The kernels in kernel_amd64.s check nothing: the functions below touch the last element that each will read or write first,
// so that an error of ours panics in Go instead of reaching other memory.

func tile(simd bool, rows, depth int, a matrix, b []float32, step int, acc []float32) {
	if !simd {
		tileGo(rows, depth, a, b, step, acc)
		return
	}
	_, _, _ = a.data[(rows-1)*a.row+(depth-1)*a.col], b[(depth-1)*step+tileCols-1], acc[rows*tileCols-1]
	if rows == tileRows {
		tile4(depth, &a.data[0], 4*a.row, 4*a.col, &b[0], 4*step, &acc[0])
	} else {
		tile1(depth, &a.data[0], 4*a.col, &b[0], 4*step, &acc[0])
	}
}

func store(rows int, alpha float32, acc *sums, beta float32, c matrix) {
	_ = c.data[(rows-1)*c.row+tileCols-1]
	if beta == 0 {
		storeScaled(rows, alpha, &acc[0], &c.data[0], 4*c.row)
	} else {
		storeAdded(rows, alpha, &acc[0], beta, &c.data[0], 4*c.row)
	}
}

// transpose8 copies 8 columns, col apart, of depth contiguous elements each (a multiple of 8) to rows of tileCols elements.
func transpose8(depth int, b []float32, col int, to []float32) {
	_, _ = b[7*col+depth-1], to[(depth-1)*tileCols+7]
	transpose(depth/8, &b[0], 4*col, &to[0])
}

func axpy(simd bool, n int, alpha float32, x []float32, incX int, y []float32, incY int) {
	done := 0
	if simd && incX == 1 && incY == 1 && n >= 8 {
		done = n / 8 * 8
		_, _ = x[done-1], y[done-1]
		axpy8(done/8, alpha, &x[0], &y[0])
	}
	if done < n {
		axpyGo(n-done, alpha, x[done*incX:], incX, y[done*incY:], incY)
	}
}

// exp8s is exp of a number of elements that is a multiple of 8 and not 0, and the same for both.
func exp8s(x, y []float32) {
	_ = y[len(x)-1]
	expBlocks(len(x)/8, &x[0], &y[0])
}

// tile4 adds to 4 rows of 16 sums the products of 4 rows of a (row bytes apart, their elements col bytes apart) with depth
// rows of 16 elements of b, step bytes apart.
//
//go:noescape
func tile4(depth int, a *float32, row, col int, b *float32, step int, acc *float32)

// tile1 is tile4 for a single row.
//
//go:noescape
func tile1(depth int, a *float32, col int, b *float32, step int, acc *float32)

// storeScaled sets rows of 16 elements of c, ldc bytes apart, to alpha times the sums.
//
//go:noescape
func storeScaled(rows int, alpha float32, acc, c *float32, ldc int)

// storeAdded sets rows of 16 elements of c, ldc bytes apart, to alpha times the sums plus beta times c.
//
//go:noescape
func storeAdded(rows int, alpha float32, acc *float32, beta float32, c *float32, ldc int)

//go:noescape
func transpose(blocks int, b *float32, col int, to *float32)

//go:noescape
func axpy8(blocks int, alpha float32, x, y *float32)

//go:noescape
func expBlocks(blocks int, x, y *float32)
