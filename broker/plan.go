// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/receipt"
	"github.com/glovebox-dev/glovebox/policies"
)

// Plan forecasts the decision for a buyer's signed job, without evidence: assurance is taken to be the least that the
// terms accept. Nothing is reserved or recorded.
func (b *Broker) Plan(ctx context.Context, r *grant.PlanRequest) (*grant.PlanReply, error) {
	q := &request{now: millis(b.clock.read()), signedJob: r.Job}
	var err error
	if q.job, err = b.jobs.verified(r.Job, job.Verify); err != nil {
		return nil, fmt.Errorf("%w: job: %w", ErrRequest, err)
	}
	id, err := envelope.ID(r.Manifest)
	if err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrRequest, err)
	}
	if !slices.Contains(q.job.Predicate.Manifests(), id) {
		return nil, fmt.Errorf("%w: the job does not name manifest %s", ErrRequest, id)
	}
	if q.pack, err = b.pack(id); err != nil {
		return nil, err
	}
	if len(r.Code) > 0 {
		if q.code, err = b.codeOf(r.Code, q.job); err != nil {
			return nil, err
		}
	}
	if err := b.scan(ctx); err != nil {
		return nil, err
	}
	if err := b.prepare(ctx, q); err != nil {
		return nil, err
	}
	var f facts
	var clashes []grant.Reason
	var account *grant.PlanPrivacy
	err = b.ledger.View(ctx, func(t *ledger.Tx) (err error) {
		if f, err = b.facts(t, q, q.now); err != nil {
			return err
		}
		if account, err = planPrivacy(t, q.pack.Manifest, &q.job.Predicate, &f.in.Account); err != nil {
			return err
		}
		clashes, err = clash(t, q.pack.Manifest)
		return err
	})
	if err != nil {
		return nil, err
	}
	terms := q.pack.Manifest.Terms
	f.in.Evidence = policies.Evidence{
		Assurance: attestation.Assurance(terms.MinAssurance), Reference: "plan", Runtime: q.job.Predicate.Runtime,
	}
	d, err := b.apply(ctx, q, f)
	if err != nil {
		return nil, err
	}
	return &grant.PlanReply{
		Allowed: d.Allow && len(clashes) == 0, Reasons: append(append([]grant.Reason{}, d.Reasons...), clashes...), MaxAmount: f.in.Account.Cost,
		Currency: terms.Price.Currency, UsesLeft: max(0, terms.MaxUses-f.in.Account.Uses),
		BuyerUsesLeft: max(0, terms.Buyers.MaxUses-f.in.Account.BuyerUses), Assurance: terms.MinAssurance,
		BrokerAway: terms.BrokerAway, Access: accessOf(q.pack.Manifest, f.in.Entitlement.Left),
		Privacy: account,
	}, nil
}

// planPrivacy is the account that a job would be debited to, as it is and as it would be; nil if there is none.
func planPrivacy(t *ledger.Tx, m *dataset.Manifest, j *job.Job, a *policies.Account) (*grant.PlanPrivacy, error) {
	if populationOf(m) == "" || !dataset.Accounted(j.Mode) {
		return nil, nil
	}
	p := &m.Terms.Privacy
	out := &grant.PlanPrivacy{Population: p.Population, Delta: p.Delta, Cap: p.Epsilon, BuyerCap: p.BuyerEpsilon}
	for _, side := range []struct {
		buyer         *envelope.PublicKey
		spends        int64
		before, after **int64
	}{{nil, a.EpsilonAfter, &out.Before, &out.After}, {&j.Buyer, a.BuyerEpsilonAfter, &out.BuyerBefore, &out.BuyerAfter}} {
		sum, err := t.PopulationSum(p.Population, side.buyer)
		if err != nil {
			return nil, err
		}
		if *side.before, _ = guarantee(sum, p.Delta, 0); side.spends < job.MaxAmount {
			*side.after = &side.spends
		}
	}
	return out, nil
}

// accessOf is what a buyer has to bring for a package.
func accessOf(m *dataset.Manifest, left int64) grant.PlanAccess {
	t := &m.Terms
	a := grant.PlanAccess{Kind: t.Access, Dataset: m.Dataset, Version: m.Version, Offer: m.OfferDigest(), Left: left}
	if t.Access != dataset.AccessReceipt {
		return a
	}
	r := &grant.PlanReceipt{
		Issuer: t.Receipts.Issuer, Audience: t.Receipts.Audience, Payee: t.Receipts.Payee, MinAmount: t.Receipts.MinAmount,
		Currency: t.Price.Currency, Scope: receipt.ScopeTrain, Kids: []string{}, Attributes: map[string][]string{},
	}
	for _, k := range t.Receipts.Keys {
		r.Kids = append(r.Kids, k.Kid)
	}
	for _, want := range t.Buyers.Require {
		r.Attributes[want.Name] = want.AnyOf
	}
	a.Receipt = r
	return a
}
