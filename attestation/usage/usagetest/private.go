// SPDX-License-Identifier: Apache-2.0

package usagetest

import (
	"slices"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// delta is that of runs in differentially private modes, in 10⁻¹².
const delta = 10_000_000

// offerPrivate lets one job in a differentially private mode spend a part of the account.
func offerPrivate(m *dataset.Manifest, mode string) {
	if m.Kind == dataset.KindCode {
		return
	}
	t := &m.Terms
	t.Privacy.Adjacency, t.Privacy.Epsilon, t.Privacy.BuyerEpsilon, t.Privacy.Delta = dataset.ReplaceOne, 30_000_000, 30_000_000, 2*delta
	p := dataset.ModePrivacy{Mode: mode, Epsilon: 20_000_000, Delta: delta, Contributions: 1, Runtimes: job.RuntimesOf(mode)}
	slices.Sort(p.Runtimes)
	if mode == dataset.ModeAggregate {
		p.Shards = 10
	}
	t.Private = []dataset.ModePrivacy{p}
}

// declare makes j a job of its mode.
func declare(j *job.Job) error {
	gaussian := dp.Mechanism{Kind: dp.Gaussian, Noise: 4_000_000, Sampling: dp.NoSampling, Rate: dp.One, Count: 3}
	j.Runtime, j.Epochs = job.RuntimesOf(j.Mode)[0], 1
	j.Privacy = &job.Privacy{
		Unit: dataset.UnitRecord, Contributions: 1, Adjacency: dp.ReplaceOne, Mechanisms: []dp.Mechanism{gaussian}, Accountant: dp.RDP, Delta: delta,
	}
	p := j.Privacy
	switch j.Mode {
	case dataset.ModeTraining:
		score := gaussian
		score.Count = 1
		p.Mechanisms = append(p.Mechanisms, score)
		p.Training = &job.Training{
			Lot: 512, Clip: 1_000_000, Optimiser: job.OptimiserSGD, LearningRate: 100_000, Decay: job.DecayNone, RecordFuel: 1_000_000,
			RecordBytes: 4096, Params: 7850, Pace: 100, Output: "model.bin", Score: "metrics.json",
		}
	case dataset.ModeAggregate:
		p.Aggregate = &job.Aggregate{Shards: 20, Kind: job.AggregateMean, Numbers: 2, Upper: 1_000_000, Answer: "answer", Output: "metrics.json"}
		j.Outputs = j.Outputs[1:]
	default:
		p.Mechanisms = append(p.Mechanisms, dp.Mechanism{Kind: dp.Laplace, Noise: 5_000_000, Sampling: dp.NoSampling, Rate: dp.One, Count: 2})
		j.Outputs = j.Outputs[1:]
	}
	b, err := dp.Epsilon(p.Composition(), float64(p.Delta)/dp.Pico, p.Accountant)
	if err != nil {
		return err
	}
	p.Epsilon, err = dp.Micros(b.Epsilon)
	return err
}

// spend says that all declared mechanisms ran over every dataset, and nothing else of the run.
func (r *Run) spend() {
	s, p := &r.statement, r.job.Privacy
	s.Measured.CPUMillis, s.Measured.PeakMemory, s.Execution.Fuel = 0, 0, 0
	if r.job.Mode != dataset.ModeTraining {
		s.Outputs = s.Outputs[1:]
	}
	if r.job.Runtime == job.RuntimeQuery {
		s.Execution, s.Isolation, s.Measured.WallMillis = nil, usage.NotStarted, 0
	}
	for _, id := range r.ids[1:] {
		s.Spent = append(s.Spent, usage.Spend{
			Manifest: id, Unit: p.Unit, Contributions: p.Contributions, Adjacency: p.Adjacency, Mechanisms: slices.Clone(p.Mechanisms),
			Accountant: p.Accountant, Delta: p.Delta, Epsilon: p.Epsilon, Isolation: r.job.Runtime,
		})
	}
}
