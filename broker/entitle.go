// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"slices"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/entitlement"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/policies/input"
)

// bring verifies what a buyer brings for a package whose access is not open: the receipts in her job, or the owner's
// permits. Whether any of them has a use left is for the deciding transaction to say.
func (b *Broker) bring(q *request) error {
	var permits []*envelope.Verified[grant.Permit]
	if q.pack.Manifest.Terms.Access == dataset.AccessPermit {
		var err error
		if permits, err = b.permits.get(); err != nil {
			return err
		}
	}
	q.grounds, q.why = entitlement.Grounds(q.pack.Manifest, &q.job.Predicate, permits, time.UnixMilli(q.now))
	return nil
}

// readPermits reads the owner's permits. One that does not verify stops all: whoever put it there wants something.
func (b *Broker) readPermits() ([]*envelope.Verified[grant.Permit], error) {
	all, err := config.ListPermits(b.cfg.Settings.Layout().Dir, b.cfg.Settings.Owner)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPermits, err)
	}
	return all, nil
}

// choose picks what the release stands on: the first of what was brought that has a use left for this job; a permit also
// has to stand, and to be worth what the job costs. An earlier attempt of the same job has paid for this one too.
func choose(t *ledger.Tx, q *request, cost, now int64) (g *entitlement.Ground, what input.Entitlement, err error) {
	fits := func(g entitlement.Ground) bool {
		return g.Permit == nil || cost >= g.Permit.MinPrice && now < g.Permit.NotAfter*1000
	}
	grounds := slices.Clone(q.grounds)
	slices.SortStableFunc(grounds, func(x, y entitlement.Ground) int {
		switch {
		case fits(x) == fits(y):
			return 0
		case fits(x):
			return -1
		}
		return 1
	})
	g, left, err := entitlement.Pick(grounds, func(g *entitlement.Ground) (int64, error) {
		if g.Permit != nil {
			if gone, err := t.Withdrawn(ledger.WithdrawnPermit, g.ID.String()); gone || err != nil {
				return g.Uses, err
			}
		}
		return t.Spent(kindOf(g), g.ID, q.job.ID)
	})
	return g, g.Input(left, q.pack.Manifest), err
}

func kindOf(g *entitlement.Ground) ledger.Kind {
	if g.Permit != nil {
		return ledger.Permit
	}
	return ledger.Receipt
}

// spend counts the use and mints the capability, whose digest the grant names. Where access is open there is neither.
func (b *Broker) spend(t *ledger.Tx, q *request, l *ledger.Lease, g *grant.Grant, on *entitlement.Ground) error {
	m := q.pack.Manifest
	switch {
	case on == nil && m.Terms.Access == dataset.AccessOpen:
		return nil
	case on == nil:
		return fmt.Errorf("%w: access %q, and nothing was brought", ledger.ErrSpent, m.Terms.Access)
	case on.Permit != nil:
		l.Permit = &on.ID
	default:
		l.Receipt = &on.ID
	}
	if _, err := t.Spend(kindOf(on), on.ID, l.Job, on.Uses); err != nil {
		return err
	}
	text, digest, err := entitlement.Mint(on.Capability(g, m, l.SigningKey), b.signer)
	if err != nil {
		return err
	}
	l.Entitlement, g.Entitlement = []byte(text), &digest
	return nil
}

// spendCapability uses up the capability of a lease.
func spendCapability(t *ledger.Tx, l *ledger.Lease) error {
	if len(l.Entitlement) == 0 {
		return nil
	}
	return t.UseCapability(envelope.Digest(entitlement.CapabilityID(l.Binding, l.Manifest)), l.Grant)
}
