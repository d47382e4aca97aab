// SPDX-License-Identifier: Apache-2.0

package job_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/job/statementtest"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

func gaussian(count int64) dp.Mechanism {
	return dp.Mechanism{Kind: dp.Gaussian, Noise: 1_100_000, Sampling: dp.NoSampling, Rate: dp.One, Count: count}
}

// inMode is a job in a differentially private mode.
func inMode(k *statementtest.Key, mode string) *job.Job {
	j := good(k)
	j.Mode, j.Runtime, j.Epochs = mode, job.RuntimesOf(mode)[0], 1
	j.Outputs = []job.Output{{Name: "out.json", Class: "metrics", MaxBytes: 1 << 20}}
	j.Privacy = &job.Privacy{
		Unit: "contributor", Contributions: 4, Adjacency: dp.AddOrRemove, Mechanisms: []dp.Mechanism{gaussian(2)}, Accountant: dp.RDP,
		Delta: 10_000_000, Epsilon: 2_000_000,
	}
	switch p := j.Privacy; mode {
	case dataset.ModeTraining:
		j.Outputs = []job.Output{{Name: "model.safetensors", Class: "model", MaxBytes: 1 << 20}, {Name: "score.json", Class: "metrics", MaxBytes: 1 << 10}}
		p.Mechanisms = []dp.Mechanism{gaussian(600), gaussian(1)}
		p.Mechanisms[0].Sampling, p.Mechanisms[0].Rate = dp.Poisson, dp.Rate{Num: 512, Den: 60_000}
		p.Training = &job.Training{
			Lot: 512, Clip: 1_000_000, Optimiser: job.OptimiserAdam, LearningRate: 1000, Decay: job.DecayCosine, Momentum: 900_000, Beta2: 999_000,
			WeightDecay: 10, Average: 990_000, RecordFuel: 1_000_000, RecordBytes: 4096, Params: 7850, Pace: 100,
			Output: "model.safetensors", Score: "score.json",
		}
	case dataset.ModeAggregate:
		p.Aggregate = &job.Aggregate{Shards: 100, Kind: job.AggregateMean, Numbers: 3, Lower: -5, Upper: 1_000_000, Answer: "answer", Output: "out.json"}
	}
	return j
}

func privateModes() []string {
	return []string{dataset.ModeTraining, dataset.ModeRelease, dataset.ModeAggregate}
}

// TestModesAndUnitsAreThoseOfTerms: jobs name modes and units without the package that defines them.
func TestModesAndUnitsAreThoseOfTerms(t *testing.T) {
	k := statementtest.NewKey(t, envelope.RoleBuyer)
	for _, mode := range privateModes() {
		if !job.Private(mode) || !dataset.Private(mode) || !slices.Equal(job.RuntimesOf(mode), dataset.RuntimesFor(mode)) {
			t.Errorf("mode %s", mode)
		}
		for unit, n := range map[string]int64{dataset.UnitRecord: 1, dataset.UnitContributor: job.MaxContributions} {
			j := inMode(k, mode)
			j.Privacy.Unit, j.Privacy.Contributions = unit, n
			if err := j.Validate(); err != nil {
				t.Errorf("mode %s, unit %s: %v", mode, unit, err)
			}
		}
	}
	for _, mode := range dataset.Modes() {
		if job.Private(mode) != dataset.Private(mode) || job.Private(mode) && !slices.Contains(privateModes(), mode) {
			t.Errorf("mode %s: a declaration: %t", mode, job.Private(mode))
		}
	}
}

