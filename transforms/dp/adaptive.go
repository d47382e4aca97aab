// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"errors"
	"fmt"
	"math"
	"sync"
)

// ErrBudget is a mechanism that would exceed what is left. It has not been counted and must not be applied.
var ErrBudget = errors.New("dp: budget exhausted")

// ledger is divergences of what was applied, by mechanism: sums are the same in whatever order and portions it was.
type ledger struct {
	adjacency string
	at        map[Mechanism]int
	spent     []spentOn
	own       int64 // the mechanisms' deltas, 10⁻¹²
}

type spentOn struct {
	each  []float64
	count int64
}

func newLedger(adjacency string) (*ledger, error) {
	if adjacency != AddOrRemove && adjacency != ReplaceOne {
		return nil, fmt.Errorf("%w: adjacency %q, want %s or %s", ErrMechanism, adjacency, AddOrRemove, ReplaceOne)
	}
	return &ledger{adjacency: adjacency, at: map[Mechanism]int{}}, nil
}

// add counts m if no more than fits says.
func (l *ledger) add(m Mechanism, fits func(renyi []float64, own int64) bool) error {
	if err := m.Validate(); err != nil {
		return err
	}
	key := m
	key.Count, key.Delta = 1, 0
	if m.Kind == Approximate {
		key.Delta = 1 // is one whatever its own
	}
	i, ok := l.at[key]
	if !ok {
		if len(l.spent) >= MaxMechanisms {
			return fmt.Errorf("%w: more than %d different mechanisms", ErrMechanism, MaxMechanisms)
		}
		each, err := m.exact().renyi(l.adjacency)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Kind, err)
		}
		i = len(l.spent)
		l.at[key], l.spent = i, append(l.spent, spentOn{each: each})
	}
	if l.spent[i].count > MaxCount-m.Count {
		return fmt.Errorf("%w: applied more than %d times", ErrBudget, int64(MaxCount))
	}
	own := min(l.own+m.Delta, Pico)
	l.spent[i].count += m.Count
	if !fits(l.renyi(), own) {
		l.spent[i].count -= m.Count
		return ErrBudget
	}
	l.own = own
	return nil
}

// renyi is the divergence of all that was counted, as [Renyi] has it.
func (l *ledger) renyi() []float64 {
	sum := make([]float64, len(Orders()))
	for _, s := range l.spent {
		if s.count == 0 {
			continue
		}
		for i, r := range s.each {
			sum[i] += float64(s.count) * max(0, r)
		}
	}
	return sum
}

// within reports whether divergences come to at most ε at δ less own; NaN is never within.
func within(renyi []float64, own int64, epsilon, delta float64) bool {
	left := delta
	if own > 0 {
		left = delta - float64(own)/Pico - 0x1p-50*delta
	}
	if !(left > 0) {
		return false
	}
	e, _ := convert(renyi, left)
	return e <= epsilon
}

// Filter stops mechanisms that are chosen one after the other, in view of what earlier ones answered, before they come to more
// than an (ε, δ) fixed in advance (Feldman and Zrnic, 2021; Lécuyer, 2021: as long as the sum is within the bound at some Rényi
// order). It accounts by RDP: other accountants need all mechanisms in advance. It may be used by several goroutines.
type Filter struct {
	mu             sync.Mutex
	ledger         *ledger
	epsilon, delta float64
}

// NewFilter is a filter of which nothing is spent. ε must be positive and finite, and 0 < δ < 1.
func NewFilter(epsilon, delta float64, adjacency string) (*Filter, error) {
	if !(epsilon > 0) || math.IsInf(epsilon, 1) || !(delta > 0 && delta < 1) {
		return nil, fmt.Errorf("%w: a filter of epsilon %v and delta %v", ErrAccountant, epsilon, delta)
	}
	l, err := newLedger(adjacency)
	if err != nil {
		return nil, err
	}
	return &Filter{ledger: l, epsilon: epsilon, delta: delta}, nil
}

// Spend counts m.Count applications of m, which may then be applied. [ErrBudget] and other errors leave the filter as it was.
func (f *Filter) Spend(m Mechanism) error {
	if f == nil || f.ledger == nil {
		return fmt.Errorf("%w: it is zero", ErrBudget)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ledger.add(m, func(r []float64, own int64) bool { return within(r, own, f.epsilon, f.delta) })
}

// Odometer says at any time what was spent so far, in mechanisms and at moments that were chosen in view of earlier answers.
type Odometer struct {
	mu     sync.Mutex
	ledger *ledger
	delta  float64
}

// NewOdometer is an odometer at zero. All its readings together hold with probability δ, 0 < δ < 1.
func NewOdometer(delta float64, adjacency string) (*Odometer, error) {
	if !(delta > 0 && delta < 1) {
		return nil, fmt.Errorf("%w: an odometer of delta %v", ErrAccountant, delta)
	}
	l, err := newLedger(adjacency)
	if err != nil {
		return nil, err
	}
	return &Odometer{ledger: l, delta: delta}, nil
}

// Spend counts m.Count applications of m. Errors leave the odometer as it was.
func (o *Odometer) Spend(m Mechanism) error {
	if o == nil || o.ledger == nil {
		return fmt.Errorf("%w: it is zero", ErrBudget)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ledger.add(m, func([]float64, int64) bool { return true })
}

// Rungs of the ladder that odometers read from: ε from 2⁻⁷, four to an octave.
const (
	rungs     = 120
	firstRung = -7
	perOctave = 4
)

// Epsilon is a reading: the lowest rung of a ladder of filters that admits what was spent. The i-th has a share of δ of
// 6/(πi)², which add up to less than one, so that all of them hold at once (Lécuyer, 2021, section 4).
func (o *Odometer) Epsilon() (float64, error) {
	if o == nil || o.ledger == nil {
		return 0, fmt.Errorf("%w: it is zero", ErrBudget)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.ledger.at) == 0 {
		return 0, nil
	}
	r := o.ledger.renyi()
	for i := range rungs {
		e := math.Exp2(firstRung + float64(i)/perOctave)
		share := 6 / (math.Pi * math.Pi * float64((i+1)*(i+1)))
		if within(r, o.ledger.own, e, o.delta*share) {
			return e, nil
		}
	}
	return 0, fmt.Errorf("%w: more was spent than an odometer reads", ErrAccountant)
}
