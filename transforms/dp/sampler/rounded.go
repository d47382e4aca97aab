// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"fmt"
	"math/big"
	"math/bits"
)

// A standard normal deviate is drawn by Karney's algorithm N (Sampling exactly from the normal distribution, 2016), in steps of
// 1/64 instead of 1: its size is (k+x)/64, where k has a probability in proportion to exp(-k²/8192), x is uniform in [0, 1), and
// the pair is kept with probability exp(-γ), γ = x(2k+x)/8192. Nearly all are, and most of these are kept by the first bits of a
// coin. x is drawn bit by bit as it is needed, so that it is never rounded; nor is anything before sigma times it is.
const (
	stepBits = 6
	// gammaBits: γ is x(2k+x)/2^gammaBits.
	gammaBits = 2*stepBits + 1
	// maxStep bounds k: above, γ may be more than 1. A deviate of 64 has a chance below 2⁻²⁹⁰⁰.
	maxStep = 1 << (gammaBits - 1)
)

// deviate is what is known of the normal deviate at hand: its sign, k, and of x 63 bits, and as many words more as were needed.
type deviate struct {
	negative bool
	k, x     uint64
	more     []uint64
}

// bigX gives x with at least some words more, and how many bits these are in all.
func (d *deviate) bigX(s *Source, words int) (*big.Int, uint) {
	for len(d.more) < words {
		d.more = append(d.more, s.word())
	}
	v := new(big.Int).SetUint64(d.x)
	for _, w := range d.more {
		v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(w))
	}
	return v, uint(63 + 64*len(d.more))
}

// rounding is sigma/64 = num/den·2⁻⁶ exactly, and as between low and low+1, times 2^-shift.
type rounding struct {
	num, den uint64
	low      uint64 // of 63 bits
	shift    uint
}

func newRounding(sigma Rat) (rounding, error) {
	if err := sigma.check(); err != nil {
		return rounding{}, err
	}
	if sigma.Num/sigma.Den >= MaxScale {
		return rounding{}, fmt.Errorf("%w: sigma %d/%d", ErrParameter, sigma.Num, sigma.Den)
	}
	// num/den is from 2^(e-1) to 2^(e+1), where e is the difference of their lengths.
	e := bits.Len64(sigma.Num) - bits.Len64(sigma.Den)
	up := uint(62 - e)
	low := new(big.Int).Lsh(new(big.Int).SetUint64(sigma.Num), up)
	low.Div(low, new(big.Int).SetUint64(sigma.Den))
	if low.BitLen() > 63 {
		low.Rsh(low, 1)
		up--
	}
	return rounding{num: sigma.Num, den: sigma.Den, low: low.Uint64(), shift: up + stepBits}, nil
}

// RoundedGaussian draws from a normal distribution of standard deviation sigma, rounded to a whole number. What is added to an
// integer with it is what would be had by adding the normal deviate itself, and rounding then.
func (s *Source) RoundedGaussian(sigma Rat) (int64, error) {
	var one [1]int64
	err := s.FillRounded(one[:], sigma)
	return one[0], err
}

// FillRounded draws a vector as [Source.RoundedGaussian] does. With an error, the vector is zeros, and is not noise.
func (s *Source) FillRounded(dst []int64, sigma Rat) error {
	r, err := newRounding(sigma)
	if err != nil {
		clear(dst)
		return err
	}
	if s.normal == nil {
		s.normal = newStairs(big.NewInt(1), big.NewInt(1<<gammaBits), 2)
	}
	return s.fill(dst, func() int64 { return s.rounded(&r) })
}

// fill draws a vector.
func (s *Source) fill(dst []int64, draw func() int64) error {
	for i := range dst {
		s.steps = 0
		dst[i] = draw()
		if s.err != nil {
			clear(dst)
			return s.err
		}
	}
	return s.err
}

func (s *Source) rounded(r *rounding) int64 {
	d := &s.deviate
	for s.err == nil {
		d.more = d.more[:0]
		d.k = s.normal.draw(s)
		w := s.word()
		d.negative, d.x = w>>63 == 1, w&(1<<63-1)
		if d.k >= maxStep {
			s.notUniform()
		} else if s.series(func() bool { return s.gamma(d) }) && s.err == nil {
			v := r.round(s, d)
			clear(d.more)
			*d = deviate{more: d.more[:0]}
			return v
		}
	}
	return 0
}

