// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"time"

	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Run watches leases and revocations and pushes records to the log until ctx ends. It returns nil then.
func (b *Broker) Run(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.publish(ctx)
	}()
	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			<-done
			return nil
		case <-tick.C:
		}
		if err := b.scan(ctx); err != nil && ctx.Err() == nil {
			b.log.Error("revocations", "error", err)
		}
		if err := b.ExpireLeases(ctx); err != nil && ctx.Err() == nil {
			b.log.Error("leases", "error", err)
		}
	}
}

// touch notes a sign of life.
func (b *Broker) touch(grantID envelope.Digest, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen[grantID] = now
}

// forget drops the signs of life of a lease that has ended.
func (b *Broker) forget(grantID envelope.Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.seen, grantID)
}

// silence is how long a lease has been silent; after a restart, how long at most since then.
func (b *Broker) silence(grantID envelope.Digest, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t, ok := b.seen[grantID]; ok {
		return now.Sub(t)
	}
	return now.Sub(b.started)
}

// ExpireLeases ends every lease that has been silent for the configured time, signs that, and returns the money. [Run]
// calls it.
func (b *Broker) ExpireLeases(ctx context.Context) error {
	var live []*ledger.Lease
	err := b.ledger.Update(ctx, func(t *ledger.Tx) (err error) {
		live, err = t.LiveLeases()
		return err
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range live {
		if b.silence(l.Grant, b.now()) < b.cfg.Settings.HeartbeatTimeout() {
			continue
		}
		errs = append(errs, b.lose(ctx, l.Grant))
	}
	return errors.Join(errs...)
}

// lose ends one lease. A heartbeat or commit that came in between wins.
func (b *Broker) lose(ctx context.Context, grantID envelope.Digest) error {
	var lost *ledger.Lease
	err := b.ledger.Update(ctx, func(t *ledger.Tx) error {
		now := b.now()
		l, err := t.Lease(grantID)
		if err != nil {
			return err
		}
		if l.State != ledger.Live || b.silence(grantID, now) < b.cfg.Settings.HeartbeatTimeout() {
			return nil
		}
		lost = l
		return b.recordLoss(t, l, millis(now))
	})
	if err != nil || lost == nil {
		return err
	}
	b.log.Warn("lease lost", "grant", grantID.String(), "job", lost.Job.String(), "attempt", lost.Attempt, "heartbeats", lost.Sequence)
	b.forget(grantID)
	return nil
}

// recordLoss signs the loss into the chain. The money goes back; the use stays spent once the key has left, since data
// may have been delivered.
func (b *Broker) recordLoss(t *ledger.Tx, l *ledger.Lease, now int64) error {
	reason, err := stopReason(t, l, now)
	if err != nil {
		return err
	}
	if reason == "" {
		reason = grant.LostSilent
	}
	m, err := b.pack(l.Manifest)
	if err != nil {
		return err
	}
	s := grant.LeaseLost{
		Binding: l.Binding, Grant: l.Grant, Job: l.Job, Manifest: l.Manifest, Attempt: l.Attempt, LastHeartbeat: l.Sequence,
		Reason: reason, HandOvers: b.handOvers(m.Manifest), Time: now,
	}
	if s.Sequence, s.Previous, err = t.Next(l.Manifest); err != nil {
		return err
	}
	signed, _, err := grant.Sign(&s, b.signer)
	if err != nil {
		return err
	}
	if err := t.Append(l.Manifest, signed, b.signer.Public()); err != nil {
		return err
	}
	a, err := t.Account(l.Manifest, l.Job)
	if err != nil {
		return err
	}
	a.Reserved, a.Used = 0, a.Used || len(l.Sealed) > 0
	if err := t.SetAccount(l.Manifest, l.Job, a); err != nil {
		return err
	}
	l.State = ledger.Lost
	return t.SetLease(l)
}
