// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/broker/entitlement"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/policies"
	"github.com/glovebox-dev/glovebox/policies/input"
)

// verdict is what one transaction came to: a lease, or a signed denial.
type verdict struct {
	lease  *ledger.Lease
	denied *DeniedError
	fresh  bool // not what the same request got before
}

// decide takes a request through decide, reserve and record, or finds what the same request got before. All of it is
// one transaction: the nonce is spent, counters and budgets are read, the rules judge, and what they allow is debited and
// on record, or nothing of it. So no two requests can take the last of anything, and nobody waits for a lock while the
// disk is written.
func (b *Broker) decide(ctx context.Context, q *request) (*ledger.Lease, error) {
	var v *verdict
	err := b.update(ctx, func(t *ledger.Tx, now int64) (err error) {
		v, err = b.judge(ctx, t, q, now)
		return err
	})
	switch {
	case errors.Is(err, ledger.ErrWrite): // it may be on disk all the same
		b.doubt()
		return nil, err
	case err != nil:
		return nil, err
	case v.denied != nil:
		return nil, v.denied
	}
	if v.fresh {
		b.touch(v.lease, b.now())
		b.log.Info("released", "manifest", q.pack.ID.String(), "job", q.job.ID.String(), "grant", v.lease.Grant.String(), "attempt", v.lease.Attempt)
	}
	return v.lease, nil
}

// judge is the deciding transaction.
func (b *Broker) judge(ctx context.Context, t *ledger.Tx, q *request, now int64) (*verdict, error) {
	if v, err := b.resume(t, q, now); v != nil || err != nil {
		return v, err
	}
	if err := b.consume(t, q, now); err != nil {
		return nil, err
	}
	turn, err := takeTurn(t, q)
	if err != nil {
		return nil, err
	}
	if len(turn.reasons) > 0 {
		return b.deny(t, q, turn.reasons, now)
	}
	f, err := b.facts(t, q, now)
	if err != nil {
		return nil, err
	}
	f.in.Evidence = policies.Evidence{
		Assurance: q.claims.Assurance(), Reference: q.claims.Reference(), Runtime: q.claims.Binding().Runtime,
	}
	decision, err := b.apply(ctx, q, f)
	if err != nil {
		return nil, err
	}
	if !decision.Allow {
		return b.deny(t, q, decision.Reasons, now)
	}
	return b.debit(t, q, turn.attempt, f, decision.Obligations)
}

// debit reserves and records what the rules allow.
func (b *Broker) debit(t *ledger.Tx, q *request, attempt int, f facts, o grant.Obligations) (*verdict, error) {
	if err := narrow(q.pack.Manifest, q.job.Predicate.Purpose, &o, f.in.Now); err != nil {
		return nil, err
	}
	err := declare(t, q.pack.Manifest)
	if errors.Is(err, ledger.ErrPopulation) {
		return b.deny(t, q, []grant.Reason{otherPopulation(err)}, f.in.Now)
	}
	if err != nil {
		return nil, err
	}
	// The most that the package can cost. What an earlier attempt owes stays owed; it is not added again.
	if err := t.Reserve(q.pack.ID, q.job.ID, f.in.Account.Cost); err != nil {
		return nil, err
	}
	lease, err := b.record(t, q, attempt, f, o)
	return &verdict{lease: lease, fresh: true}, err
}

// resume finds what the same request got before: a lease to go on with, or a denial to repeat. Neither: nil, nil.
func (b *Broker) resume(t *ledger.Tx, q *request, now int64) (*verdict, error) {
	l, err := t.LeaseOf(q.pack.ID, q.d)
	switch {
	case err == nil:
		return &verdict{lease: l}, checkResumable(t, l, q, now)
	case !errors.Is(err, ledger.ErrNotFound):
		return nil, err
	}
	signed, err := t.Denial(q.pack.ID, q.d)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v, err := envelope.Peek[grant.Denial](signed, envelope.DenialType) // this broker signed it, perhaps with an earlier key
	if err != nil {
		return nil, fmt.Errorf("%w: denial: %w", ledger.ErrCorrupt, err)
	}
	return &verdict{denied: &DeniedError{signed, v.Predicate}}, nil
}

func checkResumable(t *ledger.Tx, l *ledger.Lease, q *request, now int64) error {
	if l.Evidence != q.claims.EvidenceDigest() || l.Job != q.job.ID || (l.Ticket == nil) != (q.ticket == nil) ||
		(l.Ticket != nil && *l.Ticket != q.ticket.ID) {
		return fmt.Errorf("%w: this binding was released with other evidence or another ticket", ErrBinding)
	}
	return mayGoOn(t, l, now)
}

// mayGoOn refuses a lease that has ended or must stop.
func mayGoOn(t *ledger.Tx, l *ledger.Lease, now int64) error {
	if l.State != ledger.Live {
		return fmt.Errorf("%w: %s", ErrLease, l.State)
	}
	stop, err := stopReason(t, l, now)
	if err == nil && stop != "" {
		err = fmt.Errorf("%w: %s", ErrWithdrawn, stop)
	}
	return err
}

