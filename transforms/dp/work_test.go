// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"errors"
	"math"
	"testing"
)

// heavy are compositions that take much work, of at most four different mechanisms.
func heavy() map[string]*Composition {
	several := func(adjacency string, m Mechanism, n int) *Composition {
		c := &Composition{Adjacency: adjacency}
		for i := range n {
			m.Noise += int64(i)
			c.Mechanisms = append(c.Mechanisms, m)
		}
		return c
	}
	half := Rate{1, 2}
	return map[string]*Composition{
		"discrete gaussian":      several(AddOrRemove, Mechanism{Kind: DiscreteGaussian, Sensitivity: 1, Noise: 5000 * Micro, Sampling: Poisson, Rate: half, Count: 1 << 32}, 4),
		"gaussian, little noise": several(AddOrRemove, Mechanism{Kind: Gaussian, Noise: 6000, Sampling: Poisson, Rate: half, Count: 1}, 4),
		"gaussian, many times":   several(AddOrRemove, Mechanism{Kind: Gaussian, Noise: 100_000, Sampling: Poisson, Rate: half, Count: 1 << 32}, 4),
		"gaussian, fixed size":   several(ReplaceOne, Mechanism{Kind: Gaussian, Noise: 20_000, Sampling: FixedSize, Rate: half, Count: 1000}, 4),
		"laplace, little noise":  several(ReplaceOne, Mechanism{Kind: Laplace, Noise: 1100, Sampling: FixedSize, Rate: half, Count: 1}, 4),
		"discrete laplace":       several(ReplaceOne, Mechanism{Kind: DiscreteLaplace, Noise: 10_000, Sensitivity: 1 << 50, Sampling: FixedSize, Rate: half, Count: 1 << 32}, 4),
		"discrete laplace, few":  several(AddOrRemove, Mechanism{Kind: DiscreteLaplace, Noise: Micro, Sensitivity: 1 << 50, Sampling: NoSampling, Rate: One, Count: 7}, 4),
		"pure, large":            several(AddOrRemove, Mechanism{Kind: DiscreteLaplace, Noise: 1, Sensitivity: 1 << 50, Sampling: NoSampling, Rate: One, Count: 7}, 4),
		"gaussian, hardly any":   of(AddOrRemove, sampled(1, 100, 100_000, 1)),
		"gaussian, 10,000 steps": of(AddOrRemove, sampled(1, 100, 100_000, 10_000)),
		"training and a score":   {AddOrRemove, []Mechanism{{Kind: Gaussian, Noise: Micro, Sampling: Poisson, Rate: Rate{4096, 60_000}, Count: 300}, {Kind: Gaussian, Noise: 20 * Micro, Sampling: NoSampling, Rate: One, Count: 1}}},
	}
}

// TestDeclarationThatKeepsVerifiersBusy: whatever a job declares, computing ε of it takes no more work than a constant, and what
// would is refused with a hint to the accountant that has no such limit.
func TestDeclarationThatKeepsVerifiersBusy(t *testing.T) {
	for name, c := range heavy() {
		for _, delta := range []float64{1e-9} {
			cost := new(work)
			e, err := lossEpsilonAt(exactly(c), c.Adjacency, delta, cost)
			if err != nil && !errors.Is(err, ErrAccountant) {
				t.Errorf("%s: %v", name, err)
			}
			if err == nil && *cost > maxWork {
				t.Errorf("%s: admitted at %.2f of the limit", name, float64(*cost)/maxWork)
			}
			if most := work(maxWork / 4 * 3); len(c.Mechanisms) == 1 && (err != nil || *cost > most) {
				t.Errorf("%s: one mechanism takes %.2f of the limit, %v", name, float64(*cost)/maxWork, err)
			}
			t.Logf("%s, %v: ε %v, %v, work %.2f", name, delta, e, err, float64(*cost)/maxWork)
		}
	}
}

// TestMomentsEndWhereNothingFollows: weights that fall for ever come close to the least of floats and stay there, each a hundred
// times as slow as another number. Terms are added up no further than they matter, and what is left out counts as there.
func TestMomentsEndWhereNothingFollows(t *testing.T) {
	const n = 1<<20 + 3
	p := make([]float64, n)
	for i := range p {
		p[i] = 1. / n
	}
	for _, v := range []struct {
		fall float64
		most int
	}{{1e-1, 1000}, {1e-2, 10_000}, {1e-3, 100_000}, {1e-4, 1_000_000}, {1e-9, n}, {0, n}} {
		f := 1 - v.fall
		want := 1.0
		if v.fall > 0 {
			want = -math.Expm1(n*math.Log(f)) / (1 - f) / n
		}
		for _, backwards := range []bool{false, true} {
			sum, terms := descending(p, f, backwards)
			if math.Abs(sum-want) > 1e-10*want || terms > v.most {
				t.Errorf("1-%v: %v in %d terms, want %v in at most %d", v.fall, sum, terms, want, v.most)
			}
		}
	}
	// where all that counts is at the far end, nothing is left out
	for _, backwards := range []bool{false, true} {
		clear(p)
		p[n-1] = 1
		if backwards {
			p[n-1], p[0] = 0, 1
		}
		if sum, _ := descending(p, 1-1e-5, backwards); math.Abs(math.Log(sum)-(n-1)*math.Log1p(-1e-5)) > 1e-9 {
			t.Errorf("backwards %t: %v", backwards, sum)
		}
		if sum, _ := descending(p, 1-1e-2, backwards); !(sum > 0 && sum <= leastWeight) { // e^-10000 is no float
			t.Errorf("backwards %t: %v", backwards, sum)
		}
	}
}

// TestNodesAreCounted: what a spectrum is said to take before it is made is what it takes.
func TestNodesAreCounted(t *testing.T) {
	for name, c := range heavy() {
		for _, m := range exactly(c)[:1] {
			for _, d := range []direction{remove, add} {
				p, err := m.pair()
				if err != nil {
					t.Fatal(err)
				}
				if p.density == nil {
					continue
				}
				n, density := 0, p.density
				p.density = func(x float64) float64 {
					n++
					return density(x)
				}
				x := component{[]part{{&sampledPair{p, d, m.rate}, math.Inf(-1), math.Inf(1)}}, 1, 1}
				step := interval
				for x.points(step) > maxGrid {
					step *= 2
				}
				said := x.cost(step)
				if x.spectrum(step); float64(n) > said || float64(n) < said/3 {
					t.Errorf("%s, direction %d: %d nodes, said %v", name, d, n, said)
				}
			}
		}
	}
}
