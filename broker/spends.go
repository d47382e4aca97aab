// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/broker/ledger/report"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// privateSpends tells of the debits that the enclave's noise made. The jobs and statements are the broker's own: it verified them
// before it kept them.
func privateSpends(t *ledger.Tx, entries []*ledger.PrivacyEntry) ([]report.Spend, error) {
	out := []report.Spend{}
	for _, e := range entries {
		signed, err := t.Job(e.Job)
		if err != nil {
			return nil, err
		}
		j, err := envelope.Peek[job.Job](signed, envelope.JobType)
		if err != nil {
			return nil, fmt.Errorf("%w: job: %w", ledger.ErrCorrupt, err)
		}
		p := j.Predicate.Privacy
		if p == nil {
			continue
		}
		s := report.Spend{
			Grant: e.Grant, Manifest: e.Manifest, Job: e.Job, Buyer: e.Buyer, Time: e.Time, State: e.State, Mode: j.Predicate.Mode, Unit: p.Unit,
			Contributions: p.Contributions, Adjacency: p.Adjacency, Mechanisms: p.Mechanisms, Accountant: p.Accountant, Delta: p.Delta, Epsilon: p.Epsilon,
			Isolation: j.Predicate.Runtime,
		}
		if e.State == ledger.PrivacySpent {
			if err := stated(t, e, &s); err != nil {
				return nil, err
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// stated puts what the enclave said that it did in the place of what the job declares.
func stated(t *ledger.Tx, e *ledger.PrivacyEntry, s *report.Spend) error {
	s.Mechanisms, s.Epsilon = []dp.Mechanism{}, 0
	all, err := t.Usages(ledger.OfGrant(e.Grant))
	if err != nil {
		return err
	}
	for _, u := range all {
		v, err := envelope.Peek[usage.Statement](u.Signed, envelope.UsageType)
		if err != nil {
			return fmt.Errorf("%w: usage: %w", ledger.ErrCorrupt, err)
		}
		for i := range v.Predicate.Spent {
			if sp := &v.Predicate.Spent[i]; sp.Manifest == e.Manifest {
				s.Mechanisms, s.Epsilon = sp.Mechanisms, sp.Epsilon
			}
		}
	}
	return nil
}
