// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// release asks the code's broker first, whose answer carries the run ticket, then each dataset's with that ticket. The first release
// is debited: before it, and as long as it is waited for, every nonce must be one that its broker still takes.
func (r *attempt) release(ctx context.Context) error {
	left := r.nonceLeft()
	if left <= 0 {
		return fmt.Errorf("%w: a nonce expired before anything was released", ErrBroker)
	}
	for i, p := range r.packages {
		patience := r.patience(p)
		if i == 0 {
			patience = min(patience, left)
		}
		p.beat.heard = time.Now() // the answer may be as old as the question
		req := &grant.ReleaseRequest{Evidence: r.evidence, Job: r.signedJob, Code: r.packages[0].signed, Manifest: p.signed, Ticket: r.ticket}
		err := r.ask(ctx, p, patience, &grant.Message{Release: req}, func(reply *grant.Reply) error {
			if reply.Release == nil {
				return fmt.Errorf("%w: no grant", ErrBroker)
			}
			return r.acceptRelease(p, i == 0, reply.Release)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// acceptRelease checks one reply whole before anything of it is kept.
func (r *attempt) acceptRelease(p *pack, code bool, reply *grant.ReleaseReply) error {
	g, err := grant.VerifyGrant(reply.Grant, p.broker)
	if err != nil {
		return err
	}
	ticket := r.ticket
	if code {
		if ticket = reply.Ticket; len(ticket) == 0 {
			return fmt.Errorf("%w: the code's broker gave no run ticket", ErrGrant)
		}
		if err := r.checkTicket(p, ticket, g.Predicate.Attempt); err != nil {
			return err
		}
	}
	sel, err := r.checkGrant(p, code, g)
	if err != nil {
		return err
	}
	keys, err := r.lease.openKeys(reply.Sealed, g.ID, p.m, sel)
	if err != nil {
		return err
	}
	if code {
		r.ticket, r.attempt = ticket, g.Predicate.Attempt
	}
	p.grant, p.raw, p.granted, p.keys = g, reply.Grant, sel, keys
	p.beat.allowed = firstAllowance(&g.Predicate.Obligations) // nobody else has p before it is live
	r.mu.Lock()
	r.live = append(r.live, p)
	r.mu.Unlock()
	return nil
}

func (r *attempt) checkTicket(p *pack, signed []byte, attempt int) error {
	v, err := grant.VerifyTicket(signed, p.broker)
	if err != nil {
		return err
	}
	t := v.Predicate
	if t.Job != r.job.ID || t.Binding != r.lease.d || t.Attempt != attempt || t.Expires <= p.clock.now() {
		return fmt.Errorf("%w: %w: run ticket", ErrGrant, grant.ErrOther)
	}
	return nil
}

// checkGrant refuses a grant for any other binding, evidence, job, package, buyer, ticket or time, and gives what it grants
// of the package.
func (r *attempt) checkGrant(p *pack, code bool, v *envelope.Verified[grant.Grant]) (*dataset.Selection, error) {
	g := &v.Predicate
	other := g.Binding != r.lease.d || g.Evidence != envelope.Sum(r.evidence) || g.Job != r.job.ID || g.Manifest != p.id ||
		!g.Buyer.Equal(r.job.Predicate.Buyer)
	switch {
	case other:
		return nil, fmt.Errorf("%w: %w", ErrGrant, grant.ErrOther)
	case g.Obligations.Expires <= p.clock.now():
		return nil, fmt.Errorf("%w: %w", ErrGrant, grant.ErrExpired)
	case code && g.Ticket != nil:
		return nil, fmt.Errorf("%w: the code's grant names a ticket", ErrGrant)
	}
	sel, err := withinTerms(g, p.m, &r.job.Predicate, r.packages[0].m.Owner)
	if err != nil || code {
		return sel, err
	}
	id, err := envelope.ID(r.ticket)
	if err != nil || g.Ticket == nil || *g.Ticket != id || g.Attempt != r.attempt {
		return nil, fmt.Errorf("%w: %w: ticket or attempt", ErrGrant, grant.ErrOther)
	}
	return sel, nil
}

// withinTerms: a broker may narrow what its owner signed, never widen it. Who asks, with whose code, for what, and what may
// leave is for a dataset's terms to say; the job is the word of the code's own owner, coder. Where terms ask for consent,
// what is granted holds no record whose contributor does not agree to the purpose, from the grant's issue to its expiry.
func withinTerms(g *grant.Grant, m *dataset.Manifest, j *job.Job, coder envelope.PublicKey) (*dataset.Selection, error) {
	o, t := &g.Obligations, &m.Terms
	ok := slices.Contains(t.Modes, o.Mode) && o.Epochs <= t.MaxEpochs && o.Allowance <= t.Allowance &&
		(o.Logs == grant.LogsOff || t.Logs == grant.LogsSealed) &&
		o.Expires-g.Issued <= t.LeaseSeconds*1000 && g.Issued/1000 <= t.NotAfter &&
		attestation.Assurance(g.Assurance).AtLeast(attestation.Assurance(t.MinAssurance))
	if ok && m.Kind == dataset.KindDataset {
		ok = o.MaxOutput <= t.MaxOutputBytes &&
			!slices.ContainsFunc(o.Outputs, func(c string) bool { return !slices.Contains(t.Outputs, c) })
	}
	if !ok {
		return nil, fmt.Errorf("%w: the broker grants more than its owner's terms", ErrGrant)
	}
	for _, b := range slices.Concat(usage.CheckGround(g, m), usage.CheckSteps(o, m), usage.CheckJob(j, o, m, coder)) {
		return nil, fmt.Errorf("%w: the broker grants against its owner's terms: %s: %s", ErrGrant, b.Rule, b.Message)
	}
	sel, err := m.Select(o.Leaves.Spans())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGrant, err)
	}
	until, err := sel.Consented(m, j.Purpose, g.Issued/1000)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrGrant, err)
	case until != 0 && o.Expires > until*1000:
		return nil, fmt.Errorf("%w: it outlives a contributor's consent", ErrGrant)
	}
	return sel, nil
}

// permitted checks the job against what every grant obliges to, before the code starts.
func (r *attempt) permitted() error {
	j := &r.job.Predicate
	for i, p := range r.packages {
		o := &p.grant.Predicate.Obligations
		if o.Mode != j.Mode {
			return fmt.Errorf("%w: mode", ErrGrant)
		}
		if i > 0 && j.Epochs > o.Epochs { // code is read once
			return fmt.Errorf("%w: the job wants %d epochs, the grant allows %d", ErrGrant, j.Epochs, o.Epochs)
		}
		for _, out := range j.Outputs {
			if !slices.Contains(o.Outputs, out.Class) {
				return fmt.Errorf("%w: outputs of class %s may not leave", ErrGrant, out.Class)
			}
		}
	}
	return nil
}

// outputCap is the most that may leave: the job's limit and every owner's.
func (r *attempt) outputCap() int64 {
	most := r.job.Predicate.Limits.OutputBytes
	for _, p := range r.packages {
		most = min(most, p.grant.Predicate.Obligations.MaxOutput)
	}
	return most
}

// logs reports whether every owner lets the code's own words travel inside the sealed result.
func (r *attempt) logs() bool {
	for _, p := range r.packages {
		if p.grant.Predicate.Obligations.Logs != grant.LogsSealed {
			return false
		}
	}
	return true
}

// outputsOf lists the job's outputs by name.
func outputsOf(j *job.Job) map[string]job.Output {
	out := map[string]job.Output{}
	for _, o := range j.Outputs {
		out[o.Name] = o
	}
	return out
}
