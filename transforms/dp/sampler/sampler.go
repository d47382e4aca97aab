// SPDX-License-Identifier: Apache-2.0

// Package sampler draws the noise of differential privacy: exactly, with integers only (Canonne, Kamath, Steinke: The Discrete
// Gaussian for Differential Privacy, 2020; Karney: Sampling exactly from the normal distribution, 2016).
//
// Trust domain: whoever answers for the privacy of a release: the enclave process, or the creator at ingest; pure, but for the
// bytes it is given. Its one job: a draw has the stated distribution exactly, if the bytes are uniform. There is no float, so
// none of its low bits can tell what noise was added to.
//
// How long a draw takes depends on the noise drawn, and on nothing else: never on what it will be added to. Whoever shows times
// of single draws shows something of the noise; a [Pool] has it drawn before anything is added to it.
package sampler

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// Errors of this package.
var (
	// ErrParameter is a scale or probability that is zero, negative or too large.
	ErrParameter = errors.New("sampler: parameter out of range")
	// ErrEntropy is a source of bytes that ended, failed, or gives what no uniform source gives. There is no draw without it.
	ErrEntropy = errors.New("sampler: no uniform bytes")
)

// Bounds.
const (
	// MaxScale bounds Laplace's scale and Gaussian's sigma, rounded down: a draw then fits in an int64, but for less than one in e⁵¹².
	MaxScale = 1 << 53
	// MaxTerm bounds numerators and denominators.
	MaxTerm = 1 << 62

	bufferBytes = 4096
	// maxSteps bounds the uniform draws within one draw. A uniform source needs about twenty; that it needs so many has a chance
	// below 2⁻¹⁰⁰⁰: the source is broken.
	maxSteps = 1 << 16
)

// Rat is a positive rational number. It need not be in lowest terms.
type Rat struct{ Num, Den uint64 }

func (r Rat) check() error {
	if r.Num == 0 || r.Den == 0 || r.Num > MaxTerm || r.Den > MaxTerm {
		return fmt.Errorf("%w: %d/%d", ErrParameter, r.Num, r.Den)
	}
	return nil
}

// lowest is r in lowest terms.
func (r Rat) lowest() Rat {
	a, b := r.Num, r.Den
	for b != 0 {
		a, b = b, a%b
	}
	return Rat{r.Num / a, r.Den / a}
}

// Source draws from uniform bytes. It reads ahead, and wipes what it used. It is for one goroutine.
type Source struct {
	in    io.Reader
	buf   [bufferBytes]byte
	at    int // of the next byte of buf
	acc   uint64
	left  int // bits of acc
	steps int // since the draw at hand began
	err   error

	gauss, lap cached // tables of vectors

	normal  *stairs // of the normal distribution, once it is asked for
	deviate deviate // at hand; kept for its memory
	slow    bool    // go the long way where a short one would do: in tests, which compare the two
}

// NewSource draws from a reader of uniform bytes that nobody else knows: crypto/rand.Reader but in tests.
func NewSource(r io.Reader) *Source { return &Source{in: r, at: bufferBytes} }

// word gives 64 uniform bits. After an error all draws fail.
func (s *Source) word() uint64 {
	if s.at == len(s.buf) {
		if s.err == nil && s.in == nil {
			s.err = fmt.Errorf("%w: no reader", ErrEntropy)
		}
		if s.err != nil {
			return 0
		}
		if _, err := io.ReadFull(s.in, s.buf[:]); err != nil {
			s.err = fmt.Errorf("%w: %w", ErrEntropy, err)
			return 0
		}
		s.at = 0
	}
	b := s.buf[s.at : s.at+8]
	w := binary.LittleEndian.Uint64(b)
	clear(b)
	s.at += 8
	return w
}

