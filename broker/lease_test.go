// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	total := w.data.Manifest.Tree.Size * 2
	first := e.signHeartbeat(w.data, 1, 0)
	a, err := w.creator.Heartbeat(t.Context(), first)
	must(t, err)
	b, err := w.creator.Heartbeat(t.Context(), first)
	must(t, err)
	if !bytes.Equal(a, b) {
		t.Error("a repeated heartbeat got other bytes")
	}
	e.beats[w.data.ID] = 1
	al, err := e.heartbeat(w.data, 1)
	must(t, err)
	if al.Leaves != min(3, total) || al.Sequence != 2 {
		t.Errorf("allowance %+v of %d leaves", al, total)
	}
	for name, bad := range map[string][]byte{
		"repeat of an old one":        first,
		"same sequence, other report": e.signHeartbeat(w.data, 2, 0),
		"a gap":                       e.signHeartbeat(w.data, 4, 1),
		"going back":                  e.signHeartbeat(w.data, 3, 0),
		"more than allowed":           e.signHeartbeat(w.data, 3, al.Leaves+1),
	} {
		if _, err := w.creator.Heartbeat(t.Context(), bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	al, err = e.heartbeat(w.data, total)
	must(t, err)
	if al.Leaves != total {
		t.Errorf("allowance %d exceeds the %d leaves that the grant can deliver", al.Leaves, total)
	}
}

func TestHeartbeatOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	stranger, err := envelope.GenerateSigner(envelope.RoleEnclave)
	must(t, err)
	mine := e.signer
	e.signer = stranger
	_, err = w.creator.Heartbeat(t.Context(), e.signHeartbeat(w.data, 1, 0))
	want(t, err, envelope.ErrSignature)
	e.signer = mine
	d := e.d
	e.d = envelope.Sum([]byte("another binding"))
	_, err = w.creator.Heartbeat(t.Context(), e.signHeartbeat(w.data, 1, 0))
	want(t, err, broker.ErrHeartbeat)
	e.d = d
	_, err = w.creator.Heartbeat(t.Context(), e.signHeartbeat(w.code, 1, 0))
	want(t, err, broker.ErrUnknown) // a grant of the other broker
}

func TestStopOnRevocation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	_, err := config.AddRevocation(w.creator.dir, &grant.Revocation{Manifest: &w.data.ID, Reason: "r", Time: 1})
	must(t, err)
	a, err := e.heartbeat(w.data, 1)
	must(t, err)
	if a.Stop != grant.StopRevoked || a.Leaves != 1 {
		t.Errorf("allowance: %+v", a)
	}
	_, err = e.commit(w.data, e.usage(nil))
	want(t, err, broker.ErrWithdrawn)
	c, err := e.commit(w.data, e.usage(failed))
	must(t, err)
	if c.Amount != 0 || c.Outcome != usage.OutcomeFailed {
		t.Errorf("commit: %+v", c)
	}
}

func TestStopOnCancellation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	_, err := config.AddCancellation(w.buyer.dir, &job.Cancel{Job: w.jobID, Reason: "changed my mind"})
	must(t, err)
	a, err := e.heartbeat(w.code, 1)
	must(t, err)
	if a.Stop != grant.StopCancelled {
		t.Errorf("allowance: %+v", a)
	}
}

func TestExpiredGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	w.clock.advance(time.Hour)
	want(t, e.release(w.data), broker.ErrTicket)
	a, err := e.heartbeat(w.data, 1)
	must(t, err)
	if a.Stop != grant.StopExpired {
		t.Errorf("allowance: %+v", a)
	}
	_, err = e.commit(w.data, e.usage(nil))
	want(t, err, broker.ErrWithdrawn)
}

func TestLeaseLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	for range 4 { // heartbeats keep it
		w.clock.advance(testTimeout - time.Second)
		for _, p := range []*packed{w.code, w.data} {
			_, err := e.heartbeat(p, 1)
			must(t, err)
			must(t, p.owner.ExpireLeases(t.Context()))
		}
	}
	last := e.signHeartbeat(w.data, e.beats[w.data.ID], 1)
	w.clock.advance(testTimeout - time.Second)
	if _, err := w.creator.Heartbeat(t.Context(), last); err != nil { // a repeat is no sign of life
		t.Fatal(err)
	}
	w.clock.advance(2 * time.Second)
	must(t, w.creator.ExpireLeases(t.Context()))
	must(t, w.creator.ExpireLeases(t.Context()))
	_, err := e.heartbeat(w.data, 1)
	want(t, err, broker.ErrLease)
	_, err = e.commit(w.data, e.usage(nil))
	want(t, err, broker.ErrLease)
	want(t, e.release(w.data), broker.ErrLease)
	if p := w.plan(); p.UsesLeft != 2 {
		t.Errorf("uses left: %d", p.UsesLeft)
	}
	w.newJob(nil)
	if p := w.plan(); p.UsesLeft != 1 {
		t.Errorf("the lost lease's use was returned: %d left", p.UsesLeft)
	}
}

