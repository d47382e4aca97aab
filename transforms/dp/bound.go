// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"fmt"
	"math"
)

// release of this package's methods: changed whenever any of them may give another number.
const release = "glovebox-dp/1"

// Version names the methods of this release, for statements that say what computed a bound.
func Version() string { return release + " " + RDP + " " + PLD }

// Bound is what a composition comes to.
type Bound struct {
	Epsilon    float64
	Delta      float64
	Order      float64 // of Rényi divergence that gave it; 0 with other accountants
	Accountant string
}

// Epsilon bounds ε of a composition at δ, 0 < δ < 1, by the named accountant. Deltas of the mechanisms themselves are taken
// from δ. An accountant that has no bound for a mechanism, or a δ that is used up, is [ErrAccountant]; ε is finite or there
// is an error.
func Epsilon(c *Composition, delta float64, accountant string) (Bound, error) {
	if err := c.Validate(); err != nil {
		return Bound{}, err
	}
	left, err := remaining(c, delta)
	if err != nil {
		return Bound{}, err
	}
	b, err := bound(exactly(c), c.Adjacency, left, accountant)
	b.Delta = delta
	return b, err
}

// EpsilonOf is [Epsilon] of one mechanism whose noise multiplier and rate are what floats say, and not m's, which have
// been rounded: for plans. What is signed has integers.
func EpsilonOf(m Mechanism, noise, rate float64, adjacency string, delta float64, accountant string) (Bound, error) {
	c := Composition{Adjacency: adjacency, Mechanisms: []Mechanism{m}}
	if err := c.Validate(); err != nil {
		return Bound{}, err
	}
	if !(noise >= 0) || math.IsInf(noise, 1) || !(rate > 0 && rate <= 1) || (noise == 0) != (m.Noise == 0) {
		return Bound{}, fmt.Errorf("%w: noise multiplier %v, sampling rate %v", ErrMechanism, noise, rate)
	}
	left, err := remaining(&c, delta)
	if err != nil {
		return Bound{}, err
	}
	b, err := bound([]exact{{m, noise, rate}}, adjacency, left, accountant)
	b.Delta = delta
	return b, err
}

func exactly(c *Composition) []exact {
	all := make([]exact, len(c.Mechanisms))
	for i := range all {
		all[i] = *c.Mechanisms[i].exact()
	}
	return all
}

func bound(all []exact, adjacency string, left float64, accountant string) (b Bound, err error) {
	switch accountant {
	case RDP:
		v, err := divergences(all, adjacency)
		if err != nil {
			return Bound{}, err
		}
		b.Epsilon, b.Order = convert(v, left)
	case PLD:
		if b.Epsilon, err = lossEpsilon(all, adjacency, left); err != nil {
			return Bound{}, err
		}
	default:
		return Bound{}, fmt.Errorf("%w: accountant %q, want %s or %s", ErrAccountant, accountant, RDP, PLD)
	}
	if math.IsNaN(b.Epsilon) || math.IsInf(b.Epsilon, 0) || b.Epsilon < 0 {
		return Bound{}, fmt.Errorf("%w: epsilon is not finite: more noise or fewer applications are needed", ErrAccountant)
	}
	b.Accountant = accountant
	return b, nil
}

// remaining is what the mechanisms' own deltas leave of δ, rounded down.
func remaining(c *Composition, delta float64) (float64, error) {
	if !(delta > 0 && delta < 1) {
		return 0, fmt.Errorf("%w: delta %v, want more than 0 and less than 1", ErrAccountant, delta)
	}
	own := OwnDelta(c)
	if own == 0 {
		return delta, nil
	}
	left := (delta - float64(own)/Pico) - 0x1p-50*delta // a difference of two numbers that are each rounded
	if left <= 0 {
		return 0, fmt.Errorf("%w: the mechanisms' own deltas are %d·10⁻¹², which uses up a delta of %v", ErrAccountant, own, delta)
	}
	return left, nil
}

// OwnDelta is the sum of the mechanisms' own deltas, in 10⁻¹²; one or more in all is as good as no guarantee.
func OwnDelta(c *Composition) (sum int64) {
	for i := range c.Mechanisms {
		sum = min(sum+c.Mechanisms[i].Delta, Pico)
	}
	return sum
}

// Orders are the Rényi orders of this package: those of Google's dp-accounting by default, 1.1 to 10.9 by tenths, 11 to 63,
// and 128, 256, 512 and 1024. The caller owns the slice.
func Orders() []float64 {
	o := make([]float64, 0, 156)
	for i := 11; i < 110; i++ {
		o = append(o, float64(i)/10)
	}
	for i := 11; i < 64; i++ {
		o = append(o, float64(i))
	}
	return append(o, 128, 256, 512, 1024)
}

// Renyi bounds the Rényi divergence of a composition at each of [Orders], deltas of the mechanisms left out. An order at
// which there is no bound is +Inf; if there is none at all, that is [ErrAccountant].
func Renyi(c *Composition) ([]float64, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return divergences(exactly(c), c.Adjacency)
}

// maxSampled is how many different mechanisms on samples one composition may have: each takes up to 30 ms of everybody who checks.
const maxSampled = 16

func divergences(all []exact, adjacency string) ([]float64, error) {
	sum := make([]float64, len(Orders()))
	sampled := map[exact][]float64{} // by what one application is
	for i := range all {
		m := &all[i]
		once := *m
		once.Count, once.Delta = 1, 0
		v, ok := sampled[once]
		if !ok {
			var err error
			if v, err = m.renyi(adjacency); err != nil {
				return nil, fmt.Errorf("mechanism %d, %s: %w", i, m.Kind, err)
			}
			if m.sampled() {
				if sampled[once] = v; len(sampled) > maxSampled {
					return nil, fmt.Errorf("%w: more than %d different mechanisms on samples", ErrAccountant, maxSampled)
				}
			}
		}
		for j, r := range v {
			if math.IsNaN(r) {
				r = math.Inf(1) // an overflow in between
			}
			sum[j] += float64(m.Count) * max(0, r)
		}
	}
	for _, r := range sum {
		if !math.IsInf(r, 1) {
			return sum, nil
		}
	}
	return nil, fmt.Errorf("%w: the divergence is not finite at any order: more noise or fewer applications are needed", ErrAccountant)
}

// convert is the conversion of dp-accounting: at each order ε = r + ln(1-1/α) - ln(δα)/(α-1) (Canonne, Kamath and Steinke,
// 2020, proposition 12), or 0 where δ² > 1-e^(-r); the least of them, and its order.
func convert(renyi []float64, delta float64) (epsilon, order float64) {
	epsilon = math.Inf(1)
	for i, a := range Orders() {
		r := renyi[i]
		if math.IsInf(r, 1) {
			continue
		}
		e := 0.0
		if delta*delta*(1-margin)+math.Expm1(-r) <= 0 {
			e = max(0, r+math.Log1p(-1/a)-math.Log(delta*a)/(a-1))
			e += 8 * ulp * (r + math.Abs(math.Log(delta*a)/(a-1)))
		}
		if e < epsilon {
			epsilon, order = e, a
		}
	}
	return epsilon, order
}

const (
	ulp    = 0x1p-53 // relative error of one operation
	margin = 0x1p-40 // far more than the relative error of a few
)
