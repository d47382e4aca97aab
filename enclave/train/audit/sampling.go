// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"math"

	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// far is a normal deviate that is reached by chance once in 10⁸, on either side and with three of them.
const far = 6.2

// sampling looks at the batches themselves, of many steps: how much their sizes vary, how much it varies how often a unit takes
// part, and how many units are in two batches that follow each other. Poisson batches have a binomial law for each; for batches
// that are drawn in any other way at the same rate, one of them is another.
func sampling(ctx context.Context, l *lab, _ io.Reader, scale int) (finding, error) {
	const n = 200
	p := plan{dp.AddOrRemove, dp.Mechanism{
		Kind: dp.Gaussian, Noise: dp.Micro, Sampling: dp.Poisson, Rate: dp.Rate{Num: 1, Den: 10}, Count: 1500,
	}, 1e-2, 20}
	data := make(train.Units, n)
	for i := range data {
		data[i] = train.Unit{record(i+2, false)} // none pulls the only element there is
	}
	if _, err := p.sums(ctx, l, data, 1, scale); err != nil {
		return finding{}, err
	}
	sizes, part, overlap := statistics(l.guest.batches, n, p.steps.Rate.Float())
	f := finding{claimed: fmt.Sprintf("deviates within ±%.1f", far), found: fmt.Sprintf("%+.1f, %+.1f, %+.1f", sizes, part, overlap)}
	f.refuted = max(math.Abs(sizes), math.Abs(part), math.Abs(overlap)) > far
	return f, nil
}

// statistics are three normal deviates of batches of units, numbered from 2, that were drawn with probability q.
func statistics(batches [][]int, n int, q float64) (sizes, participation, overlap float64) {
	steps, taken, before := float64(len(batches)), make([]float64, n), make([]bool, n)
	size, both := 0.0, 0.0
	for _, b := range batches {
		now := make([]bool, n)
		for _, e := range b {
			taken[e-2]++
			if now[e-2] = true; before[e-2] {
				both++
			}
		}
		d := float64(len(b)) - float64(n)*q
		size += d * d / (float64(n) * q * (1 - q))
		before = now
	}
	part := 0.0
	for _, t := range taken {
		part += (t - steps*q) * (t - steps*q) / (steps * q * (1 - q))
	}
	// Pairs of steps share one: the variance of a unit's overlaps has their covariance, twice.
	pairs, units := steps-1, float64(n)
	variance := units * (pairs*q*q*(1-q*q) + 2*(pairs-1)*q*q*q*(1-q))
	return normal(size, steps), normal(part, units), (both - units*pairs*q*q) / math.Sqrt(variance)
}

// normal is a chi-square of some degrees of freedom as a normal deviate (Wilson and Hilferty 1931).
func normal(square, degrees float64) float64 {
	return (math.Cbrt(square/degrees) - (1 - 2/(9*degrees))) / math.Sqrt(2/(9*degrees))
}
