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
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			<-done
			return nil
		case <-tick.C:
		}
		scan := b.scan
		if n%rescanTicks == 0 {
			scan = b.rescan
		}
		if err := scan(ctx); err != nil && ctx.Err() == nil {
			b.log.Error("revocations", "error", err)
		}
		if _, err := b.versions.get(); err != nil && ctx.Err() == nil { // a new one is remembered also where nobody asks for it
			b.log.Error("packages", "error", err)
		}
		if err := b.ExpireLeases(ctx); err != nil && ctx.Err() == nil {
			b.log.Error("leases", "error", err)
		}
	}
}

// alive is what a broker remembers of a live lease. The rest is in the ledger.
type alive struct {
	seen time.Time          // last sign of life; the broker's start for leases from before
	key  envelope.PublicKey // signs heartbeats
}

// touch notes a sign of life.
func (b *Broker) touch(l *ledger.Lease, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live[l.Grant] = &alive{now, l.SigningKey}
}

// forget drops a lease that has ended.
func (b *Broker) forget(grantID envelope.Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.live, grantID)
}

// doubt makes the broker look for live leases again: an update failed that may be on disk all the same.
func (b *Broker) doubt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unsure = true
}

// remember makes sure that every live lease is watched. Those that nobody heard of since the start count from there.
func (b *Broker) remember(ctx context.Context) error {
	b.mu.Lock()
	unsure := b.unsure
	b.unsure = false
	b.mu.Unlock()
	if !unsure {
		return nil
	}
	var live []*ledger.Lease
	err := b.ledger.View(ctx, func(t *ledger.Tx) (err error) {
		live, err = t.LiveLeases()
		return err
	})
	if err != nil {
		b.doubt()
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range live {
		if b.live[l.Grant] == nil {
			b.live[l.Grant] = &alive{b.started, l.SigningKey}
		}
	}
	return nil
}

// silent reports whether a lease has been silent for the configured time.
func (b *Broker) silent(grantID envelope.Digest, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.live[grantID]
	return l != nil && now.Sub(l.seen) >= b.cfg.Settings.HeartbeatTimeout()
}

// ExpireLeases ends every lease that has been silent for the configured time, signs that, and returns the money. [Run]
// calls it.
func (b *Broker) ExpireLeases(ctx context.Context) error {
	if err := b.remember(ctx); err != nil {
		return err
	}
	now := b.now()
	var due []envelope.Digest
	b.mu.Lock()
	for id, l := range b.live {
		if now.Sub(l.seen) >= b.cfg.Settings.HeartbeatTimeout() {
			due = append(due, id)
		}
	}
	b.mu.Unlock()
	var errs []error
	for _, id := range due {
		errs = append(errs, b.lose(ctx, id))
	}
	return errors.Join(errs...)
}

// lose ends one lease. A heartbeat or commit that came in between wins.
func (b *Broker) lose(ctx context.Context, grantID envelope.Digest) error {
	var lost *ledger.Lease
	ended := false
	err := b.update(ctx, func(t *ledger.Tx, now int64) error {
		lost = nil
		l, err := t.Lease(grantID)
		if err != nil {
			return err
		}
		ended = l.State != ledger.Live
		if ended || !b.silent(grantID, b.now()) {
			return nil
		}
		lost = l
		return b.recordLoss(t, l, now)
	})
	if err != nil {
		return err
	}
	if lost != nil {
		b.log.Warn("lease lost", "grant", grantID.String(), "job", lost.Job.String(), "attempt", lost.Attempt, "heartbeats", lost.Sequence)
	}
	if ended || lost != nil {
		b.forget(grantID)
	}
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
	left := len(l.Sealed) > 0
	a.Reserved, a.Used = 0, a.Used || left
	if err := closeAccounts(t, l, a, end{left: left}); err != nil {
		return err
	}
	l.State = ledger.Lost
	return t.SetLease(l)
}