// turn is which attempt this is, or why there is none.
type turn struct {
	attempt int
	reasons []grant.Reason
}

// takeTurn decides which attempt this is, and whether it is its turn. A job has one live lease on a package; the buyer's
// broker starts the next attempt only when the one before has ended, and none after one that completed.
func takeTurn(t *ledger.Tx, q *request) (turn, error) {
	last, err := t.LastLease(q.pack.ID, q.job.ID)
	if errors.Is(err, ledger.ErrNotFound) {
		last, err = &ledger.Lease{State: ledger.Lost}, nil // attempt 0
	}
	if err != nil {
		return turn{}, err
	}
	var all, since int64
	if last.Attempt > 0 {
		if all, since, err = t.Attempts(q.pack.ID, q.job.ID); err != nil {
			return turn{}, err
		}
	}
	no := func(rule, f string, a ...any) turn {
		return turn{reasons: []grant.Reason{{Rule: rule, Message: fmt.Sprintf(f, a...), Satisfy: "submit a new job"}}}
	}
	switch {
	case last.State == ledger.Live:
		return turn{}, fmt.Errorf("%w: attempt %d of this job still has its lease", ErrBusy, last.Attempt)
	case q.ticket == nil && last.State == ledger.Completed:
		return no("completed", "attempt %d of this job completed", last.Attempt), nil
	case q.ticket == nil:
		return turn{attempt: last.Attempt + 1}, nil
	case q.ticket.Predicate.Attempt <= last.Attempt:
		return turn{}, fmt.Errorf("%w: attempt %d, but attempt %d was here before", ErrTicket, q.ticket.Predicate.Attempt, last.Attempt)
	case all >= maxAttempts:
		return no("attempts", "this job had %d attempts", all), nil
	case since >= maxReruns:
		return no("completed", "this job completed here, and had %d attempts since", since), nil
	}
	return turn{attempt: q.ticket.Predicate.Attempt}, nil
}

// facts is what the rules judge, and where it comes from.
type facts struct {
	in input.Request
	on *entitlement.Ground // nil where access is open, and where nothing was brought
}

// facts gathers what the rules need to know besides the evidence.
func (b *Broker) facts(t *ledger.Tx, q *request, now int64) (f facts, err error) {
	m, j := q.pack.Manifest, &q.job.Predicate
	in := &f.in
	in.Now, in.Package.Latest = now, q.latest
	in.Fill(q.pack.ID, m, q.job.ID, j, q.author())
	in.Job.Privacy.Bounded, in.Job.Privacy.Computed = q.spends.bounded, q.spends.computed
	if in.Granted, err = b.eligible(t, q.pack, j.Purpose, now); err != nil {
		return f, err
	}
	if s := b.cfg.Settings; s.Buyer != nil {
		in.Buyer = s.Buyer.String()
	}
	if in.Account.Cost, err = maxCost(m, j, recordsIn(m, in.Granted.Leaves)); err != nil {
		return f, err
	}
	if f.on, in.Entitlement, err = choose(t, q, in); err != nil {
		return f, err
	}
	if dataset.Private(j.Mode) {
		in.Granted.Together = unitsIn(m, in.Released())
	}
	if err := account(t, q, &in.Account); err != nil {
		return f, err
	}
	s := subject{manifest: q.pack.ID, dataset: m.Dataset, job: q.job.ID, code: j.Code, buyer: j.Buyer}
	if f.on != nil && f.on.Permit != nil {
		s.permit = &f.on.ID
	}
	if s.grants, err = earlier(t, q); err != nil {
		return f, err
	}
	in.Revoked, in.Cancelled, err = s.withdrawn(t)
	return f, err
}

// author is who signed the code, as far as this broker has seen; the zero key if it has not.
func (q *request) author() (k envelope.PublicKey) {
	switch {
	case q.code != nil:
		return q.code.Predicate.Owner
	case q.pack.ID == q.job.Predicate.Code:
		return q.pack.Manifest.Owner
	}
	return k
}

// account reads what the ledger has counted.
func account(t *ledger.Tx, q *request, a *input.Account) (err error) {
	if a.Uses, err = t.Uses(q.pack.ID, q.job.ID); err != nil {
		return err
	}
	if a.BuyerUses, err = t.BuyerUses(q.pack.ID, q.job.Predicate.Buyer, q.job.ID); err != nil {
		return err
	}
	if a.Reserved, err = t.Committed(q.job.ID, q.pack.ID); err != nil {
		return err
	}
	if a.Conditional, err = conditional(t, populationOf(q.pack.Manifest)); err != nil {
		return err
	}
	return epsilons(t, q, a)
}

// earlier lists the grants of earlier attempts: the owner may have revoked one, and meant what it was for.
func earlier(t *ledger.Tx, q *request) (out []envelope.Digest, err error) {
	if _, err := t.LastLease(q.pack.ID, q.job.ID); errors.Is(err, ledger.ErrNotFound) {
		return nil, nil
	}
	all, err := t.Leases(ledger.OfJob(q.job.ID))
	for _, l := range all {
		if l.Manifest == q.pack.ID {
			out = append(out, l.Grant)
		}
	}
	return out, err
}