// TestEveryFieldOfAPrivateJob: what a mode does not have is zero and must be; nothing else may be.
func TestEveryFieldOfAPrivateJob(t *testing.T) {
	k := statementtest.NewKey(t, envelope.RoleBuyer)
	meaningful := map[string][]string{
		dataset.ModeTraining: {
			"predicate.privacy.training.momentum", "predicate.privacy.training.weightDecay", "predicate.privacy.training.average",
		},
		dataset.ModeRelease:   {},
		dataset.ModeAggregate: {"predicate.privacy.aggregate.lower", "predicate.privacy.aggregate.upper"},
	}
	for mode, fields := range meaningful {
		t.Run(mode, func(t *testing.T) {
			fields = append(fields, "predicate.spendCap", "predicate.params", "predicate.params.EPOCHS", "predicate.use.commercial", "predicate.use.derive")
			j := inMode(k, mode)
			j.Use.Commercial, j.Use.Derive = true, true
			statementtest.EveryField(t, k, sign(t, j, k), fields, verifyJob)
		})
	}
}

// bent are ways for a declaration to be wrong, by the mode whose they are; "" is all of them.
func bent() map[string]map[string]func(*job.Job) {
	first := func(f func(*dp.Mechanism)) func(*job.Job) {
		return func(j *job.Job) { f(&j.Privacy.Mechanisms[0]) }
	}
	training := func(f func(*job.Training)) func(*job.Job) {
		return func(j *job.Job) { f(j.Privacy.Training) }
	}
	aggregate := func(f func(*job.Aggregate)) func(*job.Job) {
		return func(j *job.Job) { f(j.Privacy.Aggregate) }
	}
	return map[string]map[string]func(*job.Job){
		"": {
			"not declared":               func(j *job.Job) { j.Privacy = nil },
			"of a mode without noise":    func(j *job.Job) { j.Mode, j.Runtime = dataset.ModeRaw, job.RuntimeWASM },
			"two epochs":                 func(j *job.Job) { j.Epochs = 2 },
			"no unit":                    func(j *job.Job) { j.Privacy.Unit = "" },
			"another unit":               func(j *job.Job) { j.Privacy.Unit = "household" },
			"two contributions a record": func(j *job.Job) { j.Privacy.Unit, j.Privacy.Contributions = "record", 2 },
			"too many contributions":     func(j *job.Job) { j.Privacy.Contributions = job.MaxContributions + 1 },
			"negative contributions":     func(j *job.Job) { j.Privacy.Contributions = -1 },
			"another adjacency":          func(j *job.Job) { j.Privacy.Adjacency = "zero-out" },
			"no mechanism":               func(j *job.Job) { j.Privacy.Mechanisms = nil },
			"noise 0":                    first(func(m *dp.Mechanism) { m.Noise = 0 }),
			"negative noise":             first(func(m *dp.Mechanism) { m.Noise = -1 }),
			"applied never":              first(func(m *dp.Mechanism) { m.Count = 0 }),
			"another accountant":         func(j *job.Job) { j.Privacy.Accountant = "moments/1" },
			"many loss distributions": func(j *job.Job) {
				j.Privacy.Accountant = dp.PLD
				for len(j.Privacy.Mechanisms) <= job.MaxLossDists {
					j.Privacy.Mechanisms = append(j.Privacy.Mechanisms, gaussian(1))
				}
			},
			"delta 0":                func(j *job.Job) { j.Privacy.Delta = 0 },
			"delta 1":                func(j *job.Job) { j.Privacy.Delta = dp.Pico },
			"epsilon 0":              func(j *job.Job) { j.Privacy.Epsilon = 0 },
			"negative epsilon":       func(j *job.Job) { j.Privacy.Epsilon = -1 },
			"epsilon beyond numbers": func(j *job.Job) { j.Privacy.Epsilon = job.MaxAmount + 1 },
			"another output": func(j *job.Job) {
				j.Outputs = append(j.Outputs, job.Output{Name: "records.csv", Class: "table", MaxBytes: 1 << 20})
			},
		},
		dataset.ModeTraining: {
			"output of another class":   func(j *job.Job) { j.Outputs[0].Class = "table" },
			"no training":               func(j *job.Job) { j.Privacy.Training = nil },
			"an aggregate":              func(j *job.Job) { j.Privacy.Aggregate = &job.Aggregate{} },
			"noise of another kind":     first(func(m *dp.Mechanism) { m.Kind = dp.Laplace }),
			"batches and add-or-remove": first(func(m *dp.Mechanism) { m.Sampling, m.Rate = dp.NoSampling, dp.One }),
			"tree and add-or-remove": first(func(m *dp.Mechanism) {
				*m = dp.Mechanism{Kind: dp.Tree, Noise: 1, Size: 10, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}
			}),
			"drawn other than the lot": func(j *job.Job) {
				j.Privacy.Adjacency = dp.ReplaceOne
				j.Privacy.Mechanisms[0].Sampling, j.Privacy.Mechanisms[0].Rate.Num = dp.FixedSize, 511
			},
			"rate over 1":                first(func(m *dp.Mechanism) { m.Rate.Num = m.Rate.Den + 1 }),
			"rate 0":                     first(func(m *dp.Mechanism) { m.Rate.Num = 0 }),
			"a score without mechanism":  func(j *job.Job) { j.Privacy.Mechanisms = j.Privacy.Mechanisms[:1] },
			"a mechanism without score":  func(j *job.Job) { j.Privacy.Training.Score, j.Outputs = "", j.Outputs[:1] },
			"a third mechanism":          func(j *job.Job) { j.Privacy.Mechanisms = append(j.Privacy.Mechanisms, gaussian(1)) },
			"score twice":                func(j *job.Job) { j.Privacy.Mechanisms[1].Count = 2 },
			"score of a sample":          func(j *job.Job) { j.Privacy.Mechanisms[1] = j.Privacy.Mechanisms[0] },
			"score with other noise":     func(j *job.Job) { j.Privacy.Mechanisms[1].Kind = dp.Laplace },
			"output not declared":        training(func(t *job.Training) { t.Output = "other" }),
			"score not declared":         training(func(t *job.Training) { t.Score = "other" }),
			"one output for both":        training(func(t *job.Training) { t.Score = t.Output }),
			"score of another class":     func(j *job.Job) { j.Outputs[1].Class = "table" },
			"score larger than output":   func(j *job.Job) { j.Outputs[1].MaxBytes = job.ScoreBytes - 1 },
			"model larger than output":   func(j *job.Job) { j.Outputs[0].MaxBytes = job.ModelBytes(j.Privacy.Training.Params) - 1 },
			"lot 0":                      training(func(t *job.Training) { t.Lot = 0 }),
			"clip 0":                     training(func(t *job.Training) { t.Clip = 0 }),
			"another optimiser":          training(func(t *job.Training) { t.Optimiser = "lion" }),
			"sgd with momentum":          training(func(t *job.Training) { t.Optimiser, t.Beta2 = job.OptimiserSGD, 0 }),
			"momentum without":           training(func(t *job.Training) { t.Optimiser, t.Beta2, t.Momentum = job.OptimiserMomentum, 0, 0 }),
			"momentum with beta2":        training(func(t *job.Training) { t.Optimiser = job.OptimiserMomentum }),
			"momentum 1":                 training(func(t *job.Training) { t.Momentum = dp.Micro }),
			"beta2 1":                    training(func(t *job.Training) { t.Beta2 = dp.Micro }),
			"average 1":                  training(func(t *job.Training) { t.Average = dp.Micro }),
			"negative average":           training(func(t *job.Training) { t.Average = -1 }),
			"negative weight decay":      training(func(t *job.Training) { t.WeightDecay = -1 }),
			"learning rate 0":            training(func(t *job.Training) { t.LearningRate = 0 }),
			"another decay":              training(func(t *job.Training) { t.Decay = "step" }),
			"record fuel over the job's": func(j *job.Job) { j.Privacy.Training.RecordFuel = j.Limits.Fuel + 1 },
			"records too long":           training(func(t *job.Training) { t.RecordBytes = job.MaxRecordBytes + 1 }),
			"too many parameters":        training(func(t *job.Training) { t.Params = job.MaxModelParams + 1 }),
			"no pace":                    training(func(t *job.Training) { t.Pace = 0 }),
			"slower than the wall limit": training(func(t *job.Training) { t.Pace = 101 }),
			"steps that overflow": func(j *job.Job) {
				j.Privacy.Adjacency = dp.ReplaceOne
				j.Privacy.Mechanisms[0] = dp.Mechanism{Kind: dp.Tree, Noise: 1, Size: dp.MaxCount, Sampling: dp.NoSampling, Rate: dp.One, Count: dp.MaxCount}
			},
			"a module's runtime":   func(j *job.Job) { j.Runtime = job.RuntimeWASM },
			"a query's runtime":    func(j *job.Job) { j.Runtime = job.RuntimeQuery },
			"no runtime at all":    func(j *job.Job) { j.Runtime = "" },
			"mode of another kind": func(j *job.Job) { j.Mode, j.Runtime = dataset.ModeRelease, job.RuntimeQuery },
		},
		dataset.ModeRelease: {
			"training":           func(j *job.Job) { j.Privacy.Training = &job.Training{} },
			"a module's runtime": func(j *job.Job) { j.Runtime = job.RuntimeWASM },
			"a model":            func(j *job.Job) { j.Outputs[0].Class = "model" },
		},
		dataset.ModeAggregate: {
			"no aggregate":        func(j *job.Job) { j.Privacy.Aggregate = nil },
			"a trainer's runtime": func(j *job.Job) { j.Runtime = job.RuntimeTrain },
			"one shard":           aggregate(func(a *job.Aggregate) { a.Shards = 1 }),
			"too many shards":     aggregate(func(a *job.Aggregate) { a.Shards = job.MaxShards + 1 }),
			"another kind":        aggregate(func(a *job.Aggregate) { a.Kind = "max" }),
			"no number":           aggregate(func(a *job.Aggregate) { a.Numbers = 0 }),
			"too many numbers":    aggregate(func(a *job.Aggregate) { a.Numbers = job.MaxNumbers + 1 }),
			"bounds reversed":     aggregate(func(a *job.Aggregate) { a.Lower, a.Upper = a.Upper, a.Lower }),
			"bounds of nothing":   aggregate(func(a *job.Aggregate) { a.Upper = a.Lower }),
			"lower without end":   aggregate(func(a *job.Aggregate) { a.Lower = -job.MaxBoundary - 1 }),
			"upper without end":   aggregate(func(a *job.Aggregate) { a.Upper = job.MaxBoundary + 1 }),
			"a vote with bounds":  aggregate(func(a *job.Aggregate) { a.Kind = job.AggregateVote }),
			"a vote on nothing":   aggregate(func(a *job.Aggregate) { a.Kind, a.Numbers, a.Lower, a.Upper = job.AggregateVote, 1, 0, 0 }),
			"answer elsewhere":    aggregate(func(a *job.Aggregate) { a.Answer = "../answer" }),
			"output not declared": aggregate(func(a *job.Aggregate) { a.Output = "other" }),
			"no time for shards": func(j *job.Job) {
				j.Limits.WallSeconds = j.Privacy.Aggregate.Wall(job.LeastSlot, job.LeastReading) - 1
			},
			"sampled": first(func(m *dp.Mechanism) { m.Sampling, m.Rate = dp.Poisson, dp.Rate{Num: 1, Den: 2} }),
			"a tree":  first(func(m *dp.Mechanism) { m.Kind, m.Size = dp.Tree, 2 }),
		},
	}
}

