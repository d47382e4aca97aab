// SPDX-License-Identifier: Apache-2.0

// Package clip bounds what one unit can add to a sum of gradients.
//
// Trust domain: enclave, and workers of the class in which they sum; pure. Its one job: whatever a guest calls a gradient,
// what one unit adds to the sum is a vector of integers whose L2 norm is at most [Norm].
package clip

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// Norm is the L2 norm that a unit's gradient is bounded to, in the integers of a sum. One is clip/Norm in the units of the guest.
const Norm = 1 << 20

// Bounds.
const (
	// MaxParams bounds the elements of a gradient.
	MaxParams = 1 << 24
	// MaxUnits bounds the units of a sum: an element of its total is at most MaxUnits·Norm, 2⁵².
	MaxUnits = 1 << 32

	// pending units are summed in 32 bits, which halves the memory that each unit goes over: (2¹¹-1)·Norm is below 2³¹.
	maxPending = 1<<11 - 1
	// room is for what floats lose. The sum of at most 2²⁴ squares and its root lose less than 2⁻²⁸ of the norm, the factor and
	// the products less than 2⁻⁵⁰; what rounding takes from an element makes the vector shorter.
	room = 1 - 1e-6
)

// Errors of this package.
var (
	// ErrBound is a clipping norm or a size that is out of range.
	ErrBound = errors.New("clip: out of range")
	// ErrTotal is a worker's total that no sum of as many bounded gradients can be.
	ErrTotal = errors.New("clip: not a sum of bounded gradients")
)

// Sum adds up units' gradients. It is for one goroutine.
type Sum struct {
	simd    bool
	norm    float64   // the clipping norm in the guest's units
	unit    []float32 // the sum of the unit's records
	square  float64   // of the L2 norm of a unit of one record
	recent  []int32   // the sum of the pending units
	pending int
	total   []int64 // the sum of the others
	units   int64
	other   []int64 // a copy of a worker's total
	bad     bool    // one of the unit's gradients was no gradient
	open    int     // records of the unit
}

// New makes an empty sum of n elements, for a clipping norm in the guest's units.
func New(n int, norm float64) (*Sum, error) {
	if n < 1 || n > MaxParams || !(norm > 0) || math.IsInf(norm, 0) || math.IsInf(Norm/norm, 0) {
		return nil, fmt.Errorf("%w: %d elements, norm %v", ErrBound, n, norm)
	}
	return &Sum{simd: haveSIMD(), norm: norm, unit: make([]float32, n), recent: make([]int32, n), total: make([]int64, n)}, nil
}

// Add adds the gradient of one record to the unit's. The memory may be a worker's that writes to it meanwhile: each element
// counts as what it is when it is copied, and nothing is decided by what is read a second time. A gradient of the wrong size,
// or a sum with an element that is not finite, makes the whole unit count as nothing.
func (s *Sum) Add(gradient []float32) {
	s.open++
	switch {
	case len(gradient) != len(s.unit):
		s.bad = true
	case s.open == 1:
		s.square = load(s.simd, s.unit, gradient)
	default:
		add(s.simd, s.unit, gradient)
	}
}

// End quantises the unit's gradient, bounds it, and adds it to the sum.
func (s *Sum) End() {
	if !s.bad && s.open > 0 && s.units < MaxUnits {
		if s.open > 1 {
			s.square = load(s.simd, s.unit, s.unit)
		}
		s.close(s.unit)
	}
	s.bad, s.open = false, 0
}

// AddUnit is [Sum.Add] and [Sum.End] of a unit of one record whose gradient nobody writes to meanwhile: it is read twice instead of
// copied.
func (s *Sum) AddUnit(gradient []float32) {
	if s.open > 0 || len(gradient) != len(s.unit) || s.units >= MaxUnits {
		s.Add(gradient)
		s.End()
		return
	}
	s.square = square(s.simd, gradient)
	s.close(gradient)
}

// close adds the unit to the sum. A square that is not finite comes of an element that is not: the squares of 2²⁴ float32
// fit in a float64.
func (s *Sum) close(unit []float32) {
	norm := math.Sqrt(s.square)
	if !(norm <= math.MaxFloat64) {
		return
	}
	factor := Norm / s.norm
	if norm > s.norm*room {
		factor = Norm * room / norm
	}
	if s.pending == maxPending {
		s.flush()
	}
	quantise(s.simd, s.recent, unit, factor)
	s.pending++
	s.units++
}

// flush adds the pending units to the total.
func (s *Sum) flush() {
	if s.pending == 0 {
		return
	}
	for i, v := range s.recent {
		s.total[i] += int64(v)
	}
	clear(s.recent)
	s.pending = 0
}

// AddTotal adds a worker's sum of a number of units that the worker bounded. That it did is the worker's word; what no sum of
// so many vectors of at most [Norm] can be is [ErrTotal], and adds nothing. The memory may be the worker's.
func (s *Sum) AddTotal(total []int64, units int) error {
	if len(total) != len(s.total) || units < 0 || int64(units) > MaxUnits-s.units {
		return fmt.Errorf("%w: %d elements, %d units", ErrTotal, len(total), units)
	}
	if s.other == nil {
		s.other = make([]int64, len(total))
	}
	copy(s.other, total)
	defer clear(s.other)
	if !within(s.other, int64(units)*Norm) {
		return fmt.Errorf("%w: longer than %d units", ErrTotal, units)
	}
	for i, v := range s.other {
		s.total[i] += v
	}
	s.units += int64(units)
	return nil
}

// within tells whether the L2 norm of v is at most bound, which is at most 2⁵². It computes exactly: 2²⁴ squares of 2¹⁰⁴ fit.
func within(v []int64, bound int64) bool {
	var high, low, carry uint64
	for _, x := range v {
		if x > bound || x < -bound {
			return false
		}
		abs := uint64(max(x, -x))
		hi, lo := bits.Mul64(abs, abs)
		low, carry = bits.Add64(low, lo, 0)
		high += hi + carry
	}
	hi, lo := bits.Mul64(uint64(bound), uint64(bound))
	return high < hi || high == hi && low <= lo
}

// Total lends the sum; it is valid until the next call.
func (s *Sum) Total() []int64 {
	s.flush()
	return s.total
}

// Reset empties the sum.
func (s *Sum) Reset() {
	clear(s.total)
	clear(s.recent)
	clear(s.unit)
	s.square, s.pending, s.units, s.bad, s.open = 0, 0, 0, false, 0
}
