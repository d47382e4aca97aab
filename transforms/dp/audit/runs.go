// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Runs bounds ε from below at δ, but for a chance of alpha, by independent runs of a mechanism on two data sets that are adjacent
// (Jagielski, Ullman, Oprea 2020; Nasr et al. 2021): a score of each run, large if it looks like the first data set. Every
// second run of each serves to choose which scores to tell the two by; the others alone make the bound. It is at least 0.
func Runs(with, without []float64, delta, alpha float64) (float64, error) {
	if !(delta >= 0 && delta < 1) {
		return 0, fmt.Errorf("%w: delta %v", ErrExperiment, delta)
	}
	return halves(with, without, alpha, func(p, q float64) float64 { return math.Log((p - delta) / q) })
}

// RunsGaussian bounds μ from below, of a mechanism that claims to be μ-GDP, as [Runs] bounds ε. For Gaussian noise that is nearer
// to the truth (Dong, Roth, Su 2022; Nasr et al. 2023).
func RunsGaussian(with, without []float64, alpha float64) (float64, error) {
	return halves(with, without, alpha, func(p, q float64) float64 { return deviate(p) - deviate(q) })
}

// deviate is the normal deviate that is not exceeded with probability p.
func deviate(p float64) float64 { return -math.Sqrt2 * math.Erfcinv(2*p) }

// halves chooses by one half of the runs and bounds by the other. The measure is of two probabilities of the same event.
func halves(with, without []float64, alpha float64, measure func(p, q float64) float64) (float64, error) {
	if !probability(alpha) {
		return 0, fmt.Errorf("%w: alpha %v", ErrExperiment, alpha)
	}
	if len(with) < 4 || len(without) < 4 || len(with) > MaxTrials || len(without) > MaxTrials {
		return 0, fmt.Errorf("%w: %d and %d runs", ErrExperiment, len(with), len(without))
	}
	if slices.ContainsFunc(with, math.IsNaN) || slices.ContainsFunc(without, math.IsNaN) {
		return 0, fmt.Errorf("%w: a score is no number", ErrExperiment)
	}
	choose, test := trials{}, trials{}
	choose.with, test.with = everySecond(with)
	choose.without, test.without = everySecond(without)
	best, at := -1.0, event{}
	for _, e := range choose.events() {
		if b := choose.bound(e, alpha, measure); b > best {
			best, at = b, e
		}
	}
	return test.bound(at, alpha, measure), nil
}

// everySecond gives those of even places and those of odd ones, sorted.
func everySecond(scores []float64) (even, odd []float64) {
	for i, s := range scores {
		if i%2 == 0 {
			even = append(even, s)
		} else {
			odd = append(odd, s)
		}
	}
	slices.Sort(even)
	slices.Sort(odd)
	return even, odd
}

// event is that a score is at least a number, or that it is less.
type event struct {
	at   float64
	less bool
}

// trials are sorted scores.
type trials struct{ with, without []float64 }

// events are what the data sets could be told by: ranks from both ends of both, each further from it by a quarter.
func (t trials) events() []event {
	seen := map[event]bool{}
	for _, scores := range [][]float64{t.with, t.without} {
		for rank := 0; rank < len(scores); rank += 1 + rank/4 {
			for _, at := range []float64{scores[rank], scores[len(scores)-1-rank]} {
				seen[event{at, false}], seen[event{at, true}] = true, true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b event) int { // in an order: equals are chosen from alike
		if c := cmp.Compare(a.at, b.at); c != 0 || a.less == b.less {
			return c
		} else if a.less {
			return -1
		}
		return 1
	})
}

// bound is the least that a measure of an event's probabilities is, or 0.
func (t trials) bound(e event, alpha float64, measure func(p, q float64) float64) float64 {
	often, seldom := t.with, t.without
	if e.less {
		often, seldom = seldom, often
	}
	p, err := Lower(e.count(often), len(often), alpha/2)
	if err != nil {
		return 0
	}
	q, err := Upper(e.count(seldom), len(seldom), alpha/2)
	if b := measure(p, q); err == nil && b > 0 { // not if it is no number
		return b
	}
	return 0
}

func (e event) count(sorted []float64) int {
	below, _ := slices.BinarySearch(sorted, e.at)
	if e.less {
		return below
	}
	return len(sorted) - below
}