// apply asks the rules. What is wrong with the receipt or permit itself is added to their reasons.
func (b *Broker) apply(ctx context.Context, q *request, f facts) (policies.Decision, error) {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxDecision)
	defer cancel()
	d, err := b.policy.Decide(limit, f.in)
	if err != nil {
		return policies.Decision{}, err
	}
	if d.Cause != nil {
		b.log.Error("the owner's own rules gave no usable answer", "manifest", q.pack.ID.String(), "job", q.job.ID.String(), "error", d.Cause)
	}
	if len(q.why) == 0 {
		return d, nil
	}
	reasons := append(append([]grant.Reason{}, d.Reasons...), q.why...)
	return policies.Decision{Reasons: reasons[:min(len(reasons), grant.MaxReasons)]}, nil
}

// record signs the grant into the package's chain, opens the lease, and debits what is not money.
func (b *Broker) record(t *ledger.Tx, q *request, attempt int, f facts, o grant.Obligations) (*ledger.Lease, error) {
	sequence, previous, err := t.Next(q.pack.ID)
	if err != nil {
		return nil, err
	}
	now, m := f.in.Now, q.pack.Manifest
	l := &ledger.Lease{
		Manifest: q.pack.ID, Job: q.job.ID, Binding: q.d, Evidence: q.claims.EvidenceDigest(), Policy: b.policy.Digest(),
		Attempt: attempt, Assurance: string(q.claims.Assurance()), Buyer: q.job.Predicate.Buyer,
		SigningKey: q.claims.Binding().SigningKey, Obligations: o, State: ledger.Live,
		Allowed: min(o.Allowance, deliverable(&o)), Dataset: m.Dataset, Code: q.job.Predicate.Code, Issued: now, Purpose: q.job.Predicate.Purpose, Population: populationOf(m),
	}
	if q.ticket != nil {
		l.Ticket = &q.ticket.ID
	} else if l.SignedTicket, err = b.ticket(q, attempt, now, o.Expires); err != nil {
		return nil, err
	}
	g := grant.Grant{
		Binding: l.Binding, Evidence: l.Evidence, Job: l.Job, Manifest: l.Manifest, Buyer: l.Buyer, Ticket: l.Ticket,
		Attempt: attempt, Assurance: l.Assurance, Reference: q.claims.Reference(), Policy: l.Policy, Sequence: sequence,
		Previous: previous, Issued: now, Population: l.Population, HandOvers: b.handOvers(m),
		Conditional: f.in.Account.Conditional, Obligations: o,
	}
	if g.Ledger.Records, g.Ledger.Digest, g.Ledger.Revision, err = t.Head(); err != nil {
		return nil, err
	}
	if err := b.spend(t, q, l, &g, f.on); err != nil {
		return nil, err
	}
	if l.SignedGrant, l.Grant, err = grant.Sign(&g, b.signer); err != nil {
		return nil, err
	}
	return l, b.enter(t, q, l)
}

// enter puts a signed grant, its job and its lease into the ledger.
func (b *Broker) enter(t *ledger.Tx, q *request, l *ledger.Lease) error {
	if err := t.Append(l.Manifest, l.SignedGrant, b.signer.Public()); err != nil {
		return err
	}
	if err := t.AddJob(l.Job, q.signedJob); err != nil {
		return err
	}
	if err := t.AddLease(l); err != nil {
		return err
	}
	if err := spendCapability(t, l); err != nil {
		return err
	}
	return reservePrivacy(t, l, q)
}

// ticket is the buyer's leave for one attempt, valid as long as the code's grant.
func (b *Broker) ticket(q *request, attempt int, now, expires int64) ([]byte, error) {
	signed, _, err := grant.Sign(&grant.Ticket{
		Job: q.job.ID, Binding: q.d, Attempt: attempt, Issued: now, Expires: expires, HandOvers: b.handOvers(q.pack.Manifest),
	}, b.signer)
	return signed, err
}

// deny records a signed denial. The nonce stays spent.
func (b *Broker) deny(t *ledger.Tx, q *request, reasons []grant.Reason, now int64) (*verdict, error) {
	sequence, previous, err := t.Next(q.pack.ID)
	if err != nil {
		return nil, err
	}
	d := grant.Denial{
		Job: q.job.ID, Manifest: q.pack.ID, Reasons: reasons, Sequence: sequence, Previous: previous, Time: now,
	}
	signed, _, err := grant.Sign(&d, b.signer)
	if err != nil {
		return nil, err
	}
	if err := t.Append(q.pack.ID, signed, b.signer.Public()); err != nil {
		return nil, err
	}
	return &verdict{denied: &DeniedError{signed, d}, fresh: true}, t.AddDenial(q.pack.ID, q.d, signed)
}
