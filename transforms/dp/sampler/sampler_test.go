// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	mrand "math/rand/v2"
	"testing"
)

// seeded is a fixed stream of bytes: a test with it does the same whenever it runs.
func seeded(seed byte) *Source { return NewSource(mrand.NewChaCha8([32]byte{seed})) }

func TestKnownAnswers(t *testing.T) {
	s := seeded(1)
	var b bytes.Buffer
	for range 6 {
		u, _ := s.Uniform(1000)
		l, _ := s.Laplace(Rat{50, 3})
		g, _ := s.Gaussian(Rat{400, 7})
		w, err := s.Gaussian(Rat{1 << 40, 1})
		e, _ := s.BernoulliExp(Rat{1, 3})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, u, l, g, w, e)
	}
	const want = `618 -23 0 2008180 true
553 -5 -7 -642228 true
51 -21 -6 1497229 true
279 34 5 -1001239 false
149 -1 -5 -627074 false
54 2 4 -1127919 true
`
	if b.String() != want {
		t.Errorf("the draws from a fixed stream changed:\n%s", b.String())
	}
}

func laplacePMF(scale Rat) func(int64) float64 {
	a := math.Exp(-float64(scale.Den) / float64(scale.Num))
	return func(x int64) float64 { return (1 - a) / (1 + a) * math.Pow(a, math.Abs(float64(x))) }
}

func gaussianPMF(v Rat) func(int64) float64 {
	sigma2 := float64(v.Num) / float64(v.Den)
	weight := func(x int64) float64 { return math.Exp(-float64(x) * float64(x) / (2 * sigma2)) }
	sum, reach := 0.0, int64(40*math.Sqrt(sigma2))+2
	for x := -reach; x <= reach; x++ {
		sum += weight(x)
	}
	return func(x int64) float64 { return weight(x) / sum }
}

// chiSquare is how far counts of draws are from a distribution, as a normal deviate (Wilson and Hilferty). Values that are expected
// less than 50 times are taken together, below and above.
func chiSquare(draws []int64, pmf func(int64) float64) float64 {
	n := float64(len(draws))
	reach := int64(0)
	for n*pmf(reach+1) >= 50 {
		reach++
	}
	counts, below, above := make([]float64, 2*reach+1), 0.0, 0.0
	for _, x := range draws {
		switch {
		case x < -reach:
			below++
		case x > reach:
			above++
		default:
			counts[x+reach]++
		}
	}
	sum, rest, cells := 0.0, 1.0, -1.0
	add := func(seen, expected float64) {
		if expected >= 10 {
			sum += (seen - expected) * (seen - expected) / expected
			cells++
		}
	}
	for i, seen := range counts {
		p := pmf(int64(i) - reach)
		rest -= p
		add(seen, n*p)
	}
	add(below, n*rest/2)
	add(above, n*rest/2)
	cells = max(cells, 1)
	return (math.Cbrt(sum/cells) - (1 - 2/(9*cells))) / math.Sqrt(2/(9*cells))
}

// far is a deviate that a right sampler does not reach with one seed in thirty million.
const far = 5.5