// gamma is true with probability γ.
func (s *Source) gamma(d *deviate) bool {
	u := s.bits(16)
	if u >= (2*d.k+1)<<(16-gammaBits) {
		return false // γ is less than (2k+1)/2^gammaBits
	}
	u = u<<48 | s.bits(48)
	if below, known := d.gammaShort(u); known && !s.slow {
		return below
	}
	return s.gammaBig(d, u)
}

// gammaShort compares the coin whose first bits are u with γ, if these and 52 bits of x tell.
func (d *deviate) gammaShort(u uint64) (below, known bool) {
	if d.k >= 1<<10 {
		return false, false
	}
	// x is at least x52/2⁵², 2k+x is at least m/2⁵², and both are less than one more; the coin is from u/2⁶⁴ to the next.
	const up = 2*52 + gammaBits - 64
	x52 := d.x >> 11
	m := d.k<<53 + x52
	if coin := u128From(u, 1<<up); !coin.less(u128From(x52+1, m+1)) {
		return false, true
	}
	next := u128From(u+1, 1<<up) // u+1 fits: here γ is less than a half, and u not above it
	return true, !u128From(x52, m).less(next)
}

// gammaBig goes on where the first bits of the coin and of x do not tell.
func (s *Source) gammaBig(d *deviate, u uint64) bool {
	coin := new(big.Int).SetUint64(u)
	for words := 0; words < maxBits/64 && s.err == nil; words++ {
		x, n := d.bigX(s, words)
		next := new(big.Int).Add(x, big.NewInt(1))
		k := new(big.Int).SetUint64(2 * d.k)
		k.Lsh(k, n)
		low := new(big.Int).Mul(x, new(big.Int).Add(k, x))
		high := new(big.Int).Mul(next, new(big.Int).Add(k, next))
		// In units of 2^-(2n+gammaBits), which are finer than those of the coin.
		fine := 2*n + gammaBits - uint(64+64*words)
		if new(big.Int).Lsh(coin, fine).Cmp(high) >= 0 {
			return false
		}
		if end := new(big.Int).Add(coin, big.NewInt(1)); end.Lsh(end, fine).Cmp(low) <= 0 {
			return true
		}
		coin.Lsh(coin, 64).Or(coin, new(big.Int).SetUint64(s.word()))
	}
	s.notUniform()
	return false
}

// round gives sigma times the deviate, to the nearest whole number. That two are as near has no chance.
func (r *rounding) round(s *Source, d *deviate) int64 {
	v, ok := r.short(d)
	if !ok || s.slow {
		v = r.long(s, d)
	}
	if d.negative {
		return -v
	}
	return v
}

// short rounds if 53 bits of x tell.
func (r *rounding) short(d *deviate) (int64, bool) {
	if d.k >= 1<<10 {
		return 0, false
	}
	n := r.shift + 53
	if n >= 128 {
		return 0, true // less than 2¹²⁶⁻ⁿ
	}
	// low ≤ sigma/64·2^shift < low+1 and y ≤ (k+x)·2⁵³ < y+1, so that the product is from low·y to less than low·y + low+y + 1.
	y := d.k<<53 | d.x>>10
	p := u128From(r.low, y)
	p.hi += 1 << (n - 65) // a half; n is at least 68
	_, carry := bits.Add64(p.lo, r.low+y, 0)
	v, most := p.hi>>(n-64), (p.hi+carry)>>(n-64)
	return int64(v), v == most
}

// long rounds with as many bits of x as that takes.
func (r *rounding) long(s *Source, d *deviate) int64 {
	for words := 0; words < maxBits/64 && s.err == nil; words++ {
		x, n := d.bigX(s, words)
		y := new(big.Int).SetUint64(d.k)
		y.Lsh(y, n).Add(y, x)
		num := new(big.Int).SetUint64(r.num)
		num.Lsh(num, 1)
		den := new(big.Int).SetUint64(r.den)
		den.Lsh(den, n+stepBits)
		low := new(big.Int).Mul(num, y)
		low.Add(low, den)
		high := new(big.Int).Add(low, num)
		high.Sub(high, big.NewInt(1)) // the end of x does not belong to it
		den.Lsh(den, 1)
		if low.Div(low, den).Cmp(high.Div(high, den)) == 0 {
			return low.Int64()
		}
	}
	s.notUniform()
	return 0
}
