// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"errors"
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
			t.Logf("%s, %v: ε %v, %v, work %.2f", name, delta, e, err, float64(*cost)/maxWork)
		}
	}
}
