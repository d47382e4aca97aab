// SPDX-License-Identifier: Apache-2.0

package blas

import (
	"fmt"
	"math"
	"testing"
)

func BenchmarkSgemm(b *testing.B) {
	for _, c := range []struct {
		transA, transB bool
		m, n, k        int
	}{
		{false, false, 1, 16, 16},
		{false, false, 8, 8, 8},
		{false, false, 32, 128, 784},
		{true, false, 784, 128, 32},
		{false, false, 64, 10, 128},
		{false, true, 64, 128, 10},
		{true, false, 128, 10, 64},
		{false, true, 32, 128, 128},
		{false, false, 512, 512, 512},
		{true, false, 512, 512, 512},
		{false, true, 512, 512, 512},
		{false, false, 2000, 10, 2000},
		{false, false, 2000, 1, 2000},
		{false, false, 2000, 2000, 1},
	} {
		b.Run(fmt.Sprintf("%t-%t/%dx%dx%d", c.transA, c.transB, c.m, c.n, c.k), func(b *testing.B) {
			lda, ldb := c.k, c.n
			if c.transA {
				lda = c.m
			}
			if c.transB {
				ldb = c.k
			}
			x, y, z := make([]float32, c.m*c.k), make([]float32, c.k*c.n), make([]float32, c.m*c.n)
			for b.Loop() {
				if err := Sgemm(c.transA, c.transB, c.m, c.n, c.k, 1, x, lda, y, ldb, 1, z, c.n); err != nil {
					b.Fatal(err)
				}
			}
			report(b, float64(2*c.m*c.n*c.k), FuelSgemm(c.transA, c.transB, c.m, c.n, c.k, lda, ldb, c.n))
		})
	}
}

// report adds floating-point operations per second, and the time that a unit of fuel stands for.
func report(b *testing.B, flops float64, fuel int64) {
	nanos := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(flops/nanos, "gflops")
	b.ReportMetric(nanos/float64(fuel), "ns/unit")
}

func BenchmarkSgemv(b *testing.B) {
	for _, trans := range []bool{false, true} {
		for _, n := range []int{16, 128, 1000} {
			b.Run(fmt.Sprintf("%t/%d", trans, n), func(b *testing.B) {
				a, x, y := make([]float32, n*n), make([]float32, n), make([]float32, n)
				for b.Loop() {
					if err := Sgemv(trans, n, n, 1, a, n, x, 1, 0, y, 1); err != nil {
						b.Fatal(err)
					}
				}
				report(b, float64(2*n*n), FuelSgemv(trans, n, n, n, 1, 1))
			})
		}
	}
}

// BenchmarkFar measures operands of which every element is on a page of its own.
func BenchmarkFar(b *testing.B) {
	const n, ld = 8000, 1024
	x, y, z := make([]float32, n*ld), make([]float32, n*ld), make([]float32, n*ld)
	for name, c := range map[string]struct {
		run  func() error
		fuel int64
	}{
		"gemv":       {func() error { return Sgemv(false, n, 1, 1, x, ld, y, 1, 1, z, ld) }, FuelSgemv(false, n, 1, ld, 1, ld)},
		"gemv-trans": {func() error { return Sgemv(true, n, 1, 1, x, ld, y, ld, 1, z, 1) }, FuelSgemv(true, n, 1, ld, ld, 1)},
		"gemm":       {func() error { return Sgemm(false, false, n, 16, 1, 1, x, ld, y, ld, 1, z, ld) }, FuelSgemm(false, false, n, 16, 1, ld, ld, ld)},
		"gemm-trans": {func() error { return Sgemm(true, true, 1, n, 1, 1, x, ld, y, ld, 0, z, n) }, FuelSgemm(true, true, 1, n, 1, ld, ld, n)},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := c.run(); err != nil {
					b.Fatal(err)
				}
			}
			report(b, n, c.fuel)
		})
	}
}

func BenchmarkSaxpy(b *testing.B) {
	for _, inc := range []int{1, 2, 64, 1024} {
		for _, n := range []int{10, 1000, 100000} {
			b.Run(fmt.Sprintf("%d/%d", inc, n), func(b *testing.B) {
				if n*inc > 16<<20 {
					b.Skip("leave memory to others")
				}
				x, y := make([]float32, n*inc), make([]float32, n*inc)
				for b.Loop() {
					if err := Saxpy(n, 1, x, inc, y, inc); err != nil {
						b.Fatal(err)
					}
				}
				report(b, float64(2*n), FuelSaxpy(n, inc, inc))
			})
		}
	}
}

func BenchmarkSexp(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x, y := make([]float32, n), make([]float32, n)
			for i := range x {
				x[i] = float32(math.Sin(float64(i)) * 10)
			}
			for b.Loop() {
				if err := Sexp(n, x, y); err != nil {
					b.Fatal(err)
				}
			}
			report(b, float64(n), FuelSexp(n))
		})
	}
}
