// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Affected is one run that a revocation concerns: it had leave to see what was withdrawn, and may have.
type Affected struct {
	Manifest envelope.Digest    `json:"manifest"`
	Package  string             `json:"package"` // its name and version
	Job      envelope.Digest    `json:"job"`
	Grant    envelope.Digest    `json:"grant"`
	Buyer    envelope.PublicKey `json:"buyer"`
	Code     envelope.Digest    `json:"code"`
	Attempt  int                `json:"attempt"`
	State    string             `json:"state"`   // of the lease: "live", "completed", "failed" or "lost"
	Usage    *envelope.Digest   `json:"usage"`   // the usage statement; null while it runs and of a lost lease
	Result   *envelope.Digest   `json:"result"`  // the sealed result that the buyer got; null if nothing left
	Outputs  []string           `json:"outputs"` // names of the files in it
	Records  int64              `json:"records"` // delivered, repeats included
	Time     int64              `json:"time"`    // of the commit, Unix milliseconds; 0 if there is none
}

// AffectedBy lists the runs that a revocation concerns, from the leases and the usage attestations in the ledger. Of a
// contributor's revocation those are the runs to which one of her leaves was delivered, or, where nobody signed what
// was delivered, granted.
func AffectedBy(t *ledger.Tx, c *config.Config, r *grant.Revocation) ([]Affected, error) {
	selectors, err := selectorsOf(c, r)
	if err != nil {
		return nil, err
	}
	out := []Affected{}
	for _, s := range selectors {
		leases, err := t.Leases(s.leases)
		if err != nil {
			return nil, err
		}
		for _, l := range leases {
			a, concerned, err := affected(t, c, l, s.unit)
			if err != nil {
				return nil, err
			}
			if concerned {
				out = append(out, *a)
			}
		}
	}
	return out, nil
}

// selected is leases, and of one manifest the leaves of the unit in question.
type selected struct {
	leases ledger.Selector
	unit   grant.Ranges // nil: all
}

func selectorsOf(c *config.Config, r *grant.Revocation) ([]selected, error) {
	one := func(s ledger.Selector) ([]selected, error) { return []selected{{leases: s}}, nil }
	switch {
	case r.Dataset != nil:
		return one(ledger.OfDataset(*r.Dataset))
	case r.Manifest != nil:
		return one(ledger.OfManifest(*r.Manifest))
	case r.Job != nil:
		return one(ledger.OfJob(*r.Job))
	case r.Buyer != nil:
		return one(ledger.OfBuyer(*r.Buyer))
	case r.Grant != nil:
		return one(ledger.OfGrant(*r.Grant))
	case r.Code != nil:
		return one(ledger.OfCode(*r.Code))
	case r.Permit != nil:
		return one(ledger.OfPermit(*r.Permit))
	case r.Unit != nil:
		return unitSelectors(c, r.Unit)
	}
	return nil, fmt.Errorf("%w: revocation of nothing", ErrRequest)
}

// unitSelectors are the leases on each version that holds records of the unit.
func unitSelectors(c *config.Config, u *grant.UnitRef) ([]selected, error) {
	ids, err := c.PackageIDs()
	if err != nil {
		return nil, err
	}
	var out []selected
	for _, id := range ids {
		p, err := c.LoadPackage(id)
		if err != nil {
			return nil, err
		}
		if p.Manifest.Dataset != u.Dataset {
			continue
		}
		if leaves := leavesOf(p.Manifest, u.ID); len(leaves) > 0 {
			out = append(out, selected{ledger.OfLeaves(id, leaves...), leaves})
		}
	}
	return out, nil
}

// leavesOf are the leaves that hold a unit's records.
func leavesOf(m *dataset.Manifest, unit envelope.Digest) (out grant.Ranges) {
	for _, u := range m.Units {
		if u.ID != unit {
			continue
		}
		var first, count int64
		for i, s := range m.Segments {
			switch {
			case int64(i) < u.First:
				first += s.Leaves
			case int64(i) < u.First+u.Count:
				count += s.Leaves
			}
		}
		out = append(out, grant.Range{First: first, Count: count})
	}
	return out
}

// affected describes one lease, and whether its usage statement leaves it concerned.
func affected(t *ledger.Tx, c *config.Config, l *ledger.Lease, unit grant.Ranges) (*Affected, bool, error) {
	a := &Affected{
		Manifest: l.Manifest, Package: l.Manifest.String(), Job: l.Job, Grant: l.Grant, Buyer: l.Buyer, Code: l.Code, Attempt: l.Attempt,
		State: string(l.State), Outputs: []string{},
	}
	if p, err := c.LoadPackage(l.Manifest); err == nil {
		a.Package = fmt.Sprintf("%s version %d", p.Manifest.Name, p.Manifest.Version)
	} else if !errors.Is(err, config.ErrUnknown) {
		return nil, false, err
	}
	used, err := t.Usages(ledger.OfGrant(l.Grant))
	if err != nil || len(used) == 0 {
		return a, err == nil, err
	}
	u := used[0]
	a.Usage, a.Records, a.Time = &u.Usage, u.Records, u.Time
	if err := a.result(u.Signed); err != nil {
		return nil, false, err
	}
	return a, unit == nil || touches(u.Leaves, unit), nil
}

// result reads what left from the usage statement, which was verified when it was committed.
func (a *Affected) result(signed []byte) error {
	s, err := envelope.Peek[usage.Statement](signed, envelope.UsageType)
	if err != nil {
		return fmt.Errorf("%w: usage statement: %w", ledger.ErrCorrupt, err)
	}
	if s.Predicate.Outcome != usage.OutcomeCompleted || len(s.Subject) != 1 {
		return nil
	}
	d, err := s.Subject[0].Value()
	if err != nil {
		return fmt.Errorf("%w: usage statement: %w", ledger.ErrCorrupt, err)
	}
	a.Result = &d
	for _, o := range s.Predicate.Outputs {
		a.Outputs = append(a.Outputs, o.Name)
	}
	return nil
}

// touches reports whether two sets of leaves have one in common.
func touches(a, b []grant.Range) bool {
	for _, x := range a {
		for _, y := range b {
			if x.First < y.First+y.Count && y.First < x.First+x.Count {
				return true
			}
		}
	}
	return false
}
