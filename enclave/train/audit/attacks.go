// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/audit"
)

const (
	// alpha is how often a bound may be above the truth by chance.
	alpha = 1e-8
	// trials with each of two data sets at scale 1, and canaries of one run.
	trials   = 4000
	canaries = 2000
)

// attack is one row of the report.
type attack struct {
	trainer, method string
	broken          bool
	breaks          func(*lab) // nil: nothing
	run             func(ctx context.Context, l *lab, random io.Reader, scale int) (finding, error)
}

// finding is what an attack found.
type finding struct {
	claimed, found string
	refuted        bool
}

// epsilons is a finding of what was claimed and what was found at least.
func epsilons(p plan, low float64) (finding, error) {
	claim, err := p.claim()
	return finding{fmt.Sprintf("ε ≤ %.3f at δ=%.0e", claim, p.delta), fmt.Sprintf("ε ≥ %.3f", low), low > claim}, err
}

// attacks are all of them. A claim is a curve of ε and δ: many trials refute it where δ is large, for what happens once in ten of
// them is soon seen, and one run with canaries where it is tiny.
func attacks() []attack {
	const often, rare = 0.1, 1e-12
	gaussian := func(noise int64, sampling string, rate dp.Rate, count int64) dp.Mechanism {
		return dp.Mechanism{Kind: dp.Gaussian, Noise: noise, Sampling: sampling, Rate: rate, Count: count}
	}
	batch := plan{dp.ReplaceOne, gaussian(dp.Micro, dp.NoSampling, dp.One, 1), often, 8}
	passes := plan{dp.ReplaceOne, gaussian(2*dp.Micro, dp.NoSampling, dp.One, 4), often, 8}
	poisson := plan{dp.AddOrRemove, gaussian(dp.Micro, dp.Poisson, dp.Rate{Num: 1, Den: 2}, 1), often, 4}
	tree := plan{dp.ReplaceOne, dp.Mechanism{Kind: dp.Tree, Noise: dp.Micro, Size: 4, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}, often, 2}
	once := plan{dp.ReplaceOne, gaussian(2*dp.Micro, dp.NoSampling, dp.One, 1), rare, canaries}
	return []attack{
		{"correct, one batch", "trials, one record replaced", false, nil, batch.replace(1)},
		{"correct, four passes", "trials, one record replaced", false, nil, passes.replace(1)},
		{"correct, one batch", "trials, held against Gaussian noise", false, nil, batch.gaussian},
		{"correct, a tree", "trials, one record replaced", false, nil, tree.replace(1)},
		{"correct, Poisson batches", "trials, one record added", false, nil, poisson.add(1)},
		{"correct, contributors", "trials, one of 20 records added", false, nil, poisson.add(20)},
		{"correct, one batch", "one run, canaries", false, nil, once.canaries},
		{"correct, Poisson batches", "sizes, participation, overlap", false, nil, sampling},
		{"without noise", "trials, one record added", true, withoutNoise, poisson.add(1)},
		{"without noise", "one run, canaries", true, withoutNoise, once.canaries},
		{"half the noise", "trials, one record replaced", true, halfNoise, batch.replace(1)},
		{"half the noise", "trials, held against Gaussian noise", true, halfNoise, batch.gaussian},
		{"half the noise, Poisson batches", "trials, one record added", true, halfNoise, poisson.add(1)},
		{"without clipping", "trials, one record added", true, func(l *lab) { l.guest.clips = false }, poisson.add(1)},
		{"records clipped, not contributors", "trials, one of 20 records added", true, func(l *lab) { l.guest.perRecord = true }, poisson.add(20)},
		{"state kept between records", "trials, one record added", true, func(l *lab) { l.guest.restores = false }, poisson.add(1)},
		{"shuffled batches", "sizes, participation, overlap", true, shuffled, sampling},
		{"batches of a fixed size", "sizes, participation, overlap", true, fixedSize, sampling},
		{"the same batch twice", "sizes, participation, overlap", true, twice, sampling},
	}
}

// zeros are units that pull nothing.
func zeros(n int) train.Units {
	u := make(train.Units, n)
	for i := range u {
		u[i] = train.Unit{record(0, false)}
	}
	return u
}

// pulling is a unit of some records that pull the first element.
func pulling(records int, down bool) (u train.Unit) {
	for range records {
		u = append(u, record(1, down))
	}
	return u
}