func draws(t *testing.T, n int, draw func() (int64, error)) []int64 {
	t.Helper()
	out := make([]int64, n)
	for i := range out {
		var err error
		if out[i], err = draw(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func size(t *testing.T) int {
	if testing.Short() {
		return 100_000
	}
	return 1_000_000
}

func TestLaplaceIsItsDistribution(t *testing.T) {
	for i, scale := range []Rat{{1, 10}, {1, 1}, {2, 3}, {7, 2}, {100, 7}, {1000, 1}, {123456789, 1000000}} {
		s := seeded(byte(10 + i))
		got := draws(t, size(t), func() (int64, error) { return s.Laplace(scale) })
		if d := chiSquare(got, laplacePMF(scale)); d > far {
			t.Errorf("scale %v: %.1f deviations off", scale, d)
		}
	}
}

func TestGaussianIsItsDistribution(t *testing.T) {
	for i, v := range []Rat{{1, 20}, {1, 2}, {1, 1}, {10, 3}, {400, 1}, {54321, 100}, {1 << 20, 1}} {
		s := seeded(byte(30 + i))
		got := draws(t, size(t), func() (int64, error) { return s.Gaussian(v) })
		if d := chiSquare(got, gaussianPMF(v)); d > far {
			t.Errorf("variance %v: %.1f deviations off", v, d)
		}
	}
}

// TestMutantsAreSeen shows that the test can see what it should: noise that is a little too small, or shifted, or has zero twice.
func TestMutantsAreSeen(t *testing.T) {
	scale := Rat{7, 2}
	for name, draw := range map[string]func(s *Source) (int64, error){
		"scale off by a fiftieth": func(s *Source) (int64, error) { return s.Laplace(Rat{343, 100}) },
		"two zeros": func(s *Source) (int64, error) {
			x, err := s.Laplace(scale)
			if x == 0 || err != nil {
				return x, err
			}
			if again, err := s.Bernoulli(1, 50); again || err != nil {
				return 0, err
			}
			return x, nil
		},
		"a float's": func(s *Source) (int64, error) {
			u, err := s.Uniform(1 << 53)
			x := float64(u)/(1<<53) - 0.5
			return int64(math.Round(-3.5 * math.Copysign(math.Log(1-2*math.Abs(x)), -x))), err
		},
	} {
		s := seeded(60)
		got := draws(t, 1_000_000, func() (int64, error) { return draw(s) })
		if d := chiSquare(got, laplacePMF(scale)); d <= far {
			t.Errorf("%s passes: %.1f deviations off", name, d)
		}
	}
}

func TestBernoulliExp(t *testing.T) {
	for i, x := range []Rat{{0, 1}, {1, 1000}, {1, 3}, {1, 1}, {5, 2}, {7, 1}, {3 << 40, 2 << 40}} {
		s := seeded(byte(70 + i))
		n, p, seen := float64(size(t)), math.Exp(-float64(x.Num)/float64(x.Den)), 0.0
		for range size(t) {
			ok, err := s.BernoulliExp(x)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				seen++
			}
		}
		if dev := math.Abs(seen-n*p) / math.Sqrt(n*p*(1-p)+1e-9); dev > far {
			t.Errorf("exp(-%v): %.0f of %.0f, want %.0f", x, seen, n, n*p)
		}
	}
}

func TestUniform(t *testing.T) {
	for i, n := range []uint64{1, 2, 3, 10, 1000} {
		s, counts := seeded(byte(80+i)), make([]float64, n)
		for range size(t) {
			v, err := s.Uniform(n)
			if err != nil || v >= n {
				t.Fatal(v, err)
			}
			counts[v]++
		}
		want, sum := float64(size(t))/float64(n), 0.0
		for _, c := range counts {
			sum += (c - want) * (c - want) / want
		}
		if df := float64(n - 1); sum > df+far*math.Sqrt(2*df+1) {
			t.Errorf("below %d: chi-square %.0f", n, sum)
		}
	}
}

// TestShortAndLongWaysAgree draws where the numbers fit in 128 bits, and again as if they did not.
func TestShortAndLongWaysAgree(t *testing.T) {
	r := mrand.New(mrand.NewChaCha8([32]byte{9}))
	for i := range 3000 {
		v := Rat{1 + r.Uint64N(1<<(1+i%44)), 1 + r.Uint64N(1<<(1+i%9))}
		g := newGauss(v.lowest())
		if !g.fits {
			t.Fatalf("%v does not fit", v)
		}
		a, b := seeded(byte(i)), seeded(byte(i))
		for range 4 {
			y := int64(r.Uint64N(4*g.t)) - int64(2*g.t)
			if g.accept(a, y) != g.acceptBig(b, uint64(max(y, -y))) || a.at != b.at || a.acc != b.acc {
				t.Fatalf("%v, %d: the two ways differ", v, y)
			}
		}
	}
}

func TestWideNumbers(t *testing.T) {
	s := seeded(2)
	for _, v := range []Rat{{MaxTerm, 1}, {MaxTerm, MaxTerm}, {MaxTerm - 1, 3}, {1, MaxTerm}, {MaxTerm - 1, MaxTerm}} {
		sigma, sum := math.Sqrt(float64(v.Num)/float64(v.Den)), 0.0
		for range 2000 {
			x, err := s.Gaussian(v)
			if err != nil {
				t.Fatal(err)
			}
			sum += float64(x) * float64(x)
		}
		if got := math.Sqrt(sum / 2000); sigma >= 1 && math.Abs(got/sigma-1) > 0.2 || sigma < 1e-3 && got != 0 {
			t.Errorf("variance %v: deviation %g, want %g", v, got, sigma)
		}
	}
	for _, v := range []Rat{{MaxScale - 1, 1}, {MaxTerm, 1 << 10}, {1, MaxTerm}, {MaxTerm, MaxTerm - 1}} {
		if x, err := s.Laplace(v); err != nil {
			t.Errorf("scale %v: %d, %v", v, x, err)
		}
	}
}

func TestParametersOutOfRange(t *testing.T) {
	s := seeded(3)
	for _, r := range []Rat{{}, {0, 1}, {1, 0}, {MaxTerm + 1, 1}, {1, MaxTerm + 1}, {math.MaxUint64, math.MaxUint64}} {
		if _, err := s.Laplace(r); !errors.Is(err, ErrParameter) {
			t.Errorf("Laplace %v: %v", r, err)
		}
		if _, err := s.Gaussian(r); !errors.Is(err, ErrParameter) {
			t.Errorf("Gaussian %v: %v", r, err)
		}
	}
	if _, err := s.Laplace(Rat{MaxScale, 1}); !errors.Is(err, ErrParameter) {
		t.Error("a huge scale was taken")
	}
	if _, err := s.Bernoulli(2, 1); !errors.Is(err, ErrParameter) {
		t.Error("a probability above one was taken")
	}
	if _, err := s.Uniform(0); !errors.Is(err, ErrParameter) {
		t.Error("one of none")
	}
	if _, err := s.BernoulliExp(Rat{1, 0}); !errors.Is(err, ErrParameter) {
		t.Error("exp(-1/0)")
	}
}

type stuck byte

func (b stuck) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

// TestBrokenSource: no noise without entropy, and no hanging.
func TestBrokenSource(t *testing.T) {
	for name, r := range map[string]io.Reader{"none": nil, "empty": bytes.NewReader(nil), "ends": io.LimitReader(rand.Reader, 5000), "ones": stuck(255)} {
		s := NewSource(r)
		var err error
		for i := 0; i < 10_000 && err == nil; i++ {
			_, err = s.Laplace(Rat{1000, 3})
		}
		if !errors.Is(err, ErrEntropy) {
			t.Errorf("%s: %v", name, err)
		}
		if x, err := s.Gaussian(Rat{100, 1}); x != 0 || !errors.Is(err, ErrEntropy) {
			t.Errorf("%s: it recovered: %d, %v", name, x, err)
		}
		if ok, err := s.Bernoulli(1, 1); ok || !errors.Is(err, ErrEntropy) {
			t.Errorf("%s: it recovered", name)
		}
	}
	for b := range 256 { // whatever the byte: an end
		s := NewSource(stuck(b))
		_, _ = s.Laplace(Rat{1000, 3})
		_, _ = s.Gaussian(Rat{1000, 3})
	}
}

func TestUsedBytesAreWiped(t *testing.T) {
	s := NewSource(stuck(7))
	_, _ = s.Uniform(1 << 60)
	for i := range s.at {
		if s.buf[i] != 0 {
			t.Fatal("used bytes are still there")
		}
	}
}

func FuzzDraws(f *testing.F) {
	f.Add(uint64(3), uint64(2), []byte{1})
	f.Add(uint64(MaxTerm), uint64(1), []byte{255, 0, 9})
	f.Add(uint64(0), uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, num, den uint64, b []byte) {
		s := NewSource(io.MultiReader(bytes.NewReader(b), stuck(0), bytes.NewReader(b)))
		x, err := s.Laplace(Rat{num, den})
		y, err2 := s.Gaussian(Rat{num, den})
		if err != nil && x != 0 || err2 != nil && y != 0 {
			t.Fatal("a draw beside an error")
		}
	})
}

func BenchmarkLaplace(b *testing.B) {
	s := NewSource(rand.Reader)
	for b.Loop() {
		_, _ = s.Laplace(Rat{120_000_000, 1_000_000})
	}
}

func BenchmarkGaussian(b *testing.B) {
	for _, v := range []Rat{{10, 1}, {1 << 20, 1}, {1522756, 1000000}, {1 << 40, 1}, {1 << 60, 1}, {MaxTerm, 999}} {
		b.Run(fmt.Sprintf("%d,%d", v.Num, v.Den), func(b *testing.B) {
			s := NewSource(rand.Reader)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Gaussian(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