// TestLeaseSurvivesRestart: silence is counted from the restart, so a broker that was away does not kill the job.
func TestLeaseSurvivesRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	w.clock.advance(10 * testTimeout)
	w.creator.restart()
	must(t, w.creator.ExpireLeases(t.Context()))
	_, err := e.heartbeat(w.data, 1)
	must(t, err)
	w.creator.restart()
	w.clock.advance(testTimeout)
	must(t, w.creator.ExpireLeases(t.Context()))
	_, err = e.heartbeat(w.data, 1)
	want(t, err, broker.ErrLease)
}

func TestNextAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.released()
	second := w.newEnclave(nil)
	want(t, second.release(w.code), broker.ErrBusy)
	w.clock.advance(testTimeout)
	must(t, w.buyer.ExpireLeases(t.Context()))
	must(t, second.release(w.code)) // the same evidence may ask again
	if a := second.grants[w.code.ID].Predicate.Attempt; a != 2 {
		t.Errorf("attempt %d", a)
	}
	want(t, second.release(w.data), broker.ErrBusy) // the creator's lease is still live
	must(t, w.creator.ExpireLeases(t.Context()))
	must(t, second.release(w.data))
	want(t, first.release(w.data), broker.ErrLease)
	for _, p := range []*packed{w.code, w.data} {
		_, err := second.commit(p, second.usage(nil))
		must(t, err)
	}
	third := w.newEnclave(nil)
	if got := rules(t, third.release(w.code)); got[0] != "completed" {
		t.Errorf("rules %v", got)
	}
	old := w.newEnclave(nil)
	old.ticket = forgeTicket(t, w, old, 2)
	want(t, old.release(w.data), broker.ErrTicket)
}

func TestNextAttemptAfterFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	for _, p := range []*packed{w.code, w.data} {
		_, err := e.commit(p, e.usage(failed))
		must(t, err)
	}
	e = w.released()
	if a := e.grants[w.data.ID].Predicate.Attempt; a != 2 {
		t.Errorf("attempt %d", a)
	}
}

func TestCommitIsIdempotent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	signed := e.usage(nil)
	a, err := w.creator.Commit(t.Context(), signed, nil)
	must(t, err)
	w.creator.restart()
	w.clock.advance(time.Hour)
	b, err := w.creator.Commit(t.Context(), signed, &w.data.ID)
	must(t, err)
	if !bytes.Equal(a, b) {
		t.Error("the same usage got other bytes")
	}
	_, err = w.creator.Commit(t.Context(), e.usage(func(s *usage.Statement) { s.Measured.CPUMillis = 5 }), nil)
	want(t, err, broker.ErrCommitted)
	other := envelope.Sum([]byte("other"))
	_, err = w.creator.Commit(t.Context(), signed, &other)
	want(t, err, broker.ErrUnknown)
	_, err = e.heartbeat(w.data, 1)
	want(t, err, broker.ErrLease)
}

func TestUsageThatDoesNotFit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	data := func(s *usage.Statement) *usage.Package { return &s.Packages[1] }
	for name, change := range map[string]func(*usage.Statement){
		"another job":           func(s *usage.Statement) { s.Job = envelope.Sum([]byte("x")) },
		"another binding":       func(s *usage.Statement) { s.Binding = envelope.Sum([]byte("x")) },
		"another evidence":      func(s *usage.Statement) { s.Evidence = envelope.Sum([]byte("x")) },
		"another attempt":       func(s *usage.Statement) { s.Attempt = 2 },
		"another runtime":       func(s *usage.Statement) { s.Runtime = "x" },
		"better assurance":      func(s *usage.Statement) { s.Assurance = "tpm" },
		"unknown assurance":     func(s *usage.Statement) { s.Assurance = "x" },
		"another policy":        func(s *usage.Statement) { data(s).Policy = envelope.Sum([]byte("x")) },
		"another manifest":      func(s *usage.Statement) { data(s).Manifest = envelope.Sum([]byte("x")) },
		"packages out of order": func(s *usage.Statement) { s.Packages[0], s.Packages[1] = s.Packages[1], s.Packages[0] },
		"a package more": func(s *usage.Statement) {
			p := s.Packages[0]
			p.Manifest, p.Grant = envelope.Sum([]byte("x")), envelope.Sum([]byte("y"))
			s.Packages = append(s.Packages, p)
		},
		"leaves outside":        func(s *usage.Statement) { data(s).Leaves[0].First = 1 << 20 },
		"more reads than leave": func(s *usage.Statement) { data(s).Reads = 1 << 20 },
		"more epochs":           func(s *usage.Statement) { data(s).Epochs = 3 },
		"more billable":         func(s *usage.Statement) { data(s).Billable, data(s).Records = 2*rows+1, 2*rows+1 },
		"fewer billable":        func(s *usage.Statement) { data(s).Billable = 0 },
		"one byte a leaf":       func(s *usage.Statement) { data(s).Bytes = 1 },
		"nothing delivered":     func(s *usage.Statement) { data(s).Records, data(s).Billable, data(s).Epochs = 0, 0, 0 },
		"completed unstarted":   func(s *usage.Statement) { s.Isolation = usage.NotStarted },
		"isolation in words":    func(s *usage.Statement) { s.Isolation = "none" },
		"endless CPU time":      func(s *usage.Statement) { s.Measured.CPUMillis = 1 << 50 },
		"nothing executed":      func(s *usage.Statement) { s.Execution.Fuel = 0 },
		"fuel over the limit":   func(s *usage.Statement) { s.Execution.Fuel = w.job.Limits.Fuel + 1 },
		"another cost table":    func(s *usage.Statement) { s.Execution.Costs = "fuel/9" },
		"out of fuel too soon":  func(s *usage.Statement) { failed(s); s.Reason = usage.ReasonFuel },
		"out of fuel, no code":  func(s *usage.Statement) { failed(s); s.Reason, s.Execution = usage.ReasonFuel, nil },
		"endless memory":        func(s *usage.Statement) { s.Measured.PeakMemory = 1 << 50 },
		"heartbeats never sent": func(s *usage.Statement) { data(s).Heartbeat = 9 },
		"undeclared output":     func(s *usage.Statement) { s.Outputs[0].Name = "x" },
		"output of other class": func(s *usage.Statement) { s.Outputs[0].Class = "table" },
		"output too large":      func(s *usage.Statement) { s.Outputs[0].Bytes = 1<<15 + 1 },
		"output twice":          func(s *usage.Statement) { s.Outputs = append(s.Outputs, s.Outputs[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := e.commit(w.data, e.usage(change))
			want(t, err, broker.ErrUsage)
		})
	}
	_, err := e.commit(w.data, e.usage(nil))
	must(t, err)
}

func TestUsageByAnotherKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	mine := e.signer
	var err error
	e.signer, err = envelope.GenerateSigner(envelope.RoleEnclave)
	must(t, err)
	_, err = e.commit(w.data, e.usage(nil))
	want(t, err, envelope.ErrSignature)
	e.signer = mine
	e2 := newWorld(t).released()
	_, err = w.creator.Commit(t.Context(), e2.usage(nil), nil)
	want(t, err, broker.ErrUnknown)
}

// TestUsageBelowHeartbeats: an enclave cannot take back what it reported.
func TestUsageBelowHeartbeats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	_, err := e.heartbeat(w.data, 2)
	must(t, err)
	_, err = e.commit(w.data, e.usage(nil))
	want(t, err, broker.ErrUsage)
}

func TestUnusedRunReturnsItsUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	_, err := e.commit(w.data, e.usage(unread))
	must(t, err)
	w.newJob(nil)
	if p := w.plan(); p.UsesLeft != 2 {
		t.Errorf("uses left %d", p.UsesLeft)
	}
}

func TestFailedWhileReleasing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.newEnclave(nil)
	must(t, e.release(w.code))
	c, err := e.commit(w.code, e.usage(failed)) // names the code only
	must(t, err)
	if c.Outcome != usage.OutcomeFailed {
		t.Errorf("commit: %+v", c)
	}
}

// TestSpendCapOverPackages: what is reserved for one package counts against the job's cap at the next.
func TestSpendCapOverPackages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := w.creator.pack(dataset.KindDataset)
	w.newJob(func(j *job.Job) {
		j.Datasets = append(j.Datasets, second.ID)
		j.SpendCap = 2*(perUse+2*rows*perRecord) - 1
	})
	e := w.newEnclaveFor(second)
	must(t, e.release(w.code))
	must(t, e.release(w.data))
	if got := rules(t, e.release(second)); got[0] != "cost" {
		t.Errorf("rules %v", got)
	}
}

// TestTwoPackagesAtOneBroker: a commit says which one it is for.
func TestTwoPackagesAtOneBroker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := w.creator.pack(dataset.KindDataset)
	w.newJob(func(j *job.Job) { j.Datasets = append(j.Datasets, second.ID) })
	e := w.newEnclaveFor(second)
	for _, p := range []*packed{w.code, w.data, second} {
		must(t, e.release(p))
	}
	signed := e.usage(func(s *usage.Statement) {
		p := s.Packages[1]
		p.Manifest, p.Grant = second.ID, e.grants[second.ID].ID
		s.Packages = append(s.Packages, p)
	})
	_, err := w.creator.Commit(t.Context(), signed, nil)
	want(t, err, broker.ErrRequest)
	for _, p := range []*packed{w.data, second} {
		out, err := w.creator.Commit(t.Context(), signed, &p.ID)
		must(t, err)
		v, err := grant.VerifyCommit(out, p.Manifest.Broker.Key)
		must(t, err)
		if v.Predicate.Manifest != p.ID {
			t.Errorf("commit of %s, want %s", v.Predicate.Manifest, p.ID)
		}
	}
}
