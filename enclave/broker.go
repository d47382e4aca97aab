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
	return r.waits() || r.said.Code == grant.CodeEnded
}

// waits reports whether the same question may get another answer.
func (r *refusal) waits() bool {
	return r.said.Code == grant.CodeTryAgain || r.said.Code == grant.CodeUnlogged
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
	begun, wait := time.Now(), r.e.t.backoffFirst
	deadline := begun.Add(patience)
	for {
		err := r.askOnce(ctx, p, msg, accept)
		var no *refusal
		if errors.As(err, &no) && no.said.Code == grant.CodeUnlogged { // witnesses are away: the run is over, and need not be lost
			deadline = begun.Add(max(patience, r.e.t.unlogged))
		}
		switch {
		case err == nil:
			return nil
		case no != nil && !no.waits(), errors.Is(err, door.ErrBroken), ctx.Err() != nil:
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

// together is the extra ability of hosts that relay messages to several brokers at the same time.
type together interface {
	RelayAll(ctx context.Context, posts []door.Post) ([][]byte, error)
}

// challengeAll gets a nonce from every owner's broker: from all at the same time if the host can do that, and then, one after the
// other, from those that have given none. While one was away the others' nonces grew old: each such is asked for again, once.
func (r *attempt) challengeAll(ctx context.Context) ([]envelope.Nonce, error) {
	nonces, err := r.challengeTogether(ctx)
	if err != nil {
		return nil, err
	}
	for i, p := range r.packages {
		if !nonces[i].IsZero() {
			continue
		}
		if nonces[i], err = r.challenge(ctx, p); err != nil {
			return nil, err
		}
	}
	for i, p := range r.packages {
		if time.Since(p.clock.asked) <= r.e.t.nonce {
			continue
		}
		if nonces[i], err = r.challenge(ctx, p); err != nil {
			return nil, err
		}
	}
	return nonces, nil
}

// nonceLeft is how long the first of the nonces to expire is still taken, by its broker's clock.
func (r *attempt) nonceLeft() time.Duration {
	left := grant.MaxNonceLife
	for _, p := range r.packages {
		left = min(left, time.Duration(p.clock.expires-p.clock.now())*time.Millisecond)
	}
	return left
}

// challengeTogether leaves out who does not answer well: what that means is for the question to her alone.
func (r *attempt) challengeTogether(ctx context.Context) (nonces []envelope.Nonce, err error) {
	nonces = make([]envelope.Nonce, len(r.packages))
	host, able := r.e.c.Host.(together)
	if !able {
		return nonces, nil
	}
	posts := make([]door.Post, len(r.packages))
	for i, p := range r.packages {
		posts[i].Address = p.m.Broker.Address
		if posts[i].Message, err = envelope.Canonical(r.challengeFor(p)); err != nil {
			return nil, err
		}
		p.clock.asked = time.Now()
	}
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.e.t.answer)
	defer cancel()
	answers, err := host.RelayAll(ask, posts)
	if errors.Is(err, door.ErrBroken) {
		return nil, fmt.Errorf("%w: %w", ErrBroker, err)
	}
	for i, b := range answers[:min(len(answers), len(posts))] {
		reply, err := grant.ParseReply(b)
		if err != nil || reply.Error != nil {
			continue
		}
		if nonce, err := r.acceptChallenge(r.packages[i], reply); err == nil {
			nonces[i] = nonce
		}
	}
	return nonces, nil
}

func (r *attempt) challengeFor(p *pack) *grant.Message {
	return &grant.Message{Challenge: &grant.ChallengeRequest{Manifest: p.id, Job: r.job.ID}}
}

// challenge gets a nonce from p's broker and starts p's clock. From then on the key that answered is the one that speaks.
func (r *attempt) challenge(ctx context.Context, p *pack) (nonce envelope.Nonce, err error) {
	p.clock.asked = time.Now()
	err = r.ask(ctx, p, r.patience(p), r.challengeFor(p), func(reply *grant.Reply) (err error) {
		nonce, err = r.acceptChallenge(p, reply)
		return err
	})
	return nonce, err
}

func (r *attempt) acceptChallenge(p *pack, reply *grant.Reply) (nonce envelope.Nonce, err error) {
	v, speaker, err := p.voice().Challenge(reply.Challenge)
	if err != nil {
		return nonce, err
	}
	c := v.Predicate
	life := c.Expires - c.Issued
	if !c.Audience.Equal(speaker) || c.Manifest != p.id || c.Job != r.job.ID || c.Nonce.IsZero() {
		return nonce, fmt.Errorf("%w: challenge for another package or job", ErrBroker)
	}
	if c.Issued <= 0 || life <= 0 || life > grant.MaxNonceLife.Milliseconds() {
		return nonce, fmt.Errorf("%w: challenge with impossible times", ErrBroker)
	}
	p.broker, p.clock.issued, p.clock.expires = speaker, c.Issued, c.Expires
	return c.Nonce, nil
}
