// SPDX-License-Identifier: Apache-2.0

// Package privacy adds up what differentially private outputs may have revealed, in integers.
//
// Trust domain: the owner's side; pure. Its one job: a sum is never smaller than what was spent. Everything is rounded up
// and an overflow is an error. docs/spec/ledger.md has the units.
package privacy

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// Errors of this package. All mean: do not release.
var (
	ErrCost     = errors.New("privacy: not a cost")
	ErrOverflow = errors.New("privacy: sum out of range")
)

// Units and bounds. Loss is counted in billionths of ε, failure probability in 10⁻¹².
const (
	Nano     = 1_000_000_000
	MaxLoss  = 1<<53 - 1 // about nine million ε
	MaxDelta = 1_000_000_000_000
	// NoBound is the divergence from which on an order bounds nothing: conversions leave such orders out. A release's divergence
	// is cut to it, so that thousands of releases of which high orders say nothing still add up.
	NoBound = 1024 * Nano
)

// orders are those of Google's dp-accounting by default, in tenths: 1.1 to 10.9 by tenths, 11 to 63, and powers of two.
var orders = makeOrders()

// Orders is how many Rényi orders a [Vector] has.
const Orders = 99 + 53 + 4

func makeOrders() (o [Orders]int64) {
	n := 0
	for x := range int64(99) {
		o[n], n = 11+x, n+1
	}
	for x := int64(11); x < 64; x++ {
		o[n], n = 10*x, n+1
	}
	for x := int64(128); x <= 1024; x *= 2 {
		o[n], n = 10*x, n+1
	}
	return o
}

// Order is the i-th Rényi order.
func Order(i int) float64 { return float64(orders[i]) / 10 }

// Vector is a Rényi divergence at each order, in billionths.
type Vector [Orders]int64

// Cost is what one release may reveal. Exactly what is set counts, together: one entry may be pure, approximate and
// Rényi at once. The zero value is no cost and is refused where one is due.
type Cost struct {
	Unbounded bool    `json:"unbounded,omitempty"` // access without differential privacy: ε = ∞
	Pure      int64   `json:"pure,omitempty"`      // ε of pure differential privacy, billionths
	Epsilon   int64   `json:"epsilon,omitempty"`   // ε of approximate differential privacy, billionths
	Delta     int64   `json:"delta,omitempty"`     // its δ, 10⁻¹²
	Renyi     *Vector `json:"renyi,omitempty"`
}

// Validate refuses a cost that is empty, negative or out of range. Unbounded stands alone.
func (c *Cost) Validate() error {
	switch {
	case c.Pure < 0 || c.Pure > MaxLoss || c.Epsilon < 0 || c.Epsilon > MaxLoss:
		return fmt.Errorf("%w: ε of %d and %d billionths", ErrCost, c.Pure, c.Epsilon)
	case c.Delta < 0 || c.Delta >= MaxDelta:
		return fmt.Errorf("%w: δ of %d·10⁻¹²", ErrCost, c.Delta)
	case c.Unbounded && (c.Pure != 0 || c.Epsilon != 0 || c.Delta != 0 || c.Renyi != nil):
		return fmt.Errorf("%w: unbounded and bounded at once", ErrCost)
	case !c.Unbounded && c.Pure == 0 && c.Epsilon == 0 && c.Delta == 0 && c.Renyi == nil:
		return fmt.Errorf("%w: it is empty", ErrCost)
	}
	if c.Renyi == nil {
		return nil
	}
	for i, v := range c.Renyi {
		if v < 0 || v > MaxLoss {
			return fmt.Errorf("%w: Rényi divergence of %d billionths at order %v", ErrCost, v, Order(i))
		}
	}
	return nil
}

// Within reports whether c is no more than reserved in every part.
func (c *Cost) Within(reserved *Cost) bool {
	if reserved.Unbounded {
		return true
	}
	if c.Unbounded || c.Pure > reserved.Pure || c.Epsilon > reserved.Epsilon || c.Delta > reserved.Delta {
		return false
	}
	if c.Renyi == nil {
		return true
	}
	if reserved.Renyi == nil {
		return false
	}
	for i, v := range c.Renyi {
		if v > reserved.Renyi[i] {
			return false
		}
	}
	return true
}

// Units converts a float to integer units, rounding up. NaN, negative and infinite numbers are refused, and so is what
// is too large to count.
func Units(v float64, perOne int64) (int64, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0, fmt.Errorf("%w: %v", ErrCost, v)
	}
	u := math.Ceil(v * float64(perOne))
	if u > MaxLoss {
		return 0, fmt.Errorf("%w: %v", ErrCost, v)
	}
	return int64(u), nil
}

// Pure is the cost of ε-differential privacy.
func Pure(epsilon float64) (Cost, error) {
	e, err := Units(epsilon, Nano)
	if err != nil {
		return Cost{}, err
	}
	return checked(Cost{Pure: e})
}

// Approximate is the cost of (ε, δ)-differential privacy.
func Approximate(epsilon, delta float64) (Cost, error) {
	e, err := Units(epsilon, Nano)
	if err != nil {
		return Cost{}, err
	}
	d, err := Units(delta, MaxDelta)
	if err != nil {
		return Cost{}, err
	}
	return checked(Cost{Epsilon: e, Delta: d})
}

// Renyi is the cost of a mechanism with these divergences, one for each order in turn, of which some may be infinite.
func Renyi(divergence []float64) (Cost, error) {
	if len(divergence) != Orders {
		return Cost{}, fmt.Errorf("%w: %d divergences, want %d", ErrCost, len(divergence), Orders)
	}
	var v Vector
	bounded := false
	for i, d := range divergence {
		if d > NoBound/Nano { // not so of NaN
			v[i] = NoBound
			continue
		}
		bounded = true
		u, err := Units(d, Nano)
		if err != nil {
			return Cost{}, fmt.Errorf("order %v: %w", Order(i), err)
		}
		v[i] = u
	}
	if !bounded {
		return Cost{}, fmt.Errorf("%w: no order has a divergence below %d", ErrCost, NoBound/Nano)
	}
	return checked(Cost{Renyi: &v})
}

func checked(c Cost) (Cost, error) {
	if err := c.Validate(); err != nil {
		return Cost{}, err
	}
	return c, nil
}

// pureRenyi bounds the divergence of an ε-differentially private release at each order: the lesser of ε and αε²/2.
func pureRenyi(e int64) (v Vector) {
	for i, a := range orders {
		v[i] = e
		hi, lo := bits.Mul64(uint64(e), uint64(e))
		if hi != 0 {
			continue // e is far above 2/α
		}
		hi, lo = bits.Mul64(lo, uint64(a))
		const d = 20 * Nano // α in tenths, the half, and billionths squared
		if hi >= d {
			continue
		}
		q, r := bits.Div64(hi, lo, d)
		if r != 0 {
			q++
		}
		if q < uint64(e) {
			v[i] = int64(q)
		}
	}
	return v
}
