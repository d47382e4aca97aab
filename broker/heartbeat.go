// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// Heartbeat answers a report of progress with leave for more. The last heartbeat repeated gets the same bytes again, but
// is no sign of life: only a new one keeps the lease.
func (b *Broker) Heartbeat(ctx context.Context, signed []byte) ([]byte, error) {
	if err := b.scan(ctx); err != nil {
		b.log.Error("revocations", "error", err) // running leases go on for a while under what is known; releases do not
	}
	if len(signed) > grant.MaxHeartbeat {
		return nil, fmt.Errorf("%w: heartbeat of %d bytes", envelope.ErrTooLarge, len(signed))
	}
	p, err := envelope.Peek[grant.Heartbeat](signed, envelope.HeartbeatType)
	if err != nil {
		return nil, err
	}
	key, err := b.leaseKey(ctx, p.Predicate.Grant)
	if err != nil {
		return nil, err
	}
	v, err := grant.VerifyHeartbeat(signed, key)
	if err != nil {
		return nil, err
	}
	seen := b.now()
	var fresh *ledger.Lease
	var out []byte
	err = b.update(ctx, func(t *ledger.Tx, now int64) error {
		fresh = nil
		l, err := t.Lease(v.Predicate.Grant)
		if err != nil {
			return err
		}
		if l.Heartbeat != nil && *l.Heartbeat == v.ID {
			out = l.Allowance
			return nil
		}
		if err := follows(l, &v.Predicate); err != nil {
			return err
		}
		fresh = l
		out, err = b.allow(t, l, v, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	if fresh != nil {
		b.touch(fresh, seen)
	}
	return out, nil
}

// leaseKey is the key that signs a lease's heartbeats.
func (b *Broker) leaseKey(ctx context.Context, grantID envelope.Digest) (envelope.PublicKey, error) {
	b.mu.Lock()
	known := b.live[grantID]
	b.mu.Unlock()
	if known != nil {
		return known.key, nil
	}
	l, err := b.lease(ctx, grantID)
	if err != nil {
		return envelope.PublicKey{}, err
	}
	return l.SigningKey, nil
}

// lease reads a lease for checking a signature; what is decided on it is read again in the deciding transaction.
func (b *Broker) lease(ctx context.Context, grantID envelope.Digest) (l *ledger.Lease, err error) {
	err = b.ledger.View(ctx, func(t *ledger.Tx) error {
		l, err = t.Lease(grantID)
		return err
	})
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, fmt.Errorf("%w: grant %s", ErrUnknown, grantID)
	}
	return l, err
}

// follows checks a new heartbeat against the lease as it stands.
func follows(l *ledger.Lease, h *grant.Heartbeat) error {
	switch {
	case l.State != ledger.Live:
		return fmt.Errorf("%w: %s", ErrLease, l.State)
	case h.Binding != l.Binding:
		return fmt.Errorf("%w: for another binding", ErrHeartbeat)
	case h.Sequence != l.Sequence+1:
		return fmt.Errorf("%w: sequence %d, the last was %d", ErrHeartbeat, h.Sequence, l.Sequence)
	case h.Delivered < l.Delivered || h.Delivered > l.Allowed:
		return fmt.Errorf("%w: %d leaves delivered, %d before, %d allowed", ErrHeartbeat, h.Delivered, l.Delivered, l.Allowed)
	case h.Steps != 0:
		return fmt.Errorf("%w: this release performs no steps", ErrHeartbeat)
	}
	return nil
}

// allow signs and stores the answer to a heartbeat that follows.
func (b *Broker) allow(t *ledger.Tx, l *ledger.Lease, v *envelope.Verified[grant.Heartbeat], now int64) ([]byte, error) {
	h := v.Predicate
	stop, err := stopReason(t, l, now)
	if err != nil {
		return nil, err
	}
	if stop == "" && b.tooLong() { // no more data, and no leave to stop for good either: the owner may have wanted neither
		return nil, fmt.Errorf("%w: for longer than %v", ErrWithdrawals, unreadGrace)
	}
	allowed := max(l.Allowed, min(h.Delivered+l.Obligations.Allowance, deliverable(&l.Obligations)))
	if stop != "" {
		allowed = h.Delivered
	}
	signed, _, err := grant.Sign(&grant.Allowance{
		Binding: l.Binding, Grant: l.Grant, Sequence: h.Sequence, Leaves: allowed, Stop: stop, Time: now,
	}, b.signer)
	if err != nil {
		return nil, err
	}
	l.Sequence, l.Delivered, l.Heartbeat, l.Allowance = h.Sequence, h.Delivered, &v.ID, signed
	if l.Stop = stop; stop == "" {
		l.Allowed = allowed
	}
	return signed, t.SetLease(l)
}

// deliverable is how many leaves a grant can ever deliver: its range, once an epoch.
func deliverable(o *grant.Obligations) int64 {
	n, ok := times(o.Leaves.Count(), int64(o.Epochs))
	if !ok {
		return job.MaxAmount
	}
	return n
}
