// SPDX-License-Identifier: Apache-2.0

package privacy

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

func TestOrders(t *testing.T) {
	if Order(0) != 1.1 || Order(98) != 10.9 || Order(99) != 11 || Order(151) != 63 || Order(152) != 128 || Order(Orders-1) != 1024 {
		t.Errorf("orders %v", orders)
	}
	for i := 1; i < Orders; i++ {
		if orders[i] <= orders[i-1] {
			t.Errorf("order %d", i)
		}
	}
}

func gaussian(sigma float64, times int) []float64 {
	v := make([]float64, Orders)
	for i := range v {
		v[i] = float64(times) * Order(i) / (2 * sigma * sigma)
	}
	return v
}

// logBinomial is ln(n over k).
func logBinomial(n, k float64) float64 {
	a, _ := math.Lgamma(n + 1)
	b, _ := math.Lgamma(k + 1)
	c, _ := math.Lgamma(n - k + 1)
	return a - b - c
}

// sampledGaussian is the divergence of a Poisson-sampled Gaussian at an integer order (Mironov, Talwar and Zhang, 2019).
func sampledGaussian(q, sigma float64, a int) float64 {
	sum := math.Inf(-1)
	for i := range a + 1 {
		k := float64(i)
		x := logBinomial(float64(a), k) + k*math.Log(q) + (float64(a)-k)*math.Log1p(-q) + (k*k-k)/(2*sigma*sigma)
		hi, lo := max(sum, x), min(sum, x)
		sum = hi + math.Log1p(math.Exp(lo-hi))
	}
	return sum / float64(a-1)
}

// TestConversionAgainstReference: the conversion gives dp-accounting's ε, rounded up. The rows are those whose best order
// is an integer; for others the divergence needs a series, which the mechanism's owner computes.
func TestConversionAgainstReference(t *testing.T) {
	for _, row := range []struct {
		q, sigma, steps, delta float64
		want                   float64 // dp-accounting 0.6.0, add-or-remove, its default orders
	}{
		{0.004266666666666667, 1.3, 3515, 1e-05, 0.9544295087},
		{0.004, 1.3, 3750, 1e-05, 0.9220489428},
		{0.001, 1.0, 30000, 1e-07, 1.41549885},
	} {
		v := make([]float64, Orders)
		for i := range v {
			v[i] = math.Inf(1)
			if o := Order(i); o == math.Trunc(o) && o <= 63 {
				v[i] = row.steps * sampledGaussian(row.q, row.sigma, int(o))
			}
		}
		c, err := Renyi(v)
		if err != nil {
			t.Fatal(err)
		}
		var s Sum
		if err := s.Add(&c); err != nil {
			t.Fatal(err)
		}
		d, err := Units(row.delta, MaxDelta)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := s.Guarantee(d)
		e := float64(got) / Nano
		if !ok || e < row.want-1e-9 || e > row.want*(1+1e-7)+1e-7 {
			t.Errorf("q %v σ %v: ε %v, reference %v", row.q, row.sigma, e, row.want)
		}
	}
}

// laplace is the divergence of the Laplace mechanism of sensitivity 1, so many times (Mironov, 2017).
func laplace(b, times float64) []float64 {
	v := make([]float64, Orders)
	for i := range v {
		a := Order(i)
		x := math.Log(a/(2*a-1)) + (a-1)/b
		y := math.Log((a-1)/(2*a-1)) - a/b
		v[i] = times * (max(x, y) + math.Log1p(math.Exp(-math.Abs(x-y)))) / (a - 1)
	}
	return v
}

// TestLaplaceAgainstReference covers every order, fractional ones too.
func TestLaplaceAgainstReference(t *testing.T) {
	for _, row := range []struct {
		b, times float64
		want     float64 // dp-accounting 0.6.0, δ = 10⁻⁶
	}{{1, 10, 9.998981368}, {10, 100, 4.984173965}} {
		c, err := Renyi(laplace(row.b, row.times))
		if err != nil {
			t.Fatal(err)
		}
		var s Sum
		if err := s.Add(&c); err != nil {
			t.Fatal(err)
		}
		got, ok := s.Guarantee(MaxDelta / 1_000_000)
		if e := float64(got) / Nano; !ok || e < row.want-1e-9 || e > row.want+2e-9*row.times {
			t.Errorf("b %v: ε %v, reference %v", row.b, e, row.want)
		}
	}
}

