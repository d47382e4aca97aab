// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"fmt"
	"math"
	"testing"
)

// Reference values are those of Google's dp-accounting 0.6.0: add-or-remove, its default orders, interval 10⁻⁴.

// TestSampledGaussianVectors: RDP within 10⁻⁸, PLD within 10⁻⁶, of printed figures.
func TestSampledGaussianVectors(t *testing.T) {
	for _, v := range []struct {
		num, den, noise, steps int64
		delta, rdp, order, pld float64
	}{
		{256, 60000, 1_100_000, 14063, 1e-5, 2.59665553, 8.1, 2.381778808},
		{256, 60000, 1_300_000, 3515, 1e-5, 0.9544295087, 17, 0.8644586714},
		{4, 1000, 1_300_000, 3750, 1e-5, 0.9220489428, 17, 0.8335891194},
		{4, 100, 1_500_000, 2249, 1e-5, 7.327501401, 3.9, 6.76705109},
		{1, 1000, 1_000_000, 30000, 1e-7, 1.41549885, 13, 1.098198949},
		{1, 100, 1_000_000, 1000, 1e-5, 2.101366525, 7.8, 1.828243646},
		{1, 1000, 800_000, 10000, 1e-6, 1.703625286, 8.2, 0.9473238336},
	} {
		c := of(AddOrRemove, sampled(v.num, v.den, v.noise, v.steps))
		r, err := Epsilon(c, v.delta, RDP)
		if err != nil || math.Abs(r.Epsilon-v.rdp) > 1e-8 || r.Order != v.order || r.Accountant != RDP || r.Delta != v.delta {
			t.Errorf("%+v: RDP %+v, %v", v, r, err)
		}
		p, err := Epsilon(c, v.delta, PLD)
		if err != nil || math.Abs(p.Epsilon-v.pld) > 1e-6 || p.Epsilon < v.pld || p.Order != 0 {
			t.Errorf("%+v: PLD %+v, %v", v, p, err)
		}
		f, err := EpsilonOf(c.Mechanisms[0], float64(v.noise)/Micro, float64(v.num)/float64(v.den), AddOrRemove, v.delta, RDP)
		if err != nil || f != r {
			t.Errorf("%+v: in floats %+v, %v", v, f, err)
		}
	}
}

// TestUpstreamVectors are figures that the tests of TensorFlow Privacy and Opacus assert.
func TestUpstreamVectors(t *testing.T) {
	for name, v := range map[string]struct {
		c          *Composition
		accountant string
		delta      float64
		want, tol  float64
	}{
		"tfp 150/60000":             {of(AddOrRemove, sampled(150, 60000, 1_300_000, 6000)), RDP, 1e-5, 0.7242234026109595, 1e-8},
		"tfp 100/100000":            {of(AddOrRemove, sampled(1, 1000, 1_000_000, 30000)), RDP, 1e-7, 1.4154988495444842, 1e-8},
		"tfp q 0.01, rdp":           {of(AddOrRemove, sampled(1, 100, 700_000, 120)), RDP, 1e-5, 3.2392676, 1e-7},
		"tfp q 0.01, pld":           {of(AddOrRemove, sampled(1, 100, 700_000, 120)), PLD, 1e-5, 2.4612381, 1e-6},
		"tree of 1600, little":      {of(ReplaceOne, Mechanism{Kind: Tree, Noise: 1_130_000, Size: 1600, Sampling: NoSampling, Rate: One, Count: 1}), RDP, 1e-6, 18.70960989, 1e-8},
		"tree of 1600, much":        {of(ReplaceOne, Mechanism{Kind: Tree, Noise: 8_830_000, Size: 1600, Sampling: NoSampling, Rate: One, Count: 1}), RDP, 1e-6, 1.77319245, 1e-8},
		"laplace, rdp":              {of(AddOrRemove, unsampled(Laplace, 1_000_000, 10)), RDP, 1e-6, 9.998981368, 1e-8},
		"laplace, pld":              {of(AddOrRemove, unsampled(Laplace, 1_000_000, 10)), PLD, 1e-6, 9.998978094, 1e-6},
		"laplace often, rdp":        {of(AddOrRemove, unsampled(Laplace, 10_000_000, 100)), RDP, 1e-6, 4.984173965, 1e-8},
		"laplace often, pld":        {of(AddOrRemove, unsampled(Laplace, 10_000_000, 100)), PLD, 1e-6, 4.692667439, 1e-6},
		"fixed size, rdp":           {of(ReplaceOne, Mechanism{Kind: Gaussian, Noise: 1_100_000, Sampling: FixedSize, Rate: Rate{1, 100}, Count: 1000}), RDP, 1e-5, 3.1899987783606503, 1e-8},
		"fixed size, large, rdp":    {of(ReplaceOne, Mechanism{Kind: Gaussian, Noise: 2_918_947, Sampling: FixedSize, Rate: Rate{1608, 10000}, Count: 513}), RDP, 1e-4, 13.787568420553, 1e-8},
		"fixed size, higher orders": {of(ReplaceOne, Mechanism{Kind: Gaussian, Noise: 4_313_976, Sampling: FixedSize, Rate: Rate{2002, 10000}, Count: 8}), RDP, 1e-7, 1.1381070641727, 1e-8},
	} {
		b, err := Epsilon(v.c, v.delta, v.accountant)
		if err != nil || math.Abs(b.Epsilon-v.want) > v.tol {
			t.Errorf("%s: %+v, %v, want %v", name, b, err, v.want)
		}
	}
	// orders of their own
	best := math.Inf(1)
	for _, a := range []float64{1.25, 1.5, 1.75, 2} {
		best = min(best, 976562*sampledGaussian(1024e-8, 0.1, a)+math.Log1p(-1/a)-math.Log(1e-7*a)/(a-1))
	}
	if math.Abs(best-5907982.3113984) > 10 { // they count 976,562.5 steps
		t.Errorf("tfp 1024/1e8: %.7f", best)
	}
	if mu := CentralLimitMu(0.04, 1.5, 2249); mu <= 0 {
		t.Error(mu)
	} else if e, err := GaussianEpsilon(mu, 1e-5); err != nil || e < 6.59 || e > 6.6 {
		t.Errorf("opacus, central limit: %v, %v", e, err)
	}
}

