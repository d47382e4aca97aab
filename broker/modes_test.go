// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

func pinned(name string, epsilon int64) dataset.Step {
	return dataset.Step{Name: name, Digest: envelope.Sum([]byte(name)), Config: json.RawMessage(`{}`), Epsilon: epsilon}
}

// inMode is a world whose data is offered in one mode. A job spends 0.4 of epsilon where the mode is noisy; there is 1, and
// 0.8 for a buyer.
func inMode(t *testing.T, mode string, step dataset.Step) *world {
	t.Helper()
	w := newWorld(t, withTerms(func(m *dataset.Terms) {
		m.Modes, m.Steps, m.MaxUses = []string{mode}, []dataset.ModeSteps{{Mode: mode, Steps: []dataset.Step{step}}}, 10
		m.Buyers.MaxUses = 10
		if dataset.Noisy(mode) {
			m.Privacy.Adjacency, m.Privacy.Epsilon, m.Privacy.BuyerEpsilon = dataset.ReplaceOne, 1_000_000, 800_000
		}
	}))
	w.code = w.buyer.pack(dataset.KindCode, withTerms(func(m *dataset.Terms) {
		m.Modes, m.MaxUses, m.Price = dataset.Modes(), 10, dataset.Price{Currency: "EUR"}
	}))
	w.newJob(func(j *job.Job) { j.Mode = mode })
	return w
}

// stepped says in a usage statement what was done to the data's records.
func (e *enclave) stepped(mode string) func(*usage.Statement) {
	return func(s *usage.Statement) {
		m := e.w.data.Manifest
		for i, st := range m.Terms.StepsFor(mode) {
			t := usage.Transform{Manifest: e.w.data.ID, StepReport: dataset.StepReport{
				Step: st.Name, ID: e.grants[e.w.data.ID].Predicate.Obligations.Transforms[i], Digest: st.Digest, Config: st.ConfigDigest(),
				RecordsIn: m.Records, RecordsOut: m.Records, Findings: []dataset.Count{}, Quarantined: []dataset.Count{},
			}}
			if dataset.Silent(mode) {
				t.Seal()
			}
			s.Transforms = append(s.Transforms, t)
		}
		s.Privacy = e.grants[e.w.data.ID].Predicate.Obligations.Privacy
	}
}

// TestGrantObligesToSteps: a grant names the terms' steps, and only a statement that says they were done is committed.
func TestGrantObligesToSteps(t *testing.T) {
	t.Parallel()
	step := pinned(dataset.StepRedact, 0)
	w := inMode(t, dataset.ModeRedacted, step)
	e := w.released()
	id, err := step.ID()
	must(t, err)
	o := e.grants[w.data.ID].Predicate.Obligations
	if o.Mode != dataset.ModeRedacted || !slices.Equal(o.Transforms, []envelope.Digest{id}) || o.Privacy != 0 {
		t.Errorf("%+v", o)
	}
	if code := e.grants[w.code.ID].Predicate.Obligations; len(code.Transforms) != 0 || code.Mode != dataset.ModeRedacted {
		t.Errorf("%+v", code)
	}
	if _, err := e.commit(w.data, e.usage(nil)); !errors.Is(err, broker.ErrUsage) {
		t.Errorf("committed without steps: %v", err)
	}
	if _, err := e.commit(w.data, e.usage(func(s *usage.Statement) {
		e.stepped(dataset.ModeRedacted)(s)
		s.Transforms[0].Config = id
	})); !errors.Is(err, broker.ErrUsage) {
		t.Errorf("committed with another configuration: %v", err)
	}
	_, err = e.commit(w.data, e.usage(e.stepped(dataset.ModeRedacted)))
	must(t, err)
}

// sum is what the creator's ledger has of the population, in billionths of pure epsilon.
func (w *world) sum() (pure int64) {
	w.t.Helper()
	must(w.t, w.creator.View(w.t.Context(), func(tx *ledger.Tx) error {
		s, err := tx.PopulationSum(w.data.Manifest.Terms.Privacy.Population, nil)
		if err == nil {
			pure = s.Pure
		}
		return err
	}))
	return pure
}

// TestNoiseIsDebited: each job costs what its steps spend, once; a lost lease keeps it, and the budget ends.
func TestNoiseIsDebited(t *testing.T) {
	t.Parallel()
	w := inMode(t, dataset.ModeLocalDP, pinned("k-rr", 400_000))
	e := w.released()
	if o := e.grants[w.data.ID].Predicate.Obligations; o.Privacy != 400_000 || o.Logs != grant.LogsOff {
		t.Errorf("%+v", o)
	}
	if got := w.sum(); got != 400_000_000 {
		t.Errorf("%d after the first grant", got)
	}
	if _, err := e.commit(w.data, e.usage(func(s *usage.Statement) { e.stepped(dataset.ModeLocalDP)(s); s.Privacy = 0 })); !errors.Is(err, broker.ErrUsage) {
		t.Errorf("committed for nothing: %v", err)
	}
	_, err := e.commit(w.data, e.usage(e.stepped(dataset.ModeLocalDP)))
	must(t, err)
	if got := w.sum(); got != 400_000_000 {
		t.Errorf("%d after the commit", got)
	}
	w.newJob(func(j *job.Job) { j.Mode = dataset.ModeLocalDP })
	w.released() // and never heard of again
	w.clock.advance(2 * testTimeout)
	must(t, w.creator.ExpireLeases(t.Context()))
	w.creator.restart()
	if got := w.sum(); got != 800_000_000 {
		t.Errorf("%d after a lost lease", got)
	}
	w.newJob(func(j *job.Job) { j.Mode = dataset.ModeLocalDP })
	p := w.plan()
	if p.Allowed || len(p.Reasons) != 2 || p.Reasons[0].Rule != "buyer-epsilon" || p.Reasons[1].Rule != "epsilon" {
		t.Errorf("a third job: %+v", p)
	}
	third := w.newEnclave(nil)
	must(t, third.release(w.code))
	var denied *broker.DeniedError
	if err := third.release(w.data); !errors.As(err, &denied) {
		t.Errorf("a third job: %v", err)
	}
	if got := w.sum(); got != 800_000_000 {
		t.Errorf("%d after a denial", got)
	}
}
