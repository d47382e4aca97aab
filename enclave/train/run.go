// SPDX-License-Identifier: Apache-2.0

package train

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/train/clip"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// run is a training under way.
type run struct {
	c     *Config
	d     Data
	w     Worker
	opt   *optimiser
	noise *ahead
	pace  *pacer
	tree  *tree // nil but with kind tree
	spend *account

	steps  int64 // in all
	step   int64 // done
	chosen []int
	units  []Unit
	total  []int64
	noised []int64   // of the tree
	grad   []float64 // the noised sum
	scored *Score
}

func newRun(c *Config, d Data, w Worker) (*run, error) {
	if c == nil || d == nil || w == nil {
		return nil, fmt.Errorf("%w: no configuration, data or worker", ErrConfig)
	}
	if err := c.Check(d.Len()); err != nil {
		return nil, err
	}
	m, t, n := &c.Privacy.Mechanisms[0], c.Privacy.Training, len(c.Params)
	if m.Sampling != dp.NoSampling && !d.Hidden() {
		return nil, fmt.Errorf("%w: it does not fit into memory, and others would see what is sampled: want batches without sampling, or kind %s", ErrData, dp.Tree)
	}
	spend, err := newAccount(c)
	if err != nil {
		return nil, err
	}
	r := &run{c: c, d: d, w: w, spend: spend, steps: steps(m, d.Len(), t.Lot), total: make([]int64, n), grad: make([]float64, n)}
	r.opt = newOptimiser(*t, r.steps, c.Params)
	if m.Kind == dp.Tree {
		r.noised = make([]int64, n)
		r.tree = newTree(n, passSteps(d.Len(), t.Lot), func(v []int64) error { return r.noise.add(v) })
	}
	return r, nil
}

// vectors is the noise of all steps.
func (r *run) vectors() draws {
	m := &r.c.Privacy.Mechanisms[0]
	sigma, _ := r.c.sigma(0) // checked
	w := draws{sigma: sigma, count: r.steps}
	if m.Kind == dp.Tree {
		w.count = 0
		for pass := passSteps(r.d.Len(), r.c.Privacy.Training.Lot); pass > 0; pass /= 2 { // nodes of each height
			w.count += pass
		}
		w.count *= m.Count
	}
	return w
}

// train does all steps.
func (r *run) train(ctx context.Context) error {
	t := r.c.Privacy.Training
	r.pace = newPacer(r.c.Clock, time.Duration(t.Pace)*time.Millisecond, t.Overruns(r.c.Privacy.Contributions)+1)
	for ; r.step < r.steps; r.step++ {
		if err := r.one(ctx); err != nil {
			return err
		}
	}
	return r.noise.spent()
}

// one does a step: account, sample, sum, noise, move, wait. What touches the data is debited before it does.
func (r *run) one(ctx context.Context) error {
	ctx, cancel := r.pace.bound(ctx, 1)
	defer cancel()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	first := r.inPass() == 0
	if first {
		if err := r.spend.application(0); err != nil {
			return err
		}
		if r.tree != nil {
			r.tree.restart()
		}
	}
	if err := r.sample(); err != nil {
		return err
	}
	clear(r.total)
	if err := r.w.Sum(ctx, r.opt.lent, r.units, r.total); err != nil {
		return stopped(ctx, err)
	}
	if err := r.hide(); err != nil {
		return stopped(ctx, err)
	}
	r.opt.apply(r.grad)
	return stopped(ctx, r.pace.wait(ctx, 1))
}

// inPass is which step of an application the one at hand is.
func (r *run) inPass() int64 {
	if r.c.Privacy.Mechanisms[0].Sampling != dp.NoSampling {
		return 0
	}
	return r.step % passSteps(r.d.Len(), r.c.Privacy.Training.Lot)
}

