// SPDX-License-Identifier: Apache-2.0

package train

import (
	"math"

	"github.com/glovebox-dev/glovebox/enclave/train/clip"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// optimiser makes parameters of noised sums. It sees nothing else of the data: all of it is post-processing. Parameters stay
// finite: what would make one infinite is left out.
type optimiser struct {
	t      job.Training
	steps  int64
	step   int64
	unit   float64 // of the mean gradient, in one integer of a sum
	params []float64
	lent   []float32
	first  []float64 // moments
	second []float64
	mean   []float64 // moving average of parameters
}

// newOptimiser starts from parameters that a guest proposes.
func newOptimiser(t job.Training, steps int64, initial []float32) *optimiser {
	n := len(initial)
	o := &optimiser{t: t, steps: steps, params: make([]float64, n), lent: make([]float32, n)}
	o.unit = micro(t.Clip) / (clip.Norm * float64(t.Lot))
	for i, p := range initial {
		if v := float64(p); !math.IsNaN(v) && !math.IsInf(v, 0) {
			o.params[i], o.lent[i] = v, p
		}
	}
	if t.Optimiser != job.OptimiserSGD {
		o.first = make([]float64, n)
	}
	if t.Optimiser == job.OptimiserAdam {
		o.second = make([]float64, n)
	}
	if t.Average > 0 {
		o.mean = append([]float64(nil), o.params...)
	}
	return o
}

func micro(n int64) float64 { return float64(n) / dp.Micro }

// rate is the learning rate of the step at hand.
func (o *optimiser) rate() float64 {
	rate, part := micro(o.t.LearningRate), float64(o.step)/float64(o.steps)
	switch o.t.Decay {
	case job.DecayLinear:
		return rate * (1 - part)
	case job.DecayCosine:
		return rate * (1 + math.Cos(math.Pi*part)) / 2
	}
	return rate
}

// apply takes a step by a noised sum.
func (o *optimiser) apply(sum []float64) {
	rate, decay := o.rate(), micro(o.t.WeightDecay)
	direction := o.direction()
	for i, v := range sum {
		p := o.params[i]
		p -= rate * (direction(i, v*o.unit) + decay*p)
		if narrow := float32(p); !math.IsNaN(p) && !math.IsInf(float64(narrow), 0) {
			o.params[i], o.lent[i] = p, narrow
		}
	}
	o.step++
	o.average()
}

// direction is where an element goes for a gradient.
func (o *optimiser) direction() func(i int, g float64) float64 {
	b1, b2 := micro(o.t.Momentum), micro(o.t.Beta2)
	switch o.t.Optimiser {
	case job.OptimiserMomentum:
		return func(i int, g float64) float64 {
			o.first[i] = b1*o.first[i] + g
			return o.first[i]
		}
	case job.OptimiserAdam: // Kingma and Ba 2015
		const tiny = 1e-8
		n := float64(o.step + 1)
		c1, c2 := 1-math.Pow(b1, n), 1-math.Pow(b2, n)
		return func(i int, g float64) float64 {
			o.first[i] = b1*o.first[i] + (1-b1)*g
			o.second[i] = b2*o.second[i] + (1-b2)*g*g
			return o.first[i] / c1 / (math.Sqrt(o.second[i]/c2) + tiny)
		}
	}
	return func(_ int, g float64) float64 { return g }
}

// average moves the mean of parameters on; in the first steps faster, so that it forgets where it began.
func (o *optimiser) average() {
	if o.mean == nil {
		return
	}
	n := float64(o.step)
	keep := min(micro(o.t.Average), (1+n)/(10+n))
	for i, p := range o.params {
		o.mean[i] += (1 - keep) * (p - o.mean[i])
	}
}

// result is the trained parameters.
func (o *optimiser) result() []float32 {
	out := make([]float32, len(o.params))
	copy(out, o.lent)
	for i, v := range o.mean {
		out[i] = float32(v)
	}
	return out
}
