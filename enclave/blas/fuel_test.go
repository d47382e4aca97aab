// SPDX-License-Identifier: Apache-2.0

package blas

import (
	"math"
	"testing"
)

// near is for matrices whose rows are not far apart.
func near(m, n, k int) int64 { return FuelSgemm(false, false, m, n, k, 1, 1, 1) }

func TestFuelIsFixed(t *testing.T) {
	for name, c := range map[string]struct{ got, want int64 }{
		"gemm, empty":        {near(0, 0, 0), 1000},
		"gemm, one tile":     {near(4, 16, 10), 1000 + 10*(4*4+12) + 4*32},
		"gemm, lone rows":    {near(6, 17, 10), 1000 + 2*(10*(4*4+2*10+12)+6*32)},
		"gemm, two packs":    {near(68, 16, 10), 1000 + 10*(68*4+2*12) + 68*32},
		"gemm, one column":   {near(32, 1, 10), 1000 + 2*(10*(10+12)+32+256)},
		"gemm, transposed":   {FuelSgemm(true, true, 4, 17, 10, 1, 1, 1), 1000 + 2*(10*(4*4+12)+4*32+256)},
		"gemm, far":          {FuelSgemm(false, false, 4, 17, 10, 1024, 1024, 1024), 1000 + 2*(10*(4*4+12)+4*32+64*(4+10+4))},
		"gemm, trans., far":  {FuelSgemm(true, true, 4, 17, 10, 1024, 1024, 1023), 1000 + 2*(10*(4*4+12)+4*32+256+64*(10+16))},
		"gemm, far column":   {FuelSgemm(false, false, 32, 1, 10, 1024, 100, 7), FuelSgemv(false, 32, 10, 1024, 100, 7)},
		"gemm, trans. col.":  {FuelSgemm(true, true, 32, 1, 10, 1024, 100, 7), FuelSgemv(true, 10, 32, 1024, 1, 7)},
		"gemv":               {FuelSgemv(false, 32, 10, 10, 1, 1), near(32, 1, 10)},
		"gemv, transposed":   {FuelSgemv(true, 32, 10, 10, 1, 1), 1000 + 32*(10+12) + 32},
		"gemv, far":          {FuelSgemv(false, 32, 10, 1024, 2, 65), 1000 + 2*(10*(10+12)+32+256+16*64+10*2+16*64)},
		"gemv, trans., far":  {FuelSgemv(true, 32, 10, 1024, 2, 65), 1000 + 32*(10+12) + 32 + 32*64 + 32*2 + 16*64},
		"axpy":               {FuelSaxpy(10, 1, 1), 250 + 40},
		"axpy, apart":        {FuelSaxpy(10, 2, 1000), 250 + 10*(4+2+64)},
		"exp":                {FuelSexp(10), 250 + 160},
		"gemm, negative":     {FuelSgemm(false, false, -1, -1, -1, -1, -1, -1), 1000},
		"axpy, negative":     {FuelSaxpy(math.MinInt, math.MinInt, -1), 250},
		"gemm, beyond int64": {near(math.MaxInt, math.MaxInt, math.MaxInt), math.MaxInt64},
		"gemm, beyond int32": {near(math.MaxInt32, math.MaxInt32, math.MaxInt32), math.MaxInt64},
		"gemm, far beyond":   {FuelSgemm(true, false, 0, math.MaxInt, math.MaxInt, math.MaxInt, math.MaxInt, 1), math.MaxInt64},
		"axpy, beyond int64": {FuelSaxpy(math.MaxInt, 1, 1), math.MaxInt64},
		"exp, beyond int64":  {FuelSexp(math.MaxInt), math.MaxInt64},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", name, c.got, c.want)
		}
	}
}

func TestFuelGrowsWithDepth(t *testing.T) {
	for m := range 70 {
		for _, k := range []int{0, 1, 7, 1 << 20, math.MaxInt32 - 1} {
			if less, more := near(m, 100, k), near(m, 100, k+1); more < less || m > 0 && more == less {
				t.Errorf("m %d: %d for a depth of %d, %d for one more", m, less, k, more)
			}
		}
	}
}
