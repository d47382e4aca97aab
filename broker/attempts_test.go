// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// again releases the data for another attempt that the buyer's own broker lets run, and lets its lease go silent.
func (w *world) again(attempt int) error {
	w.t.Helper()
	e := w.newEnclave(nil)
	e.ticket = forgeTicket(w.t, w, e, attempt)
	err := e.release(w.data)
	w.clock.advance(testTimeout)
	must(w.t, w.creator.ExpireLeases(w.t.Context()))
	return err
}

// TestRerunsAfterCompletion: a buyer whose broker gives tickets for ever does not get the data for ever.
func TestRerunsAfterCompletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	_, err := e.commit(w.data, e.usage(nil))
	must(t, err)
	must(t, w.again(2))
	must(t, w.again(3))
	for attempt := 4; attempt < 7; attempt++ {
		if got := rules(t, w.again(attempt)); got[0] != "completed" {
			t.Errorf("attempt %d: rules %v", attempt, got)
		}
	}
}

func TestTooManyAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for attempt := range 16 {
		must(t, w.again(10*attempt+1))
	}
	if got := rules(t, w.again(1000)); got[0] != "attempts" {
		t.Errorf("rules %v", got)
	}
	w.newJob(nil)
	must(t, w.again(1))
}

// TestEndedLeaseAsksForAnotherAttempt: an enclave whose lease was lost is told to try again, not that it is wrong.
func TestEndedLeaseAsksForAnotherAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	w.clock.advance(testTimeout)
	must(t, w.creator.ExpireLeases(t.Context()))
	for name, m := range map[string]*grant.Message{
		"heartbeat": {Heartbeat: e.signHeartbeat(w.data, 1, 0)},
		"commit":    {Commit: e.usage(nil)},
		"release":   {Release: e.request(w.data)},
	} {
		r := w.creator.exchange(encode(t, m))
		if r.Error == nil || r.Error.Code != grant.CodeEnded || r.Error.Message != "the lease has ended: lost" || r.Error.Hint != "start a new attempt" {
			t.Errorf("%s: %+v", name, r.Error)
		}
	}
	if config.DefaultHeartbeatTimeout < grant.MaxNonceLife {
		t.Error("a lease is lost sooner than an enclave gives up waiting for another broker")
	}
}
