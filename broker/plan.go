// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/policies"
)

// Plan forecasts the decision for a buyer's signed job, without evidence: assurance is taken to be the least that the
// terms accept. Nothing is reserved or recorded.
func (b *Broker) Plan(ctx context.Context, r *grant.PlanRequest) (*grant.PlanReply, error) {
	q := &request{now: b.now()}
	var err error
	if q.job, err = job.Verify(r.Job); err != nil {
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
	if err := b.scan(ctx); err != nil {
		return nil, err
	}
	in, err := b.facts(ctx, q)
	if err != nil {
		return nil, err
	}
	terms := q.pack.Manifest.Terms
	in.Evidence = policies.Evidence{
		Assurance: attestation.Assurance(terms.MinAssurance), Reference: "plan", Runtime: q.job.Predicate.Runtime,
	}
	d, err := b.policy.Decide(ctx, in)
	if err != nil {
		return nil, err
	}
	return &grant.PlanReply{
		Allowed: d.Allow, Reasons: append([]grant.Reason{}, d.Reasons...), MaxAmount: in.Account.Cost,
		Currency: terms.Price.Currency, UsesLeft: max(0, terms.MaxUses-in.Account.Uses), Assurance: terms.MinAssurance,
	}, nil
}
