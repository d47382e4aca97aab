// SPDX-License-Identifier: Apache-2.0

package job

import (
	"fmt"
	"slices"
	"time"

	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// Modes in which a job says what the enclave will do to the data. They are those of package dataset, which says more of them;
// jobs are read where nothing knows of packages.
const (
	modeTraining  = "dp-training"
	modeRelease   = "dp-release"
	modeAggregate = "sample-aggregate"
)

// Units of privacy, as terms name them.
const (
	unitRecord      = "record"
	unitContributor = "contributor"
)

// RuntimesOf are the runtime classes that a job in a mode may ask for, the strictest first.
func RuntimesOf(mode string) []string {
	switch mode {
	case modeTraining:
		return []string{RuntimeTrain, RuntimeTrainSum}
	case modeRelease:
		return []string{RuntimeQuery}
	}
	return []string{RuntimeWASM}
}

// Private reports whether a job in a mode declares what the enclave will do to the data, and nothing else may leave.
func Private(mode string) bool {
	return mode == modeTraining || mode == modeRelease || mode == modeAggregate
}

// Composition is what the job applies to the data of each of its datasets.
func (p *Privacy) Composition() *dp.Composition {
	return &dp.Composition{Adjacency: p.Adjacency, Mechanisms: p.Mechanisms}
}

// bound is one number of a declaration and where it must lie.
type bound struct {
	what             string
	got, least, most int64
}

func within(bounds ...bound) error {
	for _, b := range bounds {
		if b.got < b.least || b.got > b.most {
			return fmt.Errorf("%w: privacy: %s of %d, want %d to %d", ErrInvalid, b.what, b.got, b.least, b.most)
		}
	}
	return nil
}

func unfit(f string, a ...any) error {
	return fmt.Errorf("%w: privacy: %s", ErrInvalid, fmt.Sprintf(f, a...))
}

// validatePrivacy refuses a declaration that is missing, superfluous, incomplete or out of bounds. Whether the mechanisms come
// to no more than Epsilon is for those to compute who rely on it.
func (j *Job) validatePrivacy() error {
	p := j.Privacy
	switch {
	case !Private(j.Mode) && p != nil:
		return unfit("declared in mode %q, where the enclave adds no noise", j.Mode)
	case !Private(j.Mode):
		return nil
	case p == nil:
		return unfit("mode %q needs its mechanisms declared", j.Mode)
	case j.Epochs != 1:
		return unfit("%d epochs: in mode %q data is read once", j.Epochs, j.Mode)
	case (p.Training != nil) != (j.Mode == modeTraining), (p.Aggregate != nil) != (j.Mode == modeAggregate):
		return unfit("training or aggregate missing, or not of mode %q", j.Mode)
	}
	if err := p.validate(); err != nil {
		return err
	}
	switch j.Mode {
	case modeTraining:
		return j.validateTraining(p)
	case modeAggregate:
		return j.validateAggregate(p)
	}
	return j.validateRelease(p)
}

// validateRelease: queries are of all records, and add noise to sums or choose ranks.
func (j *Job) validateRelease(p *Privacy) error {
	for i := range p.Mechanisms {
		if m := &p.Mechanisms[i]; m.Sampling != dp.NoSampling || !slices.Contains([]string{dp.Gaussian, dp.Laplace, dp.DiscreteLaplace, dp.Pure}, m.Kind) {
			return unfit("mechanism %d: no query is answered by %s, sampling %s", i, m.Kind, m.Sampling)
		}
	}
	return j.onlyOutputs(named{j.Outputs[0].Name, []string{"metrics", "table"}})
}

func (p *Privacy) validate() error {
	most := int64(MaxContributions)
	if p.Unit == unitRecord {
		most = 1
	}
	switch {
	case p.Unit != unitRecord && p.Unit != unitContributor:
		return unfit("unit %q, want %s or %s", p.Unit, unitRecord, unitContributor)
	case p.Accountant != dp.RDP && p.Accountant != dp.PLD:
		return unfit("accountant %q, want %s or %s", p.Accountant, dp.RDP, dp.PLD)
	case p.Accountant == dp.PLD && len(p.Mechanisms) > MaxLossDists:
		return unfit("%d mechanisms by %s, at most %d: use %s", len(p.Mechanisms), dp.PLD, MaxLossDists, dp.RDP)
	}
	if err := p.Composition().Validate(); err != nil {
		return fmt.Errorf("%w: privacy: %w", ErrInvalid, err)
	}
	return within(
		bound{"contributions", p.Contributions, 1, most},
		bound{"delta", p.Delta, 1, dp.Pico - 1},
		bound{"epsilon", p.Epsilon, 1, MaxAmount},
	)
}

// named is an output that the enclave writes, and the classes that it may have.
type named struct {
	name    string
	classes []string
}

// onlyOutputs: the enclave writes these outputs and no other leaves, so no other may be declared.
func (j *Job) onlyOutputs(want ...named) error {
	if len(j.Outputs) != len(want) {
		return unfit("%d outputs declared, in mode %q the enclave writes %d", len(j.Outputs), j.Mode, len(want))
	}
	for _, w := range want { // of two, the classes differ, and so the names
		at := slices.IndexFunc(j.Outputs, func(o Output) bool { return o.Name == w.name })
		if at < 0 || !slices.Contains(w.classes, j.Outputs[at].Class) {
			return unfit("output %q is not declared with class %s", w.name, w.classes)
		}
	}
	return nil
}

func (j *Job) validateTraining(p *Privacy) error {
	t := p.Training
	if err := t.validateSteps(p); err != nil {
		return err
	}
	if err := t.validateOptimiser(); err != nil {
		return err
	}
	m := &p.Mechanisms[0]
	steps := m.Count
	if m.Kind == dp.Tree {
		steps *= m.Size // of what overflows, one is more than wall
	}
	wall := j.Limits.WallSeconds * 1000
	if err := within(
		bound{"lot", t.Lot, 1, MaxLot},
		bound{"clip", t.Clip, 1, MaxAmount},
		bound{"record fuel", t.RecordFuel, 1, j.Limits.Fuel},
		bound{"record bytes", t.RecordBytes, 1, MaxRecordBytes},
		bound{"params", t.Params, 1, MaxModelParams},
		bound{"pace", t.Pace, 1, wall},
	); err != nil {
		return err
	}
	if m.Size > wall || m.Count > wall || steps > wall/t.Pace {
		return unfit("steps of %d ms each do not fit %d s: want a longer wall limit, a shorter pace or fewer steps", t.Pace, j.Limits.WallSeconds)
	}
	want := []named{{t.Output, []string{"model"}}}
	if t.Score != "" {
		want = append(want, named{t.Score, []string{"metrics"}})
	}
	if err := j.onlyOutputs(want...); err != nil {
		return err
	}
	at := slices.IndexFunc(j.Outputs, func(o Output) bool { return o.Name == t.Output })
	if most := j.Outputs[at].MaxBytes; most < ModelBytes(t.Params) {
		return unfit("output %q may have %s, a model of %d parameters has up to %s", t.Output, size(most), t.Params, size(ModelBytes(t.Params)))
	}
	at = slices.IndexFunc(j.Outputs, func(o Output) bool { return o.Name == t.Score })
	if t.Score != "" && j.Outputs[at].MaxBytes < ScoreBytes {
		return unfit("output %q may have %s, a score has up to %s", t.Score, size(j.Outputs[at].MaxBytes), size(ScoreBytes))
	}
	return nil
}

// ScoreBytes is the room that the output with the score needs.
const ScoreBytes = 256

// ModelBytes is the room that the output with n parameters needs, so that a trained model is never too large to leave.
func ModelBytes(n int64) int64 { return 4*n + 4096 }

// validateSteps holds the mechanisms to what training does: noised sums in steps, and perhaps a score.
func (t *Training) validateSteps(p *Privacy) error {
	m := &p.Mechanisms[0]
	score := 0
	if t.Score != "" {
		score = 1
	}
	switch {
	case m.Kind != dp.Gaussian && m.Kind != dp.Tree:
		return unfit("training adds noise of kind %s or %s, not %q", dp.Gaussian, dp.Tree, m.Kind)
	case m.Sampling != dp.Poisson && p.Adjacency != dp.ReplaceOne:
		return unfit("without Poisson sampling, batches have a fixed number of units: want adjacency %s", dp.ReplaceOne)
	case m.Sampling == dp.FixedSize && m.Rate.Num != t.Lot:
		return unfit("%d units are drawn for a step, and the lot is %d", m.Rate.Num, t.Lot)
	case len(p.Mechanisms) != 1+score:
		return unfit("%d mechanisms, want one for the steps and, exactly if there is a score output, one for the score", len(p.Mechanisms))
	case score == 0:
		return nil
	}
	if s := &p.Mechanisms[1]; s.Kind != dp.Gaussian || s.Sampling != dp.NoSampling || s.Count != 1 {
		return unfit("the score is one gaussian mechanism over all units, once")
	}
	return nil
}

func (t *Training) validateOptimiser() error {
	const below = dp.Micro - 1
	momentum, beta2 := bound{"momentum", t.Momentum, 0, 0}, bound{"beta2", t.Beta2, 0, 0}
	switch t.Optimiser {
	case OptimiserSGD:
	case OptimiserMomentum:
		momentum.least, momentum.most = 1, below
	case OptimiserAdam:
		momentum.most, beta2.least, beta2.most = below, 1, below
	default:
		return unfit("optimiser %q, want %s, %s or %s", t.Optimiser, OptimiserSGD, OptimiserMomentum, OptimiserAdam)
	}
	if !slices.Contains([]string{DecayNone, DecayLinear, DecayCosine}, t.Decay) {
		return unfit("decay %q, want %s, %s or %s", t.Decay, DecayNone, DecayLinear, DecayCosine)
	}
	return within(momentum, beta2,
		bound{"learning rate", t.LearningRate, 1, MaxRate}, bound{"weight decay", t.WeightDecay, 0, MaxRate}, bound{"average", t.Average, 0, below})
}

// validateAggregate: one answer a shard, and noise that no sampling weakens.
func (j *Job) validateAggregate(p *Privacy) error {
	a := p.Aggregate
	numbers := bound{"numbers", a.Numbers, 1, MaxNumbers}
	switch a.Kind {
	case AggregateVote:
		numbers.least = 2
		if a.Lower != 0 || a.Upper != 0 {
			return unfit("votes have no bounds")
		}
	case AggregateMean, AggregateMedian:
		if a.Lower >= a.Upper || a.Lower < -MaxBoundary || a.Upper > MaxBoundary {
			return unfit("answers clamped to %d to %d millionths: want lower < upper, both within %d", a.Lower, a.Upper, int64(MaxBoundary))
		}
	default:
		return unfit("aggregate %q, want %s, %s or %s", a.Kind, AggregateMean, AggregateMedian, AggregateVote)
	}
	if err := within(numbers, bound{"shards", a.Shards, 2, MaxShards}); err != nil {
		return err
	}
	if err := a.Fits(); err != nil {
		return err
	}
	if len(p.Mechanisms) != 1 {
		return unfit("%d mechanisms, an aggregate is one", len(p.Mechanisms))
	}
	for i := range p.Mechanisms {
		if m := &p.Mechanisms[i]; m.Sampling != dp.NoSampling || m.Kind == dp.Tree || m.Kind == dp.RandomisedResponse {
			return unfit("mechanism %d: an aggregate has every shard in it, with noise on what they answer", i)
		}
	}
	if !outputName.MatchString(a.Answer) {
		return unfit("answer file %q", a.Answer)
	}
	if a.Slot(j.Limits.WallSeconds) < LeastSlot {
		return unfit("%d shards do not fit %d s: want a wall limit of at least %d s, or fewer shards", a.Shards, j.Limits.WallSeconds, a.Wall(LeastSlot, LeastReading))
	}
	return j.onlyOutputs(named{a.Output, OutputClasses()})
}

// Fits refuses, as [ErrAnswers], more answers than an enclave can hold or aggregate in the time of a slot: they are there before
// anybody knows what is in them.
func (a *Aggregate) Fits() error {
	most, amount, of := int64(MaxAnswers), a.Numbers, "shards · numbers"
	if a.Kind == AggregateMedian {
		most, amount, of = MaxMedians, a.Shards*a.Numbers, "shards² · numbers" // what it takes to find how smooth medians are
	}
	if a.Kind != AggregateVote && amount > most/a.Shards {
		return fmt.Errorf("%w: %s of %d numbers in %d shards: want fewer, for %s to be at most %d", ErrAnswers, a.Kind, a.Numbers, a.Shards, of, most)
	}
	return nil
}

// Times of mode sample-aggregate.
const (
	// LeastSlot is the least time that a shard may have.
	LeastSlot = 200 * time.Millisecond
	// LeastReading is the least time that passes between the rehearsal and the first shard.
	LeastReading = time.Second
)

// slots are those of all shards, of the rehearsal before and of the aggregate after them.
func (a *Aggregate) slots() time.Duration { return time.Duration(a.Shards) + 2 }

// Slot is the time that each shard has at most, of a run of so many seconds.
func (a *Aggregate) Slot(wallSeconds int64) time.Duration {
	return (time.Duration(wallSeconds)*time.Second - LeastReading) / a.slots()
}

// Wall is the wall limit in seconds with which each shard has a slot, after so much time for reading.
func (a *Aggregate) Wall(slot, reading time.Duration) int64 {
	return int64((slot*a.slots() + max(reading, LeastReading) + time.Second - 1) / time.Second)
}
