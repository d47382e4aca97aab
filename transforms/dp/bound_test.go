// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"errors"
	"strings"
	"testing"
)

// different is a composition of n different mechanisms, each once.
func different(n int, m Mechanism) *Composition {
	c := &Composition{Adjacency: AddOrRemove}
	for i := range n {
		m.Noise += int64(i)
		c.Mechanisms = append(c.Mechanisms, m)
	}
	return c
}

// TestManyMechanismsKeepVerifiersBusy: how many different mechanisms a bound may have follows from the work for each. One that is
// there twice is one, and what costs next to nothing is not counted.
func TestManyMechanismsKeepVerifiersBusy(t *testing.T) {
	sampled := Mechanism{Kind: Gaussian, Noise: 50 * Micro, Sampling: Poisson, Rate: Rate{1, 1000}, Count: 1}
	laplace := Mechanism{Kind: Laplace, Noise: 50 * Micro, Sampling: NoSampling, Rate: One, Count: 1}
	gaussian := Mechanism{Kind: Gaussian, Noise: 50 * Micro, Sampling: NoSampling, Rate: One, Count: 1}
	twice := func(c *Composition) *Composition {
		c.Mechanisms = append(c.Mechanisms, c.Mechanisms...)
		return c
	}
	for name, x := range map[string]struct {
		c    *Composition
		by   string
		want string // in the error
	}{
		"as many on samples as there may be": {twice(different(maxSampled, sampled)), RDP, ""},
		"one more":                           {different(maxSampled+1, sampled), RDP, "more than 16 different mechanisms on samples"},
		"as many without samples":            {different(maxSampled+1, laplace), RDP, ""},
		"as many spectra as there may be":    {twice(different(maxSpectra, laplace)), PLD, ""},
		"one spectrum more":                  {different(maxSpectra+1, laplace), PLD, "5 different mechanisms, pld/1 has at most 4; rdp/1 bounds them"},
		"Gaussians, which are one":           {different(maxSpectra+1, gaussian), PLD, ""},
	} {
		b, err := Epsilon(x.c, 1e-6, x.by)
		switch {
		case x.want == "" && (err != nil || b.Epsilon <= 0):
			t.Errorf("%s: %v, %v", name, b, err)
		case x.want != "" && (!errors.Is(err, ErrAccountant) || !strings.Contains(err.Error(), x.want)):
			t.Errorf("%s: %v", name, err)
		}
	}
}
