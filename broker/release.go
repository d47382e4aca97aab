// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/entitlement"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// request is a release request on its way. Each step reads only what the steps before it have checked.
type request struct {
	now       int64 // Unix milliseconds; the deciding transaction has its own
	pack      *config.Package
	code      *envelope.Verified[dataset.Manifest] // nil in a plan for somebody else's code
	job       *envelope.Verified[job.Job]
	signedJob []byte
	ticket    *envelope.Verified[grant.Ticket] // nil when the code itself is asked for
	teller    envelope.PublicKey               // speaks for the code's broker, and signed the ticket
	evidence  []byte
	claims    *attestation.Claims
	d         envelope.Digest
	nonce     envelope.Nonce
	latest    int64                // version of the package
	grounds   []entitlement.Ground // what access may stand on
	why       []grant.Reason       // there is none
	spends    spending             // in a mode with noise of the enclave's
}

// Release is the one way out for a key: authenticate → bind → appraise → decide → reserve → record → unwrap → seal.
// The same binding and ticket get the same bytes, whatever failed in between, and are debited once.
func (b *Broker) Release(ctx context.Context, r *grant.ReleaseRequest) (*grant.ReleaseReply, error) {
	q, err := b.read(r)
	if err != nil {
		return nil, err
	}
	if err := b.scan(ctx); err != nil {
		return nil, err
	}
	if err := b.appraise(ctx, q); err != nil {
		return nil, err
	}
	if err := b.bind(q); err != nil {
		return nil, err
	}
	if err := b.prepare(ctx, q); err != nil {
		return nil, err
	}
	lease, err := b.decide(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(lease.Sealed) == 0 {
		if lease, err = b.unwrapAndSeal(ctx, q, lease); err != nil {
			return nil, err
		}
	}
	return &grant.ReleaseReply{
		Grant: lease.SignedGrant, Ticket: lease.SignedTicket, Entitlement: lease.Entitlement, Sealed: lease.Sealed,
	}, nil
}

// read verifies every signature in a request: the job by its buyer, the manifests by their owners, the ticket by the
// broker that the job's code names.
func (b *Broker) read(r *grant.ReleaseRequest) (q *request, err error) {
	q = &request{now: millis(b.clock.read()), signedJob: r.Job, evidence: r.Evidence}
	if q.job, err = b.jobs.verified(r.Job, job.Verify); err != nil {
		return nil, fmt.Errorf("%w: job: %w", ErrRequest, err)
	}
	if q.code, err = b.codeOf(r.Code, q.job); err != nil {
		return nil, err
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
	isCode := id == q.code.ID
	if isCode != (q.pack.Manifest.Kind == dataset.KindCode) {
		return nil, fmt.Errorf("%w: the package is a %s, the job uses it as something else", ErrRequest, q.pack.Manifest.Kind)
	}
	if isCode {
		if len(r.Ticket) != 0 {
			return nil, fmt.Errorf("%w: the code's release gives the ticket, it takes none", ErrTicket)
		}
		q.teller = b.signer.Public()
		return q, nil
	}
	voice := grant.Voice{Owner: q.code.Predicate.Owner, Pinned: q.code.Predicate.Broker.Key}
	if q.ticket, q.teller, err = voice.Ticket(r.Ticket); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTicket, err)
	}
	return q, nil
}

// codeOf verifies the manifest of a job's code.
func (b *Broker) codeOf(signed []byte, j *envelope.Verified[job.Job]) (*envelope.Verified[dataset.Manifest], error) {
	code, err := b.codes.verified(signed, dataset.Verify)
	if err != nil {
		return nil, fmt.Errorf("%w: code manifest: %w", ErrRequest, err)
	}
	if code.ID != j.Predicate.Code || code.Predicate.Kind != dataset.KindCode {
		return nil, fmt.Errorf("%w: the code manifest is not the job's", ErrRequest)
	}
	return code, nil
}

// appraise authenticates the evidence, checks that it is bound to its claims, and compares its measurements with the
// owner's reference values; [attestation.Verifier.Verify] does the three in this order.
func (b *Broker) appraise(ctx context.Context, q *request) error {
	now := q.now / 1000
	v, err := b.appraiser(ctx, now)
	if err != nil {
		return err
	}
	if q.claims, err = v.Verify(ctx, q.evidence, now); err != nil {
		return err
	}
	if !q.claims.Valid() {
		return fmt.Errorf("%w: no claims", attestation.ErrEvidence)
	}
	q.d = q.claims.Bound()
	return nil
}

// bind compares what the evidence is bound to with what is asked for. The nonce is spent with the decision.
func (b *Broker) bind(q *request) error {
	c := q.claims.Binding()
	if c.Job != q.job.ID || c.Runtime != q.job.Predicate.Runtime {
		return fmt.Errorf("%w: another job or runtime", ErrBinding)
	}
	manifests := q.job.Predicate.Manifests()
	if len(c.Owners) != len(manifests) {
		return fmt.Errorf("%w: %d owners, the job has %d packages", ErrBinding, len(c.Owners), len(manifests))
	}
	var mine *attestation.Owner
	for i, o := range c.Owners {
		if o.Manifest != manifests[i] {
			return fmt.Errorf("%w: owner %d is not the job's package %d", ErrBinding, i, i)
		}
		if o.Manifest == q.pack.ID {
			mine = &c.Owners[i]
		}
	}
	if mine == nil || !mine.Audience.Equal(b.signer.Public()) {
		return fmt.Errorf("%w: another broker was asked for this package", ErrBinding)
	}
	if !c.Owners[0].Audience.Equal(q.teller) {
		return fmt.Errorf("%w: the code's broker is another", ErrBinding)
	}
	q.nonce = mine.Nonce
	return checkTicket(q)
}

// checkTicket compares a verified ticket with the evidence and the clock. The other broker's clock is not ours: one that
// is far ahead is refused like an expired ticket.
func checkTicket(q *request) error {
	if q.ticket == nil {
		return nil
	}
	p, now := q.ticket.Predicate, q.now
	switch {
	case p.Job != q.job.ID:
		return fmt.Errorf("%w: for another job", ErrTicket)
	case p.Binding != q.d:
		return fmt.Errorf("%w: for another binding", ErrTicket)
	case now >= p.Expires:
		return fmt.Errorf("%w: expired at %d, it is %d", ErrTicket, p.Expires, now)
	case p.Issued > now+maxSkew.Milliseconds():
		return fmt.Errorf("%w: issued at %d, but it is %d here: one broker's clock is wrong", ErrTicket, p.Issued, now)
	}
	return nil
}

// prepare gathers what the decision needs and what takes too long to be done inside it: files, signatures and what a job
// spends.
func (b *Broker) prepare(ctx context.Context, q *request) (err error) {
	if q.latest, err = b.latest(q.pack.Manifest.Dataset); err != nil {
		return err
	}
	if err := b.forecast(ctx, q); err != nil {
		return err
	}
	return b.bring(q)
}