// others is how many units there are beside the one that matters.
const others = 7

// total is the sum of all steps: what tells best a unit that pulls up from one that pulls down.
func total(sums [][]float64) (score float64) {
	for _, s := range sums {
		score += s[0]
	}
	return score
}

// replace attacks with a unit that pulls up, and one that pulls down in its place.
func (p plan) replace(records int) func(context.Context, *lab, io.Reader, int) (finding, error) {
	return func(ctx context.Context, l *lab, _ io.Reader, scale int) (finding, error) {
		up, down, err := p.pulled(ctx, l, records, scale)
		if err != nil {
			return finding{}, err
		}
		return p.bound(up, down)
	}
}

// pulled are the scores of trials with a unit that pulls up, and with one that pulls down.
func (p plan) pulled(ctx context.Context, l *lab, records, scale int) (up, down []float64, err error) {
	rest := zeros(others)
	if up, err = p.trials(ctx, l, append(train.Units{pulling(records, false)}, rest...), total, scale); err != nil {
		return nil, nil, err
	}
	down, err = p.trials(ctx, l, append(train.Units{pulling(records, true)}, rest...), total, scale)
	return up, down, err
}

// add attacks with a unit that is there or not, told by the likelihood of what each step added up.
func (p plan) add(records int) func(context.Context, *lab, io.Reader, int) (finding, error) {
	return func(ctx context.Context, l *lab, _ io.Reader, scale int) (finding, error) {
		score := func(sums [][]float64) float64 { return likelihood(sums, p.steps.Rate.Float(), p.noise()) }
		with, err := p.trials(ctx, l, append(train.Units{pulling(records, false)}, zeros(others)...), score, scale)
		if err != nil {
			return finding{}, err
		}
		without, err := p.trials(ctx, l, zeros(others), score, scale)
		if err != nil {
			return finding{}, err
		}
		return p.bound(with, without)
	}
}

// bound bounds ε by the scores of two data sets.
func (p plan) bound(one, other []float64) (finding, error) {
	low, err := audit.Runs(one, other, p.delta, alpha)
	if err != nil {
		return finding{}, err
	}
	return epsilons(p, low)
}

// gaussian attacks a claim of more than one ε: that nothing is told better than by Gaussian noise (Nasr et al. 2023). It comes
// nearest to the truth.
func (p plan) gaussian(ctx context.Context, l *lab, _ io.Reader, scale int) (finding, error) {
	up, down, err := p.pulled(ctx, l, 1, scale)
	if err != nil {
		return finding{}, err
	}
	mu, err := audit.RunsGaussian(up, down, alpha)
	if err != nil || mu == 0 {
		return finding{}, err
	}
	p.delta = 1e-5
	low, err := dp.AnalyticGaussian(1/mu, p.delta)
	if err != nil {
		return finding{}, err
	}
	return epsilons(p, low)
}

// trials are the scores of many trials with a data set. They are one training: what is declared is applied again and again to the
// same data, each time with a sample and noise of its own.
func (p plan) trials(ctx context.Context, l *lab, data train.Units, score func(sums [][]float64) float64, scale int) (scores []float64, err error) {
	sums, err := p.sums(ctx, l, data, 1, trials*scale)
	if err != nil {
		return nil, err
	}
	for steps := len(sums) / (trials * scale); len(sums) > 0; sums = sums[steps:] {
		scores = append(scores, score(sums[:steps]))
	}
	return scores, nil
}

// canaries bounds ε by one run, in which each of many units pulls an element of its own, up or down by a fair coin.
func (p plan) canaries(ctx context.Context, l *lab, random io.Reader, _ int) (finding, error) {
	data, up, coins := make(train.Units, canaries), make([]bool, canaries), make([]byte, canaries)
	if _, err := io.ReadFull(random, coins); err != nil {
		return finding{}, err
	}
	for i := range data {
		up[i] = coins[i]&1 == 1
		data[i] = train.Unit{record(i+1, !up[i])}
	}
	sums, err := p.sums(ctx, l, data, canaries, 1)
	if err != nil {
		return finding{}, err
	}
	correct, err := audit.Guess(sums[0], up, canaries)
	if err != nil {
		return finding{}, err
	}
	low, err := audit.OneRun(canaries, canaries, correct, p.delta, alpha)
	if err != nil {
		return finding{}, err
	}
	return epsilons(p, low)
}
