// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strconv"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// TestNumbersAreReadExactly: what has no exact integer is refused, never rounded to one.
func TestNumbersAreReadExactly(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1_000_000, "0.1": 100_000, "1e-6": 1, "1E3": 1_000_000_000, "0": 0, "-2.5": -2_500_000, "+3": 3_000_000, "0.300000": 300_000, "1e-05": 10, "00.5": 500_000,
	} {
		if got, err := numberOf("x", text, dp.Micro); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "NaN", "nan", "Inf", "-inf", "infinity", "1e400", "1e-7", "0.0000001", "1/3", "0x10", "0b1", "1_000", "1e999999999", "1e-999999999", "9e15", "--1", "1,5",
		"0.0000000000000000000000000000000000001",
	} {
		if got, err := numberOf("x", text, dp.Micro); err == nil || classify(err).Kind != KindUsage || classify(err).Hint == "" {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"0", "-1", "0.0", "-0"} {
		if got, err := positive("x", text, dp.Micro); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

// FuzzNumbers: what is read is what was written.
func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"1", "1e-5", "NaN", "1e999999999", "0.000001", "-3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := numberOf("x", s, dp.Micro)
		if err != nil {
			return
		}
		v, err := strconv.ParseFloat(s, 64)
		if back := float64(n) / dp.Micro; err != nil || back-v > 1e-9*max(1, v, -v) || v-back > 1e-9*max(1, v, -v) {
			t.Errorf("%q is %d millionths", s, n)
		}
	})
}

// TestCalibration: the least noise and the greatest budget that an ε allows, and nothing where there is none.
func TestCalibration(t *testing.T) {
	d := &job.Privacy{Adjacency: dp.AddOrRemove, Accountant: dp.RDP, Delta: 10_000_000}
	gaussian := func(noise int64) error {
		d.Mechanisms = []dp.Mechanism{{Kind: dp.Gaussian, Noise: noise, Sampling: dp.NoSampling, Rate: dp.One, Count: 3}}
		return nil
	}
	laplace := func(epsilon int64) error {
		d.Mechanisms = []dp.Mechanism{{Kind: dp.Pure, Epsilon: epsilon, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}}
		return nil
	}
	for _, want := range []int64{1000, 500_000, 1_000_000, 20_000_000, 900_000_000} {
		for name, c := range map[string]struct {
			up  bool
			set func(int64) error
			of  func() int64
			off int64 // a step beyond which more than want is spent
		}{
			"noise":  {true, gaussian, func() int64 { return d.Mechanisms[0].Noise }, -1},
			"budget": {false, laplace, func() int64 { return d.Mechanisms[0].Epsilon }, 1},
		} {
			if err := calibrate(d, want, c.up, c.set); err != nil {
				t.Errorf("%s for %d: %v", name, want, err)
				continue
			}
			got := c.of()
			if ok, err := fits(d, want); !ok || err != nil {
				t.Errorf("%s for %d: %d is too much (%v)", name, want, got, err)
			}
			if err := c.set(got + c.off*max(2, got/5000)); err != nil {
				t.Fatal(err)
			}
			if ok, _ := fits(d, want); ok {
				t.Errorf("%s for %d: %d is not the turn", name, want, got)
			}
		}
	}
	d.Mechanisms = nil
	never := func(int64) error {
		d.Mechanisms = []dp.Mechanism{{Kind: dp.Pure, Epsilon: 5_000_000, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}}
		return nil
	}
	if err := calibrate(d, 1_000_000, true, never); err == nil || classify(err).Kind != KindUsage {
		t.Errorf("no noise does, and the answer is %v", err)
	}
	broken := errors.New("broken")
	if err := calibrate(d, 1_000_000, true, func(int64) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// TestStrictestTermsCount: over several datasets, what all terms allow is offered.
func TestStrictestTermsCount(t *testing.T) {
	data := func(name string, f func(*dataset.Terms)) published {
		m := &dataset.Manifest{Name: name, Records: 100, Tree: dataset.Tree{Size: 1}}
		m.Terms = dataset.Terms{Modes: []string{dataset.ModeTraining}, Outputs: []string{"metrics", "model"}, MaxOutputBytes: 1 << 20}.ForAnyone()
		m.Terms.Private = []dataset.ModePrivacy{{Mode: dataset.ModeTraining, Epsilon: 3_000_000, Delta: 1000, Contributions: 1, Runtimes: []string{job.RuntimeTrain}}}
		if f != nil {
			f(&m.Terms)
		}
		return published{m: m}
	}
	try := func(more ...published) (*subject, error) {
		d := &draft{job: &job.Job{Mode: dataset.ModeTraining, Runtime: job.RuntimeTrain, Limits: job.Limits{OutputBytes: 16 << 20}}, datasets: append([]published{data("a", nil)}, more...)}
		return (&privateFlags{accountant: dp.RDP}).subject(d, dataset.ModeTraining)
	}
	x, err := try(data("b", func(t *dataset.Terms) {
		t.Private[0].Epsilon, t.Private[0].Delta, t.MaxOutputBytes, t.Outputs = 2_000_000, 10, 1<<10, []string{"model"}
	}))
	if err != nil || x.units != 200 || x.epsilon != 2_000_000 || x.delta != 10 || x.room != 1<<10 || len(x.classes) != 1 {
		t.Errorf("%+v, %v", x, err)
	}
	for name, f := range map[string]func(*dataset.Terms){
		"not allowed":       func(t *dataset.Terms) { t.Private = nil },
		"another runtime":   func(t *dataset.Terms) { t.Private[0].Runtimes = []string{job.RuntimeTrainSum} },
		"another unit":      func(t *dataset.Terms) { t.Privacy.Unit = dataset.UnitContributor },
		"another adjacency": func(t *dataset.Terms) { t.Privacy.Adjacency = dataset.ReplaceOne },
	} {
		if _, err := try(data("b", f)); err == nil || classify(err).Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	empty := data("b", nil)
	empty.m.Records = 0
	if _, err := try(empty); err == nil || classify(err).Kind != KindUsage {
		t.Errorf("an empty dataset: %v", err)
	}
}
