// SPDX-License-Identifier: Apache-2.0

package train

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/enclave/train/clip"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// TestSampleIsTheSamplers: what a step sums is what the sampler chose, of the data's order, and nothing else.
func TestSampleIsTheSamplers(t *testing.T) {
	c := poisson()
	c.Sampler, c.Noise = NewSampler(stream(7)), silence{}
	w := &plain{clip: 1, gradient: one}
	if _, err := Run(t.Context(), c, units(16), w); err != nil {
		t.Fatal(err)
	}
	again := NewSampler(stream(7))
	for step, got := range w.seen {
		want, err := again.Poisson(16, dp.Rate{Num: 1, Den: 4}, nil)
		if err != nil || len(want) != len(got) {
			t.Fatalf("step %d: %d units, want %v, %v", step, len(got), want, err)
		}
		for i, u := range want {
			if got[i][0][0] != byte(u) {
				t.Fatalf("step %d: unit %d, want %d", step, got[i][0][0], u)
			}
		}
	}
}

// counted is noise that is 1 in every place and remembers what it was asked for.
type counted struct {
	sigmas []sampler.Rat
	sizes  []int
}

func (c *counted) Gaussian(dst []int64, sigma sampler.Rat) error {
	for i := range dst {
		dst[i] = 1 << 20
	}
	c.sigmas, c.sizes = append(c.sigmas, sigma), append(c.sizes, len(dst))
	return nil
}

// TestNoiseIsOfTheSensitivity: its deviation is the multiplier times what one change of the data changes, and it is added once
// to every element of every step, also of an empty batch.
func TestNoiseIsOfTheSensitivity(t *testing.T) {
	for adjacency, sens := range map[string]uint64{dp.AddOrRemove: clip.Norm, dp.ReplaceOne: 2 * clip.Norm} {
		c, noise := poisson(), &counted{}
		c.Privacy.Adjacency, c.Noise = adjacency, noise
		c.Privacy.Mechanisms[0].Noise = 1_300_000
		zeros := func([]float32, []byte) []float32 { return []float32{0, 0} }
		res, err := Run(t.Context(), c, units(16), &plain{clip: 1, gradient: zeros})
		if err != nil {
			t.Fatal(err)
		}
		if len(noise.sigmas) != 10 {
			t.Fatalf("%d draws for 10 steps", len(noise.sigmas))
		}
		for i, s := range noise.sigmas {
			if want := (sampler.Rat{Num: 1_300_000 * sens, Den: dp.Micro}); s != want || noise.sizes[i] != 2 {
				t.Errorf("%s: %v of %d, want %v", adjacency, s, noise.sizes[i], want)
			}
		}
		for _, p := range res.Params { // gradients of norm 0: ten steps of one clip over a lot of four
			if math.Abs(float64(p)+2.5) > 1e-5 {
				t.Errorf("%s: %v, want -2.5", adjacency, p)
			}
		}
	}
}

// TestCrashBetweenDebitAndStep: a step that was debited and failed counts as run.
func TestCrashBetweenDebitAndStep(t *testing.T) {
	broken := errors.New("broken")
	c := poisson()
	w := &plain{clip: 1, gradient: one, before: func(step int) error {
		if step == 3 {
			return broken
		}
		return nil
	}}
	res, err := Run(t.Context(), c, units(16), w)
	if !errors.Is(err, broken) || res.Ran[0].Count != 4 || res.Steps != 3 || res.Params != nil {
		t.Fatalf("%v, %+v", err, res)
	}
}

// brokenSeam is a sampler and noise that fail.
type brokenSeam struct{}

func (brokenSeam) Gaussian([]int64, sampler.Rat) error        { return sampler.ErrEntropy }
func (brokenSeam) Poisson(int, dp.Rate, []int) ([]int, error) { return nil, ErrSeam }
func (brokenSeam) Fixed(int, int, []int) ([]int, error)       { return nil, ErrSeam }

