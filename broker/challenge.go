// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
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
	nonce := envelope.NewNonce()
	if s, ok := b.keys.(keyholder.Sealer); ok { // it checks the evidence too, and that this answers a challenge of its own
		if err := b.admit(ctx, r); err != nil {
			return nil, err
		}
		if nonce, err = s.Challenge(ctx, r.Manifest, r.Job); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
	}
	now := b.clock.read()
	c := grant.Challenge{
		Nonce: nonce, Audience: b.signer.Public(), Manifest: r.Manifest, Job: r.Job,
		Issued: millis(now), Expires: millis(now.Add(nonceLife)), HandOvers: b.handOvers(p.Manifest),
	}
	signed, _, err := grant.Sign(&c, b.signer)
	if err != nil {
		return nil, err
	}
	err = b.update(ctx, func(t *ledger.Tx, _ int64) error {
		if err := b.makeRoom(t, &c); err != nil {
			return err
		}
		return t.AddNonce(&ledger.Nonce{Nonce: c.Nonce, Manifest: c.Manifest, Job: c.Job, Issued: c.Issued, Expires: c.Expires})
	})
	if err != nil {
		return nil, err
	}
	return signed, nil
}

// admit makes sure that there is room for one more challenge before a keyholder is asked for it.
func (b *Broker) admit(ctx context.Context, r *grant.ChallengeRequest) error {
	return b.update(ctx, func(t *ledger.Tx, now int64) error {
		return b.makeRoom(t, &grant.Challenge{Manifest: r.Manifest, Job: r.Job, Issued: now})
	})
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

// consume checks the nonce of this broker's part of a binding and spends it on that binding. The same binding may come
// again, as a retry does; any other is a replay.
func (b *Broker) consume(t *ledger.Tx, q *request, now int64) error {
	n, err := t.Nonce(q.nonce)
	if errors.Is(err, ledger.ErrNotFound) {
		return fmt.Errorf("%w: unknown or pruned", ErrNonce)
	}
	if err != nil {
		return err
	}
	switch {
	case n.Manifest != q.pack.ID || n.Job != q.job.ID:
		return fmt.Errorf("%w: it was given out for another", ErrNonce)
	case n.Binding != nil && *n.Binding != q.d:
		return ErrNonceReplayed
	case now < n.Issued || now >= n.Expires || b.clock.wentBack(n.Issued):
		return fmt.Errorf("%w: given out at %d, it is %d", ErrNonceExpired, n.Issued, now)
	case n.Binding != nil:
		return nil
	}
	return t.UseNonce(q.nonce, q.d)
}
