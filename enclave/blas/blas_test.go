// SPDX-License-Identifier: Apache-2.0

package blas

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// eachPath runs a test with the assembly, where there is any, and without.
func eachPath(t *testing.T, test func(t *testing.T, simd bool)) {
	t.Run("go", func(t *testing.T) { test(t, false) })
	t.Run("simd", func(t *testing.T) {
		if !haveSIMD() {
			t.Skip("this processor has no AVX2: only the plain Go path runs here")
		}
		test(t, true)
	})
}

type multiplication struct {
	transA, transB bool
	m, n, k        int
	alpha, beta    float32
	a, b, c        []float32
	lda, ldb, ldc  int
}

func randomProduct(r *rand.Rand) multiplication {
	size := func() int {
		switch r.IntN(8) {
		case 0:
			return 1 + r.IntN(300) // more than one block of rows or depth
		case 1:
			return 0
		default:
			return 1 + r.IntN(40)
		}
	}
	p := multiplication{transA: r.IntN(2) == 0, transB: r.IntN(2) == 0, m: size(), n: size(), k: size(), alpha: scalar(r), beta: scalar(r)}
	stored := func(rows, cols int, trans bool) ([]float32, int) {
		if trans {
			rows, cols = cols, rows
		}
		ld := max(cols, 1) + r.IntN(2)*r.IntN(20)
		return values(r, max((rows-1)*ld+cols, 0)+r.IntN(3)), ld
	}
	p.a, p.lda = stored(p.m, p.k, p.transA)
	p.b, p.ldb = stored(p.k, p.n, p.transB)
	p.c, p.ldc = stored(p.m, p.n, false)
	return p
}

func (p multiplication) String() string {
	return fmt.Sprintf("transA %t transB %t, %dx%dx%d, lda %d ldb %d ldc %d, alpha %v beta %v", p.transA, p.transB, p.m, p.n, p.k, p.lda, p.ldb, p.ldc, p.alpha, p.beta)
}

func (p multiplication) run(simd bool, c []float32) error {
	ma, err := operand("a", p.transA, p.m, p.k, p.a, p.lda)
	if err != nil {
		return err
	}
	mb, err := operand("b", p.transB, p.k, p.n, p.b, p.ldb)
	if err != nil {
		return err
	}
	mc, err := operand("c", false, p.m, p.n, c, p.ldc)
	if err != nil {
		return err
	}
	if p.m > 0 && p.n > 0 {
		gemm(simd, p.m, p.n, p.k, p.alpha, ma, mb, p.beta, mc)
	}
	return nil
}

func TestSgemmIsTheDefinition(t *testing.T) {
	eachPath(t, func(t *testing.T, simd bool) {
		r := rand.New(rand.NewPCG(1, 2))
		runs := 4000
		if testing.Short() {
			runs = 400
		}
		for range runs {
			p := randomProduct(r)
			want, got := slices.Clone(p.c), slices.Clone(p.c)
			refGemm(p.transA, p.transB, p.m, p.n, p.k, p.alpha, p.a, p.lda, p.b, p.ldb, p.beta, want, p.ldc)
			if err := p.run(simd, got); err != nil {
				t.Fatalf("%v: %v", p, err)
			}
			if i := firstDifference(got, want); i >= 0 {
				t.Fatalf("%v: element %d is %x, not %x", p, i, math.Float32bits(got[i]), math.Float32bits(want[i]))
			}
		}
	})
}

// The sums may differ from exact ones by k roundings of the sum of the absolute products.
func TestSgemmIsCloseToFloat64(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const m, n, k = 33, 50, 700
	a, b, c := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
	for _, s := range [][]float32{a, b, c} {
		for i := range s {
			s[i] = r.Float32()*2 - 1
		}
	}
	was := slices.Clone(c)
	if err := Sgemm(false, false, m, n, k, 1.5, a, k, b, n, -0.5, c, n); err != nil {
		t.Fatal(err)
	}
	for i := range m {
		for j := range n {
			var sum, size float64
			for p := range k {
				v := float64(a[i*k+p]) * float64(b[p*n+j])
				sum, size = sum+v, size+math.Abs(v)
			}
			want := 1.5*sum - 0.5*float64(was[i*n+j])
			bound := (1.5*size*(k+2) + 3) * 0x1p-24
			if diff := math.Abs(float64(c[i*n+j]) - want); diff > bound {
				t.Fatalf("element %d,%d: %v, want %v, off by %v of %v", i, j, c[i*n+j], want, diff, bound)
			}
		}
	}
}

