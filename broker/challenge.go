// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Challenge gives out a nonce for one package and job. It is on disk before the reply is, so that a restart neither
// forgets it nor lets it be used twice.
func (b *Broker) Challenge(ctx context.Context, r *grant.ChallengeRequest) ([]byte, error) {
	if r.Manifest.IsZero() || r.Job.IsZero() {
		return nil, fmt.Errorf("%w: a challenge is for a manifest and a job", ErrRequest)
	}
	p, err := b.pack(r.Manifest)
	if err != nil {
		return nil, err
	}
	now := b.now()
	c := grant.Challenge{
		Nonce: envelope.NewNonce(), Audience: b.signer.Public(), Manifest: r.Manifest, Job: r.Job,
		Issued: millis(now), Expires: millis(now.Add(nonceLife)), HandOvers: b.handOvers(p.Manifest),
	}
	signed, _, err := grant.Sign(&c, b.signer)
	if err != nil {
		return nil, err
	}
	err = b.ledger.Update(ctx, func(t *ledger.Tx) error {
		if err := b.makeRoom(t, &c); err != nil {
			return err
		}
		return t.AddNonce(&ledger.Nonce{Nonce: c.Nonce, Manifest: c.Manifest, Job: c.Job, Issued: c.Issued, Expires: c.Expires})
	})
	if err != nil {
		return nil, err
	}
	b.rememberNonce(c.Nonce, now)
	return signed, nil
}

// makeRoom drops the oldest unanswered challenges, of the job and of the package, when there are too many: a stranger
// who asks for very many can delay a release so, never prevent it.
func (b *Broker) makeRoom(t *ledger.Tx, c *grant.Challenge) error {
	n, err := t.PruneNonces(c.Manifest, c.Issued)
	if err != nil {
		return err
	}
	ofJob, err := t.JobNonces(c.Manifest, c.Job)
	if err != nil {
		return err
	}
	if ofJob >= maxJobNonces {
		dropped, err := t.DropNonces(c.Manifest, &c.Job, ofJob-maxJobNonces+1)
		if err != nil {
			return err
		}
		n -= dropped
	}
	if n < b.maxNonces {
		return nil
	}
	dropped, err := t.DropNonces(c.Manifest, nil, n-b.maxNonces+1)
	if err == nil && n-dropped >= b.maxNonces {
		err = fmt.Errorf("%w: %d challenges for this package are in use", ErrBusy, n)
	}
	return err
}

// rememberNonce notes the monotonic time of a challenge, and forgets those long past.
func (b *Broker) rememberNonce(n envelope.Nonce, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nonces[n] = now
	if now.Sub(b.swept) < nonceLife {
		return
	}
	b.swept = now
	for k, t := range b.nonces {
		if now.Sub(t) > 2*nonceLife {
			delete(b.nonces, k)
		}
	}
}

// age is how long ago a nonce was given out by the monotonic clock; for one from before a restart, since the restart.
func (b *Broker) age(n envelope.Nonce, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t, ok := b.nonces[n]; ok {
		return now.Sub(t)
	}
	return now.Sub(b.started)
}

// consume checks the nonce of this broker's part of a binding and spends it on that binding, durably. The same binding
// may come again, as a retry does; any other is a replay.
func (b *Broker) consume(t *ledger.Tx, o attestation.Owner, job, d envelope.Digest, now time.Time) error {
	n, err := t.Nonce(o.Nonce)
	if errors.Is(err, ledger.ErrNotFound) {
		return fmt.Errorf("%w: unknown or pruned", ErrNonce)
	}
	if err != nil {
		return err
	}
	switch {
	case n.Manifest != o.Manifest || n.Job != job:
		return fmt.Errorf("%w: it was given out for another", ErrNonce)
	case n.Binding != nil && *n.Binding != d:
		return ErrNonceReplayed
	case millis(now) < n.Issued || millis(now) >= n.Expires || b.age(o.Nonce, now) >= nonceLife:
		return fmt.Errorf("%w: given out at %d, it is %d", ErrNonceExpired, n.Issued, millis(now))
	case n.Binding != nil:
		return nil
	}
	return t.UseNonce(o.Nonce, d)
}