func TestDeclarationsOutOfBounds(t *testing.T) {
	k := statementtest.NewKey(t, envelope.RoleBuyer)
	for of, cases := range bent() {
		for name, change := range cases {
			for _, mode := range privateModes() {
				if of != "" && of != mode {
					continue
				}
				j := inMode(k, mode)
				change(j)
				if err := j.Validate(); !errors.Is(err, job.ErrInvalid) {
					t.Errorf("%s: %s: %v", mode, name, err)
				}
			}
		}
	}
}

// TestShardsHaveTime: with the least wall limit that a refusal names, a job is valid.
func TestShardsHaveTime(t *testing.T) {
	j := inMode(statementtest.NewKey(t, envelope.RoleBuyer), dataset.ModeAggregate)
	j.Limits.WallSeconds = 22 // 100 shards and two slots more of 200 ms, and a second
	if err := j.Validate(); err != nil || j.Privacy.Aggregate.Wall(job.LeastSlot, job.LeastReading) != 22 {
		t.Error(err)
	}
	j.Limits.WallSeconds--
	if err := j.Validate(); !errors.Is(err, job.ErrInvalid) || !strings.Contains(err.Error(), "at least 22 s") {
		t.Error(err)
	}
}

// TestAnswersThatNobodyCanHold: jobs with more answers than an enclave aggregates are refused by name, before any code runs.
func TestAnswersThatNobodyCanHold(t *testing.T) {
	for _, v := range []struct {
		kind            string
		shards, numbers int64
		fits            bool
	}{
		{job.AggregateMean, 4096, 4096, true},
		{job.AggregateMean, 4097, 4096, false},
		{job.AggregateMean, job.MaxShards, 256, true},
		{job.AggregateMean, job.MaxShards, 257, false},
		{job.AggregateMean, job.MaxShards, job.MaxNumbers, false},
		{job.AggregateMedian, 256, 4096, true},
		{job.AggregateMedian, 257, 4096, false},
		{job.AggregateMedian, 1 << 14, 1, true},
		{job.AggregateMedian, job.MaxShards, 1, false},
		{job.AggregateVote, job.MaxShards, job.MaxNumbers, true},
	} {
		j := inMode(statementtest.NewKey(t, envelope.RoleBuyer), dataset.ModeAggregate)
		a := j.Privacy.Aggregate
		a.Kind, a.Shards, a.Numbers = v.kind, v.shards, v.numbers
		if a.Kind == job.AggregateVote {
			a.Lower, a.Upper = 0, 0
		}
		j.Limits.WallSeconds = a.Wall(job.LeastSlot, job.LeastReading)
		switch err := j.Validate(); {
		case v.fits && err != nil:
			t.Errorf("%+v: %v", v, err)
		case !v.fits && (!errors.Is(err, job.ErrAnswers) || !errors.Is(err, job.ErrInvalid)):
			t.Errorf("%+v: %v", v, err)
		}
	}
}

