// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// settle seals the result, attests the usage, lets the payload go, collects every broker's commit, and only then hands
// out the header. Without all commits the plaintext and the header die here.
func (r *attempt) settle(ctx context.Context, out *outcome) (*door.Result, error) {
	var s *sealed
	if out.reason == usage.ReasonNone {
		var err error
		if s, err = r.seal(out); err != nil {
			out.reason = r.discreet(usage.ReasonOutput)
		}
	}
	signed, id, st, err := r.attestUsage(out, s)
	if err != nil {
		return nil, err
	}
	if s != nil {
		hand, done := context.WithTimeout(ctx, r.e.t.output)
		err := r.e.c.Host.Output(hand, r.token, s.payload)
		done()
		if err != nil {
			// The host cannot keep the payload. The statement about it has gone nowhere; the run is attested as failed.
			out.reason, s = usage.ReasonUnavailable, nil
			if signed, id, st, err = r.attestUsage(out, nil); err != nil {
				return nil, err
			}
		}
	}
	res := &door.Result{Outcome: st.Outcome, Reason: st.Reason, Usage: signed, Evidence: r.evidence, Ticket: r.ticket}
	if res.Grants, res.Commits, err = r.commitAll(ctx, signed, id, st); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	if s != nil {
		res.Header = s.header
	}
	return res, nil
}

// commitAll asks the datasets' brokers first and the code's last: once her own broker has committed, a buyer's job has
// completed and is never tried again, so nobody may be left to ask. A dataset's broker charges a later attempt no second
// time.
func (r *attempt) commitAll(ctx context.Context, signed []byte, id envelope.Digest, st *usage.Statement) (grants, commits [][]byte, err error) {
	packs := r.granted()
	grants, commits = make([][]byte, len(packs)), make([][]byte, len(packs))
	for n := range packs {
		i := (n + 1) % len(packs)
		grants[i] = packs[i].raw
		if commits[i], err = r.commit(ctx, packs[i], signed, id, st, &st.Packages[i]); err != nil {
			return nil, nil, err
		}
	}
	return grants, commits, nil
}

// attestUsage signs what was used, and what came of it: s, or nothing.
func (r *attempt) attestUsage(out *outcome, s *sealed) (signed []byte, id envelope.Digest, st *usage.Statement, err error) {
	if st, err = r.statement(out, s); err != nil {
		return nil, id, nil, err
	}
	var digest *envelope.Digest
	if s != nil {
		digest = &s.digest
	}
	signed, id, err = usage.Sign(st, digest, r.lease.signer)
	return signed, id, st, err
}

// statement says how the run ended and what it used.
func (r *attempt) statement(out *outcome, s *sealed) (*usage.Statement, error) {
	st := &usage.Statement{
		Job: r.job.ID, Binding: r.lease.d, Evidence: envelope.Sum(r.evidence), Runtime: r.job.Predicate.Runtime,
		Isolation: out.worker.Isolation, Attempt: r.attempt, Outcome: usage.OutcomeFailed, Reason: out.reason,
		Outputs: []usage.Output{}, Execution: out.execution(), Transforms: []usage.Transform{}, Spent: r.spent(out),
		Receipts: []string{}, Payments: []string{},
		Measured: usage.Measured{
			CPUMillis: out.worker.CPU.Milliseconds(), PeakMemory: out.worker.Peak, WallMillis: out.worker.Wall.Milliseconds(),
		},
		Time: usage.Time{Broker: r.packages[0].clock.issued, Released: out.released, Started: out.started, Finished: out.finished},
	}
	if s != nil {
		st.Outcome, st.Commitment, st.Outputs = usage.OutcomeCompleted, &s.commitment, s.outputs
		st.Undeclared = int64(out.worker.Undeclared) // of a failed run it would be a free channel
	}
	for _, p := range r.granted() {
		g := &p.grant.Predicate
		k := usage.Package{Manifest: p.id, Grant: p.grant.ID, Policy: g.Policy, Leaves: []grant.Range{}, Heartbeat: p.beat.sequence()}
		if err := p.meter.report(&k); err != nil {
			return nil, err
		}
		st.Packages = append(st.Packages, k)
		st.Transforms = append(st.Transforms, p.steps...)
		st.Privacy += g.Obligations.Privacy
		a := attestation.Assurance(g.Assurance)
		if st.Assurance == "" || !a.AtLeast(attestation.Assurance(st.Assurance)) {
			st.Assurance = g.Assurance
		}
	}
	return st, nil
}

// execution is what was executed, or nothing if no module was admitted.
func (o *outcome) execution() *usage.Execution {
	w := &o.worker
	if w.Costs == "" || o.reason == usage.ReasonModule {
		return nil
	}
	return &usage.Execution{Module: w.Original, Rewritten: w.Rewritten, Costs: w.Costs, Fuel: w.Fuel}
}

// commit has p's broker accept the usage attestation. The same question gets the same answer, so repeats are safe.
func (r *attempt) commit(ctx context.Context, p *pack, signed []byte, id envelope.Digest, st *usage.Statement, used *usage.Package) (commit []byte, err error) {
	records, amount, err := usage.Charge(p.m.Terms.Price, st.Outcome, used.Billable)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBroker, err)
	}
	err = r.ask(ctx, p, r.e.t.commit, &grant.Message{Commit: signed, Package: &p.id}, func(reply *grant.Reply) error {
		v, err := grant.VerifyCommit(reply.Commit, p.broker)
		if err != nil {
			return err
		}
		c := v.Predicate
		same := c.Binding == r.lease.d && c.Grant == p.grant.ID && c.Job == r.job.ID && c.Manifest == p.id && c.Usage == id &&
			c.Outcome == st.Outcome
		if !same {
			return fmt.Errorf("%w: commit for another run", ErrBroker)
		}
		if c.Records != records || c.Amount != amount || c.Currency != p.m.Terms.Price.Currency || c.Sequence <= p.grant.Predicate.Sequence {
			return fmt.Errorf("%w: the commit does not charge what the terms do", ErrBroker)
		}
		commit = reply.Commit
		return nil
	})
	if err == nil {
		p.beat.mu.Lock()
		p.beat.over = true
		p.beat.mu.Unlock()
	}
	return commit, err
}
