// SPDX-License-Identifier: Apache-2.0

package blas

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// exactExp is e to the power of x to 100 bits and more: the exponential series of x/2^12, squared twelve times.
func exactExp(x float32) *big.Float {
	const precision, halvings = 160, 12
	r := new(big.Float).SetPrec(precision).SetFloat64(float64(x))
	r.SetMantExp(r, -halvings)
	sum, term := big.NewFloat(1).SetPrec(precision), big.NewFloat(1).SetPrec(precision)
	for n := int64(1); n < 30; n++ {
		term.Mul(term, r)
		term.Quo(term, new(big.Float).SetPrec(precision).SetInt64(n))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum
}

// ulps is the error of got in units in the last place of the exact result.
func ulps(got float32, exact *big.Float) float64 {
	unit := math.Ldexp(1, max(exact.MantExp(nil)-24, -149))
	diff := new(big.Float).Sub(exact, big.NewFloat(float64(got)))
	f, _ := diff.Quo(diff, big.NewFloat(unit)).Float64()
	return math.Abs(f)
}

func TestSexpIsWithinOneUlp(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	runs := 20000
	if testing.Short() {
		runs = 3000
	}
	worst := 0.0
	for i := range runs {
		x := float32(r.Float64()*193 - 104)
		switch i % 4 {
		case 0:
			x = math.Float32frombits(r.Uint32())
		case 1:
			x = r.Float32()*2 - 1
		}
		if x != x || x >= expMax || x < expMin {
			continue
		}
		got := exp(x)
		if e := ulps(got, exactExp(x)); e > worst {
			worst = e
			if e > 0.51 {
				t.Fatalf("exp(%v) = %v is off by %.4f ulp", x, got, e)
			}
		}
	}
	t.Logf("largest error %.6f ulp", worst)
}

func TestSexpAtTheEdges(t *testing.T) {
	inf := float32(math.Inf(1))
	below := func(x float32) float32 { return math.Nextafter32(x, -inf) }
	for _, c := range []struct {
		x    float32
		want uint32
	}{
		{0, 0x3f800000},
		{float32(math.Copysign(0, -1)), 0x3f800000},
		{math.SmallestNonzeroFloat32, 0x3f800000},
		{inf, 0x7f800000},
		{-inf, 0},
		{math.MaxFloat32, 0x7f800000},
		{-math.MaxFloat32, 0},
		{expMax, 0x7f800000},
		{expMin, 0},
		{below(expMin), 0},
		{-103, 1},
		{math.Float32frombits(0x7fc12345), canonicalNaN},
		{math.Float32frombits(0xff812345), canonicalNaN},
		{1, 0x402df854},
	} {
		if got := math.Float32bits(exp(c.x)); got != c.want {
			t.Errorf("exp(%v) = %08x, want %08x", c.x, got, c.want)
		}
	}
	if v := exp(below(expMax)); v > math.MaxFloat32 || ulps(v, exactExp(below(expMax))) > 0.51 {
		t.Errorf("the largest result is %v", v)
	}
	if v := exp(math.Nextafter32(expMin, 0)); v != 0 && ulps(v, exactExp(math.Nextafter32(expMin, 0))) > 0.51 {
		t.Errorf("the smallest result is %v", v)
	}
}

func TestSexpIsTheSameInBlocks(t *testing.T) {
	if !haveSIMD() {
		t.Skip("this processor has no AVX2: only the plain Go path runs here")
	}
	r := rand.New(rand.NewPCG(11, 12))
	for range 2000 {
		x := values(r, r.IntN(50))
		if r.IntN(2) == 0 {
			for i := range x {
				x[i] = float32(r.Float64()*220 - 110)
			}
		}
		got, want := make([]float32, len(x)), make([]float32, len(x))
		expAll(true, x, got)
		expAll(false, x, want)
		if i := firstDifference(got, want); i >= 0 {
			t.Fatalf("exp(%v) = %x, not %x", x[i], math.Float32bits(got[i]), math.Float32bits(want[i]))
		}
	}
}