// TestOtherTrainings: the other ways to make batches, and every runtime class.
func TestOtherTrainings(t *testing.T) {
	k := statementtest.NewKey(t, envelope.RoleBuyer)
	for name, m := range map[string]dp.Mechanism{
		"fixed size":  {Kind: dp.Gaussian, Noise: 1, Sampling: dp.FixedSize, Rate: dp.Rate{Num: 512, Den: 60_000}, Count: 10},
		"consecutive": {Kind: dp.Gaussian, Noise: 1, Sampling: dp.NoSampling, Rate: dp.One, Count: 10},
		"tree":        {Kind: dp.Tree, Noise: 1, Size: 100, Sampling: dp.NoSampling, Rate: dp.One, Count: 6},
		"without score": {
			Kind: dp.Gaussian, Noise: 1, Sampling: dp.Poisson, Rate: dp.Rate{Num: 1, Den: 3}, Count: 600, Delta: 5,
		},
	} {
		j := inMode(k, dataset.ModeTraining)
		j.Runtime, j.Privacy.Adjacency, j.Privacy.Mechanisms[0] = job.RuntimeTrainSum, dp.ReplaceOne, m
		if name == "without score" {
			j.Privacy.Training.Score, j.Outputs, j.Privacy.Mechanisms = "", j.Outputs[:1], j.Privacy.Mechanisms[:1]
		}
		if err := j.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(j.Privacy.Composition().Mechanisms, j.Privacy.Mechanisms) || j.Privacy.Composition().Adjacency != dp.ReplaceOne {
			t.Errorf("%s: another composition", name)
		}
	}
}
