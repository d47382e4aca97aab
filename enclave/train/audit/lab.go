// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/enclave/train/clip"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// lab is a trainer under attack: the real loop, with what it is lent.
type lab struct {
	sampler train.Sampler
	noise   train.Noise
	guest   *guest
}

// newLab has everything as the enclave has it. Streams of bytes are each for one of them.
func newLab(random func() io.Reader) *lab {
	return &lab{sampler: train.NewSampler(random()), noise: train.NewNoise(random()), guest: &guest{clips: true, restores: true}}
}

// guest is a worker that runs the worst of guests: one that answers a canary with a gradient of its own, longer than allowed,
// and all other records with zeros, and that wants to remember.
type guest struct {
	clips     bool        // as it must: units' gradients
	perRecord bool        // clips records' gradients instead
	restores  bool        // as it must: the instance's memory, between records
	remembers bool        // in that memory: that a canary was there
	seen      [][]float32 // the parameters of each step: what a guest is shown, so what an attacker knows
	batches   [][]int     // the first element of each unit, of each step
}

// record is a record by what it pulls: an element of the gradient, from 1, and which way. Element 0 is none.
func record(element int, down bool) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(element))
	if down {
		return append(b, 1)
	}
	return append(b, 0)
}

// element is what a record pulls.
func element(record []byte) int { return int(binary.LittleEndian.Uint32(record)) }

// length is a canary's gradient, in clipping norms.
const length = 50

// gradient is one of the guest's answers.
func (g *guest) gradient(record []byte, into []float32) {
	if g.restores {
		g.remembers = false
	}
	clear(into)
	pull := element(record)
	switch {
	case pull > 0 && pull <= len(into):
		g.remembers = true
	case g.remembers:
		pull = 1
	default:
		return
	}
	if into[pull-1] = length; record[4] == 1 {
		into[pull-1] = -length
	}
}

// Sum implements train.Worker with the kernels that the enclave has.
func (g *guest) Sum(_ context.Context, params []float32, units []train.Unit, total []int64) error {
	g.seen = append(g.seen, append([]float32(nil), params...))
	g.remembers = false // of the step before
	sum, err := clip.New(len(params), 1)
	if err != nil {
		return err
	}
	gradient, batch := make([]float32, len(params)), []int{}
	for _, u := range units {
		batch = append(batch, element(u[0]))
		for _, r := range u {
			g.gradient(r, gradient)
			g.take(sum, gradient, total)
		}
		sum.End()
	}
	g.batches = append(g.batches, batch)
	for i, v := range sum.Total() {
		total[i] += v
	}
	return nil
}

// take adds a gradient to a unit's, or to the sum if the guest's worker is broken.
func (g *guest) take(sum *clip.Sum, gradient []float32, total []int64) {
	if g.clips {
		if sum.Add(gradient); g.perRecord {
			sum.End()
		}
		return
	}
	for i, v := range gradient {
		total[i] += int64(v * clip.Norm)
	}
}

// Score implements train.Worker.
func (g *guest) Score(context.Context, []float32, [][]byte, []float32) error { return nil }

// clock makes no one wait.
type clock struct{ now time.Duration }

func (c *clock) Now() time.Duration { return c.now }

func (c *clock) Wait(ctx context.Context, until time.Duration) error {
	c.now = max(c.now, until)
	return context.Cause(ctx)
}

func (c *clock) Bound(ctx context.Context, _ time.Duration, _ error) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// plan is what a job declares.
type plan struct {
	adjacency string
	steps     dp.Mechanism
	delta     float64
	lot       int
}

// claim is ε as everybody computes it, by the accountant that bounds it best.
func (p plan) claim() (float64, error) {
	c := dp.Composition{Adjacency: p.adjacency, Mechanisms: []dp.Mechanism{p.steps}}
	best, err := dp.Epsilon(&c, p.delta, dp.RDP)
	if b, tight := dp.Epsilon(&c, p.delta, dp.PLD); tight == nil && (err != nil || b.Epsilon < best.Epsilon) {
		best, err = b, nil
	}
	return best.Epsilon, err
}

// noise is the noise multiplier.
func (p plan) noise() float64 { return float64(p.steps.Noise) / dp.Micro }

// config is a training that does what is declared some times over. It is plain gradient descent: sums can be read from parameters.
func (p plan) config(l *lab, params, times int) (*train.Config, error) {
	comp := dp.Composition{Adjacency: p.adjacency, Mechanisms: []dp.Mechanism{p.steps}}
	comp.Mechanisms[0].Count *= int64(times)
	b, err := dp.Epsilon(&comp, p.delta, dp.RDP)
	if err != nil {
		return nil, err
	}
	epsilon, err := dp.Micros(b.Epsilon)
	if err != nil {
		return nil, err
	}
	return &train.Config{
		Privacy: job.Privacy{
			Unit: "record", Contributions: 1, Adjacency: p.adjacency, Mechanisms: comp.Mechanisms, Accountant: dp.RDP,
			Delta: int64(p.delta * dp.Pico), Epsilon: epsilon,
			Training: &job.Training{
				Lot: int64(p.lot), Clip: dp.Micro, Optimiser: job.OptimiserSGD, LearningRate: dp.Micro, Decay: job.DecayNone,
				RecordFuel: 1, RecordBytes: 5, Params: int64(params), Pace: 1, Output: "model",
			},
		},
		Granted: epsilon, Params: make([]float32, params), Sampler: l.sampler, Noise: l.noise, Clock: &clock{},
	}, nil
}

// sums runs a training and gives what each step added up, with its noise, in clipping norms: by step, then by element.
func (p plan) sums(ctx context.Context, l *lab, data train.Units, params, times int) ([][]float64, error) {
	c, err := p.config(l, params, times)
	if err != nil {
		return nil, err
	}
	l.guest.seen, l.guest.batches = nil, nil
	res, err := train.Run(ctx, c, data, l.guest)
	if err != nil {
		return nil, err
	}
	at := append(l.guest.seen, res.Params)
	out := make([][]float64, len(at)-1)
	for t := range out {
		out[t] = make([]float64, params)
		for i := range out[t] {
			out[t][i] = float64(p.lot) * (float64(at[t][i]) - float64(at[t+1][i]))
		}
	}
	return out, nil
}

// likelihood is the logarithm of how much likelier sums are with a canary of 1 in the data than without, by Neyman and Pearson the
// best way to tell: in each step it was in the batch with probability q.
func likelihood(sums [][]float64, q, sigma float64) (l float64) {
	for _, s := range sums {
		in := (2*s[0] - 1) / (2 * sigma * sigma)
		if in > 500 {
			l += in + math.Log(q)
		} else {
			l += math.Log1p(q * math.Expm1(in))
		}
	}
	return l
}
