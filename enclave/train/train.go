// SPDX-License-Identifier: Apache-2.0

// Package train trains a model by gradients that nobody trusts, so that what leaves is differentially private.
//
// Trust domain: enclave; no input or output but what it is lent. Its one job: whatever the guest answers, each step adds to
// the parameters a noised sum in which every unit's part is bounded, over a sample that nobody else knows, and not one step
// more than the declared mechanisms allow. docs/privacy.md has the argument.
//
// It is DP-SGD (Abadi et al. 2016) with sums of integers, and DP-FTRL (Kairouz et al. 2021) where there is no sampling.
package train

import (
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// Errors of this package. An exhausted budget is [dp.ErrBudget].
var (
	// ErrConfig is a training that is incomplete or out of range: nothing was asked of data or worker.
	ErrConfig = errors.New("train: not a training")
	// ErrData is data that this training cannot be done on. It depends on nothing but the number of units.
	ErrData = errors.New("train: not the data for it")
	// ErrSeam is a sampler, noise or clock that failed. There is no step without them.
	ErrSeam = errors.New("train: no sample, noise or time")
	// ErrTime is a step that took longer than the declaration has a slot for: that it did may be because of a record.
	ErrTime = errors.New("train: a step did not end in its time")
	// ErrWorker is a worker that could not be asked at all.
	ErrWorker = errors.New("train: worker")
)

// Unit is the records of one unit of privacy that count: one, or those of a contributor up to the bound. A unit of whose
// records none is left has none, and counts as zeros.
type Unit [][]byte

// Worker computes gradients in processes that hold no key. Its answers are hostile, but bounded: a total is of units' gradients
// that were each clipped to clip.Norm.
type Worker interface {
	// Sum computes the gradients of all records at the parameters, bounds each unit's, and adds them to total. A record that
	// the guest fails on, in whatever way, counts as a gradient of zeros. An error ends the training, and says nothing of records.
	Sum(ctx context.Context, params []float32, units []Unit, total []int64) error
	// Score asks the guest's predict for each record's number; what is no number from 0 to 1 is made one.
	Score(ctx context.Context, params []float32, records [][]byte, scores []float32) error
}

// Data is the units, in an order that was fixed before anything of them was looked at. How many they are is public.
type Data interface {
	Len() int
	// Unit gives one; it is valid until the step is over.
	Unit(i int) (Unit, error)
	// Hidden reports whether nobody outside can see which units are asked for. Units that are sampled must be hidden.
	Hidden() bool
}

// Units is data in memory.
type Units []Unit

// Len implements Data.
func (u Units) Len() int { return len(u) }

// Unit implements Data.
func (u Units) Unit(i int) (Unit, error) { return u[i], nil }

// Hidden implements Data.
func (u Units) Hidden() bool { return true }

// Config is a training. Every field is required.
type Config struct {
	Privacy job.Privacy // with Training; what was declared before anything was released
	Granted int64       // ε that it may come to, millionths: what the grants allow
	Params  []float32   // initial; copied
	Sampler Sampler
	Noise   Noise
	Clock   Clock
}

// Result is what a training came to.
type Result struct {
	Params []float32      // nil, if it did not come to its end
	Ran    []dp.Mechanism // what touched the data, also of a training that failed: applications that began count
	Steps  int64          // that were done
	Score  *Score         // nil if none was declared
}

// Score is the noised mean of what the guest makes of each unit's first record, from 0 to 1 but for the noise.
type Score struct {
	Mean      float64
	Deviation float64 // standard deviation of the noise in it
}

// Run trains. It returns what ran together with any error: the parameters are there only if there is none.
func Run(ctx context.Context, c *Config, d Data, w Worker) (*Result, error) {
	r, err := newRun(c, d, w)
	if err != nil {
		return &Result{Ran: []dp.Mechanism{}}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.noise = drawAhead(ctx, c.Noise, len(c.Params), r.vectors())
	defer r.wipe()
	defer r.noise.stop(cancel)
	err = r.train(ctx)
	if err == nil {
		err = r.score(ctx)
	}
	res := &Result{Ran: r.ran(), Steps: r.step}
	if err != nil {
		return res, fmt.Errorf("after %d steps: %w", r.step, err)
	}
	res.Params, res.Score = r.opt.result(), r.scored
	return res, nil
}