// TestNeverBelowFloat: composing in integers never says less than composing in floats.
func TestNeverBelowFloat(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var s Sum
		exact := make([]float64, Orders)
		for range 20 {
			v := gaussian(0.5+20*r.Float64(), 1)
			for i := range v {
				exact[i] += v[i]
			}
			c, err := Renyi(v)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Add(&c); err != nil {
				t.Fatal(err)
			}
		}
		best := math.Inf(1)
		for i, x := range exact {
			a := Order(i)
			best = min(best, max(0, x+math.Log1p(-1/a)-math.Log(1e-5*a)/(a-1)))
		}
		got, ok := s.Guarantee(MaxDelta / 100_000)
		if e := float64(got) / Nano; !ok || e < best || e > best+1e-6 {
			t.Errorf("ε %v, in floats %v", e, best)
		}
	}
}

func TestFloatsRefused(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, -math.SmallestNonzeroFloat64, 1e300, 1e7} {
		if u, err := Units(v, Nano); !errors.Is(err, ErrCost) {
			t.Errorf("%v: %d units, %v", v, u, err)
		}
		if _, err := Pure(v); !errors.Is(err, ErrCost) {
			t.Errorf("pure %v: %v", v, err)
		}
		if _, err := Approximate(v, 1e-6); !errors.Is(err, ErrCost) {
			t.Errorf("approximate %v: %v", v, err)
		}
		g := gaussian(1, 1)
		g[7] = v
		if _, err := Renyi(g); !errors.Is(err, ErrCost) && !(v > 0) {
			t.Errorf("rényi %v: %v", v, err)
		}
	}
	for _, d := range []float64{math.NaN(), -1e-9, 1, 2, math.Inf(1)} {
		if _, err := Approximate(1, d); !errors.Is(err, ErrCost) {
			t.Errorf("δ %v: %v", d, err)
		}
	}
	if _, err := Pure(0); !errors.Is(err, ErrCost) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := Renyi([]float64{1}); !errors.Is(err, ErrCost) {
		t.Errorf("one order: %v", err)
	}
	if c, err := Pure(1e-12); err != nil || c.Pure != 1 {
		t.Errorf("a little is rounded up: %+v, %v", c, err)
	}
}

