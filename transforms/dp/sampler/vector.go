// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"fmt"
	"math/big"
	"math/bits"
)

// Vectors of discrete noise are drawn in steps of a width that is a power of two: |noise| is k·width + j, where k comes by
// inversion and j, uniform below width, is kept with the probability that is left of the whole. Widths are so small that nearly
// all are kept, and so large that k takes some hundred values.
const (
	gaussPart   = 32 // width is at most sigma/gaussPart, and more than half of that unless it is 1
	laplacePart = 8
	// partBits: γ of Gaussian noise is less than (2k+1)/2^partBits.
	partBits = 11
)

// cached is the table of the parameters that were last asked for.
type cached struct {
	of    Rat
	table *stairs
	width uint // its logarithm
}

// FillGaussian draws a vector as [Source.Gaussian] does. With an error, the vector is zeros, and is not noise.
func (s *Source) FillGaussian(dst []int64, sigma2 Rat) error {
	if err := sigma2.check(); err != nil {
		clear(dst)
		return err
	}
	c, v := &s.gauss, sigma2.lowest()
	if c.table == nil || c.of != v {
		width := widthOf(isqrt(v.Num/v.Den) / gaussPart)
		num := new(big.Int).Lsh(new(big.Int).SetUint64(v.Den), 2*width)
		den := new(big.Int).Lsh(new(big.Int).SetUint64(v.Num), 1)
		*c = cached{of: v, table: newStairs(num, den, 2), width: width}
	}
	return s.fill(dst, func() int64 {
		return s.signed(func() (uint64, bool) {
			k := c.table.draw(s)
			j := s.bits(int(c.width))
			return k<<c.width + j, c.keepGaussian(s, k, j)
		})
	})
}

// keepGaussian is true with probability exp(-γ), γ = j·(2k·width+j)/(2·sigma2), which is less than (2k+1)/2^partBits.
func (c *cached) keepGaussian(s *Source, k, j uint64) bool {
	if j == 0 {
		return true
	}
	num := mul(u128From(j, 2*k<<c.width+j), c.of.Den)
	if k >= 1<<(partBits-1) {
		return s.exp(num, u128From(c.of.Num, 2))
	}
	// γ is the product of (2k+1)/2^partBits and what the second coin has.
	num, den := num.double(), u128From(c.of.Num, 2*k+1)
	num = mul(num, 1<<(partBits-2))
	return s.series(func() bool {
		return s.bits(16) < (2*k+1)<<(16-partBits) && s.below128(den).less(num)
	})
}

// FillLaplace draws a vector as [Source.Laplace] does. With an error, the vector is zeros, and is not noise.
func (s *Source) FillLaplace(dst []int64, scale Rat) error {
	if err := scale.checkScale(); err != nil {
		clear(dst)
		return err
	}
	c, v := &s.lap, scale.lowest()
	if c.table == nil || c.of != v {
		width := widthOf(v.Num / v.Den / laplacePart)
		num := new(big.Int).Lsh(new(big.Int).SetUint64(v.Den), width)
		*c = cached{of: v, table: newStairs(num, new(big.Int).SetUint64(v.Num), 1), width: width}
	}
	return s.fill(dst, func() int64 {
		return s.signed(func() (uint64, bool) {
			k := c.table.draw(s)
			if k >= 1<<13 { // less than one in e⁵¹²
				s.notUniform()
			}
			j := s.bits(int(c.width))
			return k<<c.width + j, c.keepLaplace(s, j)
		})
	})
}

// keepLaplace is true with probability exp(-j/scale), where j/scale is less than 1/laplacePart.
func (c *cached) keepLaplace(s *Source, j uint64) bool {
	return j == 0 || s.series(func() bool {
		return s.bits(16) < 1<<16/laplacePart && s.below(c.of.Num) < j*c.of.Den*laplacePart
	})
}

// signed draws until a size is kept, and gives it a sign: zero only one, or it would have twice its share.
func (s *Source) signed(draw func() (uint64, bool)) int64 {
	for s.err == nil {
		size, kept := draw()
		if !kept || s.err != nil {
			continue
		}
		if negative := s.bits(1) == 1; !negative {
			return int64(size)
		} else if size > 0 {
			return -int64(size)
		}
	}
	return 0
}

// widthOf is the logarithm of the largest power of two that is at most n, or 0.
func widthOf(n uint64) uint { return uint(max(1, bits.Len64(n)) - 1) }

func (r Rat) checkScale() error {
	if err := r.check(); err != nil {
		return err
	}
	if r.Num/r.Den >= MaxScale {
		return fmt.Errorf("%w: scale %d/%d", ErrParameter, r.Num, r.Den)
	}
	return nil
}
