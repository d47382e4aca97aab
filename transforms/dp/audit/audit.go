// SPDX-License-Identifier: Apache-2.0

// Package audit bounds from below how much a mechanism gives away, by what can be told from its releases.
//
// Trust domain: auditors and tests; pure. Its one job: a bound that is above what a mechanism claims happens by chance no more
// often than was asked, so that a claim which is too small can be refuted. That none is refuted proves nothing.
package audit

import (
	"errors"
	"fmt"
)

// Bounds of an experiment.
const (
	// MaxTrials bounds runs, canaries and guesses.
	MaxTrials = 1 << 30
	// MaxEpsilon bounds what can be bounded from below: more is hardly a guarantee.
	MaxEpsilon = 64
)

// ErrExperiment is an experiment that says nothing: counts or probabilities out of range, or too few runs.
var ErrExperiment = errors.New("audit: not an experiment")

func probability(p float64) bool { return p > 0 && p < 1 }

func counts(k, n int) error {
	if n < 1 || n > MaxTrials || k < 0 || k > n {
		return fmt.Errorf("%w: %d of %d", ErrExperiment, k, n)
	}
	return nil
}

// Upper bounds a probability from above, of which k of n independent trials were seen: a larger one would have shown so few with
// a chance below alpha (Clopper and Pearson 1934, one side).
func Upper(k, n int, alpha float64) (float64, error) {
	if err := counts(k, n); err != nil {
		return 0, err
	}
	if !probability(alpha) {
		return 0, fmt.Errorf("%w: alpha %v", ErrExperiment, alpha)
	}
	if k == n {
		return 1, nil
	}
	_, high := crossing(1, func(p float64) bool { return atLeast(n-k, n, 1-p, p) > alpha })
	return high, nil
}

// Lower bounds a probability from below, as [Upper] does from above.
func Lower(k, n int, alpha float64) (float64, error) {
	if err := counts(k, n); err != nil {
		return 0, err
	}
	high, err := Upper(n-k, n, alpha)
	if err != nil {
		return 0, err
	}
	return 1 - high, nil
}

// crossing is the place between 0 and high up to which a condition holds, as two numbers that are next to each other.
func crossing(high float64, holds func(float64) bool) (below, above float64) {
	below, above = 0, high
	for {
		mid := below + (above-below)/2
		if mid <= below || mid >= above {
			return below, above
		}
		if holds(mid) {
			below = mid
		} else {
			above = mid
		}
	}
}
