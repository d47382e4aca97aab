// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/aggregate"
)

// slotted is a clock on which a slot ends when something has happened in it.
type slotted struct {
	train.Clock
	waits    int
	happened chan struct{}
}

func (c *slotted) Wait(ctx context.Context, _ time.Duration) error {
	if c.waits++; c.waits%2 == 1 { // for the slot to begin
		return nil
	}
	select {
	case <-c.happened:
		return nil
	case <-ctx.Done():
		return errors.New("nothing happened in a slot")
	}
}

// TestAnswersAreReadInTheirSlots: what it takes to read an answer tells how long it is, so it has the shard's time and no other. One that
// is not read by then is none, and nobody waits for it.
func TestAnswersAreReadInTheirSlots(t *testing.T) {
	const shards = 3
	s := &sharding{data: &records{}, units: make([][]int, shards), slot: time.Second}
	r := &answering{do: func(string) (*sandbox.Outcome, error) { return answers("1") }}
	clock := &slotted{Clock: train.NewClock(), happened: make(chan struct{})}
	never, stop := make(chan struct{}), make(chan struct{})
	read := func([]byte) aggregate.Answer {
		clock.happened <- struct{}{}
		select {
		case <-never:
		case <-stop:
		}
		return aggregate.Answer{1}
	}
	defer close(stop)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // of a test that fails
	defer cancel()
	var got []aggregate.Answer
	check(t, s.run(ctx, atOnce{r}, sandbox.Spec{Outputs: []sandbox.Output{{Name: "answer"}}}, clock, 0, read, func(a aggregate.Answer) error {
		got = append(got, a)
		return nil
	}))
	if len(got) != shards {
		t.Fatalf("%d answers", len(got))
	}
	for i, a := range got {
		if a != nil {
			t.Errorf("shard %d: %v, and nothing was read in time", i, a)
		}
	}
}

// tardy is a clock that jumps after the last shard, as if aggregating took long.
type tardy struct {
	quick
	r      *answering
	shards int
	by     time.Duration // beyond the end
	waits  []time.Duration
}

func (c *tardy) Wait(ctx context.Context, until time.Duration) error {
	c.waits = append(c.waits, until)
	err := c.quick.Wait(ctx, until)
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	if n := len(c.waits); len(c.r.saw) == c.shards && c.by > 0 {
		c.skipped += until - c.waits[n-2] + c.by // a slot, and more
		c.by = 0
	}
	return err
}

// TestAggregateThatIsLate: a run ends with its wall limit, or at one of few times later: not when it is ready.
func TestAggregateThatIsLate(t *testing.T) {
	const shards = 2
	r := &answering{do: func(string) (*sandbox.Outcome, error) { return answers("5") }}
	w := shardWorld(t, []byte("m"), shards, 1, numbered(10, "h"), func(j *job.Job) { j.Limits.WallSeconds = 40 })
	c := &tardy{quick: quick{Clock: train.NewClock(), runner: r}, r: r, shards: shards, by: 20 * time.Second}
	x := &trainingWorld{world: w}
	x.seams.testOnlyClock = c
	res, abandon := x.train(r)
	wantPrivate(t, w, res, abandon, usage.ReasonNone)
	n := len(c.waits)
	end := c.waits[n-2] + c.waits[n-2] - c.waits[n-3]
	if late := c.waits[n-1] - end; (late - 32*time.Second).Abs() > time.Microsecond {
		t.Errorf("the run ends %v after its wall limit, want 32 s: 20 of a machine that is slow, made one of few", late)
	}
	for ready, want := range map[time.Duration]time.Duration{0: 60, 60: 60, 60 + 1: 60 + time.Second, 60 + 5*time.Second: 60 + 8*time.Second} {
		if got := ending(60, ready); got != want {
			t.Errorf("ready at %v: the run ends at %v, want %v", ready, got, want)
		}
	}
}

// TestReadingIsNotStated: how long it took to read the records, the creator's steps on them included, is in no time of the statement.
func TestReadingIsNotStated(t *testing.T) {
	check := func(s *usage.Statement) {
		t.Helper()
		if s.Time.Started != s.Time.Released || s.Time.Finished <= s.Time.Started {
			t.Errorf("%+v: want it started when the key was released", s.Time)
		}
	}
	w := queryWorld(t, someQueries, numbered(3000, "a"), nil)
	res, abandon := w.run(noCode{})
	check(wantPrivate(t, w, res, abandon, usage.ReasonNone))
	r := &answering{do: func(string) (*sandbox.Outcome, error) { return answers("5") }}
	_, s := aggregated(t, shardWorld(t, []byte("m"), 2, 1, numbered(3000, "h"), nil), r)
	check(s)
}

// TestAnswersThatDoNotFit: an enclave aggregates no more than fits, whoever found the job valid.
func TestAnswersThatDoNotFit(t *testing.T) {
	a := &job.Aggregate{Shards: job.MaxShards, Kind: job.AggregateMean, Numbers: job.MaxNumbers, Upper: dp.Micro}
	if _, err := aggregate.New(a, nil); !errors.Is(err, job.ErrAnswers) || !errors.Is(err, aggregate.ErrAggregate) {
		t.Error(err)
	}
}
