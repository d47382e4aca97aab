// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// spending is what a job comes to that declares what the enclave will do. The zero spending has no bound.
type spending struct {
	bounded  bool
	computed int64        // ε at the job's δ, by its accountant, millionths rounded up
	cost     privacy.Cost // of the account, which composes by Rényi divergences whatever the job's accountant is
}

// forecast computes what a job in a mode with noise of the enclave's comes to. It takes up to a second, so it is no part of any
// transaction, and few are computed at once.
func (b *Broker) forecast(ctx context.Context, q *request) error {
	j := &q.job.Predicate
	if populationOf(q.pack.Manifest) == "" || q.pack.Manifest.Terms.PrivacyFor(j.Mode) == nil || j.Privacy == nil {
		return nil
	}
	release, err := b.accountant(ctx)
	if err != nil {
		return err
	}
	defer release()
	q.spends, err = b.spendings.verified(q.signedJob, func([]byte) (spending, error) { return spends(j.Privacy), nil })
	return err
}

// accountant waits until one may compute.
func (b *Broker) accountant(ctx context.Context) (release func(), err error) {
	select {
	case b.accounting <- struct{}{}:
		return func() { <-b.accounting }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// spends bounds what a job declares. What cannot be bounded is the zero spending, which the rules deny.
func spends(p *job.Privacy) spending {
	c := p.Composition()
	b, err := dp.Epsilon(c, float64(p.Delta)/dp.Pico, p.Accountant)
	if err != nil {
		return spending{}
	}
	s := spending{bounded: true}
	if s.computed, err = dp.Micros(b.Epsilon); err != nil {
		return spending{}
	}
	if s.cost, err = costOf(c); err != nil {
		return spending{}
	}
	return s
}

// costOf is what mechanisms cost an account: their Rényi divergence, and their own deltas beside it.
func costOf(c *dp.Composition) (privacy.Cost, error) {
	v, err := dp.Renyi(c)
	if err != nil {
		return privacy.Cost{}, err
	}
	cost, err := privacy.Renyi(v)
	if err != nil {
		return privacy.Cost{}, err
	}
	cost.Delta = dp.OwnDelta(c)
	return cost, cost.Validate()
}

// ran is what a usage statement says was done to the records of a lease's package.
type ran struct {
	cost     *privacy.Cost // zero: nothing was; nil where the account does not ask
	problems []usage.Problem
}

// recount checks what a statement says was spent under one lease against the job and the grant, and computes what that cost.
func (b *Broker) recount(ctx context.Context, l *ledger.Lease, m *dataset.Manifest, s *usage.Statement) (r ran, err error) {
	var signed []byte
	err = b.ledger.View(ctx, func(t *ledger.Tx) (err error) {
		signed, err = t.Job(l.Job)
		return err
	})
	if err != nil {
		return r, err
	}
	j, err := b.jobs.verified(signed, job.Verify)
	if err != nil {
		return r, fmt.Errorf("%w: job: %w", ledger.ErrCorrupt, err)
	}
	i := slices.IndexFunc(s.Packages, func(p usage.Package) bool { return p.Grant == l.Grant })
	if i < 0 || s.Packages[i].Manifest != l.Manifest {
		return r, fmt.Errorf("%w: another manifest than the grant's", ErrUsage)
	}
	private := dataset.Private(l.Obligations.Mode) && m.Kind == dataset.KindDataset
	if private {
		release, err := b.accountant(ctx)
		if err != nil {
			return r, err
		}
		defer release()
	}
	r.problems = usage.CheckSpend(s, i, m, &j.Predicate, &l.Obligations)
	if !private || len(r.problems) > 0 {
		return r, nil
	}
	r.cost = &privacy.Cost{}
	sp := s.SpentOn(i)
	if sp == nil {
		return r, nil
	}
	*r.cost, err = costOf(&dp.Composition{Adjacency: sp.Adjacency, Mechanisms: sp.Mechanisms})
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return r, nil
}

// privateCost is what a lease in a mode with noise of the enclave's costs at most: what its job comes to.
func privateCost(o *grant.Obligations, s *spending) (privacy.Cost, error) {
	if s == nil || !s.bounded || o.Privacy < 1 || s.computed > o.Privacy+roundings {
		return privacy.Cost{}, fmt.Errorf("%w: epsilon of %d millionths is granted in mode %q, and that is no bound for the job", ErrAmount, o.Privacy, o.Mode)
	}
	return s.cost, nil
}

// roundings are the millionths of ε by which two machines' floats may differ.
const roundings = 2
