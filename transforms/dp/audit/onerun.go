// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"math"
	"slices"
)

// OneRunP is the chance that somebody who guesses of some canaries, each of which was in the data with probability 1/2 by a coin of
// its own, whether they were, is right so often, at most, if the mechanism is (ε, δ)-differentially private: adjacent data sets
// have one canary more or less (Steinke, Nasr, Jagielski 2023, theorem 5.2).
func OneRunP(canaries, guesses, correct int, epsilon, delta float64) (float64, error) {
	if err := counts(correct, guesses); err != nil {
		return 0, err
	}
	if err := counts(guesses, canaries); err != nil {
		return 0, err
	}
	if !(epsilon >= 0 && epsilon <= MaxEpsilon) || !(delta >= 0 && delta <= 1) {
		return 0, fmt.Errorf("%w: epsilon %v, delta %v", ErrExperiment, epsilon, delta)
	}
	right, wrong := 1/(1+math.Exp(-epsilon)), 1/(1+math.Exp(epsilon)) // of a guess, where δ is 0
	p := atLeast(correct, guesses, right, wrong)
	if delta > 0 {
		p += 2 * float64(canaries) * delta * density(correct, guesses, right, wrong)
	}
	return min(p, 1), nil
}

// density is the largest mean probability of the numbers of right guesses from correct-i to correct-1, over all i.
func density(correct, guesses int, right, wrong float64) (most float64) {
	sum, one := 0.0, 0.0
	for i := 1; i <= correct; i++ {
		k := correct - i
		switch {
		case i == 1:
			one = exactly(k, guesses, right, wrong)
		case one > 0:
			one *= float64(k+1) / float64(guesses-k) * wrong / right
		default: // it was too small for a float
			one = exactly(k, guesses, right, wrong)
		}
		sum += one
		most = max(most, sum/float64(i))
		if one < 1e-300 && float64(k) < float64(guesses)*right {
			break // all others are smaller still
		}
	}
	return most
}

// OneRun bounds ε from below at δ, but for a chance of alpha, by one run with canaries. How many guesses are made must not depend
// on which were right. It is at least 0.
func OneRun(canaries, guesses, correct int, delta, alpha float64) (float64, error) {
	if _, err := OneRunP(canaries, guesses, correct, 0, delta); err != nil {
		return 0, err
	}
	if !probability(alpha) {
		return 0, fmt.Errorf("%w: alpha %v", ErrExperiment, alpha)
	}
	low, _ := crossing(MaxEpsilon, func(epsilon float64) bool {
		p, err := OneRunP(canaries, guesses, correct, epsilon, delta)
		return err == nil && p <= alpha
	})
	return low, nil
}

// Guess guesses that the canaries of the highest scores were in the data and those of the lowest were not, half of the guesses
// each, and counts those that are right.
func Guess(scores []float64, in []bool, guesses int) (correct int, err error) {
	if len(scores) != len(in) || guesses < 2 || guesses%2 != 0 || guesses > len(scores) || slices.ContainsFunc(scores, math.IsNaN) {
		return 0, fmt.Errorf("%w: %d guesses about %d canaries", ErrExperiment, guesses, len(scores))
	}
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] < scores[b]:
			return -1
		case scores[a] > scores[b]:
			return 1
		}
		return 0
	})
	for i := range guesses / 2 {
		if !in[order[i]] {
			correct++
		}
		if in[order[len(order)-1-i]] {
			correct++
		}
	}
	return correct, nil
}
