// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// maxNoise is the largest noise multiplier that is tried, in millionths.
const maxNoise = 1_000_000_000 * Micro

// Noise is the least noise multiplier, in millionths, at which c comes to at most ε at δ, if all mechanisms whose noise is 0
// have it. [ErrAccountant] if there is none: what is known may exceed ε already.
func Noise(c *Composition, epsilon, delta float64, accountant string) (int64, error) {
	set := func(m *Mechanism, n int64) bool {
		if m.Noise != 0 || m.Kind == Pure || m.Kind == Approximate || m.Kind == RandomisedResponse {
			return false
		}
		m.Noise = n
		return true
	}
	enough := &search{c: c, epsilon: epsilon, delta: delta, accountant: accountant, set: set}
	if err := enough.check("noise"); err != nil {
		return 0, err
	}
	if e, err := enough.at(maxNoise); err != nil {
		return 0, err
	} else if e > epsilon {
		return 0, fmt.Errorf("%w: no noise makes epsilon %v at delta %v: the rest comes to %.6g", ErrAccountant, epsilon, delta, e)
	}
	guess := int64(Micro)
	if accountant == PLD { // which takes longer, and needs a little less
		if n, err := Noise(c, epsilon, delta, RDP); err == nil {
			guess = n
		}
	}
	return enough.between(guess, 1, maxNoise, true)
}

// Steps is how often the mechanisms whose count is 0 can be applied, each as often as the others, such that c comes to at most
// ε at δ. [ErrAccountant] if not even once.
func Steps(c *Composition, epsilon, delta float64, accountant string) (int64, error) {
	set := func(m *Mechanism, n int64) bool {
		if m.Count != 0 {
			return false
		}
		m.Count = n
		return true
	}
	few := &search{c: c, epsilon: epsilon, delta: delta, accountant: accountant, set: set}
	if err := few.check("count"); err != nil {
		return 0, err
	}
	if e, err := few.at(1); err != nil {
		return 0, err
	} else if e > epsilon {
		return 0, fmt.Errorf("%w: one application comes to %.6g at delta %v, more than %v", ErrAccountant, e, delta, epsilon)
	}
	if e, err := few.at(MaxCount); err == nil && e <= epsilon {
		return MaxCount, nil
	}
	guess := int64(1)
	if accountant == PLD {
		if n, err := Steps(c, epsilon, delta, RDP); err == nil {
			guess = n
		}
	}
	return few.between(guess, 1, MaxCount, false)
}

// search looks for the number at which a composition with an unknown comes to ε.
type search struct {
	c              *Composition
	epsilon, delta float64
	accountant     string
	set            func(*Mechanism, int64) bool // reports whether it was unknown
}

func (s *search) check(what string) error {
	if !(s.epsilon > 0) || math.IsInf(s.epsilon, 1) {
		return fmt.Errorf("%w: epsilon %v, want a positive number", ErrAccountant, s.epsilon)
	}
	c := *s.c
	c.Mechanisms = slices.Clone(c.Mechanisms)
	unknown := false
	for i := range c.Mechanisms {
		unknown = s.set(&c.Mechanisms[i], 1) || unknown
	}
	if !unknown {
		return fmt.Errorf("%w: no mechanism's %s is unknown", ErrMechanism, what)
	}
	return c.Validate()
}

// at is ε with n for the unknown.
func (s *search) at(n int64) (float64, error) {
	c := *s.c
	c.Mechanisms = slices.Clone(c.Mechanisms)
	for i := range c.Mechanisms {
		s.set(&c.Mechanisms[i], n)
	}
	b, err := Epsilon(&c, s.delta, s.accountant)
	return b.Epsilon, err
}

// between is the last n of [lo, hi] that is good on the side where all are: the upper one if falling, ε falling with n. That side's end
// is known to be good. It interpolates ε as a power of n, and halves where that does not help.
func (s *search) between(guess, lo, hi int64, falling bool) (int64, error) {
	good, bad := lo, hi+1
	if falling {
		good, bad = hi, lo-1
	}
	goodLog, badLog := math.NaN(), math.NaN() // ln ε less what is wanted
	next, factor := guess, 2.0
	for round := 0; good-bad > 1 || bad-good > 1; round++ {
		if next <= min(good, bad) || next >= max(good, bad) {
			next = min(good, bad) + max(1, (max(good, bad)-min(good, bad))/2)
		}
		e, err := s.at(next)
		if err != nil && !errors.Is(err, ErrAccountant) {
			return 0, err
		}
		diff := math.Log(e) - math.Log(s.epsilon)
		if err == nil && e <= s.epsilon {
			good, goodLog = next, diff
		} else {
			bad, badLog = next, diff
			if err != nil {
				badLog = math.NaN()
			}
		}
		next = propose(good, bad, goodLog, badLog, factor, round)
		factor = min(factor*factor, 1<<20)
	}
	return good, nil
}

// propose is where ε is next looked at: a factor beyond the only side that is known, or where a power law through both meets
// the goal, a little towards the farther side so that both close in; every third time the middle.
func propose(good, bad int64, goodLog, badLog, factor float64, round int) int64 {
	g, b := math.Log(float64(good)), math.Log(float64(max(1, bad)))
	known := func(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
	switch {
	case known(goodLog) && known(badLog) && round%3 != 2:
		x := g + (b-g)*goodLog/(goodLog-badLog)
		at := int64(math.Round(math.Exp(x)))
		if at == good {
			return good + sign(bad-good)
		}
		if at == bad {
			return bad + sign(good-bad)
		}
		return at
	case known(goodLog) && !known(badLog):
		return int64(math.Exp(g + math.Copysign(math.Log(factor), b-g)))
	case known(badLog) && !known(goodLog):
		return int64(math.Exp(b + math.Copysign(math.Log(factor), g-b)))
	}
	return int64(math.Exp((g + b) / 2))
}

func sign(x int64) int64 {
	if x < 0 {
		return -1
	}
	return 1
}
