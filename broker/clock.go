// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glovebox-dev/glovebox/broker/ledger"
)

// clock is the broker's time. It never goes back: where the wall clock was set back it goes on from the highest time seen,
// by the monotonic clock, and after a restart from the highest time in the ledger. So no nonce, ticket, lease or term
// lasts longer because of a clock.
type clock struct {
	wall func() time.Time

	mu      sync.Mutex
	at      time.Time // last reading, with its monotonic part
	now     int64     // what that was taken for, Unix nanoseconds
	back    bool      // the wall clock is behind now by more than clockSlack
	suspect int64     // Unix milliseconds: nonces from up to then were given out before the clock went back

	stored atomic.Int64 // the highest time known to be in the ledger, Unix milliseconds
}

// start begins at the highest time that the ledger has seen.
func (c *clock) start(highest int64) {
	c.at, c.now = c.wall(), highest*int64(time.Millisecond)
	c.stored.Store(highest)
	c.read()
}

// read is the time now.
func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.wall()
	wall, due := t.UnixNano(), c.now+max(0, int64(t.Sub(c.at)))
	c.at = t
	switch {
	case wall >= c.now && wall > due-int64(clockSlack):
		c.now, c.back = wall, false
	case wall > due-int64(clockSlack): // a small correction: stand still until the wall clock is there again
		c.back = false
	default:
		if !c.back {
			c.back, c.suspect = true, c.now/int64(time.Millisecond)
		}
		c.now = due
	}
	return time.Unix(0, c.now)
}

// wentBack reports whether the wall clock was set back after a time.
func (c *clock) wentBack(since int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return since <= c.suspect
}

// behind reports whether the wall clock is behind what the broker takes for the time.
func (c *clock) behind() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.back
}

// keep stores the time with what t changes, so that a restart begins there. The ledger's own steps are good enough: by
// so much the wall clock is believed anyway. It refuses a time before what it has, which this clock never gives.
func (c *clock) keep(t *ledger.Tx, now int64) error {
	if now < c.stored.Load()+clockSlack.Milliseconds() {
		return nil
	}
	return t.Clock(now, 0)
}

// kept notes that a time is in the ledger.
func (c *clock) kept(now int64) {
	if now >= c.stored.Load()+clockSlack.Milliseconds() {
		c.stored.Store(now)
	}
}

// highest reads the highest time that a ledger has seen; 0 if it has seen none.
func highest(t *ledger.Tx) (int64, error) {
	v, err := t.Meta(ledger.MetaClock)
	if errors.Is(err, ledger.ErrNotFound) {
		return 0, nil
	}
	return v, err
}
