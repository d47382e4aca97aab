// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
)

// TestOrdersAreTheLedgers: what jobs state is what accounts add up.
func TestOrdersAreTheLedgers(t *testing.T) {
	o := Orders()
	if len(o) != privacy.Orders {
		t.Fatalf("%d orders, the ledger has %d", len(o), privacy.Orders)
	}
	for i, a := range o {
		if a != privacy.Order(i) {
			t.Errorf("order %d is %v, the ledger's %v", i, a, privacy.Order(i))
		}
	}
}

var kindsForSampling = []Mechanism{
	{Kind: Gaussian, Noise: 1_200_000},
	{Kind: Laplace, Noise: 1_500_000},
	{Kind: DiscreteLaplace, Noise: 1_500_000, Sensitivity: 1},
	{Kind: DiscreteLaplace, Noise: 1_500_000, Sensitivity: 5},
	{Kind: DiscreteGaussian, Noise: 1_200_000, Sensitivity: 1},
	{Kind: RandomisedResponse, Noise: 300_000, Size: 4},
	{Kind: Pure, Epsilon: 700_000},
	{Kind: Approximate, Epsilon: 700_000, Delta: 1},
	{Kind: Tree, Noise: 2_000_000, Size: 9},
}

// TestEverythingThatIsSupported: each kind, with each sampling, under each adjacency, has a bound that sampling and PLD do not
// make worse, or none at all; and no pair that has no proof has a bound.
func TestEverythingThatIsSupported(t *testing.T) {
	bounded := 0
	for _, adjacency := range []string{AddOrRemove, ReplaceOne} {
		for _, m := range kindsForSampling {
			m.Count, m.Sampling, m.Rate = 10, NoSampling, One
			for _, sampling := range []string{NoSampling, Poisson, FixedSize} {
				s := m
				if s.Sampling = sampling; sampling != NoSampling {
					s.Rate = Rate{1, 10}
				}
				name := fmt.Sprintf("%s, %s, %s", adjacency, s.Kind, sampling)
				if s.Validate() != nil {
					continue
				}
				refused := adjacency == AddOrRemove && (m.Kind == Tree || m.Kind == RandomisedResponse || sampling == FixedSize)
				r, err := Epsilon(of(adjacency, s), 1e-5, RDP)
				p, err2 := Epsilon(of(adjacency, s), 1e-5, PLD)
				if refused {
					if !errors.Is(err, ErrAccountant) || !errors.Is(err2, ErrAccountant) {
						t.Errorf("%s: %v, %v", name, err, err2)
					}
					continue
				}
				if err != nil || err2 != nil || !(r.Epsilon > 0) || p.Epsilon > r.Epsilon+1e-6 {
					t.Errorf("%s: RDP %v, %v; PLD %v, %v", name, r.Epsilon, err, p.Epsilon, err2)
					continue
				}
				bounded++
				all, err := Epsilon(of(adjacency, m), 1e-5, RDP)
				whole, err2 := Epsilon(of(adjacency, m), 1e-5, PLD)
				if err != nil || err2 != nil || r.Epsilon > all.Epsilon || p.Epsilon > whole.Epsilon+1e-6 {
					t.Errorf("%s: sampled RDP %v of %v, PLD %v of %v", name, r.Epsilon, all.Epsilon, p.Epsilon, whole.Epsilon)
				}
			}
		}
	}
	if bounded < 30 {
		t.Errorf("only %d were bounded", bounded)
	}
}

// direct is the divergence of order a of P from Q, both given by masses.
func direct(p, q []float64, a float64) float64 {
	sum := 0.0
	for i := range p {
		sum += math.Pow(p[i], a) * math.Pow(q[i], 1-a)
	}
	return math.Log(sum) / (a - 1)
}

// TestDivergencesAreNeverBelowSums: closed forms and bounds against sums over the outcomes, in both directions.
func TestDivergencesAreNeverBelowSums(t *testing.T) {
	const n, q = 4000, 0.2
	noise := func(density func(x float64) float64, step, at float64) []float64 {
		v, sum := make([]float64, n), 0.0
		for i := range v {
			v[i] = density(float64(i-n/2)*step - at)
			sum += v[i]
		}
		for i := range v {
			v[i] /= sum
		}
		return v
	}
	mix := func(p, q0 []float64, q float64) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = q*p[i] + (1-q)*q0[i]
		}
		return v
	}
	gauss := func(s float64) func(float64) float64 {
		return func(x float64) float64 { return math.Exp(-x * x / (2 * s * s)) }
	}
	laplaceOf := func(b float64) func(float64) float64 {
		return func(x float64) float64 { return math.Exp(-math.Abs(x) / b) }
	}
	for name, v := range map[string]struct {
		m    Mechanism
		p, q []float64
		tol  float64 // how much above the bound may be
	}{
		"gaussian":          {Mechanism{Kind: Gaussian, Noise: 1_500_000}, noise(gauss(1.5), 0.01, 1), noise(gauss(1.5), 0.01, 0), 2e-2},
		"laplace":           {Mechanism{Kind: Laplace, Noise: 1_500_000}, noise(laplaceOf(1.5), 0.01, 1), noise(laplaceOf(1.5), 0.01, 0), 2e-2},
		"discrete laplace":  {Mechanism{Kind: DiscreteLaplace, Noise: 1_500_000, Sensitivity: 3}, noise(laplaceOf(4.5), 1, 3), noise(laplaceOf(4.5), 1, 0), 0.1},
		"discrete gaussian": {Mechanism{Kind: DiscreteGaussian, Noise: 900_000, Sensitivity: 1}, noise(gauss(0.9), 1, 1), noise(gauss(0.9), 1, 0), 2},
	} {
		for _, a := range []float64{1.3, 2, 5, 20} {
			if got, want := v.m.exact().divergence(a), direct(v.p, v.q, a); got < want-1e-4 || got > want+max(1e-2, want*1e-2) {
				t.Errorf("%s, order %v: %v, want %v", name, a, got, want)
			}
			s := v.m
			s.Sampling, s.Rate, s.Count = Poisson, Rate{1, 5}, 1
			r, err := s.exact().renyi(AddOrRemove)
			if err != nil {
				t.Fatal(err)
			}
			want := max(direct(mix(v.p, v.q, q), v.q, a), direct(v.q, mix(v.p, v.q, q), a))
			for i, o := range Orders() {
				if o == a && (r[i] < want-1e-4 || r[i] > want+v.tol) {
					t.Errorf("%s sampled, order %v: %v, want %v", name, a, r[i], want)
				}
			}
		}
	}
}