// TestOrdersThatBoundNothing: an infinite order is left out of every sum that it was once in, and thousands of releases with one
// add up as without.
func TestOrdersThatBoundNothing(t *testing.T) {
	open, cut := gaussian(30, 1), gaussian(30, 1)
	for i := range open {
		if Order(i) > 60 {
			open[i], cut[i] = math.Inf(1), 2048
		}
	}
	costs := map[string][]float64{"infinite": open, "far too much": cut}
	for name, v := range costs {
		c, err := Renyi(v)
		if err != nil {
			t.Fatal(err)
		}
		var s Sum
		for range 5000 {
			if err := s.Add(&c); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		least := math.Inf(1)
		for i, x := range v {
			if a := Order(i); a <= 60 {
				least = min(least, 5000*x+math.Log1p(-1/a)-math.Log(1e-5*a)/(a-1))
			}
		}
		if got, ok := s.Guarantee(MaxDelta / 100_000); !ok || float64(got)/Nano < least || float64(got)/Nano > least+1e-4 {
			t.Errorf("%s: %d, want %v", name, got, least)
		}
		small, err := Renyi(gaussian(1000, 1))
		if err != nil || s.Add(&small) != nil {
			t.Fatal(err)
		}
		for range 5000 {
			if err := s.Remove(&c); err != nil {
				t.Fatal(err)
			}
		}
		var want Sum
		if err := want.Add(&small); err != nil || s != want {
			t.Errorf("%s: taken back, and something stays", name)
		}
	}
	none := make([]float64, Orders)
	for i := range none {
		none[i] = math.Inf(1)
	}
	if _, err := Renyi(none); !errors.Is(err, ErrCost) {
		t.Errorf("no order bounds anything: %v", err)
	}
	dead := Sum{Renyi: Vector{0: NoBound}}
	for i := range dead.Renyi {
		dead.Renyi[i] = NoBound
	}
	if e, ok := dead.Guarantee(MaxDelta / 2); ok {
		t.Errorf("epsilon %d of nothing", e)
	}
}

func TestOverflowRefused(t *testing.T) {
	for name, c := range map[string]Cost{
		"pure": {Pure: MaxLoss}, "epsilon": {Epsilon: MaxLoss, Delta: 1}, "delta": {Epsilon: 1, Delta: MaxDelta - 1},
		"rényi": {Renyi: &Vector{3: MaxLoss}},
	} {
		var s Sum
		if err := s.Add(&c); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		was := s
		if err := s.Add(&c); !errors.Is(err, ErrOverflow) {
			t.Errorf("%s: %v", name, err)
		}
		if s != was {
			t.Errorf("%s: changed by what was refused", name)
		}
	}
	for name, c := range map[string]Cost{
		"negative pure": {Pure: -1}, "negative δ": {Epsilon: 1, Delta: -1}, "all of δ": {Delta: MaxDelta}, "negative order": {Renyi: &Vector{-1}},
		"too much": {Pure: math.MaxInt64}, "both": {Unbounded: true, Pure: 1}, "nothing": {},
	} {
		var s Sum
		if err := s.Add(&c); !errors.Is(err, ErrCost) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGuarantee(t *testing.T) {
	pure, _ := Pure(0.1)
	var s Sum
	for range 10 {
		if err := s.Add(&pure); err != nil {
			t.Fatal(err)
		}
	}
	if e, ok := s.Guarantee(0); !ok || e != Nano {
		t.Errorf("ten times 0.1 at δ 0: %d, %v", e, ok)
	}
	for range 990 {
		if err := s.Add(&pure); err != nil {
			t.Fatal(err)
		}
	}
	if e, ok := s.Guarantee(1_000_000); !ok || e >= 100*Nano || e < 10*Nano {
		t.Errorf("a thousand times 0.1 at δ 10⁻⁶ by Rényi: %d, %v", e, ok)
	}
	var a Sum
	c, _ := Approximate(1, 1e-6)
	if err := a.Add(&c); err != nil {
		t.Fatal(err)
	}
	if _, ok := a.Guarantee(999_999); ok {
		t.Error("a δ that is spent")
	}
	if e, ok := a.Guarantee(1_000_000); !ok || e != Nano {
		t.Errorf("%d, %v", e, ok)
	}
	g, _ := Renyi(gaussian(1, 1))
	if err := a.Add(&g); err != nil {
		t.Fatal(err)
	}
	if _, ok := a.Guarantee(1_000_000); ok {
		t.Error("no δ is left for the conversion")
	}
	if _, ok := a.Guarantee(-1); ok {
		t.Error("negative δ")
	}
}

func TestUnboundedMakesConditional(t *testing.T) {
	var s Sum
	if s.Conditional() {
		t.Error("new")
	}
	if err := s.Add(&Cost{Unbounded: true}); err != nil {
		t.Fatal(err)
	}
	if !s.Conditional() {
		t.Error("after raw access")
	}
	if err := s.Remove(&Cost{Unbounded: true}); err != nil || s != (Sum{}) {
		t.Errorf("%+v, %v", s, err)
	}
	if err := s.Remove(&Cost{Pure: 1}); !errors.Is(err, ErrOverflow) {
		t.Errorf("what was never added: %v", err)
	}
}

func TestWithin(t *testing.T) {
	small, large := Cost{Pure: 1, Renyi: &Vector{1}}, Cost{Pure: 2, Epsilon: 1, Renyi: &Vector{1, 1}}
	if !small.Within(&large) || large.Within(&small) || !large.Within(&Cost{Unbounded: true}) || (&Cost{Unbounded: true}).Within(&large) ||
		small.Within(&Cost{Pure: 9}) {
		t.Error("within")
	}
}

func FuzzSum(f *testing.F) {
	f.Add(int64(1), int64(2), int64(3), int64(4), int64(5))
	f.Add(int64(MaxLoss), int64(MaxLoss), int64(MaxDelta), int64(MaxLoss), int64(0))
	f.Fuzz(func(t *testing.T, pure, epsilon, delta, order, at int64) {
		c := Cost{Pure: pure, Epsilon: epsilon, Delta: delta, Renyi: &Vector{}}
		c.Renyi[uint64(at)%Orders] = order
		var s Sum
		if s.Add(&c) != nil {
			return
		}
		if e, ok := s.Guarantee(MaxDelta / 2); ok && e < epsilon {
			t.Errorf("ε %d of %d", e, epsilon)
		}
		if err := s.Remove(&c); err != nil || s != (Sum{}) {
			t.Errorf("adding and removing leaves %v", err)
		}
	})
}
