// SPDX-License-Identifier: Apache-2.0

package blas

import (
	"math"
	"testing"
)

func TestFuelIsFixed(t *testing.T) {
	for name, c := range map[string]struct{ got, want int64 }{
		"gemm, empty":        {FuelSgemm(0, 0, 0), 1000},
		"gemm, one tile":     {FuelSgemm(4, 16, 10), 1000 + 10*(4*4+12) + 4*32},
		"gemm, lone rows":    {FuelSgemm(6, 17, 10), 1000 + 2*(10*(4*4+2*10+12)+6*32)},
		"gemm, two packs":    {FuelSgemm(68, 16, 10), 1000 + 10*(68*4+2*12) + 68*32},
		"gemm, one column":   {FuelSgemm(32, 1, 10), 1000 + 2*(10*(10+12)+32)},
		"gemv":               {FuelSgemv(false, 32, 10), FuelSgemm(32, 1, 10)},
		"gemv, transposed":   {FuelSgemv(true, 32, 10), FuelSgemm(10, 1, 32)},
		"axpy":               {FuelSaxpy(10), 250 + 40},
		"exp":                {FuelSexp(10), 250 + 160},
		"gemm, negative":     {FuelSgemm(-1, -1, -1), 1000},
		"axpy, negative":     {FuelSaxpy(math.MinInt), 250},
		"gemm, beyond int64": {FuelSgemm(math.MaxInt, math.MaxInt, math.MaxInt), math.MaxInt64},
		"gemm, beyond int32": {FuelSgemm(math.MaxInt32, math.MaxInt32, math.MaxInt32), math.MaxInt64},
		"axpy, beyond int64": {FuelSaxpy(math.MaxInt), math.MaxInt64},
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
			if less, more := FuelSgemm(m, 100, k), FuelSgemm(m, 100, k+1); more < less || m > 0 && more == less {
				t.Errorf("m %d: %d for a depth of %d, %d for one more", m, less, k, more)
			}
		}
	}
}