func TestRenyiVector(t *testing.T) {
	for _, v := range [][2]float64{{1.5, 0.000670579741}, {2.5, 0.0010854871}, {5, 0.00218075656}, {50, 0.0238460375}, {100, 167.416308}} {
		if r := 50 * sampledGaussian(0.01, 2.5, v[0]); math.Abs(r-v[1]) > 1e-8*max(1, v[1]) {
			t.Errorf("order %v: %v, want %v", v[0], r, v[1])
		}
	}
}

func TestAnalyticGaussian(t *testing.T) {
	for _, v := range [][3]float64{{0.5, 1e-5, 9.99725614643}, {1, 1e-6, 4.88655411746}, {5, 1e-5, 0.725521750858}} {
		if e, err := AnalyticGaussian(v[0], v[1]); err != nil || math.Abs(e-v[2]) > 1e-10 {
			t.Errorf("%v: %v, %v", v, e, err)
		}
		p, err := Epsilon(of(AddOrRemove, unsampled(Gaussian, int64(v[0]*Micro), 1)), v[1], PLD)
		if err != nil || math.Abs(p.Epsilon-v[2]) > 1e-10 {
			t.Errorf("%v: PLD %v, %v", v, p, err)
		}
	}
	for _, v := range [][3]float64{{0.1, 1e-5, 30.749566132}, {1, 1e-5, 3.73063163482}, {2, 1e-5, 1.99381244564}} {
		s, err := AnalyticNoise(v[0], v[1])
		if err != nil || math.Abs(s-v[2]) > 1e-9 {
			t.Errorf("%v: %v, %v", v, s, err)
		}
		if mu, err := GaussianMu(v[0], v[1]); err != nil || mu*s > 1 || mu*s < 1-1e-9 {
			t.Errorf("%v: μ %v, %v", v, mu, err)
		}
	}
	for _, bad := range [][2]float64{{0, 1e-5}, {-1, 1e-5}, {math.NaN(), 1e-5}, {math.Inf(1), 1e-5}, {1, 0}, {1, 1}, {1, math.NaN()}} {
		if e, err := AnalyticGaussian(bad[0], bad[1]); err == nil {
			t.Errorf("%v: %v", bad, e)
		}
		if s, err := AnalyticNoise(bad[0], bad[1]); err == nil {
			t.Errorf("%v: %v", bad, s)
		}
	}
}

// TestRandomisedResponse: its ε of pure differential privacy, which divergences approach from below.
func TestRandomisedResponse(t *testing.T) {
	for _, v := range []struct {
		noise, size int64
		want        float64
	}{{100_000, 10, 4.510859507}, {300_000, 10, 3.191847152}, {500_000, 2, 1.098612289}} {
		m := Mechanism{Kind: RandomisedResponse, Noise: v.noise, Size: v.size, Sampling: NoSampling, Rate: One, Count: 1}
		if e := m.exact().pure(); math.Abs(e-v.want) > 1e-9 {
			t.Errorf("%+v: ε %v", v, e)
		}
		b, err := Epsilon(of(ReplaceOne, m), 1e-9, PLD)
		if err != nil || b.Epsilon > v.want+interval || b.Epsilon < v.want-1e-3 {
			t.Errorf("%+v: %v, %v", v, b, err)
		}
		r, err := Renyi(of(ReplaceOne, m))
		if last := r[len(r)-1]; err != nil || last > v.want || last < v.want-1e-2 {
			t.Errorf("%+v: divergence of order 1024 %v, %v", v, last, err)
		}
	}
}

