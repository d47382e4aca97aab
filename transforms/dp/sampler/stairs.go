// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"fmt"
	"math/big"
	"sort"
)

// stairs draws whole numbers k ≥ 0 with probabilities in proportion to exp(-a·k^power), a = num/den and power 1 or 2, exactly,
// by inversion: a uniform V in [0, 1) is the first k whose cumulative probability C(k) is above V. Of V, and of each C, 64 bits are
// looked at. Where these cannot tell (V's are those of some C), both get 64 more, computed then; so nothing is rounded.
type stairs struct {
	num, den *big.Int
	power    int
	below    []uint64               // below[k] is floor(2⁶⁴·C(k)); the last is the first of 2⁶⁴-1
	guide    [1 << guideBits]uint16 // the first k that V's first bits allow
	longer   map[uint][]*big.Int    // the same numbers to more bits, once asked for
}

const (
	guideBits = 10
	// maxBits bounds the bits of V: that so many are needed has a chance below 2⁻¹⁰⁰⁰.
	maxBits = 1024
)

func newStairs(num, den *big.Int, power int) *stairs {
	t := &stairs{num: num, den: den, power: power, longer: map[uint][]*big.Int{}}
	for _, c := range t.cumulative(64) {
		t.below = append(t.below, c.Uint64())
	}
	k := 0
	for i := range t.guide {
		for t.below[k] <= uint64(i)<<(64-guideBits) {
			k++
		}
		t.guide[i] = uint16(k)
	}
	return t
}

// draw draws k.
func (t *stairs) draw(s *Source) uint64 {
	v := s.word()
	k := int(t.guide[v>>(64-guideBits)])
	for k < len(t.below) && v >= t.below[k] {
		k++
	}
	if k > 0 && v == t.below[k-1] { // as it is if none is above
		return t.refine(s, v)
	}
	return uint64(k)
}

// refine draws more of V, whose first bits are v, until it is known to which k it belongs.
func (t *stairs) refine(s *Source, v uint64) uint64 {
	at := new(big.Int).SetUint64(v)
	for n := uint(64); n <= maxBits && s.err == nil; n += 64 {
		if t.longer[n] == nil {
			t.longer[n] = t.cumulative(n)
		}
		c := t.longer[n]
		k := sort.Search(len(c), func(k int) bool { return at.Cmp(c[k]) < 0 })
		if k < len(c) && (k == 0 || at.Cmp(c[k-1]) != 0) {
			return uint64(k)
		}
		at.Lsh(at, 64).Or(at, new(big.Int).SetUint64(s.word()))
	}
	s.notUniform()
	return 0
}

// notUniform ends all draws because of what has no chance to happen.
func (s *Source) notUniform() {
	if s.err == nil {
		s.err = fmt.Errorf("%w: the bytes are not uniform", ErrEntropy)
	}
}

// cumulative gives floor(2ⁿ·C(k)) for k = 0, 1, … up to the first that is 2ⁿ-1.
func (t *stairs) cumulative(n uint) []*big.Int {
	for precision := n + 64; ; precision += 64 {
		if c, ok := t.attempt(n, precision); ok {
			return c
		}
	}
}

// attempt computes with numbers that are known to lie between two multiples of 2^-precision. It fails if that does not tell
// some digit of the result.
func (t *stairs) attempt(n, precision uint) (floors []*big.Int, ok bool) {
	weights, rest := t.weights(precision)
	all := rest // of what comes after k
	for _, w := range weights {
		all = all.plus(w)
	}
	sum, top := between{new(big.Int), new(big.Int)}, new(big.Int).Lsh(big.NewInt(1), n)
	top.Sub(top, big.NewInt(1))
	for _, w := range weights {
		sum = sum.plus(w)
		all = between{new(big.Int).Sub(all.low, w.low), new(big.Int).Sub(all.high, w.high)}
		low, high := share(sum.low, all.high, n), share(sum.high, all.low, n)
		if high.Cmp(top) > 0 {
			high.Set(top) // C(k) is below 1
		}
		if low.Cmp(high) != 0 {
			return nil, false
		}
		if floors = append(floors, low); low.Cmp(top) == 0 {
			return floors, true
		}
	}
	return nil, false
}

// share is floor(2ⁿ·a/(a+b)).
func share(a, b *big.Int, n uint) *big.Int {
	return new(big.Int).Div(new(big.Int).Lsh(a, n), new(big.Int).Add(a, b))
}

// weights gives exp(-a·k^power) for k = 0, 1, … while it counts, and a bound of the sum of all that follow.
func (t *stairs) weights(precision uint) (w []between, rest between) {
	one := new(big.Int).Lsh(big.NewInt(1), precision)
	enough := new(big.Int).Lsh(big.NewInt(1), 20)
	step := expMinus(t.num, t.den, precision)
	ratio, faster := step, step.times(step, precision) // ratio of one weight to the one before
	weight := between{one, one}
	for {
		w = append(w, weight)
		weight = weight.times(ratio, precision)
		if t.power == 2 {
			ratio = ratio.times(faster, precision)
		}
		// Later ratios are no larger: the rest is at most a geometric series.
		if gap := new(big.Int).Sub(one, ratio.high); gap.Sign() > 0 {
			bound := new(big.Int).Lsh(weight.high, precision)
			bound.Div(bound, gap).Add(bound, big.NewInt(1))
			if bound.Cmp(enough) < 0 {
				return w, between{new(big.Int), bound}
			}
		}
	}
}

// between is a number that lies between two multiples of 2^-precision; both are at least 0.
type between struct{ low, high *big.Int }

func (a between) plus(b between) between {
	return between{new(big.Int).Add(a.low, b.low), new(big.Int).Add(a.high, b.high)}
}

func (a between) times(b between, precision uint) between {
	low, high := new(big.Int).Mul(a.low, b.low), new(big.Int).Mul(a.high, b.high)
	return between{low.Rsh(low, precision), up(high, precision)}
}

// up is a / 2ⁿ, rounded up.
func up(a *big.Int, n uint) *big.Int {
	a.Neg(a).Rsh(a, n) // shifts round down
	return a.Neg(a)
}

// expMinus is exp(-num/den): by its series at num/den/2^halves, at most 1/2, squared as often.
func expMinus(num, den *big.Int, precision uint) between {
	if new(big.Int).Mul(den, big.NewInt(int64(precision))).Cmp(num) < 0 {
		return between{new(big.Int), big.NewInt(1)} // below exp(-precision)
	}
	halves := uint(max(0, num.BitLen()-den.BitLen()+2))
	d := new(big.Int).Lsh(den, halves)
	term := between{new(big.Int).Lsh(big.NewInt(1), precision), new(big.Int).Lsh(big.NewInt(1), precision)}
	sum := between{new(big.Int), new(big.Int)}
	for i := int64(1); ; i++ {
		if i&1 == 1 {
			sum = sum.plus(term)
		} else {
			sum = between{new(big.Int).Sub(sum.low, term.high), new(big.Int).Sub(sum.high, term.low)}
		}
		if term.high.Cmp(big.NewInt(1)) <= 0 {
			break
		}
		by := new(big.Int).Mul(d, big.NewInt(i))
		low := new(big.Int).Mul(term.low, num)
		high := new(big.Int).Mul(term.high, num)
		high.Add(high, by).Sub(high, big.NewInt(1))
		term = between{low.Div(low, by), high.Div(high, by)}
	}
	// The terms become smaller and change signs: what follows is less than the last of them.
	sum = between{sum.low.Sub(sum.low, term.high), sum.high.Add(sum.high, term.high)}
	for range halves {
		sum = sum.times(sum, precision)
	}
	return sum
}
