// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
)

// Gaussian draws discrete Gaussian noise: x has a probability in proportion to exp(-x²/(2·sigma2)).
func (s *Source) Gaussian(sigma2 Rat) (int64, error) {
	if err := sigma2.check(); err != nil {
		return 0, err
	}
	g := newGauss(sigma2.lowest())
	if g.t > MaxScale {
		return 0, fmt.Errorf("%w: variance %d/%d", ErrParameter, sigma2.Num, sigma2.Den)
	}
	s.steps = 0
	for s.err == nil {
		y := s.laplace(g.t, 1)
		if s.err == nil && g.accept(s, y) && s.err == nil {
			return y, nil
		}
	}
	return 0, s.err
}

// gauss is a variance num/den and what is computed of it once. A draw of Laplace's of scale t is kept with probability
// exp(-(|y|-num/(den·t))² / (2·num/den)), which is exp(-(|y|·den·t - num)² / (2·num·den·t²)).
type gauss struct {
	num, den, t uint64
	dt          uint64 // den·t
	below       u128   // 2·num·den·t²
	fits        bool   // both of them do, in 64 and 128 bits
}

func newGauss(v Rat) gauss {
	g := gauss{num: v.Num, den: v.Den, t: isqrt(v.Num/v.Den) + 1}
	n, d, t := bits.Len64(g.num), bits.Len64(g.den), bits.Len64(g.t)
	if g.fits = d+t <= 64 && 1+n+d+2*t <= 128; g.fits {
		g.dt = g.den * g.t
		// 2·num·t fits where the whole does, but for its own overflow of 64 bits: it is then the wider factor.
		g.below = mul(u128From(g.num, g.t).double(), g.dt)
	}
	return g
}

// accept keeps a draw or not. It takes the short way where the numbers fit, and both ways draw alike.
func (g *gauss) accept(s *Source, y int64) bool {
	abs := uint64(max(y, -y))
	if hi, lo := bits.Mul64(abs, g.dt); g.fits && hi == 0 {
		diff := max(lo, g.num) - min(lo, g.num)
		return s.exp(u128From(diff, diff), g.below)
	}
	return g.acceptBig(s, abs)
}

func (g *gauss) acceptBig(s *Source, abs uint64) bool {
	word := func(v uint64) *big.Int { return new(big.Int).SetUint64(v) }
	dt := word(g.den)
	dt.Mul(dt, word(g.t))
	num := word(abs)
	num.Mul(num, dt).Sub(num, word(g.num)).Mul(num, num)
	den := word(g.num)
	den.Lsh(den, 1).Mul(den, dt).Mul(den, word(g.t))
	for num.Cmp(den) >= 0 {
		if !s.exp1() || s.err != nil {
			return false
		}
		num.Sub(num, den)
	}
	return s.series(func() bool { return s.belowBig(den).Cmp(num) < 0 })
}

// belowBig gives a uniform number below n, from the same bits as below128.
func (s *Source) belowBig(n *big.Int) *big.Int {
	size := new(big.Int).Sub(n, big.NewInt(1)).BitLen()
	for s.err == nil {
		v := new(big.Int)
		for left := size; left > 0; {
			k := (left-1)%64 + 1 // the highest first, so that whole words follow
			v.Lsh(v, uint(k)).Or(v, new(big.Int).SetUint64(s.bits(k)))
			left -= k
		}
		if v.Cmp(n) < 0 {
			return v
		}
	}
	return new(big.Int)
}

// below128 gives a uniform number below n > 0.
func (s *Source) below128(n u128) u128 {
	if n.hi == 0 {
		return u128{lo: s.below(n.lo)}
	}
	top := n.sub(u128{lo: 1})
	k := bits.Len64(top.hi)
	for s.err == nil {
		v := u128{}
		if k > 0 {
			v.hi = s.bits(k)
		}
		v.lo = s.bits(64)
		if v.less(n) {
			return v
		}
	}
	return u128{}
}

// isqrt is the square root of n, rounded down.
func isqrt(n uint64) uint64 {
	r := uint64(math.Sqrt(float64(n))) // a first guess: what follows is exact
	for r > 0 && (r > math.MaxUint32 || r*r > n) {
		r--
	}
	for r < math.MaxUint32 && (r+1)*(r+1) <= n {
		r++
	}
	return r
}

// u128 is a number of 128 bits.
type u128 struct{ hi, lo uint64 }

// u128From is a product.
func u128From(a, b uint64) (p u128) {
	p.hi, p.lo = bits.Mul64(a, b)
	return p
}

func (a u128) less(b u128) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

func (a u128) sub(b u128) (d u128) {
	var borrow uint64
	d.lo, borrow = bits.Sub64(a.lo, b.lo, 0)
	d.hi, _ = bits.Sub64(a.hi, b.hi, borrow)
	return d
}

func (a u128) double() u128 { return u128{a.hi<<1 | a.lo>>63, a.lo << 1} }

// mul is a product that is known to fit.
func mul(a u128, b uint64) u128 {
	p := u128From(a.lo, b)
	p.hi += a.hi * b
	return p
}
