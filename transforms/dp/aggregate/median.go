// SPDX-License-Identifier: Apache-2.0

package aggregate

import (
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// Medians with noise in proportion to their smooth sensitivity (Nissim, Raskhodnikova, Smith 2007).
//
// S(x) = max over k of weight(k)·A(k), where A(k) is how far the median can move when k+1 answers are replaced by anything, and
// weights fall by no more than exp(β) from one k to the next. So S is at least how far it moves with one, and
// S(x) ≤ exp(β)·S(x') where x and x' differ in one answer.
//
// The noise is S/α times one of density 2/(1+|z|)⁵. Moving it by no more than α, or stretching it by no more than exp(β), changes
// the density at no place by more than exp(5α) and exp(4β). With α = ε/10 and β = ε/8 that is exp(ε/2) each: the median is ε-private,
// and without δ. It is drawn exactly: |z| exceeds t with probability (1+t)⁻⁴, which is that of 1/M-1 exceeding t, where M is
// the largest of four uniform numbers. What is released is rounded down to whole millionths, by integers alone, and what
// is done to what is private already does not matter.
const (
	tail = 4 // the noise exceeds t with probability (1+t)^-tail

	minMedianEpsilon = 1_000
	maxMedianEpsilon = 1_000_000_000

	weightBits = 40
	whole      = 1 << weightBits // the weight of k = 0
)

// weights are those of k = 0 … n, in parts of whole: each at least the one before times exp(-β), whatever floats lose.
func weights(n int, epsilon int64) []int64 {
	beta := float64(epsilon) / dp.Micro / (2 * tail)
	fall := big.NewInt(int64(math.Ceil(math.Exp(-beta)*(1+1e-9)*whole)) + 1)
	w := make([]int64, n+1)
	w[0] = whole
	var p big.Int
	for k := range n {
		p.Mul(fall, big.NewInt(w[k])).Add(&p, big.NewInt(whole-1)).Rsh(&p, weightBits)
		w[k+1] = min(p.Int64(), w[k])
	}
	return w
}

// smooth gives the median of sorted answers within bounds, and S in parts of whole.
func smooth(sorted []int64, lower, upper int64, w []int64) (median int64, s *big.Int) {
	n := len(sorted)
	m := (n - 1) / 2
	at := func(i int) int64 {
		switch {
		case i < 0:
			return lower
		case i >= n:
			return upper
		}
		return sorted[i]
	}
	s = new(big.Int)
	var b, v big.Int
	for k := range n + 1 {
		// Weights fall and no A is more than the width: nothing that follows is more.
		if s.Cmp(b.Mul(b.SetInt64(w[k]), v.SetInt64(upper-lower))) >= 0 {
			break
		}
		a := int64(0)
		for t := range k + 2 {
			a = max(a, at(m+t)-at(m+t-k-1))
		}
		if b.Mul(b.SetInt64(w[k]), v.SetInt64(a)); b.Cmp(s) > 0 {
			s.Set(&b)
		}
	}
	return sorted[m], s
}

// medians releases each number's.
func (t *Tally) medians(r *Result, src *sampler.Source) error {
	p, shards := t.p, t.p.a.Shards
	w := weights(int(shards), p.epsilon)
	for i := range p.a.Numbers {
		column := t.all[i*shards : (i+1)*shards]
		slices.Sort(column)
		median, s := smooth(column, p.a.Lower, p.a.Upper, w)
		n, err := p.heavy(s, src)
		if err != nil {
			return err
		}
		v, _ := new(big.Float).SetInt(n.Add(n, big.NewInt(median))).Float64()
		r.Values = append(r.Values, min(max(v, float64(p.a.Lower)), float64(p.a.Upper))/dp.Micro)
	}
	r.Noise = "smooth"
	return nil
}

// heavy draws S/α times the noise, rounded down: ±σ·(1/M-1) for a rational σ, where M is known to so many bits that its next
// ones do not matter. Rounding down, not towards 0, gives what rounding down the released sum would.
func (p *Plan) heavy(s *big.Int, src *sampler.Source) (*big.Int, error) {
	// S/whole / (ε/10⁶/(2·(tail+1)))
	num := new(big.Int).Mul(s, big.NewInt(2*(tail+1)*dp.Micro))
	den := new(big.Int).Lsh(big.NewInt(p.epsilon), weightBits)
	var m [tail]*big.Int
	for i := range m {
		m[i] = new(big.Int)
	}
	for bits := uint(64); bits <= maxBits; bits += 64 {
		for _, u := range m {
			for range 2 {
				half, err := src.Uniform(1 << 32)
				if err != nil {
					return nil, err
				}
				u.Lsh(u, 32).Or(u, new(big.Int).SetUint64(half))
			}
		}
		most := slices.MaxFunc(m[:], (*big.Int).Cmp)
		if k := floors(num, den, most, bits); k != nil {
			return k, negate(k, src)
		}
	}
	return nil, fmt.Errorf("%w: the bytes are not uniform", sampler.ErrEntropy)
}

// maxBits are more than are ever needed: that they are has a chance of about 2⁻¹⁰⁰⁰.
const maxBits = 4096

// floors is ⌊num/den·(1/M-1)⌋ for all M from most/2^bits to (most+1)/2^bits, nil if that is not one number.
func floors(num, den, most *big.Int, bits uint) *big.Int {
	if most.Sign() == 0 {
		return nil
	}
	of := func(m *big.Int) *big.Int {
		left := new(big.Int).Lsh(big.NewInt(1), bits)
		left.Sub(left, m).Mul(left, num)
		return left.Div(left, new(big.Int).Mul(den, m))
	}
	high := of(most)
	if low := of(new(big.Int).Add(most, big.NewInt(1))); low.Cmp(high) != 0 {
		return nil
	}
	return high
}

// negate makes ⌊v⌋ be ⌊-v⌋, or not, for a v that is no whole number: those have no probability.
func negate(k *big.Int, src *sampler.Source) error {
	sign, err := src.Uniform(2)
	if sign == 1 {
		k.Not(k) // -k-1
	}
	return err
}
