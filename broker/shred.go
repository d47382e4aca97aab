// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// forgetUnit records that a contributor's records are withdrawn, together with every live lease that was granted some of
// them, and then destroys her key. After a crash in between the file is read again at the next start, and goes on here.
func (b *Broker) forgetUnit(ctx context.Context, signed []byte, u *grant.UnitRef, id envelope.Digest) error {
	versions, err := unitSelectors(b.cfg.Settings, u)
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
		return stopLeases(t, versions, id)
	})
	if err != nil {
		return err
	}
	b.shred(ctx, u)
	return nil
}

// stopLeases withdraws the live leases among those selected.
func stopLeases(t *ledger.Tx, versions []selected, id envelope.Digest) error {
	for _, v := range versions {
		leases, err := t.Leases(v.leases)
		if err != nil {
			return err
		}
		for _, l := range leases {
			if l.State != ledger.Live {
				continue
			}
			if err := t.Withdraw(ledger.WithdrawnGrant, l.Grant.String(), id); err != nil {
				return err
			}
		}
	}
	return nil
}

// shred destroys a contributor's key, once. The revocation stands without it: nothing of hers is granted any more. So an
// error is for the owner to read, and for the next start to mend.
func (b *Broker) shred(ctx context.Context, u *grant.UnitRef) {
	_, err := b.cfg.Settings.UnitKey(u.Dataset, u.ID)
	switch {
	case errors.Is(err, config.ErrShredded), errors.Is(err, config.ErrUnknown):
		return
	case err == nil:
		err = b.shredLocked(ctx, u)
	}
	if err != nil {
		b.log.Error("a contributor's key is withdrawn, but the key that wrapped it is not renewed", "dataset", u.Dataset.String(), "unit", u.ID.String(), "error", err)
		return
	}
	b.log.Info("a contributor's key is destroyed", "dataset", u.Dataset.String(), "unit", u.ID.String())
}

// shredLocked holds the lock on wrapped keys meanwhile: nobody wraps by a version that is about to go.
func (b *Broker) shredLocked(ctx context.Context, u *grant.UnitRef) error {
	unlock, err := b.cfg.Settings.Layout().LockKeys()
	if err != nil {
		return err
	}
	return errors.Join(b.cfg.Settings.ShredUnit(ctx, b.keys, u.Dataset, u.ID), unlock())
}
