// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/policies/input"
)

// scan records revocations and cancellations that are new on file. One that does not verify is an error: what the owner
// wanted to stop must not go on because of a damaged file. All others are recorded all the same. A folder in which nothing
// changed is not read again.
func (b *Broker) scan(ctx context.Context) error {
	var errs []error
	for _, w := range b.statements {
		_, err := w.get()
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	b.unreadable(err != nil)
	return errors.Join(err, ctx.Err())
}

// rescan reads every withdrawal again, also where nothing seems to have changed.
func (b *Broker) rescan(ctx context.Context) error {
	for _, w := range b.statements {
		w.forget()
	}
	return b.scan(ctx)
}

// unreadable notes since when some withdrawal on file cannot be read or recorded.
func (b *Broker) unreadable(now bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !now:
		b.unreadSince = time.Time{}
	case b.unreadSince.IsZero():
		b.unreadSince = b.now()
	}
}

// tooLong reports whether a withdrawal has been unreadable for longer than a copy takes that is still under way.
func (b *Broker) tooLong() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.unreadSince.IsZero() && b.now().Sub(b.unreadSince) > unreadGrace
}

func (b *Broker) scanFolder(dir string, record func(context.Context, []byte) error) error {
	files, err := config.SignedFiles(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var errs []error
	if err != nil {
		errs = append(errs, fmt.Errorf("%w: %w", ErrWithdrawals, err))
	}
	for _, signed := range files { // those that could be read
		errs = append(errs, b.recordOnce(signed, record))
	}
	return errors.Join(errs...)
}

func (b *Broker) recordOnce(signed []byte, record func(context.Context, []byte) error) error {
	id := envelope.Sum(signed)
	b.mu.Lock()
	known := b.withdrawn[id]
	b.mu.Unlock()
	if known {
		return nil
	}
	if err := record(context.Background(), signed); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.withdrawn[id] = true
	return nil
}

func (b *Broker) revoke(ctx context.Context, signed []byte) error {
	v, err := grant.VerifyRevocation(signed, b.cfg.Settings.Owner)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWithdrawals, err)
	}
	kind, name := revoked(&v.Predicate)
	if kind == "" {
		return fmt.Errorf("%w: it revokes what this broker does not know", ErrWithdrawals)
	}
	b.log.Info("revocation", "kind", kind, "name", name)
	if u := v.Predicate.Unit; u != nil {
		return b.forgetUnit(ctx, signed, u, v.ID)
	}
	return b.withdraw(ctx, signed, b.cfg.Settings.Owner, kind, name, v.ID)
}

// revoked is what a revocation names, as the ledger keeps it.
func revoked(r *grant.Revocation) (kind, name string) {
	switch {
	case r.Dataset != nil:
		return ledger.WithdrawnDataset, r.Dataset.String()
	case r.Manifest != nil:
		return ledger.WithdrawnManifest, r.Manifest.String()
	case r.Unit != nil:
		return ledger.WithdrawnUnit, ledger.UnitName(r.Unit.Dataset, r.Unit.ID)
	case r.Job != nil:
		return ledger.WithdrawnJob, r.Job.String()
	case r.Buyer != nil:
		return ledger.WithdrawnBuyer, r.Buyer.String()
	case r.Grant != nil:
		return ledger.WithdrawnGrant, r.Grant.String()
	case r.Code != nil:
		return ledger.WithdrawnCode, r.Code.String()
	case r.Permit != nil:
		return ledger.WithdrawnPermit, r.Permit.String()
	}
	return "", ""
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

// subject is what a revocation may be about: a request, or a lease. What is not known is zero.
type subject struct {
	manifest, job, code envelope.Digest
	dataset             dataset.ID
	buyer               envelope.PublicKey
	grants              []envelope.Digest
	permit              *envelope.Digest
}

func subjectOf(l *ledger.Lease) subject {
	return subject{l.Manifest, l.Job, l.Code, l.Dataset, l.Buyer, []envelope.Digest{l.Grant}, l.Permit}
}

// withdrawn is what the owner revoked, and whether the buyer cancelled.
func (s *subject) withdrawn(t *ledger.Tx) (r input.Revoked, cancelled bool, err error) {
	var names []ledger.Named
	var flags []*bool
	ask := func(to *bool, kind, name string) {
		names, flags = append(names, ledger.Named{Kind: kind, Name: name}), append(flags, to)
	}
	ask(&r.Manifest, ledger.WithdrawnManifest, s.manifest.String())
	ask(&r.Job, ledger.WithdrawnJob, s.job.String())
	ask(&r.Buyer, ledger.WithdrawnBuyer, s.buyer.String())
	ask(&cancelled, ledger.WithdrawnByBuyer, s.job.String())
	if !s.dataset.IsZero() {
		ask(&r.Dataset, ledger.WithdrawnDataset, s.dataset.String())
	} else { // of release 0.1, and its package is gone
		any, err := t.Withdrawals(ledger.WithdrawnDataset, "")
		if err != nil {
			return r, false, err
		}
		r.Dataset = len(any) > 0
	}
	if !s.code.IsZero() {
		ask(&r.Code, ledger.WithdrawnCode, s.code.String())
	}
	if s.permit != nil {
		ask(&r.Permit, ledger.WithdrawnPermit, s.permit.String())
	}
	for _, g := range s.grants {
		ask(&r.Grant, ledger.WithdrawnGrant, g.String())
	}
	gone, err := t.WithdrawnAmong(names)
	for i, n := range names {
		*flags[i] = *flags[i] || gone[n]
	}
	return r, cancelled, err
}

// stopReason says why a lease must not go on; "" if it may.
func stopReason(t *ledger.Tx, l *ledger.Lease, now int64) (string, error) {
	s := subjectOf(l)
	r, cancelled, err := s.withdrawn(t)
	switch {
	case err != nil:
		return "", err
	case r != input.Revoked{}:
		return grant.StopRevoked, nil
	case cancelled:
		return grant.StopCancelled, nil
	case now >= l.Obligations.Expires:
		return grant.StopExpired, nil
	}
	return "", nil
}
