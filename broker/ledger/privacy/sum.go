// SPDX-License-Identifier: Apache-2.0

package privacy

import (
	"fmt"
	"math"
)

// Sum is what a population's releases add up to. The zero value is that of none.
type Sum struct {
	Releases  int64  `json:"releases"`
	Unbounded int64  `json:"unbounded"` // releases without differential privacy; the rest of the sum is conditional on them
	Pure      int64  `json:"pure"`      // billionths of ε
	Epsilon   int64  `json:"epsilon"`
	Delta     int64  `json:"delta"` // 10⁻¹²
	Renyi     Vector `json:"-"`     // of the releases that stated one
	PureRenyi Vector `json:"-"`     // what the pure ones imply
}

// Conditional reports whether something was released without differential privacy: guarantees hold only for what was
// not.
func (s *Sum) Conditional() bool { return s.Unbounded > 0 }

// Add counts one release. s is unchanged on an error.
func (s *Sum) Add(c *Cost) error { return s.change(c, 1) }

// Remove takes back a release that was counted.
func (s *Sum) Remove(c *Cost) error { return s.change(c, -1) }

func (s *Sum) change(c *Cost, sign int64) error {
	if err := c.Validate(); err != nil {
		return err
	}
	n, ok := *s, true
	add := func(to *int64, v, limit int64) {
		*to += sign * v // both within ±2⁵³
		ok = ok && *to >= 0 && *to <= limit
	}
	add(&n.Releases, 1, MaxLoss)
	if c.Unbounded {
		add(&n.Unbounded, 1, MaxLoss)
	}
	add(&n.Pure, c.Pure, MaxLoss)
	add(&n.Epsilon, c.Epsilon, MaxLoss)
	add(&n.Delta, c.Delta, MaxDelta-1)
	if c.Renyi != nil {
		for i, v := range c.Renyi {
			add(&n.Renyi[i], v, MaxLoss)
		}
	}
	if c.Pure > 0 {
		for i, v := range pureRenyi(c.Pure) {
			add(&n.PureRenyi[i], v, MaxLoss)
		}
	}
	if !ok {
		return fmt.Errorf("%w: after %d releases", ErrOverflow, s.Releases)
	}
	*s = n
	return nil
}

// Guarantee is the ε, in billionths and rounded up, that holds for all of s together at δ (10⁻¹²). ok is false when none
// does: the releases use up δ, or ε is out of range. Releases without differential privacy are left out; see
// [Sum.Conditional].
func (s *Sum) Guarantee(delta int64) (epsilon int64, ok bool) {
	left := delta - s.Delta
	if delta < 0 || delta >= MaxDelta || left < 0 {
		return 0, false
	}
	best := int64(-1)
	if r, ok := convert(&s.Renyi, left); ok && s.Epsilon+s.Pure <= MaxLoss-r {
		best = s.Epsilon + s.Pure + r
	}
	both := s.Renyi
	for i, v := range s.PureRenyi {
		both[i] += v // from NoBound on the order is of no use, and convert leaves it out
	}
	if r, ok := convert(&both, left); ok && s.Epsilon <= MaxLoss-r && (best < 0 || s.Epsilon+r < best) {
		best = s.Epsilon + r
	}
	return best, best >= 0
}

// margin is more than the relative error of the floats.
const margin = 0x1p-40

// convert is the conversion of dp-accounting, over the orders that bound anything: for each order, ε = r + ln(1-1/α) - ln(δα)/(α-1) (Canonne, Kamath and
// Steinke, 2020), or 0 where δ² > 1-e^(-r); the least of them, rounded up.
func convert(v *Vector, delta int64) (epsilon int64, ok bool) {
	if *v == (Vector{}) {
		return 0, true
	}
	if delta <= 0 {
		return 0, false
	}
	d, best := float64(delta)/MaxDelta, math.Inf(1)
	for i, n := range v {
		if n >= NoBound {
			continue
		}
		a, r := Order(i), float64(n)/Nano
		e := 0.0
		if d*d*(1-margin)+math.Expm1(-r) <= 0 {
			e = r + math.Log1p(-1/a) - math.Log(d*a)/(a-1)
		}
		best = min(best, max(0, e))
	}
	if best == 0 {
		return 0, true
	}
	best = math.Ceil(best*Nano*(1+margin)) + 1
	if math.IsNaN(best) || best > MaxLoss {
		return 0, false
	}
	return int64(best), true
}
