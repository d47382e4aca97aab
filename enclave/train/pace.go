// SPDX-License-Identifier: Apache-2.0

package train

import (
	"context"
	"time"
)

// Clock is the time since some moment. It must be monotonic; one that jumps makes a training wait, and changes nothing else.
type Clock interface {
	Now() time.Duration
	// Wait returns at a time or later, or with the context's error.
	Wait(ctx context.Context, until time.Duration) error
	// Bound is a context that ends at a time, with a cause.
	Bound(ctx context.Context, until time.Duration, cause error) (context.Context, context.CancelFunc)
}

// NewClock is this machine's monotonic clock.
func NewClock() Clock { return &clock{time.Now()} }

type clock struct{ start time.Time }

func (c *clock) Now() time.Duration { return time.Since(c.start) }

func (c *clock) Wait(ctx context.Context, until time.Duration) error {
	t := time.NewTimer(until - c.Now())
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *clock) Bound(ctx context.Context, until time.Duration, cause error) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, until-c.Now(), cause)
}

// pacer makes the times at which steps end tell little of how long they took: each has a slot, all of one length. A step that
// overruns its slot doubles it, and all later ones, as often as it takes (predictive mitigation: Askarov, Zhang and Myers 2010).
// How often that may happen in all is declared: a step that would need more ends the training when the longest slot does. So all
// that times tell is in which steps slots doubled, and in which one they could not: job.TimeBits counts the ways.
type pacer struct {
	clock Clock
	slot  time.Duration
	end   time.Duration // of the last slot
	left  int64         // doublings
}

func newPacer(c Clock, pace time.Duration, overruns int64) *pacer {
	return &pacer{clock: c, slot: pace, end: c.Now(), left: overruns}
}

// farAway is beyond the end of any run.
const farAway = time.Duration(1) << 60

// latest is when a step of some slots must be over.
func (p *pacer) latest(slots int64) time.Duration {
	slot := p.slot
	for range p.left {
		slot = min(2*slot, farAway)
	}
	if slot > farAway/time.Duration(slots) {
		return p.end + farAway
	}
	return p.end + slot*time.Duration(slots)
}

// bound is a context for a step, which ends when the step must be over.
func (p *pacer) bound(ctx context.Context, slots int64) (context.Context, context.CancelFunc) {
	return p.clock.Bound(ctx, p.latest(slots), ErrTime)
}

// wait returns at the end of the slots at hand.
func (p *pacer) wait(ctx context.Context, slots int64) error {
	if p.clock.Now() > p.latest(slots) {
		return ErrTime
	}
	for p.clock.Now() > p.end+p.slot*time.Duration(slots) && p.left > 0 {
		p.slot *= 2
		p.left--
	}
	p.end += p.slot * time.Duration(slots)
	return p.clock.Wait(ctx, p.end)
}
