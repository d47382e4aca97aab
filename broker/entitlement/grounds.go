// SPDX-License-Identifier: Apache-2.0

package entitlement

import (
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/receipt"
	"github.com/glovebox-dev/glovebox/policies/input"
)

// Ground is what a release can stand on: a receipt or a permit that was verified for this package, buyer and time. It says
// nothing about how often it was used.
type Ground struct {
	ID      envelope.Digest  // what the ledger counts uses by: the sale, or the permit
	Uses    int64            // jobs it is good for in all
	Receipt *receipt.Receipt // one of the two
	Permit  *grant.Permit
}

// Grounds finds what the buyer of a job has for a package: the job's receipts, or the owner's permits, whichever the terms
// ask for. permits are the owner's that stand: verified, and not revoked. Without any, and where the terms ask for some,
// it says why, in words that name nobody else's permits. Open access needs none: both are empty.
func Grounds(m *dataset.Manifest, j *job.Job, permits []*envelope.Verified[grant.Permit], now time.Time) ([]Ground, []grant.Reason) {
	switch m.Terms.Access {
	case dataset.AccessOpen:
		return nil, nil
	case dataset.AccessReceipt:
		return receipts(m, j, now)
	case dataset.AccessPermit:
		return permitted(m, j, permits, now)
	}
	return nil, []grant.Reason{{Rule: "entitlement", Message: "the terms ask for something that this release does not know", Satisfy: "ask the owner for another version"}}
}

func receipts(m *dataset.Manifest, j *job.Job, now time.Time) (out []Ground, why []grant.Reason) {
	want, err := receipt.For(m, j.Buyer)
	var found []*receipt.Receipt
	if err == nil {
		found, err = receipt.Find(j.Receipts, want, now)
	}
	for _, r := range found {
		out = append(out, Ground{ID: r.Sale, Uses: r.MaxUses(), Receipt: r})
	}
	for _, r := range receipt.Refusals(err) {
		why = append(why, grant.Reason{Rule: r.Rule(), Message: r.Error(), Satisfy: r.Satisfy})
	}
	if err != nil && len(why) == 0 {
		why = []grant.Reason{{Rule: "receipt.none", Message: err.Error(), Satisfy: "ask the owner for another version"}}
	}
	return out, why
}

func permitted(m *dataset.Manifest, j *job.Job, permits []*envelope.Verified[grant.Permit], now time.Time) (out []Ground, why []grant.Reason) {
	const ask = "ask the owner for a permit: she signs one with glovebox creator permit add"
	for _, v := range permits {
		p := &v.Predicate
		if p.Dataset != m.Dataset || p.Buyer != nil && !p.Buyer.Equal(j.Buyer) {
			continue
		}
		switch {
		case p.Code != nil && *p.Code != j.Code:
			if p.Buyer != nil { // her own: she may know
				why = append(why, grant.Reason{Rule: "permit.code", Message: "a permit for this buyer is for other code", Satisfy: "run the code package " + p.Code.String()})
			}
		case now.Unix() > p.NotAfter:
			if p.Buyer != nil {
				why = append(why, grant.Reason{Rule: "permit.expired", Message: "a permit for this buyer has expired", Satisfy: ask})
			}
		default:
			out = append(out, Ground{ID: v.ID, Uses: p.Count, Permit: p})
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	if len(why) == 0 {
		why = []grant.Reason{{Rule: "permit.none", Message: "no permit stands for this dataset, buyer and code", Satisfy: ask}}
	}
	return nil, why
}

// Pick is the ground with a use left, the first if several have one, and how many it has, the one asked for included.
// Where none has, it is the first with 0. used counts uses by other jobs. Without grounds, nil.
func Pick(grounds []Ground, used func(*Ground) (int64, error)) (*Ground, int64, error) {
	for i := range grounds {
		g := &grounds[i]
		n, err := used(g)
		if err != nil {
			return nil, 0, err
		}
		if n < g.Uses {
			return g, g.Uses - n, nil
		}
	}
	if len(grounds) == 0 {
		return nil, 0, nil
	}
	return &grounds[0], 0, nil
}

// Input is what policy is told of g for a package; of no ground that there is none. left is what [Pick] says.
func (g *Ground) Input(left int64, m *dataset.Manifest) input.Entitlement {
	leaves := m.Tree.Size
	switch {
	case g == nil:
		return input.None()
	case g.Permit != nil:
		return input.Permit(g.Permit, left, leaves)
	case !g.Receipt.Valid():
		return input.None()
	}
	r := g.Receipt
	s := input.Sale{
		Buyer: r.Buyer, Operations: r.Scopes, Epochs: r.Epochs, Attributes: r.Attributes, Amount: r.Amount, Currency: r.Currency, Expires: r.Expires,
	}
	e := input.Receipt(s, left, leaves)
	if r.Chunks != nil {
		e.Leaves = within(m.Segments, *r.Chunks)
	}
	return e
}

// within is the run of the segments that chunks cover whole: what is delivered of a segment is all of it or nothing.
func within(segments []dataset.Segment, c receipt.Chunks) grant.Ranges {
	at, first, count := int64(0), int64(0), int64(0)
	for _, s := range segments {
		if at >= c.First && at+s.Leaves <= c.First+c.Count {
			if count == 0 {
				first = at
			}
			count += s.Leaves
		}
		at += s.Leaves
	}
	if count == 0 {
		return grant.Ranges{}
	}
	return grant.Ranges{{First: first, Count: count}}
}

// Capability is what a grant that stands on g spends, for the lease whose signing key the evidence binds. The grant is
// complete but for its Entitlement, which is the digest that [Mint] gives.
func (g *Ground) Capability(granted *grant.Grant, m *dataset.Manifest, lease envelope.PublicKey) Capability {
	o := &granted.Obligations
	c := Capability{
		Issued: granted.Issued / 1000, Expires: o.Expires / 1000, Confirm: receipt.Confirm{JKT: jwk.ThumbprintOf(lease)},
		Binding: granted.Binding, Job: granted.Job, Manifest: granted.Manifest, Dataset: m.Dataset, Version: m.Version,
		Operations: []string{input.OperationTrain}, Chunks: ChunksOf(o.Leaves), Epochs: o.Epochs,
	}
	if g.Permit != nil {
		c.Permit = &g.ID
	} else if g.Receipt.Valid() {
		c.Receipt, c.Payment = &g.ID, g.Receipt.Payment
	}
	return c
}
