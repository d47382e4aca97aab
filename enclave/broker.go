// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// pack is one package of a job and, step by step, what its owner's broker said.
type pack struct {
	id     envelope.Digest
	signed []byte
	m      *dataset.Manifest
	broker envelope.PublicKey // speaks for the package: what the manifest pins, or was handed over to

	clock   clock
	grant   *envelope.Verified[grant.Grant]
	raw     []byte             // the signed grant
	granted *dataset.Selection // of the package
	keys    dataset.Keys
	beat    beat
	meter   meter
	steps   []usage.Transform // what was done to its records, once all of them are through
}

// refusal is a broker's considered no. It arrived unauthenticated, so it only ends the attempt.
type refusal struct{ said *grant.Error }

func (r *refusal) Error() string { return r.said.Error() }

// again reports whether another attempt at the job may succeed.
func (r *refusal) again() bool {
	return r.said.Code == grant.CodeTryAgain || r.said.Code == grant.CodeEnded
}

// patience is how long questions to p's broker are repeated: its terms choose to wait or to fail.
func (r *attempt) patience(p *pack) time.Duration {
	if p.m.Terms.BrokerAway == "wait" {
		return r.e.t.ask
	}
	return 0
}

// ask sends m to p's broker until accept is content with a reply, a refusal arrives, or patience ends. The relay is the
// host's: replies that were dropped, delayed, repeated or swapped fail accept and are asked for again.
func (r *attempt) ask(ctx context.Context, p *pack, patience time.Duration, m *grant.Message, accept func(*grant.Reply) error) error {
	msg, err := envelope.Canonical(m)
	if err != nil {
		return err
	}
	deadline, wait := time.Now().Add(patience), r.e.t.backoffFirst
	for {
		err := r.askOnce(ctx, p, msg, accept)
		var no *refusal
		switch {
		case err == nil:
			return nil
		case errors.As(err, &no) && no.said.Code != grant.CodeTryAgain, errors.Is(err, door.ErrBroken), ctx.Err() != nil:
			return err
		case time.Now().Add(wait).After(deadline):
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrBroker, context.Cause(ctx))
		case <-time.After(wait):
		}
		wait = min(2*wait, r.e.t.backoffMost)
	}
}

func (r *attempt) askOnce(ctx context.Context, p *pack, msg []byte, accept func(*grant.Reply) error) error {
	// The relay is not cut short with ctx: an unanswered question breaks the door for good.
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.e.t.answer)
	defer cancel()
	b, err := r.e.c.Host.Relay(ask, p.m.Broker.Address, msg)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBroker, err)
	}
	reply, err := grant.ParseReply(b)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBroker, err)
	}
	if reply.Error != nil {
		return &refusal{reply.Error}
	}
	if err := accept(reply); err != nil {
		return fmt.Errorf("%w: %w", ErrBroker, err)
	}
	return nil
}

// enroll has p's broker vouch for the attestation key, once for each broker and boot.
func (r *attempt) enroll(ctx context.Context, p *pack) error {
	c, ok := r.e.c.Collector.(Enroller)
	if !ok || c.Endorsed(p.broker) {
		return nil
	}
	req := c.EnrollRequest()
	var act grant.ActivateRequest
	err := r.ask(ctx, p, r.patience(p), &grant.Message{Enroll: &req}, func(reply *grant.Reply) (err error) {
		if reply.Enroll == nil {
			return fmt.Errorf("%w: no credential", ErrBroker)
		}
		act, err = c.Activate(*reply.Enroll)
		return err
	})
	if err != nil {
		return fmt.Errorf("enroll attestation key: %w", err)
	}
	return r.ask(ctx, p, r.patience(p), &grant.Message{Activate: &act}, func(reply *grant.Reply) error {
		return c.AddEndorsement(p.broker, reply.Activate)
	})
}

// voice says who may speak for p's broker.
func (p *pack) voice() grant.Voice { return grant.Voice{Owner: p.m.Owner, Pinned: p.m.Broker.Key} }

// challenge gets a nonce from p's broker and starts p's clock. From then on the key that answered is the one that speaks.
func (r *attempt) challenge(ctx context.Context, p *pack) (nonce envelope.Nonce, err error) {
	m := &grant.Message{Challenge: &grant.ChallengeRequest{Manifest: p.id, Job: r.job.ID}}
	p.clock.asked = time.Now()
	err = r.ask(ctx, p, r.patience(p), m, func(reply *grant.Reply) error {
		v, speaker, err := p.voice().Challenge(reply.Challenge)
		if err != nil {
			return err
		}
		c := v.Predicate
		life := c.Expires - c.Issued
		if !c.Audience.Equal(speaker) || c.Manifest != p.id || c.Job != r.job.ID || c.Nonce.IsZero() {
			return fmt.Errorf("%w: challenge for another package or job", ErrBroker)
		}
		if c.Issued <= 0 || life <= 0 || life > grant.MaxNonceLife.Milliseconds() {
			return fmt.Errorf("%w: challenge with impossible times", ErrBroker)
		}
		nonce, p.broker = c.Nonce, speaker
		p.clock.issued = c.Issued
		return nil
	})
	return nonce, err
}