// TestNoStepWithoutNoise: bytes that run out end the training, after the debit, and nothing leaves.
func TestNoStepWithoutNoise(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"noise":       func(c *Config) { c.Noise = brokenSeam{} },
		"noise later": func(c *Config) { c.Noise = NewNoise(bytes.NewReader(make([]byte, 10_000))) },
		"sampler":     func(c *Config) { c.Sampler = brokenSeam{} },
		"sample ends": func(c *Config) { c.Sampler = NewSampler(bytes.NewReader(make([]byte, 100))) },
	} {
		c := poisson()
		change(c)
		w := &plain{clip: 1, gradient: one}
		res, err := Run(t.Context(), c, units(16), w)
		if !errors.Is(err, ErrSeam) || res.Params != nil || len(res.Ran) != 1 || len(w.seen) > 5 {
			t.Errorf("%s: %v, %+v, %d steps", name, err, res, len(w.seen))
		}
	}
}

// breaks is a worker that fails in the middle of a step, when it has added something.
type breaks struct {
	plain
	total []int64
	err   func(ctx context.Context) error
}

func (b *breaks) Sum(ctx context.Context, _ []float32, _ []Unit, total []int64) error {
	b.total, total[0] = total, 7
	return b.err(ctx)
}

// kept is noise that keeps where it wrote.
type kept struct{ vectors [][]int64 }

func (k *kept) Gaussian(dst []int64, _ sampler.Rat) error {
	for i := range dst {
		dst[i] = 3
	}
	k.vectors = append(k.vectors, dst)
	return nil
}

// TestSumOfAStepThatFails is forgotten before the run returns, of batches and of trees, and so is noise that was drawn for it.
func TestSumOfAStepThatFails(t *testing.T) {
	for _, kind := range []string{dp.Gaussian, dp.Tree} {
		c := poisson()
		if kind == dp.Tree {
			c.Privacy.Adjacency = dp.ReplaceOne
			c.Privacy.Mechanisms[0] = dp.Mechanism{Kind: dp.Tree, Noise: dp.Micro, Size: 8, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}
		}
		noise := &kept{}
		c.Noise = noise
		w := &breaks{err: func(context.Context) error { return ErrWorker }}
		if _, err := Run(t.Context(), c, units(16), w); !errors.Is(err, ErrWorker) || w.total == nil || w.total[0] != 0 {
			t.Errorf("%s: %v, %v is left", kind, err, w.total)
		}
		for _, v := range noise.vectors {
			if v[0] != 0 || v[1] != 0 {
				t.Errorf("%s: noise is left", kind)
			}
		}
	}
}

// TestWhyAWorkerWasStopped is said, not what the worker then failed of.
func TestWhyAWorkerWasStopped(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("revoked")
	w := &breaks{err: func(context.Context) error {
		cancel(why)
		return ErrWorker
	}}
	if _, err := Run(ctx, poisson(), units(16), w); !errors.Is(err, why) || errors.Is(err, ErrWorker) {
		t.Error(err)
	}
}