// sample takes the units of the step at hand.
func (r *run) sample() (err error) {
	m, lot, n := &r.c.Privacy.Mechanisms[0], r.c.Privacy.Training.Lot, r.d.Len()
	r.chosen = r.chosen[:0]
	switch m.Sampling {
	case dp.Poisson:
		r.chosen, err = r.c.Sampler.Poisson(n, m.Rate, r.chosen)
	case dp.FixedSize:
		r.chosen, err = r.c.Sampler.Fixed(n, int(m.Rate.Num), r.chosen)
	default:
		first := r.inPass() * lot
		for i := first; i < min(first+lot, int64(n)); i++ {
			r.chosen = append(r.chosen, int(i))
		}
	}
	if err != nil {
		return err
	}
	clear(r.units)
	r.units = r.units[:0]
	for _, i := range r.chosen {
		u, err := r.d.Unit(i)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrData, err)
		}
		r.units = append(r.units, u)
	}
	return nil
}

// hide makes the noised sum of the exact one. From here on nothing depends on the data but through it.
func (r *run) hide() error {
	defer clear(r.total)
	if r.tree != nil {
		return r.tree.leaf(r.total, r.noised, r.grad)
	}
	if err := r.noise.add(r.total); err != nil {
		return err
	}
	for i, v := range r.total {
		r.grad[i] = float64(v)
	}
	return nil
}

// scoreBatch is how many records are scored together.
const scoreBatch = 1 << 12

// score releases the noised mean of what the guest predicts, if that was declared.
func (r *run) score(ctx context.Context) error {
	if len(r.c.Privacy.Mechanisms) < 2 {
		return nil
	}
	if err := r.spend.application(1); err != nil {
		return err
	}
	slots := passSteps(r.d.Len(), r.c.Privacy.Training.Lot) // of as many units
	ctx, cancel := r.pace.bound(ctx, slots)
	defer cancel()
	sum, err := r.sumScores(ctx)
	if err != nil {
		return stopped(ctx, err)
	}
	sigma, err := r.c.sigma(1)
	if err != nil {
		return err
	}
	noise := [1]int64{}
	if err := r.noiseOf(noise[:], sigma); err != nil {
		return err
	}
	one := float64(clip.Norm) * float64(r.d.Len())
	r.scored = &Score{Mean: float64(sum+noise[0]) / one, Deviation: float64(sigma.Num) / float64(sigma.Den) / one}
	clear(noise[:])
	return stopped(ctx, r.pace.wait(ctx, slots))
}

// noiseOf draws noise of another deviation than the steps', which are all drawn by now.
func (r *run) noiseOf(dst []int64, sigma sampler.Rat) error {
	if err := r.c.Noise.Gaussian(dst, sigma); err != nil {
		return fmt.Errorf("%w: %w", ErrSeam, err)
	}
	return nil
}

// sumScores adds up the scores of units' first records, in integers: one is clip.Norm. A unit without records scores nothing.
func (r *run) sumScores(ctx context.Context) (sum int64, err error) {
	params := r.opt.result()
	var records [][]byte
	scores := make([]float32, scoreBatch)
	for i := range r.d.Len() {
		u, err := r.d.Unit(i)
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrData, err)
		}
		if len(u) > 0 {
			records = append(records, u[0])
		}
		if len(records) == scoreBatch || i == r.d.Len()-1 {
			got := scores[:len(records)]
			clear(got)
			if err := r.w.Score(ctx, params, records, got); err != nil {
				return 0, err
			}
			for _, s := range got {
				sum += part(s)
			}
			records = records[:0]
		}
	}
	return sum, nil
}

// part makes an integer from 0 to clip.Norm of what a guest calls a score.
func part(s float32) int64 {
	if math.IsNaN(float64(s)) {
		return 0
	}
	return int64(float64(min(max(s, 0), 1)) * clip.Norm)
}

// ran is what touched the data.
func (r *run) ran() []dp.Mechanism {
	out := []dp.Mechanism{}
	for i, m := range r.c.Privacy.Mechanisms {
		if m.Count = r.spend.began[i]; m.Count > 0 {
			out = append(out, m)
		}
	}
	return out
}

// stopped prefers why a training was stopped to what it then failed of.
func stopped(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// wipe forgets what depends on the data and is not noised.
func (r *run) wipe() {
	clear(r.total)
	clear(r.units)
	if r.tree != nil {
		r.tree.wipe()
	}
}
