// SPDX-License-Identifier: Apache-2.0

package train

import (
	"errors"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// TestBudgetExhaustedBetweenTwoSteps: the step that would exceed what is granted does not happen, and no parameters leave.
func TestBudgetExhaustedBetweenTwoSteps(t *testing.T) {
	c := poisson()
	half := *c.Privacy.Composition()
	half.Mechanisms = slices.Clone(half.Mechanisms)
	half.Mechanisms[0].Count = 5
	b, err := dp.Epsilon(&half, float64(c.Privacy.Delta)/dp.Pico, dp.RDP)
	if err != nil {
		t.Fatal(err)
	}
	if c.Granted, err = dp.Micros(b.Epsilon); err != nil {
		t.Fatal(err)
	}
	c.Granted += 10
	w := &plain{clip: 1, gradient: one}
	res, err := Run(t.Context(), c, units(16), w)
	if !errors.Is(err, dp.ErrBudget) {
		t.Fatal(err)
	}
	if res.Steps != 5 || len(w.seen) != 5 || res.Ran[0].Count != 5 || res.Params != nil {
		t.Fatalf("%d steps, %d batches, %+v, %v", res.Steps, len(w.seen), res.Ran, res.Params)
	}
}

// TestDeclaredInAdvance: by privacy loss distributions, what is beyond the grant does not begin, and what is within it runs
// whole, though Rényi divergence alone would give it more.
func TestDeclaredInAdvance(t *testing.T) {
	c := poisson()
	c.Privacy.Accountant = dp.PLD
	b, err := dp.Epsilon(c.Privacy.Composition(), float64(c.Privacy.Delta)/dp.Pico, dp.PLD)
	if err != nil {
		t.Fatal(err)
	}
	exact, err := dp.Micros(b.Epsilon)
	if err != nil {
		t.Fatal(err)
	}
	c.Granted = exact
	if res, err := Run(t.Context(), c, units(16), &plain{clip: 1, gradient: one}); err != nil || res.Steps != 10 {
		t.Fatal(res, err)
	}
	c.Granted = exact - 10
	w := &plain{clip: 1, gradient: one}
	if res, err := Run(t.Context(), c, units(16), w); !errors.Is(err, dp.ErrBudget) || len(w.seen) != 0 || len(res.Ran) != 0 {
		t.Fatal(res, err)
	}
}

// TestDeltaIsPaidOnce: what samplers are off by is of all applications together.
func TestDeltaIsPaidOnce(t *testing.T) {
	c := poisson()
	c.Privacy.Mechanisms[0].Delta = c.Privacy.Delta / 2
	if res, err := Run(t.Context(), c, units(16), &plain{clip: 1, gradient: one}); err != nil || res.Ran[0].Delta != c.Privacy.Delta/2 {
		t.Fatal(res, err)
	}
	c.Privacy.Mechanisms[0].Delta = c.Privacy.Delta
	if res, err := Run(t.Context(), c, units(16), &plain{clip: 1, gradient: one}); !errors.Is(err, dp.ErrBudget) || len(res.Ran) != 0 {
		t.Fatal(res, err)
	}
}

// TestNoMoreThanDeclared: a grant of more is no leave to do more.
func TestNoMoreThanDeclared(t *testing.T) {
	c := poisson()
	c.Granted = 1 << 50
	a, err := newAccount(c)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := a.application(0); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.application(0); !errors.Is(err, dp.ErrBudget) || a.began[0] != 10 {
		t.Fatal(err)
	}
}
