// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// forgetUnit records that a contributor's records are withdrawn, together with every live lease that was granted some of
// them. Her key is destroyed in the background.
func (b *Broker) forgetUnit(ctx context.Context, signed []byte, u *grant.UnitRef, id envelope.Digest) error {
	versions, err := b.versionsWith(u)
	if err != nil {
		return err
	}
	err = b.ledger.Update(ctx, func(t *ledger.Tx) error {
		if err := t.AppendForeign(signed, b.cfg.Settings.Owner); err != nil {
			return err
		}
		if err := t.Withdraw(ledger.WithdrawnUnit, ledger.UnitName(u.Dataset, u.ID), id); err != nil {
			return err
		}
		return stopLeases(t, versions, u.Dataset, id)
	})
	if err == nil {
		b.shredder.hurry()
	}
	return err
}

// versionsWith are the leases on each version that holds records of the unit. Of a version that cannot be read nobody knows
// whether it does, so all leases on it are among them: a damaged manifest does not keep a withdrawal from being recorded.
func (b *Broker) versionsWith(u *grant.UnitRef) ([]selected, error) {
	out, err := unitSelectors(b.cfg.Settings, u)
	if err == nil {
		return out, nil
	}
	b.log.Error("a contributor is withdrawn beside a package that cannot be read", "error", err)
	ids, err := b.cfg.Settings.PackageIDs()
	if err != nil {
		return nil, err
	}
	out = nil
	for _, id := range ids {
		p, err := b.cfg.Settings.LoadPackage(id)
		if err != nil {
			out = append(out, selected{leases: ledger.OfManifest(id)})
		} else if leaves := leavesOf(p.Manifest, u.ID); p.Manifest.Dataset == u.Dataset && len(leaves) > 0 {
			out = append(out, selected{ledger.OfLeaves(id, leaves...), leaves})
		}
	}
	return out, nil
}

// stopLeases withdraws the live leases of a dataset among those selected. Leases of the first releases name no dataset.
func stopLeases(t *ledger.Tx, versions []selected, of dataset.ID, id envelope.Digest) error {
	for _, v := range versions {
		leases, err := t.Leases(v.leases)
		if err != nil {
			return err
		}
		for _, l := range leases {
			if l.State != ledger.Live || l.Dataset != of && !l.Dataset.IsZero() {
				continue
			}
			if err := t.Withdraw(ledger.WithdrawnGrant, l.Grant.String(), id); err != nil {
				return err
			}
		}
	}
	return nil
}

// shredder destroys contributors' keys beside everything else: rewrapping all other keys takes time, and heartbeats do not
// wait for it. What it has to do is in the ledger and in the directory, so that a crash forgets nothing.
type shredder struct {
	wake chan struct{} // holds one
	stop context.CancelFunc
	done chan struct{}
}

// hurry makes the shredder look at once.
func (s *shredder) hurry() {
	select {
	case s.wake <- struct{}{}:
	default: // it will
	}
}

// startShredding makes the shredder look, now and from time to time.
func (b *Broker) startShredding() {
	ctx, cancel := context.WithCancel(context.Background())
	b.shredder.stop, b.shredder.done = cancel, make(chan struct{})
	go func() {
		defer close(b.shredder.done)
		b.shredAll(ctx)
	}()
}

// stopShredding waits until the shredder has ended. What it was at goes on at the next start.
func (b *Broker) stopShredding() {
	if b.shredder.stop != nil {
		b.shredder.stop()
		<-b.shredder.done
	}
}

// shredAll destroys what is due until ctx ends. After a failure it tries again, ever more seldom.
func (b *Broker) shredAll(ctx context.Context) {
	retry := shredRetry
	for {
		pause := shredEvery
		switch err := b.shredDue(ctx); {
		case ctx.Err() != nil:
			return
		case errors.Is(err, config.ErrLocked): // a pack, say
			pause = shredLocked
		case err != nil:
			b.log.Error("contributors' keys are withdrawn, but not destroyed, or what wrapped them is not renewed", "error", err)
			pause, retry = retry, min(2*retry, shredEvery)
		default:
			retry = shredRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-b.shredder.wake:
		case <-time.After(pause):
		}
	}
}

// shredDue destroys the keys of all contributors who are withdrawn, and finishes erasures that were cut off. It holds the
// lock on wrapped keys meanwhile: nobody wraps by a version that is about to go.
func (b *Broker) shredDue(ctx context.Context) error {
	if due, err := b.dueUnits(ctx); err != nil || len(due) == 0 {
		return err
	}
	unlock, err := b.cfg.Settings.Layout().TryLockKeys()
	if err != nil {
		return err
	}
	due, err := b.dueUnits(ctx) // the one who held the lock may have done it
	if err == nil && len(due) > 0 {
		err = b.cfg.Settings.ShredUnits(ctx, b.keys, due)
	}
	if err = errors.Join(err, unlock()); err != nil {
		return err
	}
	for _, u := range due {
		b.log.Info("a contributor's key is destroyed", "dataset", u.Dataset.String(), "unit", u.ID.String())
	}
	return nil
}

// dueUnits are the contributors whose keys are still to be destroyed, in part at least.
func (b *Broker) dueUnits(ctx context.Context) ([]grant.UnitRef, error) {
	due, err := b.cfg.Settings.HalfShredded()
	if err != nil {
		return nil, err
	}
	var withdrawn []ledger.Withdrawal
	err = b.ledger.View(ctx, func(t *ledger.Tx) (err error) {
		withdrawn, err = t.Withdrawals(ledger.WithdrawnUnit, "")
		return err
	})
	if err != nil {
		return nil, err
	}
	here := map[dataset.ID]map[envelope.Digest]bool{}
	for _, w := range withdrawn {
		u, err := unitNamed(w.Name)
		if err != nil {
			return nil, err
		}
		if here[u.Dataset] == nil {
			if here[u.Dataset], err = b.cfg.Settings.UnitKeys(u.Dataset); err != nil {
				return nil, err
			}
		}
		if here[u.Dataset][u.ID] {
			due = append(due, u)
		}
	}
	return due, nil
}

// unitNamed is the inverse of [ledger.UnitName].
func unitNamed(name string) (u grant.UnitRef, err error) {
	id, unit, _ := strings.Cut(name, "/")
	if err := u.Dataset.UnmarshalText([]byte(id)); err != nil {
		return u, err
	}
	u.ID, err = envelope.ParseDigest(unit)
	return u, err
}