func TestSgemvIsSgemmWithOneColumn(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		trans, m, n := r.IntN(2) == 0, r.IntN(300)/(1+r.IntN(9)), r.IntN(300)/(1+r.IntN(9))
		incX, incY, lda := 1+r.IntN(3)/2, 1+r.IntN(3)/2, max(n, 1)+r.IntN(3)
		a, x, y := values(r, m*lda), values(r, 300*incX), values(r, 300*incY)
		alpha, beta := scalar(r), scalar(r)
		rows, depth := m, n
		if trans {
			rows, depth = n, m
		}
		want := slices.Clone(y)
		refGemm(trans, false, rows, 1, depth, alpha, a, lda, x, incX, beta, want, incY)
		if err := Sgemv(trans, m, n, alpha, a, lda, x, incX, beta, y, incY); err != nil {
			t.Fatal(err)
		}
		if i := firstDifference(y, want); i >= 0 {
			t.Fatalf("trans %t %dx%d incX %d incY %d: element %d is %x, not %x", trans, m, n, incX, incY, i, math.Float32bits(y[i]), math.Float32bits(want[i]))
		}
	}
}

func TestSaxpyIsTheDefinition(t *testing.T) {
	eachPath(t, func(t *testing.T, simd bool) {
		r := rand.New(rand.NewPCG(7, 8))
		for range 2000 {
			n, incX, incY, alpha := 1+r.IntN(70), 1+r.IntN(3)/2, 1+r.IntN(3)/2, scalar(r)
			x, y := values(r, n*incX), values(r, n*incY)
			want := slices.Clone(y)
			for i := range n {
				v := float32(float32(alpha*x[i*incX]) + want[i*incY])
				if v != v {
					v = math.Float32frombits(0x7fc00000)
				}
				want[i*incY] = v
			}
			axpy(simd, n, alpha, x, incX, y, incY)
			if i := firstDifference(y, want); i >= 0 {
				t.Fatalf("n %d incX %d incY %d: element %d is %x, not %x", n, incX, incY, i, math.Float32bits(y[i]), math.Float32bits(want[i]))
			}
		}
	})
}

func TestInputsMayBeOutputs(t *testing.T) {
	x := []float32{1, 2, 3, 4, 5, 6, 7, 8, 9}
	if err := Saxpy(9, 2, x, 1, x, 1); err != nil {
		t.Fatal(err)
	}
	if want := []float32{3, 6, 9, 12, 15, 18, 21, 24, 27}; !slices.Equal(x, want) {
		t.Errorf("saxpy in place: %v", x)
	}
	y := []float32{0, float32(math.Inf(-1)), 1}
	if err := Sexp(3, y, y); err != nil {
		t.Fatal(err)
	}
	if want := []float32{1, 0, math.E}; !slices.Equal(y, want) {
		t.Errorf("sexp in place: %v", y)
	}
}