// TestNothingToTrainWith: no configuration, data or worker.
func TestNothingToTrainWith(t *testing.T) {
	w := &plain{clip: 1, gradient: one}
	for name, run := range map[string]func() (*Result, error){
		"no configuration": func() (*Result, error) { return Run(t.Context(), nil, units(16), w) },
		"no data":          func() (*Result, error) { return Run(t.Context(), poisson(), nil, w) },
		"no worker":        func() (*Result, error) { return Run(t.Context(), poisson(), units(16), nil) },
	} {
		if res, err := run(); !errors.Is(err, ErrConfig) || len(res.Ran) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBatchesOfFixedSize are of the declared size.
func TestBatchesOfFixedSize(t *testing.T) {
	c := poisson()
	c.Privacy.Adjacency = dp.ReplaceOne
	c.Privacy.Mechanisms[0].Sampling, c.Privacy.Mechanisms[0].Rate = dp.FixedSize, dp.Rate{Num: 4, Den: 16}
	w := &plain{clip: 1, gradient: one}
	if _, err := Run(t.Context(), c, units(16), w); err != nil || len(w.seen) != 10 {
		t.Fatal(err, len(w.seen))
	}
	for step, b := range w.seen {
		if len(b) != 4 {
			t.Errorf("step %d: %d units", step, len(b))
		}
	}
}

// TestNoiseThatNoSumHas: noise that was planned and not added ends a training.
func TestNoiseThatNoSumHas(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := drawAhead(ctx, &counted{}, 2, draws{sigma: sampler.Rat{Num: 1, Den: 1}, count: 2})
	defer a.stop(cancel)
	if err := a.add(make([]int64, 2)); err != nil {
		t.Fatal(err)
	}
	if err := a.spent(); !errors.Is(err, ErrSeam) {
		t.Error(err)
	}
	b := drawAhead(ctx, &counted{}, 2, draws{sigma: sampler.Rat{Num: 1, Den: 1}, count: 1})
	defer b.stop(cancel)
	if err := b.add(make([]int64, 2)); err != nil || b.spent() != nil {
		t.Error(err)
	}
	if err := b.add(make([]int64, 2)); !errors.Is(err, ErrSeam) {
		t.Errorf("more than was planned: %v", err)
	}
	c := poisson()
	r, err := newRun(c, units(16), &plain{clip: 1, gradient: one})
	if err != nil {
		t.Fatal(err)
	}
	want := r.vectors()
	want.count++
	r.noise = drawAhead(ctx, c.Noise, 2, want)
	defer r.noise.stop(cancel)
	if err := r.train(ctx); !errors.Is(err, ErrSeam) || r.step != r.steps {
		t.Errorf("after %d of %d steps: %v", r.step, r.steps, err)
	}
}

func TestStoppedTraining(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("revoked")
	c := poisson()
	w := &plain{clip: 1, gradient: one, before: func(step int) error {
		if step == 2 {
			cancel(why)
		}
		return nil
	}}
	if res, err := Run(ctx, c, units(16), w); !errors.Is(err, why) || res.Ran[0].Count > 4 || res.Params != nil {
		t.Fatalf("%v, %+v", err, res)
	}
}

// TestNotATraining: what a training hangs on, out in turn.
func TestNotATraining(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no sampler":        func(c *Config) { c.Sampler = nil },
		"no noise":          func(c *Config) { c.Noise = nil },
		"no clock":          func(c *Config) { c.Clock = nil },
		"nothing granted":   func(c *Config) { c.Granted = 0 },
		"no training":       func(c *Config) { c.Privacy.Training = nil },
		"no parameters":     func(c *Config) { c.Params = nil },
		"over the cap":      func(c *Config) { c.Params = make([]float32, 3) },
		"no lot":            func(c *Config) { c.Privacy.Training.Lot = 0 },
		"no clip":           func(c *Config) { c.Privacy.Training.Clip = 0 },
		"no pace":           func(c *Config) { c.Privacy.Training.Pace = 0 },
		"momentum":          func(c *Config) { c.Privacy.Training.Momentum = dp.Micro },
		"average":           func(c *Config) { c.Privacy.Training.Average = -1 },
		"weight decay":      func(c *Config) { c.Privacy.Training.WeightDecay = -1 },
		"no adjacency":      func(c *Config) { c.Privacy.Adjacency = "" },
		"no noise multiple": func(c *Config) { c.Privacy.Mechanisms[0].Noise = 0 },
		"noise beyond sums": func(c *Config) { c.Privacy.Mechanisms[0].Noise = 1<<53 - 1 },
		"no count":          func(c *Config) { c.Privacy.Mechanisms[0].Count = 0 },
		"other mechanism":   func(c *Config) { c.Privacy.Mechanisms[0].Kind = dp.Laplace },
		"three mechanisms": func(c *Config) {
			c.Privacy.Mechanisms = append(c.Privacy.Mechanisms, c.Privacy.Mechanisms[0], c.Privacy.Mechanisms[0])
		},
		"sampled score":        func(c *Config) { withScore(c).Sampling = dp.Poisson },
		"score of other noise": func(c *Config) { withScore(c).Kind = dp.Laplace },
		"score of two times":   func(c *Config) { withScore(c).Count = 2 },
		"no learning rate":     func(c *Config) { c.Privacy.Training.LearningRate = 0 },
		"beta2":                func(c *Config) { c.Privacy.Training.Beta2 = dp.Micro },
		"adam without beta2":   func(c *Config) { c.Privacy.Training.Optimiser = job.OptimiserAdam },
		"over all caps": func(c *Config) {
			c.Params = make([]float32, clip.MaxParams+1)
			c.Privacy.Training.Params = clip.MaxParams + 1
		},
		"fixed batches where units come and go": func(c *Config) {
			c.Privacy.Mechanisms[0].Sampling, c.Privacy.Mechanisms[0].Rate = dp.NoSampling, dp.One
		},
	} {
		c, w := poisson(), &plain{clip: 1, gradient: one}
		change(c)
		if res, err := Run(t.Context(), c, units(16), w); !errors.Is(err, ErrConfig) || len(res.Ran) != 0 || len(w.seen) != 0 {
			t.Errorf("%s: %v, %+v", name, err, res)
		}
	}
}

// spilt is data that others see the use of.
type spilt struct{ Units }

// withScore adds a score to a training, and gives its mechanism.
func withScore(c *Config) *dp.Mechanism {
	c.Privacy.Mechanisms = append(c.Privacy.Mechanisms, dp.Mechanism{Kind: dp.Gaussian, Noise: 5 * dp.Micro, Sampling: dp.NoSampling, Rate: dp.One, Count: 1})
	return &c.Privacy.Mechanisms[1]
}

// TestMoreThanThereIsRoomFor: data and trees that are too large, and steps without end, are refused before there is any of them.
func TestMoreThanThereIsRoomFor(t *testing.T) {
	for name, try := range map[string]struct {
		change func(*Config)
		n      int
	}{
		"units": {func(*Config) {}, maxUnits + 1},
		"steps": {func(c *Config) {
			c.Privacy.Adjacency, c.Privacy.Training.Lot = dp.ReplaceOne, 1
			c.Privacy.Mechanisms[0].Sampling, c.Privacy.Mechanisms[0].Rate, c.Privacy.Mechanisms[0].Count = dp.NoSampling, dp.One, 1<<13
		}, 1 << 20},
		"a tree": {func(c *Config) {
			c.Privacy.Adjacency, c.Privacy.Training.Lot, c.Privacy.Training.Params = dp.ReplaceOne, 1, 1<<23
			c.Params = make([]float32, 1<<23)
			c.Privacy.Mechanisms[0] = dp.Mechanism{Kind: dp.Tree, Noise: dp.Micro, Size: 1 << 20, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}
		}, 1 << 20},
		"samples of another size than the lot": {func(c *Config) {
			c.Privacy.Adjacency, c.Privacy.Mechanisms[0].Sampling, c.Privacy.Mechanisms[0].Rate = dp.ReplaceOne, dp.FixedSize, dp.Rate{Num: 5, Den: 16}
		}, 16},
	} {
		c := poisson()
		try.change(c)
		if err := c.Check(try.n); !errors.Is(err, ErrData) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := steps(&dp.Mechanism{Sampling: dp.NoSampling, Count: 1 << 53}, 1<<20, 1); n != math.MaxInt64 {
		t.Errorf("%d steps", n)
	}
}

func (spilt) Hidden() bool { return false }

// TestNotTheData: no data, one record, fewer than the lot, not the declared number, more than fits in memory.
func TestNotTheData(t *testing.T) {
	fixed := func(c *Config) {
		c.Privacy.Adjacency = dp.ReplaceOne
		c.Privacy.Mechanisms[0].Sampling, c.Privacy.Mechanisms[0].Rate = dp.FixedSize, dp.Rate{Num: 4, Den: 16}
	}
	tree := func(c *Config) {
		c.Privacy.Adjacency = dp.ReplaceOne
		c.Privacy.Mechanisms[0] = dp.Mechanism{Kind: dp.Tree, Noise: dp.Micro, Size: 3, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}
	}
	for name, c := range map[string]struct {
		change func(*Config)
		data   Data
		ok     bool
	}{
		"none":                      {func(*Config) {}, units(0), false},
		"one":                       {func(*Config) {}, units(1), false},
		"fewer than the lot":        {func(*Config) {}, units(3), false},
		"as many as the lot":        {func(*Config) {}, units(4), true},
		"one with a lot of one":     {func(c *Config) { c.Privacy.Training.Lot = 1 }, units(1), true},
		"as many as declared":       {fixed, units(16), true},
		"more than declared":        {fixed, units(17), false},
		"as many as the tree":       {tree, units(12), true},
		"more than the tree":        {tree, units(13), false},
		"sampled where others look": {func(*Config) {}, spilt{units(16)}, false},
		"a tree where others look":  {tree, spilt{units(12)}, true},
	} {
		cfg, w := poisson(), &plain{clip: 1, gradient: one}
		c.change(cfg)
		res, err := Run(t.Context(), cfg, c.data, w)
		if c.ok && err != nil || !c.ok && (!errors.Is(err, ErrData) || len(res.Ran) != 0 || len(w.seen) != 0) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestScoreIsBoundedAndNoised: each unit's first record scores from 0 to 1, whatever the guest says.
func TestScoreIsBoundedAndNoised(t *testing.T) {
	says := []float32{1, 0, 0.5, -7, 1e30, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}
	c := poisson()
	c.Noise = silence{}
	c.Privacy.Mechanisms = append(c.Privacy.Mechanisms, dp.Mechanism{Kind: dp.Gaussian, Noise: 5 * dp.Micro, Sampling: dp.NoSampling, Rate: dp.One, Count: 1})
	data := units(len(says))
	data[1] = append(data[1], []byte{0}) // a second record of it does not count
	data = append(data, Unit{})          // nothing is left of this one
	w := &plain{clip: 1, gradient: one, predict: func(r []byte) float32 { return says[r[0]] }}
	res, err := Run(t.Context(), c, data, w)
	if err != nil {
		t.Fatal(err)
	}
	if want := 3.5 / 9; res.Score == nil || math.Abs(res.Score.Mean-want) > 1e-9 || math.Abs(res.Score.Deviation-5.0/9) > 1e-9 || len(res.Ran) != 2 {
		t.Fatalf("%+v, want %v", res.Score, want)
	}
	for _, adjacency := range []string{dp.AddOrRemove, dp.ReplaceOne} { // a score moves by one, whichever
		c.Privacy.Adjacency = adjacency
		if s, err := c.sigma(1); err != nil || s != (sampler.Rat{Num: 5 * dp.Micro * clip.Norm, Den: dp.Micro}) {
			t.Fatalf("%s: %v, %v", adjacency, s, err)
		}
	}
	noise := &counted{}
	c.Noise, c.Privacy.Adjacency = noise, dp.AddOrRemove
	if res, err = Run(t.Context(), c, data, w); err != nil || math.Abs(res.Score.Mean-4.5/9) > 1e-9 {
		t.Fatalf("%v, %+v", err, res.Score)
	}
	if got := noise.sigmas[len(noise.sigmas)-1]; got != (sampler.Rat{Num: 5 * dp.Micro * clip.Norm, Den: dp.Micro}) {
		t.Fatalf("noise of %v", got)
	}
}

// lazy is a worker that scores the first records it is asked for, and then none.
type lazy struct {
	plain
	asked int
}

func (l *lazy) Score(_ context.Context, _ []float32, _ [][]byte, scores []float32) error {
	l.asked++
	for i := range scores {
		if l.asked == 1 {
			scores[i] = 1
		}
	}
	return nil
}

// TestScoresOfOthers: a record that nobody scores has no score, and not that of the record that was asked about before.
func TestScoresOfOthers(t *testing.T) {
	c := poisson()
	c.Noise = silence{}
	c.Privacy.Mechanisms = append(c.Privacy.Mechanisms, dp.Mechanism{Kind: dp.Gaussian, Noise: 5 * dp.Micro, Sampling: dp.NoSampling, Rate: dp.One, Count: 1})
	res, err := Run(t.Context(), c, units(2*scoreBatch), &lazy{plain: plain{clip: 1, gradient: one}})
	if err != nil || res.Score.Mean != 0.5 {
		t.Fatal(err, res.Score)
	}
}

// TestSumsAreForgotten: what is not noised does not outlive the run.
func TestSumsAreForgotten(t *testing.T) {
	c := poisson()
	r, err := newRun(c, units(16), &plain{clip: 1, gradient: one})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.noise = drawAhead(ctx, c.Noise, 2, r.vectors())
	if err := r.train(ctx); err != nil {
		t.Fatal(err)
	}
	r.noise.stop(cancel)
	r.wipe()
	for _, v := range append(r.noise.all, r.total) {
		if slices.ContainsFunc(v, func(n int64) bool { return n != 0 }) {
			t.Error("something is left", v)
		}
	}
	for _, u := range r.units[:cap(r.units)] {
		if u != nil {
			t.Error("a unit is left")
		}
	}
	for range 20 { // noise that was drawn and not used
		ctx, cancel := context.WithCancel(t.Context())
		a := drawAhead(ctx, &counted{}, 2, draws{sigma: sampler.Rat{Num: 1, Den: 1}, count: 9})
		if err := a.add(make([]int64, 2)); err != nil {
			t.Fatal(err)
		}
		a.stop(cancel)
		for _, v := range a.all {
			if v[0] != 0 || v[1] != 0 {
				t.Error("noise is left")
			}
		}
	}
}
