// SPDX-License-Identifier: Apache-2.0

package glovebox

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/enclave/blas"
)

// numbers are mostly tame and at times anything.
func numbers(r *rand.Rand, n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = r.Float32()*2 - 1
		if r.IntN(50) == 0 {
			s[i] = math.Float32frombits(r.Uint32())
		}
	}
	return s
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %08x, the sandbox has %08x", what, i, math.Float32bits(got[i]), math.Float32bits(want[i]))
		}
	}
}

// TestBlasIsTheSandboxs compares the stand-ins with what the sandbox computes.
func TestBlasIsTheSandboxs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		m, n, k := r.IntN(40), r.IntN(40), r.IntN(40)
		ta, tb := r.IntN(2) == 0, r.IntN(2) == 0
		ld := 41 + r.IntN(5)
		a, b, c := numbers(r, 50*50), numbers(r, 50*50), numbers(r, 50*50)
		alpha, beta := numbers(r, 1)[0], numbers(r, 1)[0]*float32(r.IntN(2))
		want := slices.Clone(c)
		Sgemm(ta, tb, m, n, k, alpha, a, ld, b, ld, beta, c, ld)
		if err := blas.Sgemm(ta, tb, m, n, k, alpha, a, ld, b, ld, beta, want, ld); err != nil {
			t.Fatal(err)
		}
		sameBits(t, "sgemm", c, want)
		want = slices.Clone(c)
		Sgemv(ta, m, n, alpha, a, ld, b, 2, beta, c, 3)
		if err := blas.Sgemv(ta, m, n, alpha, a, ld, b, 2, beta, want, 3); err != nil {
			t.Fatal(err)
		}
		sameBits(t, "sgemv", c, want)
		want = slices.Clone(c)
		Saxpy(m*n, alpha, a, 1, c, 1)
		if err := blas.Saxpy(m*n, alpha, a, 1, want, 1); err != nil {
			t.Fatal(err)
		}
		sameBits(t, "saxpy", c, want)
	}
	x := make([]float32, 200_000)
	for i := range x {
		x[i] = math.Float32frombits(r.Uint32())
	}
	want := slices.Clone(x)
	Sexp(len(x), x, x)
	if err := blas.Sexp(len(want), want, want); err != nil {
		t.Fatal(err)
	}
	sameBits(t, "sexp", x, want)
}

// TestBlasPanics makes mistakes that the sandbox would trap for.
func TestBlasPanics(t *testing.T) {
	f := func(n int) []float32 { return make([]float32, n) }
	s := f(16)
	for what, call := range map[string]func(){
		"glovebox.Sgemm: a size of -1":                              func() { Sgemm(false, false, -1, 1, 1, 1, s, 1, s, 1, 0, f(1), 1) },
		"glovebox.Sgemm: a: 3 elements are too few for 2 rows of 2": func() { Sgemm(false, false, 2, 2, 2, 1, f(3), 2, s, 2, 0, f(4), 2) },
		"glovebox.Sgemm: b: rows of 2 elements are 1 apart":         func() { Sgemm(false, false, 2, 2, 2, 1, s, 2, s, 1, 0, f(4), 2) },
		"glovebox.Sgemm: c overlaps an input":                       func() { Sgemm(false, false, 2, 2, 2, 1, s, 2, f(4), 2, 0, s[3:], 2) },
		"glovebox.Sgemv: x: 1 elements are too few for 2":           func() { Sgemv(false, 2, 2, 1, s, 2, f(1), 1, 0, f(2), 1) },
		"glovebox.Sgemv: y: elements are 0 apart":                   func() { Sgemv(false, 2, 2, 1, s, 2, f(2), 1, 0, f(2), 0) },
		"glovebox.Saxpy: y overlaps an input":                       func() { Saxpy(4, 1, s, 1, s[1:], 1) },
		"glovebox.Sexp: y: 3 elements are too few for 4":            func() { Sexp(4, s, f(3)) },
	} {
		func() {
			defer func() {
				if got := recover(); got != what {
					t.Errorf("panic %v, want %q", got, what)
				}
			}()
			call()
		}()
	}
	Saxpy(4, 1, s, 1, s, 1) // the same elements are fine
	Sgemm(false, false, 0, 5, 5, 1, nil, 5, f(25), 5, 0, nil, 5)
}
