// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
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

// choose picks what the release stands on: of what was brought and has a use left for this job, what fits it best, the
// first if several do. An earlier attempt of the same job has paid for this one too.
func choose(t *ledger.Tx, q *request, in *input.Request) (g *entitlement.Ground, what input.Entitlement, err error) {
	grounds := slices.Clone(q.grounds)
	slices.SortStableFunc(grounds, func(x, y entitlement.Ground) int {
		return fitOf(&y, q.pack.Manifest, in).compare(fitOf(&x, q.pack.Manifest, in))
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

// fit is how well a ground fits a job: whether it allows it at all, and how many of the leaves that can be granted it
// covers in whole segments.
type fit struct {
	allows bool
	leaves int64
}

// fitOf looks at what a job can differ in. A permit has to stand, and to be worth what the job costs. The rules judge
// what was chosen all the same.
func fitOf(g *entitlement.Ground, m *dataset.Manifest, in *input.Request) (f fit) {
	e := g.Input(1, m)
	f.allows = int64(in.Job.Epochs) <= e.Epochs && slices.Contains(e.Operations, in.Job.Operation) &&
		in.Account.Cost >= e.MinPrice && in.Now < e.NotAfter*1000
	for _, have := range e.Leaves {
		for _, want := range in.Granted.Leaves {
			f.leaves += max(0, min(have.First+have.Count, want.First+want.Count)-max(have.First, want.First))
		}
	}
	f.allows = f.allows && f.leaves > 0
	return f
}

func (f fit) compare(g fit) int {
	if f.allows != g.allows {
		if f.allows {
			return 1
		}
		return -1
	}
	return cmp.Compare(f.leaves, g.leaves)
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
