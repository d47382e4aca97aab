// SPDX-License-Identifier: Apache-2.0

package train

import (
	"context"
	"crypto/rand"
	"math"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/train/clip"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// silence is noise without noise: what is left is exact.
type silence struct{}

func (silence) Gaussian(dst []int64, _ sampler.Rat) error {
	clear(dst)
	return nil
}

// fakeClock stands still but for waiting, and for what work adds to it.
type fakeClock struct {
	now  time.Duration
	ends []time.Duration
}

func (c *fakeClock) Now() time.Duration { return c.now }

func (c *fakeClock) Wait(ctx context.Context, until time.Duration) error {
	c.now = max(c.now, until)
	c.ends = append(c.ends, c.now)
	return ctx.Err()
}

func (c *fakeClock) Bound(ctx context.Context, _ time.Duration, _ error) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// plain is a worker that answers with a function of a record, clipped as the real one's are.
type plain struct {
	clip     float64
	gradient func(params []float32, record []byte) []float32
	predict  func(record []byte) float32
	seen     [][]Unit
	before   func(step int) error
}

func (p *plain) Sum(_ context.Context, params []float32, units []Unit, total []int64) error {
	if p.before != nil {
		if err := p.before(len(p.seen)); err != nil {
			return err
		}
	}
	p.seen = append(p.seen, append([]Unit(nil), units...))
	s, err := clip.New(len(params), p.clip)
	if err != nil {
		return err
	}
	for _, u := range units {
		for _, r := range u {
			s.Add(p.gradient(params, r))
		}
		s.End()
	}
	for i, v := range s.Total() {
		total[i] += v
	}
	return nil
}

func (p *plain) Score(_ context.Context, _ []float32, records [][]byte, scores []float32) error {
	for i, r := range records {
		scores[i] = p.predict(r)
	}
	return nil
}

// units are n units of one record each, of one byte.
func units(n int) Units {
	u := make(Units, n)
	for i := range u {
		u[i] = Unit{{byte(i)}}
	}
	return u
}

// poisson is a small training with Poisson batches.
func poisson() *Config {
	return &Config{
		Privacy: job.Privacy{
			Unit: "record", Contributions: 1, Adjacency: dp.AddOrRemove, Accountant: dp.RDP, Delta: 10_000_000, Epsilon: 100 * dp.Micro,
			Mechanisms: []dp.Mechanism{{Kind: dp.Gaussian, Noise: dp.Micro, Sampling: dp.Poisson, Rate: dp.Rate{Num: 1, Den: 4}, Count: 10}},
			Training: &job.Training{
				Lot: 4, Clip: dp.Micro, Optimiser: job.OptimiserSGD, LearningRate: dp.Micro, Decay: job.DecayNone,
				RecordFuel: 1, RecordBytes: 1, Params: 2, Pace: 1, Output: "model",
			},
		},
		Granted: 100 * dp.Micro, Params: make([]float32, 2),
		Sampler: NewSampler(rand.Reader), Noise: NewNoise(rand.Reader), Clock: &fakeClock{},
	}
}

// one is a gradient of (1, 0).
func one([]float32, []byte) []float32 { return []float32{1, 0} }

func TestFullPassesAreGradientDescent(t *testing.T) {
	c := poisson()
	c.Privacy.Adjacency, c.Noise = dp.ReplaceOne, silence{}
	c.Privacy.Mechanisms[0].Sampling, c.Privacy.Mechanisms[0].Rate, c.Privacy.Mechanisms[0].Count = dp.NoSampling, dp.One, 3
	w := &plain{clip: 1, gradient: one}
	res, err := Run(t.Context(), c, units(16), w)
	if err != nil {
		t.Fatal(err)
	}
	if res.Steps != 12 || len(w.seen) != 12 || res.Ran[0].Count != 3 {
		t.Fatalf("%d steps, %d batches, %+v", res.Steps, len(w.seen), res.Ran)
	}
	if got := float64(res.Params[0]); math.Abs(got+12) > 1e-4 || res.Params[1] != 0 {
		t.Fatalf("params %v, want -12 and 0", res.Params)
	}
}
