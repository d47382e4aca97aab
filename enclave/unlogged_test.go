// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger/report"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// unloggedFor answers the creator's next commits as a broker does whose witnesses are away, so often; then calls back, and
// the broker answers itself.
func (w *world) unloggedFor(n int, back func()) (asked, beats *int) {
	asked, beats = new(int), new(int)
	w.relay = func(address string, msg []byte) ([]byte, error) {
		if address != w.creator.cfg.Address {
			return w.forward(address, msg)
		}
		switch grant.KindOf(msg) {
		case grant.KindHeartbeat:
			if *asked > 0 && *asked < n {
				*beats++
			}
		case grant.KindCommit:
			if *asked++; *asked <= n {
				return envelope.Canonical(&grant.Reply{Error: &grant.Error{Code: grant.CodeUnlogged, Message: "not yet", Hint: "ask again"}})
			}
			if *asked == n+1 && back != nil {
				back()
			}
		}
		return w.forward(address, msg)
	}
	return asked, beats
}

// counted is what the creator's broker has in its books for the one job.
func (w *world) counted() report.Job {
	w.t.Helper()
	r, err := broker.Report(w.t.Context(), w.creator.cfg, nil, time.Now().Add(w.creator.ahead).UnixMilli(), 30)
	check(w.t, err)
	if len(r.Jobs) != 1 {
		w.t.Fatalf("%d jobs", len(r.Jobs))
	}
	return r.Jobs[0]
}

// TestCommitWaitsForTheLog: for longer than for a broker that is away, with the lease alive, and then the run is as any other.
func TestCommitWaitsForTheLog(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, 2_000, nil)
	w.unlogged = 10 * time.Minute
	asked, beats := w.unloggedFor(40, nil)
	r, a := w.run(reader{})
	if r == nil {
		t.Fatalf("abandoned: %+v", a)
	}
	if s, _ := w.statement(r); s.Outcome != usage.OutcomeCompleted || len(r.Header) == 0 {
		t.Errorf("%+v", s)
	}
	if *asked != 41 || *beats == 0 {
		t.Errorf("asked %d times, and %d heartbeats meanwhile", *asked, *beats)
	}
	if j := w.counted(); j.Commits != 1 || j.State != usage.OutcomeCompleted || j.Charged != 2*2_000+100 {
		t.Errorf("%+v", j)
	}
}

// TestLogThatNeverProves: waiting ends, nothing leaves, nothing is charged, and another attempt is charged once.
func TestLogThatNeverProves(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, 2_000, nil)
	w.unlogged = 200 * time.Millisecond
	w.unloggedFor(1<<30, nil)
	r, a := w.run(reader{})
	if r != nil || a == nil || !a.Retry {
		t.Fatalf("%+v, %+v", r, a)
	}
	if j := w.counted(); j.Commits != 0 || j.Charged != 0 || j.State != "live" {
		t.Errorf("%+v", j)
	}
	w.relay = nil
	w.creator.lose(t)
	w.buyer.lose(t)
	if r, a = w.run(reader{}); r == nil {
		t.Fatalf("abandoned: %+v", a)
	}
	if j := w.counted(); j.Commits != 1 || j.Attempts != 2 || j.Charged != 2*2_000+100 || j.Reserved != 0 {
		t.Errorf("%+v", j)
	}
}

// TestUnloggedEndsWithTheLease: neither a lost lease nor a withdrawn job is waited for, however long the log would be.
func TestUnloggedEndsWithTheLease(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end   func(*world)
		retry bool
	}{
		"lost": {func(w *world) { w.creator.lose(w.t) }, true},
		"withdrawn": {func(w *world) {
			_, err := config.AddRevocation(w.creator.dir, &grant.Revocation{Manifest: &w.data.ID, Reason: "test", Time: time.Now().UnixMilli()})
			check(w.t, err)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldOf(t, 2_000, nil)
			w.unlogged = 24 * time.Hour
			asked, _ := w.unloggedFor(5, func() { c.end(w) })
			r, a := w.run(reader{})
			if r != nil || a == nil || a.Retry != c.retry || *asked != 6 {
				t.Fatalf("%+v, %+v, asked %d times", r, a, *asked)
			}
			if j := w.counted(); j.Commits != 0 || j.Charged != 0 {
				t.Errorf("%+v", j)
			}
		})
	}
}
