// SPDX-License-Identifier: Apache-2.0

package train

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// TestSlotsHideHowLongStepsTook: whatever steps take, they end with slots that only ever grow, by doubling; and as long as they
// fit, no step can be told from another.
func TestSlotsHideHowLongStepsTook(t *testing.T) {
	const pace = 10 * time.Millisecond
	took := []time.Duration{1, 9, 3, 25, 2, 2, 200, 1, 1, 1}
	c := &fakeClock{now: 7 * time.Second}
	p := newPacer(c, pace, 5)
	for _, d := range took {
		c.now += d * time.Millisecond
		if err := p.wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.wait(t.Context(), 3); err != nil { // of three slots
		t.Fatal(err)
	}
	var slots []time.Duration
	last := 7 * time.Second
	for _, e := range c.ends {
		slots = append(slots, (e-last)/time.Millisecond)
		last = e
	}
	want := []time.Duration{10, 10, 10, 40, 40, 40, 320, 320, 320, 320, 960}
	if !slices.Equal(slots, want) {
		t.Errorf("slots %v, want %v", slots, want)
	}
	if c.now += 321 * time.Millisecond; p.wait(t.Context(), 1) == nil {
		t.Error("slots double once more than they may")
	}
}

// TestGuestThatTellsBitsByTime: a guest that loops on records it looks for makes slots double as often as the job declares and
// once more, and then the run is over: with nothing that leaves, and what ran debited.
func TestGuestThatTellsBitsByTime(t *testing.T) {
	c, clock := poisson(), &fakeClock{}
	c.Clock, c.Privacy.Training.Pace = clock, 100
	const overruns = 2 // 26 units and what a step takes besides are 253 ms
	if n := c.Privacy.Training.Overruns(1); n != overruns {
		t.Fatalf("%d overruns", n)
	}
	slow, slot := map[int]bool{1: true, 4: true, 6: true, 8: true}, 100*time.Millisecond
	w := &plain{clip: 1, gradient: one, before: func(step int) error {
		if clock.now += time.Millisecond; slow[step] {
			clock.now += slot
			slot *= 2
		}
		return nil
	}}
	res, err := Run(t.Context(), c, units(16), w)
	if !errors.Is(err, ErrTime) || res.Params != nil || res.Steps != 8 || len(res.Ran) != 1 || res.Ran[0].Count != 9 {
		t.Fatalf("%v, %+v", err, res)
	}
	delete(slow, 8)
	clock.now, slot = 0, 100*time.Millisecond
	c.Sampler, c.Noise, w.seen = NewSampler(stream(5)), silence{}, nil
	if res, err = Run(t.Context(), c, units(16), w); err != nil || res.Steps != 10 {
		t.Errorf("as often as it may: %v, %+v", err, res)
	}
}

// stuck is a worker that never answers.
type stuck struct{ plain }

func (*stuck) Sum(ctx context.Context, _ []float32, _ []Unit, _ []int64) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// cutClock is a clock on which all time is over at once that a step may take.
type cutClock struct{ fakeClock }

func (c *cutClock) Bound(ctx context.Context, until time.Duration, cause error) (context.Context, context.CancelFunc) {
	c.ends = append(c.ends, until)
	ctx, cancel := context.WithCancelCause(ctx)
	cancel(cause)
	return ctx, func() { cancel(nil) }
}

// TestStepThatNeverEnds: it ends when the longest slot does, not when the worker does.
func TestStepThatNeverEnds(t *testing.T) {
	c, clock := poisson(), &cutClock{}
	c.Clock, c.Privacy.Training.Pace = clock, 100
	if res, err := Run(t.Context(), c, units(16), &stuck{}); !errors.Is(err, ErrTime) || res.Params != nil {
		t.Fatalf("%v, %+v", err, res)
	}
	if want := []time.Duration{800 * time.Millisecond}; !slices.Equal(clock.ends, want) {
		t.Errorf("ends at %v, want %v", clock.ends, want)
	}
	p := newPacer(clock, 7*24*time.Hour, 17)
	if l := p.latest(1 << 31); l < 7*24*time.Hour || l > 2*farAway {
		t.Errorf("latest end %v", l)
	}
}

// TestEveryStepIsPaced: each ends with its slot, and so does the score, whatever they took.
func TestEveryStepIsPaced(t *testing.T) {
	c, clock := poisson(), &fakeClock{}
	c.Clock, c.Privacy.Training.Pace = clock, 20
	c.Privacy.Mechanisms = append(c.Privacy.Mechanisms, dp.Mechanism{Kind: dp.Gaussian, Noise: dp.Micro, Sampling: dp.NoSampling, Rate: dp.One, Count: 1})
	w := &plain{clip: 1, gradient: one, predict: func([]byte) float32 { return 1 }, before: func(step int) error {
		clock.now += time.Duration(step) * time.Millisecond
		return nil
	}}
	if _, err := Run(t.Context(), c, units(16), w); err != nil {
		t.Fatal(err)
	}
	if len(clock.ends) != 11 {
		t.Fatalf("%d ends of 10 steps and a score", len(clock.ends))
	}
	for i, e := range clock.ends {
		n := i + 1
		if n == 11 {
			n = 14 // of all 16 units, as four lots are
		}
		if want := time.Duration(n) * 20 * time.Millisecond; e != want {
			t.Errorf("step %d ends at %s, want %s", i, e, want)
		}
	}
}

// TestClockThatJumps: back or forth by a slot, it changes nothing but waiting; by an hour, it ends the training.
func TestClockThatJumps(t *testing.T) {
	var want []float32
	for name, jump := range map[string]time.Duration{"stands": 0, "back": -time.Hour, "forth": 300 * time.Millisecond, "far": time.Hour} {
		c, clock := poisson(), &fakeClock{now: 2 * time.Hour}
		c.Clock, c.Sampler, c.Noise = clock, NewSampler(stream(5)), silence{}
		w := &plain{clip: 1, gradient: one, before: func(step int) error {
			if step == 3 {
				clock.now += jump
			}
			return nil
		}}
		res, err := Run(t.Context(), c, units(16), w)
		if name == "far" {
			if !errors.Is(err, ErrTime) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || res.Steps != 10 || res.Ran[0].Count != 10 {
			t.Fatalf("%s: %v, %+v", name, err, res)
		}
		if want == nil {
			want = res.Params
		}
		if !slices.Equal(res.Params, want) {
			t.Errorf("%s: %v, want %v", name, res.Params, want)
		}
	}
}

func TestRealClock(t *testing.T) {
	c := NewClock()
	until := c.Now() + 5*time.Millisecond
	if err := c.Wait(t.Context(), until); err != nil || c.Now() < until {
		t.Fatal(err, c.Now(), until)
	}
	over := errors.New("over")
	bound, done := c.Bound(t.Context(), until, over)
	defer done()
	if <-bound.Done(); context.Cause(bound) != over || c.Now() < until {
		t.Fatal(context.Cause(bound))
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	cancel(why)
	if err := c.Wait(ctx, time.Hour); !errors.Is(err, why) {
		t.Fatal(err)
	}
}
