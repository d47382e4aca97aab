// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Commit accepts the usage attestation of one lease, turns the reservation into a charge, and signs that. pack says
// which package's; nil will do where only one of the job's packages is this broker's. The same statement gets the same
// bytes again; another one for the same grant is refused.
func (b *Broker) Commit(ctx context.Context, signed []byte, pack *envelope.Digest) ([]byte, error) {
	if err := b.scan(ctx); err != nil {
		b.log.Error("revocations", "error", err)
	}
	if len(signed) > grant.MaxUsage {
		return nil, fmt.Errorf("%w: usage statement of %d bytes", envelope.ErrTooLarge, len(signed))
	}
	p, err := envelope.Peek[usage.Statement](signed, envelope.UsageType)
	if err != nil {
		return nil, err
	}
	l, err := b.leaseIn(ctx, &p.Predicate, pack)
	if err != nil {
		return nil, err
	}
	v, _, err := usage.Verify(signed, l.SigningKey)
	if errors.Is(err, usage.ErrInvalid) {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if err != nil {
		return nil, err
	}
	m, err := b.pack(l.Manifest)
	if err != nil {
		return nil, err
	}
	spent, err := b.recount(ctx, l, m.Manifest, &v.Predicate)
	if err != nil {
		return nil, err
	}
	s := &settling{m: m.Manifest, v: v, signed: signed, spent: spent}
	if s.proof, err = b.witnessed(ctx, l.Grant, s); err != nil {
		return nil, err
	}
	var out []byte
	err = b.update(ctx, func(t *ledger.Tx, now int64) (err error) {
		s.now = now
		if s.l, err = t.Lease(l.Grant); err != nil {
			return err
		}
		out, err = b.settle(t, s)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.forget(l.Grant)
	return out, nil
}

// leaseIn finds the lease a statement is about, before anything in it is believed.
func (b *Broker) leaseIn(ctx context.Context, s *usage.Statement, pack *envelope.Digest) (*ledger.Lease, error) {
	if len(s.Packages) > 1+job.MaxDatasets {
		return nil, fmt.Errorf("%w: %d packages", ErrUsage, len(s.Packages))
	}
	var mine []*ledger.Lease
	err := b.ledger.View(ctx, func(t *ledger.Tx) error {
		mine = nil
		for _, p := range s.Packages {
			l, err := t.Lease(p.Grant)
			if errors.Is(err, ledger.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if pack == nil || l.Manifest == *pack {
				mine = append(mine, l)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(mine) == 0:
		return nil, fmt.Errorf("%w: no grant in this statement is from here", ErrUnknown)
	case len(mine) > 1:
		return nil, fmt.Errorf("%w: this broker serves %d packages of the job; say which one to commit", ErrRequest, len(mine))
	}
	return mine[0], nil
}

// settling is a verified statement about one lease.
type settling struct {
	l      *ledger.Lease
	m      *dataset.Manifest
	v      *envelope.Verified[usage.Statement]
	signed []byte
	spent  ran
	proof  *tlog.Proof // that the grant is in the log; nil where the owner does not ask
	now    int64
}

// settle decides about one verified statement. Everything it changes is in one transaction.
func (b *Broker) settle(t *ledger.Tx, s *settling) ([]byte, error) {
	l, m, v := s.l, s.m, s.v
	if l.Usage != nil && *l.Usage == v.ID {
		return l.Commit, nil
	}
	p, j, err := b.examine(t, s)
	if err != nil {
		return nil, err
	}
	if b.public != nil && s.proof == nil {
		return nil, ErrUnlogged
	}
	out, err := b.charge(t, s, p)
	if err != nil {
		return nil, err
	}
	return out, t.AddUsage(&ledger.Usage{
		Grant: l.Grant, Usage: v.ID, Job: l.Job, Manifest: l.Manifest, Dataset: m.Dataset, Buyer: l.Buyer, Code: j.Code,
		Outcome: v.Predicate.Outcome, Time: s.now, Chunks: p.Reads, Bytes: p.Bytes, Records: p.Records, Leaves: p.Leaves, Signed: s.signed,
	})
}

// examine says whether a verified statement may settle its lease.
func (b *Broker) examine(t *ledger.Tx, s *settling) (*usage.Package, *job.Job, error) {
	l := s.l
	switch {
	case l.Usage != nil:
		return nil, nil, ErrCommitted
	case l.State != ledger.Live:
		return nil, nil, fmt.Errorf("%w: %s", ErrLease, l.State)
	}
	signedJob, err := t.Job(l.Job)
	if err != nil {
		return nil, nil, err
	}
	j, err := b.jobs.verified(signedJob, job.Verify)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: job: %w", ledger.ErrCorrupt, err)
	}
	p, err := checkUsage(&s.v.Predicate, l, s.m, &j.Predicate)
	if err != nil {
		return nil, nil, err
	}
	for _, no := range s.spent.problems {
		return nil, nil, fmt.Errorf("%w: %s (%s)", ErrUsage, no.Message, no.Rule)
	}
	if s.v.Predicate.Outcome == usage.OutcomeCompleted {
		stop, err := stopReason(t, l, s.now)
		if err != nil {
			return nil, nil, err
		}
		if stop != "" {
			return nil, nil, fmt.Errorf("%w: %s", ErrWithdrawn, stop)
		}
	}
	return p, &j.Predicate, nil
}

// checkUsage compares a statement with the grant, the job and the heartbeats.
func checkUsage(s *usage.Statement, l *ledger.Lease, m *dataset.Manifest, j *job.Job) (*usage.Package, error) {
	bad := func(f string, a ...any) (*usage.Package, error) {
		return nil, fmt.Errorf("%w: %s", ErrUsage, fmt.Sprintf(f, a...))
	}
	switch {
	case s.Job != l.Job || s.Binding != l.Binding || s.Evidence != l.Evidence || s.Attempt != l.Attempt:
		return bad("for another job, binding, evidence or attempt")
	case s.Runtime != j.Runtime:
		return bad("runtime %q", s.Runtime)
	case !attestation.Assurance(l.Assurance).AtLeast(attestation.Assurance(s.Assurance)):
		return bad("assurance %q, the grant states %q", s.Assurance, l.Assurance)
	}
	for _, no := range usage.CheckMeasured(s, j) {
		return bad("%s (%s)", no.Message, no.Rule)
	}
	p, err := ownPackage(s, l, j)
	if err != nil {
		return nil, err
	}
	if err := checkReads(p, s.Outcome, l, m); err != nil {
		return nil, err
	}
	for _, no := range usage.CheckTransforms(s, slices.IndexFunc(s.Packages, func(u usage.Package) bool { return u.Grant == l.Grant }), m, &l.Obligations) {
		return bad("%s (%s)", no.Message, no.Rule)
	}
	if s.Privacy < l.Obligations.Privacy {
		return bad("privacy of %d, this grant alone debits %d", s.Privacy, l.Obligations.Privacy)
	}
	if s.Outcome == usage.OutcomeCompleted {
		return p, checkOutputs(s, &l.Obligations, j)
	}
	return p, nil
}

// ownPackage finds the lease's entry and checks that the others are the job's, in its order: all of them when the run
// completed.
func ownPackage(s *usage.Statement, l *ledger.Lease, j *job.Job) (own *usage.Package, err error) {
	want := j.Manifests()
	if s.Outcome == usage.OutcomeCompleted && len(s.Packages) != len(want) {
		return nil, fmt.Errorf("%w: %d packages, the job has %d", ErrUsage, len(s.Packages), len(want))
	}
	next := 0
	for i := range s.Packages {
		p := &s.Packages[i]
		at := slices.Index(want[next:], p.Manifest)
		if at < 0 {
			return nil, fmt.Errorf("%w: package %s is not the job's, or out of order", ErrUsage, p.Manifest)
		}
		next += at + 1
		if p.Grant == l.Grant {
			own = p
		}
	}
	if own == nil || own.Manifest != l.Manifest || own.Policy != l.Policy {
		return nil, fmt.Errorf("%w: another manifest or policy than the grant's", ErrUsage)
	}
	return own, nil
}

// checkReads holds the counters against what was granted and reported.
func checkReads(p *usage.Package, outcome string, l *ledger.Lease, m *dataset.Manifest) error {
	bad := func(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrUsage, fmt.Sprintf(f, a...)) }
	switch {
	case p.Reads > l.Allowed || p.Reads < l.Delivered:
		return bad("%d leaves read; heartbeats reported %d, %d were allowed", p.Reads, l.Delivered, l.Allowed)
	case p.Heartbeat > l.Sequence+1 || p.Heartbeat < 0:
		return bad("heartbeat %d, the last here was %d", p.Heartbeat, l.Sequence)
	}
	for _, no := range usage.CheckMetered(p, m, &l.Obligations, outcome) {
		return bad("%s (%s)", no.Message, no.Rule)
	}
	return nil
}

// checkOutputs holds the result against the job's declarations and the grant's classes.
func checkOutputs(s *usage.Statement, o *grant.Obligations, j *job.Job) error {
	left, next := o.MaxOutput, 0
	for _, out := range s.Outputs {
		at := slices.IndexFunc(j.Outputs[next:], func(d job.Output) bool { return d.Name == out.Name && d.Class == out.Class })
		if at < 0 || out.Bytes > j.Outputs[next+at].MaxBytes || !slices.Contains(o.Outputs, out.Class) {
			return fmt.Errorf("%w: output %s was not declared, not granted or too large", ErrUsage, out.Name)
		}
		next += at + 1
		if left -= out.Bytes; left < 0 {
			return fmt.Errorf("%w: outputs exceed %d bytes", ErrUsage, o.MaxOutput)
		}
	}
	return nil
}

// charge turns the reservation into what is owed and signs the commit into the chain.
func (b *Broker) charge(t *ledger.Tx, s *settling, p *usage.Package) ([]byte, error) {
	l, m, v := s.l, s.m, s.v
	a, err := t.Account(l.Manifest, l.Job)
	if err != nil {
		return nil, err
	}
	c := grant.Commit{
		Binding: l.Binding, Grant: l.Grant, Job: l.Job, Manifest: l.Manifest, Usage: v.ID, Outcome: v.Predicate.Outcome,
		Currency: m.Terms.Price.Currency, Time: s.now, Witnessed: s.proof,
	}
	l.State = ledger.Failed
	if c.Outcome == usage.OutcomeCompleted {
		l.State = ledger.Completed
		c.Records = p.Billable
		if c.Amount, err = price(m.Terms.Price, p.Billable); err != nil {
			return nil, err
		}
		if c.Amount > a.Reserved {
			return nil, fmt.Errorf("%w: %d owed, %d reserved", ErrUsage, c.Amount, a.Reserved)
		}
		a.Charged, a.Used = max(a.Charged, c.Amount), true
	}
	a.Reserved, a.Used = 0, a.Used || p.Reads > 0
	if c.Sequence, c.Previous, err = t.Next(l.Manifest); err != nil {
		return nil, err
	}
	if l.Commit, _, err = grant.Sign(&c, b.signer); err != nil {
		return nil, err
	}
	if err := t.Append(l.Manifest, l.Commit, b.signer.Public()); err != nil {
		return nil, err
	}
	if err := closeAccounts(t, l, a, end{left: len(l.Sealed) > 0, completed: l.State == ledger.Completed, spent: s.spent.cost}); err != nil {
		return nil, err
	}
	l.Usage = &v.ID
	return l.Commit, t.SetLease(l)
}
