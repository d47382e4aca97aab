// SPDX-License-Identifier: Apache-2.0

package blas

// The kernels compute tiles of tileRows×tileCols elements. A block of blockRows rows is summed over blockDepth values at a
// time: the packed columns of B then stay in the first-level cache. Both buffers live on the stack.
const (
	tileRows   = 4
	tileCols   = 16
	blockRows  = 64
	blockDepth = 128

	// packFrom is the number of rows from which copying B's columns beside each other costs less than reading them in place.
	packFrom = 24
)

type (
	sums  [blockRows * tileCols]float32
	panel [blockDepth * tileCols]float32
)

// gemm is the product of checked operands. The sum of an element is carried from one block of depth to the next as the
// float32 that it is, so blocks change no bit.
func gemm(simd bool, m, n, k int, alpha float32, a, b matrix, beta float32, c matrix) {
	if n == 1 && m > 1 { // Cᵀ = op(B)ᵀ·op(A)ᵀ has its elements beside each other, where the kernels are wide
		gemm(simd, 1, m, k, alpha, b.transposed(), a.transposed(), beta, c.transposed())
		return
	}
	var acc sums
	var packed panel
	for j := 0; j < n; j += tileCols {
		width := min(tileCols, n-j)
		for i := 0; i < m; i += blockRows {
			rows := min(blockRows, m-i)
			clear(acc[:rows*tileCols])
			for p := 0; p < k; p += blockDepth {
				depth := min(blockDepth, k-p)
				bp, step := packed[:], tileCols
				if width == tileCols && b.col == 1 && rows < packFrom {
					bp, step = b.data[p*b.row+j:], b.row
				} else {
					pack(simd, depth, width, matrix{b.data[p*b.row+j*b.col:], b.row, b.col}, &packed)
				}
				multiply(simd, rows, depth, matrix{a.data[i*a.row+p*a.col:], a.row, a.col}, bp, step, &acc)
			}
			finish(simd, rows, width, alpha, &acc, beta, matrix{c.data[i*c.row+j*c.col:], c.row, c.col}, &packed)
		}
	}
}

// multiply adds the products of rows×depth elements of a and depth rows of tileCols elements of b, step apart, to the sums.
func multiply(simd bool, rows, depth int, a matrix, b []float32, step int, acc *sums) {
	i := 0
	for ; i+tileRows <= rows; i += tileRows {
		tile(simd, tileRows, depth, matrix{a.data[i*a.row:], a.row, a.col}, b, step, acc[i*tileCols:])
	}
	for ; i < rows; i++ {
		tile(simd, 1, depth, matrix{a.data[i*a.row:], a.row, a.col}, b, step, acc[i*tileCols:])
	}
}

// pack copies a depth×width view of B to rows of tileCols elements. Columns from width on keep what they hold: their sums are
// never stored.
func pack(simd bool, depth, width int, b matrix, to *panel) {
	switch {
	case b.col != 1:
		packColumns(simd, depth, width, b, to)
	case width == tileCols:
		for p := range depth {
			*(*[tileCols]float32)(to[p*tileCols:]) = *(*[tileCols]float32)(b.data[p*b.row:])
		}
	default:
		for p := range depth {
			copy(to[p*tileCols:], b.data[p*b.row:][:width])
		}
	}
}

// packColumns packs a view whose columns, not rows, may be contiguous.
func packColumns(simd bool, depth, width int, b matrix, to *panel) {
	done, j := 0, 0
	if simd && b.row == 1 && depth >= 8 {
		done = depth / 8 * 8
		for ; j+8 <= width; j += 8 {
			transpose8(done, b.data[j*b.col:], b.col, to[j:])
		}
	}
	copyColumns(0, done, j, width, b, to)
	copyColumns(done, depth, 0, width, b, to)
}

func copyColumns(from, depth, j, width int, b matrix, to *panel) {
	for ; j < width; j++ {
		for p := from; p < depth; p++ {
			to[p*tileCols+j] = b.data[p*b.row+j*b.col]
		}
	}
}

// finish scales the sums and stores them. The panel serves for rows that are not tileCols contiguous elements.
func finish(simd bool, rows, width int, alpha float32, acc *sums, beta float32, c matrix, work *panel) {
	switch {
	case !simd:
		finishGo(rows, width, alpha, acc, beta, c)
	case width == tileCols && c.col == 1:
		store(rows, alpha, acc, beta, c)
	default:
		if beta != 0 {
			for i := range rows {
				row := work[i*tileCols:][:width]
				for j := range row {
					row[j] = c.data[i*c.row+j*c.col]
				}
			}
		}
		store(rows, alpha, acc, beta, matrix{work[:], tileCols, 1})
		for i := range rows {
			for j, v := range work[i*tileCols:][:width] {
				c.data[i*c.row+j*c.col] = v
			}
		}
	}
}

func finishGo(rows, width int, alpha float32, acc *sums, beta float32, c matrix) {
	for i := range rows {
		for j, s := range acc[i*tileCols:][:width] {
			v := float32(alpha * s)
			at := &c.data[i*c.row+j*c.col]
			if beta != 0 {
				v = float32(v + float32(beta**at))
			}
			*at = round(v)
		}
	}
}

// tileGo is the kernel where there is no assembly: rows×tileCols sums, each in ascending order of depth.
func tileGo(rows, depth int, a matrix, b []float32, step int, acc []float32) {
	for i := range rows {
		sum := (*[tileCols]float32)(acc[i*tileCols:])
		for p := range depth {
			v, row := a.data[i*a.row+p*a.col], (*[tileCols]float32)(b[p*step:])
			for j := range row {
				sum[j] = float32(sum[j] + float32(v*row[j]))
			}
		}
	}
}

func axpyGo(n int, alpha float32, x []float32, incX int, y []float32, incY int) {
	for i := range n {
		at := &y[i*incY]
		*at = round(float32(float32(alpha*x[i*incX]) + *at))
	}
}
