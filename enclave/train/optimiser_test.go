// SPDX-License-Identifier: Apache-2.0

package train

import (
	"math"
	"testing"

	"github.com/glovebox-dev/glovebox/enclave/train/clip"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// TestOptimisersAsPublished: three steps by hand.
func TestOptimisersAsPublished(t *testing.T) {
	g := []float64{1, -0.5, 2}
	sgd, momentum, adam, decayed := 0.0, 0.0, 0.0, 1.0
	v, m, s := 0.0, 0.0, 0.0
	for i, x := range g {
		sgd -= 0.1 * x
		v = 0.9*v + x
		momentum -= 0.1 * v
		m, s = 0.9*m+0.1*x, 0.99*s+0.01*x*x
		n := float64(i + 1)
		adam -= 0.1 * (m / (1 - math.Pow(0.9, n))) / (math.Sqrt(s/(1-math.Pow(0.99, n))) + 1e-8)
		decayed -= 0.1*x + 0.1*0.01*decayed
	}
	for name, c := range map[string]struct {
		t     job.Training
		start float32
		want  float64
	}{
		"sgd":          {job.Training{Optimiser: job.OptimiserSGD}, 0, sgd},
		"momentum":     {job.Training{Optimiser: job.OptimiserMomentum, Momentum: 900_000}, 0, momentum},
		"adam":         {job.Training{Optimiser: job.OptimiserAdam, Momentum: 900_000, Beta2: 990_000}, 0, adam},
		"weight decay": {job.Training{Optimiser: job.OptimiserSGD, WeightDecay: 10_000}, 1, decayed},
	} {
		c.t.Lot, c.t.Clip, c.t.LearningRate, c.t.Decay = 8, dp.Micro/2, 100_000, job.DecayNone
		o := newOptimiser(c.t, 3, []float32{c.start})
		for _, x := range g {
			o.apply([]float64{x * 8 * clip.Norm / 0.5}) // an integer of a sum is clip/Norm, divided by the lot
		}
		if got := float64(o.result()[0]); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestLearningRateDecays(t *testing.T) {
	for decay, want := range map[string][]float64{
		job.DecayNone: {1, 1, 1, 1}, job.DecayLinear: {1, 0.75, 0.5, 0.25}, job.DecayCosine: {1, (1 + math.Sqrt2/2) / 2, 0.5, (1 - math.Sqrt2/2) / 2},
	} {
		o := newOptimiser(job.Training{Lot: 1, Clip: 1, LearningRate: dp.Micro, Optimiser: job.OptimiserSGD, Decay: decay}, 4, []float32{0})
		for i, w := range want {
			if got := o.rate(); math.Abs(got-w) > 1e-12 {
				t.Errorf("%s, step %d: %v, want %v", decay, i, got, w)
			}
			o.apply([]float64{0})
		}
	}
}

func TestAverageForgetsTheBeginning(t *testing.T) {
	o := newOptimiser(job.Training{
		Lot: 1, Clip: dp.Micro, LearningRate: dp.Micro, Optimiser: job.OptimiserSGD, Decay: job.DecayNone, Average: 990_000,
	}, 1000, []float32{1e6})
	o.apply([]float64{1e6 * clip.Norm})
	for range 999 {
		o.apply([]float64{0})
	}
	if got := o.result()[0]; math.Abs(float64(got)) > 1 {
		t.Errorf("average %v of parameters that are 0", got)
	}
}

// TestParametersStayFinite: whatever a guest proposes, and however large steps are declared.
func TestParametersStayFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, opt := range []string{job.OptimiserSGD, job.OptimiserMomentum, job.OptimiserAdam} {
		o := newOptimiser(job.Training{
			Lot: 1, Clip: 1 << 53, LearningRate: 1 << 40, Optimiser: opt, Decay: job.DecayNone, Momentum: 999_999, Beta2: 999_999, WeightDecay: 1 << 40, Average: 500_000,
		}, 1000, []float32{nan, inf, -inf, math.MaxFloat32})
		for range 1000 {
			o.apply([]float64{math.MaxInt64, -math.MaxInt64, 1, 0})
		}
		for i, p := range append(o.result(), o.lent...) {
			if f := float64(p); math.IsNaN(f) || math.IsInf(f, 0) {
				t.Errorf("%s: parameter %d is %v", opt, i, p)
			}
		}
	}
}