// TestSharedSensitivity: two numbers that share an L1 norm reveal no more than one that has all of it.
func TestSharedSensitivity(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	one := func(l float64, s int64) *spectrum {
		c := component{[]part{{&sampledPair{pair: discreteLaplacePair(l*float64(s), s)}, math.Inf(-1), math.Inf(1)}}, 1, 1}
		return c.spectrum(l) // its losses are on this grid
	}
	divergence := func(s *spectrum, scale, e float64) float64 {
		d := s.infinite
		for i, m := range s.p {
			d += m * max(0, -math.Expm1(e-float64(s.lo+i)*scale))
		}
		return d
	}
	for range 200 {
		a, b, l := 1+r.Int64N(6), 1+r.Int64N(6), 0.05+r.Float64()
		x, y, both := one(l, a), one(l, b), one(l, a+b)
		two := &spectrum{lo: x.lo + y.lo, p: make([]float64, len(x.p)+len(y.p)-1)}
		for i, u := range x.p {
			for j, v := range y.p {
				two.p[i+j] += u * v
			}
		}
		for e := -1.2 * float64(a+b) * l; e < 1.2*float64(a+b)*l; e += 0.1 * l {
			if d, most := divergence(two, l, e), divergence(both, l, e); d > most+1e-12 {
				t.Fatalf("%d and %d at %v: δ %v at ε %v, of one %v", a, b, l, d, e, most)
			}
		}
	}
}

// TestEvenMoments: against sums of powers with signs, where those are exact.
func TestEvenMoments(t *testing.T) {
	for _, m := range []float64{0.9, 2, 5} {
		v := evenMoments(m, 6)
		for i, n := range []int{2, 4, 6} {
			sum := 0.0
			for k := range n + 1 {
				f := float64(k)
				sum += math.Pow(-1, float64(n-k)) * math.Exp(logBinomial(n, k)+f*(f-1)*m*m/2)
			}
			if got := math.Exp(v[i+1]); math.Abs(got/sum-1) > 1e-10 {
				t.Errorf("m %v, moment %d: %v, want %v", m, n, got, sum)
			}
		}
	}
}

func TestFourier(t *testing.T) {
	const n = 64
	r := rand.New(rand.NewPCG(5, 6))
	a, b := make([]complex128, n), make([]complex128, n)
	want := make([]float64, n)
	for i := range a {
		a[i], b[i] = complex(r.Float64(), 0), complex(r.Float64(), 0)
	}
	for i := range a {
		for j := range b {
			want[(i+j)%n] += real(a[i]) * real(b[j])
		}
	}
	w := newFourier(n)
	w.forward(a)
	w.forward(b)
	for i := range a {
		a[i] *= b[i]
	}
	w.inverse(a)
	for i := range a {
		if math.Abs(real(a[i])-want[i]) > 1e-12 || math.Abs(imag(a[i])) > 1e-12 {
			t.Errorf("%d: %v, want %v", i, a[i], want[i])
		}
	}
	if z := power(complex(0.6, 0.8), 5); math.Abs(real(z)-math.Cos(5*math.Atan2(0.8, 0.6))) > 1e-14 {
		t.Errorf("fifth power %v", z)
	}
}

func BenchmarkEpsilon(b *testing.B) {
	for _, v := range []struct {
		name, accountant string
		c                *Composition
	}{
		{"RDP", RDP, of(AddOrRemove, sampled(256, 60000, 1_100_000, 10_000))},
		{"RDP/fixed-size", RDP, of(ReplaceOne, Mechanism{Kind: Gaussian, Noise: 1_100_000, Sampling: FixedSize, Rate: Rate{1, 100}, Count: 10_000})},
		{"PLD", PLD, of(AddOrRemove, sampled(256, 60000, 1_100_000, 10_000))},
		{"PLD/little noise", PLD, of(AddOrRemove, sampled(1, 100, 700_000, 10_000))},
	} {
		b.Run(v.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Epsilon(v.c, 1e-5, v.accountant); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
