// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/policies"
	"github.com/glovebox-dev/glovebox/policies/input"
)

// grant takes a new request through decide, reserve and record. The caller holds b.releasing.
func (b *Broker) grant(ctx context.Context, q *request) (*ledger.Lease, error) {
	attempt, err := b.turn(ctx, q)
	if err != nil {
		return nil, err
	}
	in, err := b.facts(ctx, q)
	if err != nil {
		return nil, err
	}
	in.Evidence = policies.Evidence{
		Assurance: q.claims.Assurance(), Reference: q.claims.Reference(), Runtime: q.claims.Binding().Runtime,
	}
	decision, err := b.policy.Decide(ctx, in)
	if err != nil {
		return nil, err
	}
	if !decision.Allow {
		return nil, b.deny(ctx, q, decision.Reasons)
	}
	var lease *ledger.Lease
	err = b.ledger.Update(ctx, func(t *ledger.Tx) error {
		if err := reserve(t, q, in.Account.Cost); err != nil {
			return err
		}
		var err error
		lease, err = b.record(t, q, attempt, decision.Obligations)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.touch(lease.Grant, q.now)
	b.log.Info("released", "manifest", q.pack.ID.String(), "job", q.job.ID.String(), "grant", lease.Grant.String(), "attempt", attempt)
	return lease, nil
}

// turn decides which attempt this is, and whether it is its turn. A job has one live lease on a package; the buyer's
// broker starts the next attempt only when the one before has ended, and none after one that completed.
func (b *Broker) turn(ctx context.Context, q *request) (attempt int, err error) {
	var last *ledger.Lease
	var all, since int64
	err = b.ledger.Update(ctx, func(t *ledger.Tx) error {
		if all, since, err = t.Attempts(q.pack.ID, q.job.ID); err != nil {
			return err
		}
		last, err = t.LastLease(q.pack.ID, q.job.ID)
		if errors.Is(err, ledger.ErrNotFound) {
			last, err = &ledger.Lease{State: ledger.Lost}, nil // attempt 0
		}
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case last.State == ledger.Live:
		return 0, fmt.Errorf("%w: attempt %d of this job still has its lease", ErrBusy, last.Attempt)
	case q.ticket == nil && last.State == ledger.Completed:
		return 0, b.deny(ctx, q, []grant.Reason{{
			Rule: "completed", Message: fmt.Sprintf("attempt %d of this job completed", last.Attempt), Satisfy: "submit a new job",
		}})
	case q.ticket == nil:
		return last.Attempt + 1, nil
	case q.ticket.Predicate.Attempt <= last.Attempt:
		return 0, fmt.Errorf("%w: attempt %d, but attempt %d was here before", ErrTicket, q.ticket.Predicate.Attempt, last.Attempt)
	case all >= maxAttempts:
		return 0, b.deny(ctx, q, []grant.Reason{{
			Rule: "attempts", Message: fmt.Sprintf("this job had %d attempts", all), Satisfy: "submit a new job",
		}})
	case since >= maxReruns:
		return 0, b.deny(ctx, q, []grant.Reason{{
			Rule: "completed", Message: fmt.Sprintf("this job completed here, and had %d attempts since", since), Satisfy: "submit a new job",
		}})
	}
	return q.ticket.Predicate.Attempt, nil
}

// facts gathers what policy needs to know besides the evidence.
func (b *Broker) facts(ctx context.Context, q *request) (in policies.Request, err error) {
	m, j := q.pack.Manifest, &q.job.Predicate
	in.Now = millis(q.now)
	if in.Package.Latest, err = b.latest(m.Dataset); err != nil {
		return in, err
	}
	var author envelope.PublicKey
	switch {
	case q.code != nil:
		author = q.code.Predicate.Owner
	case q.pack.ID == j.Code:
		author = m.Owner
	}
	in.Fill(q.pack.ID, m, q.job.ID, j, author)
	in.Granted = input.Grantable(m, j.Purpose, in.Now/1000, func(envelope.Digest) bool { return false })
	if s := b.cfg.Settings; s.Buyer != nil {
		in.Buyer = s.Buyer.String()
	}
	if in.Account.Cost, err = maxCost(m, j); err != nil {
		return in, err
	}
	err = b.ledger.Update(ctx, func(t *ledger.Tx) error {
		if in.Account.Uses, err = t.Uses(q.pack.ID, q.job.ID); err != nil {
			return err
		}
		if in.Account.Reserved, err = t.Committed(q.job.ID, q.pack.ID); err != nil {
			return err
		}
		in.Revoked, in.Cancelled, err = revocations(t, q.pack.ID, q.job.ID, j.Buyer)
		return err
	})
	return in, err
}

// passes is how often a package is read: code once, data once an epoch.
func passes(m *dataset.Manifest, j *job.Job) int64 {
	if m.Kind == dataset.KindCode {
		return 1
	}
	return int64(j.Epochs)
}

// maxCost is the most that one package can cost one job.
func maxCost(m *dataset.Manifest, j *job.Job) (int64, error) {
	records, ok := times(m.Records, passes(m, j))
	if !ok {
		return 0, fmt.Errorf("%w: %d records in %d epochs", ErrAmount, m.Records, j.Epochs)
	}
	return price(m.Terms.Price, records)
}

// price is PerUse + records × PerRecord, or an error; never a wrapped or rounded number.
func price(p dataset.Price, records int64) (int64, error) {
	v, ok := times(records, p.PerRecord)
	if !ok || p.PerUse < 0 || v > job.MaxAmount-p.PerUse {
		return 0, fmt.Errorf("%w: %d records at %d", ErrAmount, records, p.PerRecord)
	}
	return v + p.PerUse, nil
}

// times multiplies within 0…job.MaxAmount.
func times(a, b int64) (int64, bool) {
	if a < 0 || b < 0 || (b != 0 && a > job.MaxAmount/b) {
		return 0, false
	}
	return a * b, true
}

// reserve holds the most the package can cost. What an earlier attempt owes stays owed; it is not added again.
func reserve(t *ledger.Tx, q *request, cost int64) error {
	a, err := t.Account(q.pack.ID, q.job.ID)
	if err != nil {
		return err
	}
	a.Reserved = cost
	return t.SetAccount(q.pack.ID, q.job.ID, a)
}

// record signs the grant into the package's chain and opens the lease.
func (b *Broker) record(t *ledger.Tx, q *request, attempt int, o grant.Obligations) (*ledger.Lease, error) {
	sequence, previous, err := t.Next(q.pack.ID)
	if err != nil {
		return nil, err
	}
	l := &ledger.Lease{
		Manifest: q.pack.ID, Job: q.job.ID, Binding: q.d, Evidence: q.claims.EvidenceDigest(), Policy: b.policy.Digest(),
		Attempt: attempt, Assurance: string(q.claims.Assurance()), Buyer: q.job.Predicate.Buyer,
		SigningKey: q.claims.Binding().SigningKey, Obligations: o, State: ledger.Live,
		Allowed: min(o.Allowance, deliverable(&o)),
	}
	if q.ticket != nil {
		l.Ticket = &q.ticket.ID
	} else if l.SignedTicket, err = b.ticket(q, attempt, o.Expires); err != nil {
		return nil, err
	}
	g := grant.Grant{
		Binding: l.Binding, Evidence: l.Evidence, Job: l.Job, Manifest: l.Manifest, Buyer: l.Buyer, Ticket: l.Ticket,
		Attempt: attempt, Assurance: l.Assurance, Reference: q.claims.Reference(), Policy: l.Policy, Sequence: sequence,
		Previous: previous, Issued: millis(q.now), Obligations: o,
	}
	if l.SignedGrant, l.Grant, err = grant.Sign(&g, b.signer); err != nil {
		return nil, err
	}
	if err := t.Append(q.pack.ID, l.SignedGrant, b.signer.Public()); err != nil {
		return nil, err
	}
	if err := t.AddJob(q.job.ID, q.signedJob); err != nil {
		return nil, err
	}
	return l, t.AddLease(l)
}

// ticket is the buyer's leave for one attempt, valid as long as the code's grant.
func (b *Broker) ticket(q *request, attempt int, expires int64) ([]byte, error) {
	signed, _, err := grant.Sign(&grant.Ticket{
		Job: q.job.ID, Binding: q.d, Attempt: attempt, Issued: millis(q.now), Expires: expires,
	}, b.signer)
	return signed, err
}

// deny records a signed denial and returns it as an error.
func (b *Broker) deny(ctx context.Context, q *request, reasons []grant.Reason) error {
	var out *DeniedError
	err := b.ledger.Update(ctx, func(t *ledger.Tx) error {
		sequence, previous, err := t.Next(q.pack.ID)
		if err != nil {
			return err
		}
		d := grant.Denial{
			Job: q.job.ID, Manifest: q.pack.ID, Reasons: reasons, Sequence: sequence, Previous: previous, Time: millis(q.now),
		}
		signed, _, err := grant.Sign(&d, b.signer)
		if err != nil {
			return err
		}
		if err := t.Append(q.pack.ID, signed, b.signer.Public()); err != nil {
			return err
		}
		out = &DeniedError{signed, d}
		return t.AddDenial(q.pack.ID, q.d, signed)
	})
	if err != nil {
		return err
	}
	return out
}