func TestArgumentsAreRefused(t *testing.T) {
	s := make([]float32, 64)
	f := func(n int) []float32 { return make([]float32, n) }
	const huge = math.MaxInt
	for name, err := range map[string]error{
		"negative m":           Sgemm(false, false, -1, 1, 1, 1, s, 1, f(1), 1, 0, f(1), 1),
		"negative k":           Sgemm(false, false, 1, 1, -1, 1, s, 1, f(1), 1, 0, f(1), 1),
		"lda below k":          Sgemm(false, false, 2, 2, 3, 1, s, 2, f(6), 2, 0, f(4), 2),
		"lda zero":             Sgemm(false, false, 0, 0, 0, 1, nil, 0, nil, 1, 0, nil, 1),
		"ldb below k, trans":   Sgemm(false, true, 2, 2, 3, 1, s, 3, f(6), 2, 0, f(4), 2),
		"a short":              Sgemm(false, false, 3, 2, 3, 1, f(8), 3, f(6), 2, 0, f(6), 2),
		"b short":              Sgemm(false, false, 2, 2, 3, 1, s, 3, f(5), 2, 0, f(4), 2),
		"c short":              Sgemm(false, false, 2, 2, 3, 1, s, 3, f(6), 2, 0, f(3), 2),
		"c nil":                Sgemm(false, false, 2, 2, 3, 1, s, 3, f(6), 2, 0, nil, 2),
		"sizes beyond int":     Sgemm(false, false, huge, huge, huge, 1, s, huge, s, huge, 0, f(4), huge),
		"rows beyond int":      Sgemm(false, false, huge, 1, 1, 1, s, huge, f(1), 1, 0, f(1), 1),
		"c is a":               Sgemm(false, false, 4, 4, 4, 1, s, 4, f(16), 4, 0, s, 4),
		"c overlaps b":         Sgemm(false, false, 4, 4, 4, 1, f(16), 4, s[15:], 4, 0, s[:16], 4),
		"c between a's rows":   Sgemm(false, false, 4, 4, 4, 1, s, 8, f(16), 4, 0, s[4:], 8),
		"gemv, lda":            Sgemv(false, 2, 4, 1, s, 3, f(4), 1, 0, f(2), 1),
		"gemv, x short":        Sgemv(true, 2, 4, 1, s, 4, f(1), 1, 0, f(4), 1),
		"gemv, y short":        Sgemv(true, 2, 4, 1, s, 4, f(2), 1, 0, f(3), 1),
		"gemv, increment zero": Sgemv(false, 2, 4, 1, s, 4, f(4), 0, 0, f(2), 1),
		"gemv, negative":       Sgemv(false, -2, 4, 1, s, 4, f(4), 1, 0, f(2), 1),
		"gemv, y in a":         Sgemv(false, 2, 4, 1, s, 4, f(4), 1, 0, s[7:], 1),
		"gemv, y is x":         Sgemv(false, 4, 4, 1, f(16), 4, s, 1, 0, s, 1),
		"axpy, increment":      Saxpy(4, 1, s, -1, f(4), 1),
		"axpy, increment huge": Saxpy(3, 1, s, huge, f(4), 1),
		"axpy, n huge":         Saxpy(huge, 1, s, 1, f(4), 1),
		"axpy, x short":        Saxpy(4, 1, f(6), 2, s, 1),
		"axpy, shifted":        Saxpy(4, 1, s, 1, s[1:], 1),
		"axpy, same start":     Saxpy(4, 1, s, 1, s, 2),
		"exp, short":           Sexp(4, f(3), f(4)),
		"exp, negative":        Sexp(-4, f(3), f(4)),
		"exp, shifted":         Sexp(4, s[1:], s),
	} {
		if !errors.Is(err, ErrArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEmptyCallsNeedNothing(t *testing.T) {
	for name, err := range map[string]error{
		"gemm, no rows":    Sgemm(false, false, 0, 1000, 5, 1, nil, 5, make([]float32, 5000), 1000, 0, nil, 1000),
		"gemm, no columns": Sgemm(true, false, 3, 0, 5, 1, make([]float32, 15), 3, nil, 1, 0, nil, 1),
		"gemv":             Sgemv(false, 0, 3, 1, nil, 3, make([]float32, 3), 1, 0, nil, 1),
		"axpy":             Saxpy(0, 1, nil, 1, nil, 1),
		"exp":              Sexp(0, nil, nil),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Sgemm(false, false, 0, 1000, 5, 1, nil, 5, make([]float32, 4999), 1000, 0, nil, 1000); !errors.Is(err, ErrArgument) {
		t.Errorf("a b that is too short, in an empty call: %v", err)
	}
}

func TestNoDepthScalesC(t *testing.T) {
	c := []float32{1, 2, float32(math.Inf(1)), math.Float32frombits(0x7f812345)}
	if err := Sgemm(false, false, 2, 2, 0, 1, nil, 1, nil, 2, 2, c, 2); err != nil {
		t.Fatal(err)
	}
	if c[0] != 2 || c[1] != 4 || !math.IsInf(float64(c[2]), 1) || math.Float32bits(c[3]) != canonicalNaN {
		t.Errorf("%v", c)
	}
	if err := Sgemm(false, false, 2, 2, 0, 1, nil, 1, nil, 2, 0, c, 2); err != nil || c[0] != 0 || c[3] != 0 {
		t.Errorf("beta zero reads c: %v %v", c, err)
	}
}