// bits gives n uniform bits, n ≤ 64. What is left of a word that has too few is thrown away.
func (s *Source) bits(n int) uint64 {
	if s.steps++; s.steps > maxSteps {
		s.notUniform()
	}
	if s.left < n {
		s.acc, s.left = s.word(), 64
	}
	v := s.acc & (1<<n - 1)
	s.acc >>= n
	s.left -= n
	return v
}

// below gives a uniform number below n > 0. After an error it gives 0; callers look at s.err before they loop or return.
func (s *Source) below(n uint64) uint64 {
	k := bits.Len64(n - 1)
	for s.err == nil {
		if v := s.bits(k); v < n {
			return v
		}
	}
	return 0
}

// Uniform gives a uniform number from 0 to n-1.
func (s *Source) Uniform(n uint64) (uint64, error) {
	if n == 0 {
		return 0, fmt.Errorf("%w: of none", ErrParameter)
	}
	s.steps = 0
	v := s.below(n)
	return v, s.err
}

// Bernoulli is true with probability num/den.
func (s *Source) Bernoulli(num, den uint64) (bool, error) {
	if den == 0 || num > den {
		return false, fmt.Errorf("%w: probability %d/%d", ErrParameter, num, den)
	}
	s.steps = 0
	ok := s.below(den) < num
	return ok && s.err == nil, s.err
}

// BernoulliExp is true with probability exp(-x).
func (s *Source) BernoulliExp(x Rat) (bool, error) {
	if x.Den == 0 || x.Num > MaxTerm || x.Den > MaxTerm {
		return false, fmt.Errorf("%w: exp(-%d/%d)", ErrParameter, x.Num, x.Den)
	}
	s.steps = 0
	ok := s.exp(u128{lo: x.Num}, u128{lo: x.Den})
	return ok && s.err == nil, s.err
}

// exp is true with probability exp(-num/den).
func (s *Source) exp(num, den u128) bool {
	for !num.less(den) { // exp(-1) for each whole part: ends soon, whatever num is
		if !s.exp1() || s.err != nil {
			return false
		}
		num = num.sub(den)
	}
	return s.series(func() bool { return s.below128(den).less(num) })
}

// exp1 is true with probability exp(-1).
func (s *Source) exp1() bool { return s.series(nil) }

// series is true with probability exp(-p), where p, at most 1, is the chance of coin; nil stands for 1. It draws how long a run
// of successes of chances p/1, p/2, p/3 … is, each as a coin of p and one of 1/k: the run is even with probability exp(-p).
func (s *Source) series(coin func() bool) bool {
	k := uint64(1)
	for s.err == nil && (coin == nil || coin()) && (k == 1 || s.below(k) == 0) {
		k++
	}
	return k&1 == 1
}

// Laplace draws discrete Laplace noise: x has a probability in proportion to exp(-|x|/scale).
func (s *Source) Laplace(scale Rat) (int64, error) {
	if err := scale.checkScale(); err != nil {
		return 0, err
	}
	s.steps = 0
	scale = scale.lowest()
	v := s.laplace(scale.Num, scale.Den)
	if s.err != nil {
		return 0, s.err
	}
	return v, nil
}

// laplace draws with scale t/n: a geometric number of steps of 1/t by its remainder and its quotient, n of them to one of x.
func (s *Source) laplace(t, n uint64) int64 {
	for s.err == nil {
		u := s.below(t)
		if !s.series(func() bool { return s.below(t) < u }) {
			continue
		}
		v := uint64(0)
		for s.err == nil && s.exp1() {
			v++
		}
		hi, lo := bits.Mul64(t, v)
		lo, carry := bits.Add64(lo, u, 0)
		if hi += carry; hi >= n {
			break
		}
		x, _ := bits.Div64(hi, lo, n)
		if x >= 1<<63 {
			break
		}
		negative := s.bits(1) == 1
		switch {
		case negative && x == 0: // zero would have twice its share
		case negative:
			return -int64(x)
		default:
			return int64(x)
		}
	}
	s.notUniform() // less than one in e⁵¹²
	return 0
}
