// SPDX-License-Identifier: Apache-2.0

package train

import (
	"fmt"
	"math"

	"github.com/glovebox-dev/glovebox/enclave/train/clip"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// Bounds.
const (
	// maxSteps bounds the steps of a training.
	maxSteps = 1 << 32
	// maxSigma bounds the noise, in integers of a sum: what is added up stays far from overflow.
	maxSigma = 1 << 50
	// maxTree bounds the elements of all levels of a tree, of 16 bytes each.
	maxTree = 1 << 27
	// maxUnits bounds the units of one training: sums of what each may add stay exact in a float64.
	maxUnits = 1 << 31
)

// Check refuses what the loop relies on, for data of n units. The declaration itself was validated with the job; what is checked
// here again is what the guarantee hangs on.
func (c *Config) Check(n int) error {
	bad := func(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(f, a...)) }
	t := c.Privacy.Training
	switch {
	case c.Sampler == nil || c.Noise == nil || c.Clock == nil:
		return bad("no sampler, noise or clock")
	case t == nil:
		return bad("no training")
	case len(c.Params) < 1 || int64(len(c.Params)) > t.Params || len(c.Params) > clip.MaxParams:
		return bad("%d parameters, want 1 to the declared %d", len(c.Params), min(t.Params, clip.MaxParams))
	case t.Lot < 1 || t.Clip < 1 || t.LearningRate < 1 || t.Pace < 1:
		return bad("lot %d, clip %d, learning rate %d, pace %d: all must be positive", t.Lot, t.Clip, t.LearningRate, t.Pace)
	case t.WeightDecay < 0 || !fraction(t.Momentum) || !fraction(t.Beta2) || !fraction(t.Average):
		return bad("momentum, beta2, average or weight decay out of range")
	case t.Optimiser == job.OptimiserAdam && t.Beta2 == 0:
		return bad("adam without beta2")
	case c.Privacy.Contributions < 1 || t.RecordFuel < 1:
		return bad("%d contributions, record fuel %d: both must be positive", c.Privacy.Contributions, t.RecordFuel)
	case c.Granted < 1:
		return bad("no epsilon is granted")
	}
	if err := c.Privacy.Composition().Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err := c.checkMechanisms(); err != nil {
		return err
	}
	return c.checkData(n)
}

func fraction(n int64) bool { return n >= 0 && n < dp.Micro }

// checkMechanisms wants mechanisms that are what the loop does.
func (c *Config) checkMechanisms() error {
	bad := func(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(f, a...)) }
	ms := c.Privacy.Mechanisms
	steps := &ms[0]
	switch {
	case len(ms) > 2:
		return bad("%d mechanisms, want the steps and perhaps the score", len(ms))
	case steps.Kind != dp.Gaussian && steps.Kind != dp.Tree:
		return bad("steps by mechanism %s", steps.Kind)
	case steps.Sampling != dp.Poisson && c.Privacy.Adjacency != dp.ReplaceOne:
		return bad("batches of a fixed number of units, and adjacency %s: one unit more would move all others; want %s, or Poisson batches", c.Privacy.Adjacency, dp.ReplaceOne)
	case len(ms) == 2 && (ms[1].Kind != dp.Gaussian || ms[1].Sampling != dp.NoSampling || ms[1].Count != 1):
		return bad("a score by mechanism %s, %s, %d times", ms[1].Kind, ms[1].Sampling, ms[1].Count)
	}
	for i := range ms {
		if _, err := c.sigma(i); err != nil {
			return err
		}
	}
	return nil
}

// sensitivity is what one change of the data changes a sum by, at most, as L2 norm.
func (c *Config) sensitivity(score bool) uint64 {
	if c.Privacy.Adjacency == dp.AddOrRemove || score { // one score for another from 0 to 1
		return clip.Norm
	}
	return 2 * clip.Norm
}

// sigma is the standard deviation of a mechanism's noise, in integers of a sum.
func (c *Config) sigma(mechanism int) (sampler.Rat, error) {
	noise, s := uint64(c.Privacy.Mechanisms[mechanism].Noise), c.sensitivity(mechanism == 1)
	if noise < 1 || noise > maxSigma/s*dp.Micro {
		return sampler.Rat{}, fmt.Errorf("%w: noise multiplier of %d millionths", ErrConfig, noise)
	}
	return sampler.Rat{Num: noise * s, Den: dp.Micro}, nil
}

// checkData wants data that the declared mechanisms fit.
func (c *Config) checkData(n int) error {
	bad := func(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrData, fmt.Sprintf(f, a...)) }
	m, t := &c.Privacy.Mechanisms[0], c.Privacy.Training
	switch {
	case n == 0:
		return bad("there is none")
	case n > maxUnits:
		return bad("%d units, at most %d", n, maxUnits)
	case int64(n) < t.Lot:
		return bad("%d units, fewer than the lot of %d: want a smaller lot", n, t.Lot)
	case m.Sampling == dp.FixedSize && (m.Rate.Den != int64(n) || m.Rate.Num != t.Lot):
		return bad("%d of %d units declared, and there are %d with a lot of %d", m.Rate.Num, m.Rate.Den, n, t.Lot)
	case m.Kind == dp.Tree && passSteps(n, t.Lot) > m.Size:
		return bad("%d steps in a pass over %d units, and the tree has %d: want a larger tree or lot", passSteps(n, t.Lot), n, m.Size)
	case m.Kind == dp.Tree && int64(heights(passSteps(n, t.Lot)))*int64(len(c.Params)) > maxTree:
		return bad("a tree of %d levels with %d parameters takes too much memory: want a larger lot", heights(passSteps(n, t.Lot)), len(c.Params))
	case steps(m, n, t.Lot) > maxSteps:
		return bad("more than %d steps", int64(maxSteps))
	}
	return nil
}

// passSteps is how many batches of a lot n units are; the last may be smaller.
func passSteps(n int, lot int64) int64 { return (int64(n) + lot - 1) / lot }

// steps is how many steps a mechanism is. Counts are of steps where units are sampled, else of passes.
func steps(m *dp.Mechanism, n int, lot int64) int64 {
	if m.Sampling != dp.NoSampling {
		return m.Count
	}
	if pass := passSteps(n, lot); m.Count <= math.MaxInt64/pass {
		return m.Count * pass
	}
	return math.MaxInt64
}
