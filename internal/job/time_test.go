// SPDX-License-Identifier: Apache-2.0

package job_test

import (
	"math"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/job/statementtest"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// TestBuyerWhoSetsThePaceToTellBitsByTime: whatever a job declares, slots double a few times at most, and how much all times can
// tell is known before.
func TestBuyerWhoSetsThePaceToTellBitsByTime(t *testing.T) {
	base := job.Training{Lot: 256, RecordFuel: 1_000_000, Params: 10_000, Pace: 100}
	for name, c := range map[string]struct {
		change func(*job.Training)
		counts int64 // contributions
		want   int64
	}{
		// 256 + 6·17 + 10 units of 1.06 ms are 390 ms, and 252 besides
		"as it is":          {func(*job.Training) {}, 1, 3},
		"a long pace":       {func(t *job.Training) { t.Pace = 643 }, 1, 0},
		"one less":          {func(t *job.Training) { t.Pace = 641 }, 1, 1},
		"a short pace":      {func(t *job.Training) { t.Pace = 1 }, 1, 10},
		"many records each": {func(*job.Training) {}, 100, 9},
		"much fuel":         {func(t *job.Training) { t.Pace, t.RecordFuel = 1, 1<<53-1 }, 1, 16},
		"everything":        {func(t *job.Training) { t.Pace, t.Lot, t.RecordFuel = 1, job.MaxLot, 1<<53-1 }, job.MaxContributions, 16},
		"a large model":     {func(t *job.Training) { t.Params = job.MaxModelParams }, 1, 7},
	} {
		tr := base
		c.change(&tr)
		if got := tr.Overruns(c.counts); got != c.want {
			t.Errorf("%s: %d overruns, want %d", name, got, c.want)
		}
	}
	for _, most := range []int64{0, 1, 2, 5} {
		tr := base
		tr.Pace = tr.PaceFor(1, most)
		if got := tr.Overruns(1); got != most {
			t.Errorf("a pace of %d ms for %d overruns has %d", tr.Pace, most, got)
		}
	}
}

func TestBitsOfTimeFollowFromTheJob(t *testing.T) {
	j := &job.Job{Mode: "dp-training", Limits: job.Limits{WallSeconds: 7200}, Privacy: &job.Privacy{
		Contributions: 1, Mechanisms: []dp.Mechanism{{Kind: dp.Gaussian, Sampling: dp.Poisson, Count: 299}},
		Training: &job.Training{Lot: 256, RecordFuel: 1_000_000, Params: 10_000, Pace: 1000},
	}}
	// slots may double once, and the next time ends the run: C(302, 2) sequences; loading ends at one of 14 moments, or never
	if got, want := j.TimeBits(), int64(math.Ceil(math.Log2(302*301/2)+math.Log2(15))); got != want {
		t.Errorf("%d bits, want %d", got, want)
	}
	for _, more := range []func(){
		func() { j.Privacy.Training.Pace = 100 },
		func() { j.Privacy.Mechanisms[0].Count = 5000 },
		func() { j.Privacy.Mechanisms[0].Sampling = dp.NoSampling }, // how many steps a pass has, the job does not say
	} {
		was := j.TimeBits()
		if more(); j.TimeBits() <= was {
			t.Errorf("%d bits, and %d before", j.TimeBits(), was)
		}
	}
	j.Mode, j.Privacy.Training = "dp-release", nil
	if got := j.TimeBits(); got != 4 {
		t.Errorf("%d bits of a release", got)
	}
	if j.Mode = "raw"; j.TimeBits() != 0 {
		t.Error("bits of a mode in which nothing is hidden")
	}
}

// TestFewMoments: whatever takes how long, it ends at one of few times.
func TestFewMoments(t *testing.T) {
	const wall = job.MaxWall * time.Second
	seen := map[time.Duration]bool{}
	for d := time.Duration(0); d <= wall; d += 10 * time.Second {
		e := job.Even(d)
		if e < d || e < time.Second {
			t.Fatalf("%v ends at %v", d, e)
		}
		seen[e] = true
	}
	if job.Even(math.MaxInt64) < math.MaxInt64/2 {
		t.Error("a time that is too long")
	}
	if n := job.Moments(wall); int64(len(seen)) > n || n != 21 {
		t.Errorf("%d of %d moments", len(seen), n)
	}
}

// TestJobThatKeepsVerifiersBusy: what no query or aggregate does cannot be declared, since everybody has to account for it.
func TestJobThatKeepsVerifiersBusy(t *testing.T) {
	plain := dp.Mechanism{Kind: dp.DiscreteLaplace, Noise: dp.Micro, Sensitivity: 1, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}
	sampled, tree, discrete := plain, plain, plain
	sampled.Sampling, sampled.Rate = dp.Poisson, dp.Rate{Num: 1, Den: 2}
	tree.Kind, tree.Size, tree.Sensitivity = dp.Tree, 8, 0
	discrete.Kind = dp.DiscreteGaussian
	for name, c := range map[string]struct {
		mode string
		ms   []dp.Mechanism
		ok   bool
	}{
		"queries":           {"dp-release", []dp.Mechanism{plain, plain}, true},
		"sampled":           {"dp-release", []dp.Mechanism{plain, sampled}, false},
		"a tree":            {"dp-release", []dp.Mechanism{tree}, false},
		"discrete gaussian": {"dp-release", []dp.Mechanism{discrete}, false},
		"an aggregate":      {"sample-aggregate", []dp.Mechanism{plain}, true},
		"two aggregates":    {"sample-aggregate", []dp.Mechanism{plain, plain}, false},
	} {
		j := inMode(statementtest.NewKey(t, envelope.RoleBuyer), c.mode)
		j.Privacy.Mechanisms = c.ms
		if err := j.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
