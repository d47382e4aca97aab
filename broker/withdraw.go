// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/policies"
)

// scan records revocations and cancellations that are new on file. One that does not verify is an error: what the owner
// wanted to stop must not go on because of a damaged file.
func (b *Broker) scan(ctx context.Context) error {
	l := b.cfg.Settings.Layout()
	if err := b.scanFolder(ctx, l.Revocations(), b.revoke); err != nil {
		return err
	}
	if b.cfg.Settings.Buyer == nil {
		return nil
	}
	return b.scanFolder(ctx, l.Cancellations(), b.cancel)
}

func (b *Broker) scanFolder(ctx context.Context, dir string, record func(context.Context, []byte) error) error {
	files, err := config.SignedFiles(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWithdrawals, err)
	}
	for _, signed := range files {
		id := envelope.Sum(signed)
		b.mu.Lock()
		known := b.withdrawn[id]
		b.mu.Unlock()
		if known {
			continue
		}
		if err := record(ctx, signed); err != nil {
			return err
		}
		b.mu.Lock()
		b.withdrawn[id] = true
		b.mu.Unlock()
	}
	return nil
}

func (b *Broker) revoke(ctx context.Context, signed []byte) error {
	v, err := grant.VerifyRevocation(signed, b.cfg.Settings.Owner)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWithdrawals, err)
	}
	r := v.Predicate
	kind, name := ledger.WithdrawnBuyer, ""
	switch {
	case r.Manifest != nil:
		kind, name = ledger.WithdrawnManifest, r.Manifest.String()
	case r.Job != nil:
		kind, name = ledger.WithdrawnJob, r.Job.String()
	default:
		name = r.Buyer.String()
	}
	b.log.Info("revocation", "kind", kind, "name", name)
	return b.withdraw(ctx, signed, b.cfg.Settings.Owner, kind, name, v.ID)
}

func (b *Broker) cancel(ctx context.Context, signed []byte) error {
	v, err := job.VerifyCancel(signed, *b.cfg.Settings.Buyer)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWithdrawals, err)
	}
	name := v.Predicate.Job.String()
	b.log.Info("cancellation", "job", name)
	return b.withdraw(ctx, signed, *b.cfg.Settings.Buyer, ledger.WithdrawnByBuyer, name, v.ID)
}

func (b *Broker) withdraw(ctx context.Context, signed []byte, key envelope.PublicKey, kind, name string, id envelope.Digest) error {
	return b.ledger.Update(ctx, func(t *ledger.Tx) error {
		if err := t.AppendForeign(signed, key); err != nil {
			return err
		}
		return t.Withdraw(kind, name, id)
	})
}

// revocations is what policy needs to know about one request.
func revocations(t *ledger.Tx, manifest, jobID envelope.Digest, buyer envelope.PublicKey) (r policies.Revoked, cancelled bool, err error) {
	for _, q := range []struct {
		kind, name string
		to         *bool
	}{
		{ledger.WithdrawnManifest, manifest.String(), &r.Manifest},
		{ledger.WithdrawnJob, jobID.String(), &r.Job},
		{ledger.WithdrawnBuyer, buyer.String(), &r.Buyer},
		{ledger.WithdrawnByBuyer, jobID.String(), &cancelled},
	} {
		if *q.to, err = t.Withdrawn(q.kind, q.name); err != nil {
			return r, cancelled, err
		}
	}
	return r, cancelled, nil
}

// stopReason says why a lease must not go on; "" if it may.
func stopReason(t *ledger.Tx, l *ledger.Lease, now int64) (string, error) {
	r, cancelled, err := revocations(t, l.Manifest, l.Job, l.Buyer)
	switch {
	case err != nil:
		return "", err
	case r.Manifest || r.Job || r.Buyer:
		return grant.StopRevoked, nil
	case cancelled:
		return grant.StopCancelled, nil
	case now >= l.Obligations.Expires:
		return grant.StopExpired, nil
	}
	return "", nil
}
