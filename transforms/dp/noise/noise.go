// SPDX-License-Identifier: Apache-2.0

// Package noise turns what may be spent on a sum of integers, and how far one unit can move it, into a mechanism for
// accountants and the noise to draw.
//
// Trust domain: wherever releases are planned or made; pure. Its one job: the noise that is drawn is never less than what the
// mechanism says. Everything is computed in integers, and rounded towards more noise.
package noise

import (
	"errors"
	"fmt"
	"math"
	"math/big"

	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// Errors of this package.
var (
	// ErrScale is noise that does not fit the integers that it is added to.
	ErrScale = errors.New("noise: the noise would not fit: take narrower bounds, fewer contributions, or spend more")
	// ErrKind is a mechanism that adds no noise to a sum.
	ErrKind = errors.New("noise: not additive noise")
)

// Sensitivity is how far one unit can move a vector of integers: by L1 in L1, and by L2·√Root in L2.
type Sensitivity struct{ L1, L2, Root *big.Int }

// Scalar is the sensitivity of one number.
func Scalar(v *big.Int) Sensitivity { return Sensitivity{v, v, big.NewInt(1)} }

// Noise is additive noise. The zero value draws none: it is an error.
type Noise struct {
	Mechanism dp.Mechanism
	Scale     sampler.Rat // in the integers of the sum: Laplace's scale, Gaussian's standard deviation

	ahead *sampler.Pool // what was drawn ahead, if so
}

// maxSensitivity is what a signed mechanism can say.
const maxSensitivity = 1<<53 - 1

// Laplace is discrete Laplace noise for one of so many equal shares of ε, in millionths.
func Laplace(epsilon, shares int64, s Sensitivity) (Noise, error) {
	if epsilon < 1 || shares < 1 || s.L1.Sign() < 1 || !s.L1.IsInt64() || s.L1.Int64() > maxSensitivity {
		return Noise{}, ErrScale
	}
	multiplier := divUp(Product(shares, dp.Micro, dp.Micro), big.NewInt(epsilon))
	return Of(once(dp.DiscreteLaplace, multiplier, s.L1.Int64()), s)
}

// Gaussian is rounded Gaussian noise for one of so many equal shares of a noise multiplier, in millionths: each has √shares
// times the multiplier, so that all together tell as much as one would of the multiplier itself.
func Gaussian(multiplier, shares int64, s Sensitivity) (Noise, error) {
	if multiplier < 1 || shares < 1 {
		return Noise{}, ErrScale
	}
	return Of(once(dp.Gaussian, RootUp(Product(multiplier, multiplier, shares)), 0), s)
}

func once(kind string, multiplier *big.Int, sensitivity int64) dp.Mechanism {
	m := dp.Mechanism{Kind: kind, Sensitivity: sensitivity, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}
	if multiplier.IsInt64() {
		m.Noise = multiplier.Int64() // what is 0 is refused
	}
	return m
}

// Of is the noise of a declared mechanism on a sum of a sensitivity. Its errors are [ErrKind], [ErrScale] and what
// [dp.Mechanism.Validate] says.
func Of(m dp.Mechanism, s Sensitivity) (Noise, error) {
	if err := m.Validate(); err != nil {
		return Noise{}, err
	}
	if m.Count != 1 || m.Sampling != dp.NoSampling {
		return Noise{}, fmt.Errorf("%w: %s, %d times, sampling %s", ErrKind, m.Kind, m.Count, m.Sampling)
	}
	norm, root := s.L1, big.NewInt(1)
	switch {
	case m.Kind == dp.Gaussian:
		norm, root = s.L2, s.Root
	case m.Kind != dp.DiscreteLaplace:
		return Noise{}, fmt.Errorf("%w: %s", ErrKind, m.Kind)
	case !s.L1.IsInt64() || m.Sensitivity != s.L1.Int64():
		return Noise{}, fmt.Errorf("%w: a sensitivity of %d, and one unit moves the sum by %s", ErrKind, m.Sensitivity, s.L1)
	}
	scale, err := scaleOf(m.Noise, norm, root)
	return Noise{Mechanism: m, Scale: scale}, err
}

// scaleOf is multiplier/10⁶ · norm · √root, rounded up: to 2⁻²⁰ where that fits, else to a whole number.
func scaleOf(multiplier int64, norm, root *big.Int) (sampler.Rat, error) {
	const places = 20
	square := Product(multiplier, multiplier)
	square.Mul(square, norm).Mul(square, norm).Mul(square, root).Lsh(square, 2*places)
	num := RootUp(divUp(square, Product(dp.Micro, dp.Micro)))
	switch {
	case num.Sign() < 1:
		return sampler.Rat{}, ErrScale
	case num.BitLen() <= 33+places:
		return sampler.Rat{Num: num.Uint64(), Den: 1 << places}, nil
	}
	num = divUp(num, big.NewInt(1<<places))
	if num.BitLen() > 53 {
		return sampler.Rat{}, ErrScale
	}
	return sampler.Rat{Num: num.Uint64(), Den: 1}, nil
}

// Product multiplies.
func Product(factors ...int64) *big.Int {
	p := big.NewInt(1)
	for _, f := range factors {
		p.Mul(p, big.NewInt(f))
	}
	return p
}

// divUp is a/b, rounded up, of what is not negative.
func divUp(a, b *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(a, b, new(big.Int))
	if r.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return q
}

// RootUp is √n, rounded up.
func RootUp(n *big.Int) *big.Int {
	r := new(big.Int).Sqrt(n)
	if new(big.Int).Mul(r, r).Cmp(n) < 0 {
		r.Add(r, big.NewInt(1))
	}
	return r
}

// Ahead draws so many noises for [Noise.Draw] to give, which then draws no more of its own: how long drawing takes tells of what
// is drawn. Its errors are those of Draw and of [sampler.NewPool].
func (n *Noise) Ahead(s *sampler.Source, many int) error {
	fresh := &Noise{Mechanism: n.Mechanism, Scale: n.Scale}
	pool, err := sampler.NewPool(many, func(dst []int64) (err error) {
		for i := range dst {
			if dst[i], err = fresh.Draw(s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	n.ahead = pool
	return pool.Refill()
}

// Wipe forgets what was drawn ahead and not given.
func (n *Noise) Wipe() {
	if n.ahead != nil {
		n.ahead.Wipe()
	}
}

// Draw gives one noise: of those that were drawn ahead, if any were, until [sampler.ErrPool] says that there are no more.
func (n *Noise) Draw(s *sampler.Source) (int64, error) {
	if n.ahead != nil {
		var one [1]int64
		err := n.ahead.Take(one[:])
		return one[0], err
	}
	switch {
	case s == nil:
		return 0, fmt.Errorf("%w: no source", sampler.ErrEntropy)
	case n.Mechanism.Kind == dp.Gaussian:
		return s.RoundedGaussian(n.Scale)
	case n.Mechanism.Kind == dp.DiscreteLaplace:
		return s.Laplace(n.Scale)
	}
	return 0, fmt.Errorf("%w: %q", ErrKind, n.Mechanism.Kind)
}

// Float is the scale in units of which there are per to one integer.
func (n *Noise) Float(per float64) float64 { return float64(n.Scale.Num) / float64(n.Scale.Den) / per }

// Margin is what the noise stays within, but for a probability.
func (n *Noise) Margin(doubt float64) float64 {
	if n.Mechanism.Kind == dp.Gaussian {
		return n.Float(1)*math.Sqrt2*math.Erfinv(1-doubt) + 0.5
	}
	return n.Float(1) * math.Log(1/doubt)
}
