// SPDX-License-Identifier: Apache-2.0

package blas

import (
	"math"
	"math/bits"
)

// The costs, in units of fuel. They depend on the sizes alone, never on the machine or on values. A unit of the cost table
// fuel/1 is what a guest's own instructions do in 0.1 to 0.2 nanoseconds. The figures are what the AVX2 kernels take on a
// processor of 2.5 to 3 GHz, divided by 0.2 and rounded up; BenchmarkSgemm and its like print what a unit takes on the machine
// at hand. A machine without AVX2 computes the same for the same fuel, slower.
const (
	fuelCall     = 1000 // arguments, cleared buffers
	fuelTileRow  = 4    // tileCols products of a row among tileRows
	fuelLoneRow  = 10   // tileCols products of another row
	fuelPackRow  = 12   // tileCols elements of B copied beside each other
	fuelStoreRow = 32   // tileCols elements of C scaled and stored
	fuelColumn   = 16   // one of tileCols columns of B that is read along, as where B is transposed
	fuelAxpy     = 250
	fuelExp      = 250
	fuelEachAxpy = 4
	fuelEachExp  = 16

	// What is far apart is neither in a cache nor foreseen by the processor, and is on a page of its own.
	farRows  = 1024 // rows that are so many elements, a page of 4 KiB, apart
	fuelFar  = 64   // one such row, for tileCols columns of C
	farApart = 64   // elements of a vector that are so far apart, or further, cost as much each; nearer ones less
)

// FuelSgemm is the cost of [Sgemm] in fuel: at least 1 and at most math.MaxInt64, which no budget pays. Sizes below zero, which
// Sgemm refuses, count as zero.
func FuelSgemm(transA, transB bool, m, n, k, lda, ldb, ldc int) int64 {
	if n == 1 {
		if transA {
			m, k = k, m
		}
		incB := ldb
		if transB {
			incB = 1
		}
		return FuelSgemv(transA, m, k, lda, incB, ldc)
	}
	a, b := rowStarts(m, lda), rowStarts(k, ldb)
	if transA {
		a = rowStarts(k, lda)
	}
	if transB {
		b = columnStarts(ldb)
	}
	return fuelTiles(m, n, k, sum(a, b, rowStarts(m, ldc)))
}

// FuelSgemv is the cost of [Sgemv], bounded as that of [FuelSgemm].
func FuelSgemv(trans bool, m, n, lda, incX, incY int) int64 {
	a := columnStarts(lda)
	if trans {
		m, n = n, m
		a = rowStarts(n, lda)
	}
	return fuelTiles(1, m, n, sum(a, product(count(n), apart(incX)), tileCols*apart(incY)))
}

// fuelTiles is for m×n elements of products of k, with something more for each tileCols columns.
func fuelTiles(m, n, k int, more uint64) int64 {
	rows, depth := count(m), count(k)
	tiles := count(n)/tileCols + min(count(n)%tileCols, 1)
	packs := rows/blockRows + min(rows%blockRows, 1)
	each := sum(product(rows/tileRows, tileRows*fuelTileRow), rows%tileRows*fuelLoneRow, product(packs, fuelPackRow))
	perTile := sum(product(each, depth), product(rows, fuelStoreRow), more)
	return fuel(sum(fuelCall, product(tiles, perTile)))
}

// rowStarts is for going to so many rows, ld elements apart.
func rowStarts(rows, ld int) uint64 {
	if ld < farRows {
		return 0
	}
	return product(count(rows), fuelFar)
}

// columnStarts is for tileCols columns of a transposed matrix: rows as they are stored.
func columnStarts(ld int) uint64 { return tileCols*fuelColumn + rowStarts(tileCols, ld) }

// apart is for one element of a vector whose elements are inc apart.
func apart(inc int) uint64 {
	if inc <= 1 {
		return 0
	}
	return min(count(inc), farApart)
}

// FuelSaxpy is the cost of [Saxpy], bounded as that of [FuelSgemm].
func FuelSaxpy(n, incX, incY int) int64 {
	return fuel(sum(fuelAxpy, product(count(n), fuelEachAxpy+apart(incX)+apart(incY))))
}

// FuelSexp is the cost of [Sexp], bounded as that of [FuelSgemm].
func FuelSexp(n int) int64 { return fuel(sum(fuelExp, product(count(n), fuelEachExp))) }

func count(n int) uint64 { return uint64(max(n, 0)) }

// product and sum saturate.
func product(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	if hi != 0 {
		return math.MaxUint64
	}
	return lo
}

func sum(terms ...uint64) uint64 {
	var total uint64
	for _, t := range terms {
		s, carry := bits.Add64(total, t, 0)
		if carry != 0 {
			return math.MaxUint64
		}
		total = s
	}
	return total
}

func fuel(units uint64) int64 { return int64(min(units, math.MaxInt64)) }