// TestExtremeCorners: rates near 0 and 1, little and much noise, one step and ten million, δ of 10⁻¹² and 0.1. dp-accounting's PLD takes
// differences of nearly equal floats there and is above the truth by up to a thousandth, or off by the noise of its transform.
func TestExtremeCorners(t *testing.T) {
	for _, v := range cornerFigures {
		t.Run(fmt.Sprintf("%d of %d, %d, %d times", v.num, v.den, v.noise, v.steps), func(t *testing.T) {
			c := of(AddOrRemove, sampled(v.num, v.den, v.noise, v.steps))
			if b, err := Epsilon(c, v.delta, RDP); err != nil || math.Abs(b.Epsilon-v.rdp) > 1e-8*max(1, v.rdp) {
				t.Errorf("RDP %+v, %v, want %v", b, err, v.rdp)
			}
			if v.pld == 0 || testing.Short() {
				return
			}
			if b, err := Epsilon(c, v.delta, PLD); err != nil || b.Epsilon > v.pld+1e-5 || b.Epsilon < v.pld*(1-1e-3) {
				t.Errorf("PLD %+v, %v, want %v", b, err, v.pld)
			}
		})
	}
}

// TestComposedGaussians: grids, transforms and tilts give what the closed form does, at every δ, and never less.
func TestComposedGaussians(t *testing.T) {
	for _, v := range []struct {
		noise float64
		count int64
		delta float64
	}{{1, 1, 1e-5}, {5, 100, 1e-12}, {20, 100, 1e-30}, {100, 10_000, 0.1}, {3, 1, 1e-9}, {50, 100, 0.05}, {1000, 1_000_000, 1e-8}} {
		want, err := AnalyticGaussian(v.noise/math.Sqrt(float64(v.count)), v.delta)
		if err != nil {
			t.Fatal(err)
		}
		p, err := gaussianPair(v.noise)
		if err != nil {
			t.Fatal(err)
		}
		all := part{&sampledPair{pair: p}, math.Inf(-1), math.Inf(1)}
		got, err := composed([]component{{[]part{all}, 1, v.count}}, v.delta, new(work))
		if tolerance := 1e-5 * float64(max(1, v.count/1000)); err != nil || got < want || got > want+tolerance && v.delta > 1e-10 || got > want*1.01 {
			t.Errorf("%+v: ε %v, %v, want %v", v, got, err, want)
		}
	}
}

// TestDiscretisedDivergence: on the grid the divergence of what was put there is that of the mechanism, and P and Q keep
// their masses.
func TestDiscretisedDivergence(t *testing.T) {
	const q = 0.1
	g, err := gaussianPair(0.8)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]struct {
		*pair
		base func(e float64) float64 // divergence of the pair
	}{
		"gaussian":         {g, func(e float64) float64 { return math.Exp(logGaussianDelta(0.8, e)) }},
		"laplace":          {laplacePair(1.7), func(e float64) float64 { return max(0, 1-min(math.Exp(e), math.Exp((e-1.7)/2))) }},
		"discrete laplace": {discreteLaplacePair(1.6, 4), nil},
	} {
		for _, d := range []direction{whole, remove, add} {
			s := &sampledPair{v.pair, d, q}
			c := component{[]part{{s, math.Inf(-1), math.Inf(1)}}, 1, 1}
			x := c.spectrum(0.05)
			p, lack := x.infinite, x.infinite
			for i, m := range x.p {
				p += m
				lack += m * -math.Expm1(-float64(x.lo+i)*0.05)
			}
			if math.Abs(p-1) > 1e-12 || math.Abs(lack) > 1e-12 && d == whole {
				t.Errorf("%s, direction %d: P has %v, Q lacks %v", name, d, p, lack)
			}
			if v.base == nil || d == add {
				continue
			}
			for _, e := range []float64{0.05, 0.3, 1} {
				want := v.base(e)
				if d == remove {
					want = q * v.base(unmixed(q, e))
				}
				got := x.infinite
				for i, m := range x.p {
					got += m * max(0, -math.Expm1(e-float64(x.lo+i)*0.05))
				}
				if math.Abs(got-want) > 1e-11 {
					t.Errorf("%s, direction %d: δ %v at ε %v, want %v", name, d, got, e, want)
				}
			}
		}
	}
}
