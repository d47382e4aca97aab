// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/receipt"
)

// Paid is a licence receipt that a grant was given for. It verified under a key that the package's terms pin, at the time
// of the grant.
type Paid struct {
	Part     string          `json:"part"` // the grant
	Manifest envelope.Digest `json:"manifest"`
	Sale     envelope.Digest `json:"sale"` // identity of the sale, as ledgers count its uses
	Issuer   string          `json:"issuer"`
	Receipt  string          `json:"receipt"` // the issuer's id of it
	Payment  string          `json:"payment"`
	Payee    string          `json:"payee"`
	Amount   int64           `json:"amount"` // millionths
	Currency string          `json:"currency"`
}

// checkReceipt: where the terms want a receipt, the job carries one that was good when the grant was issued.
func (a *audit) checkReceipt(i int) {
	l, p := &a.lease[i], part(PartGrant, i)
	g, m := &l.grant.Predicate, &l.manifest.Predicate
	if m.Terms.Access != dataset.AccessReceipt || a.job == nil {
		return
	}
	want, err := receipt.For(m, a.job.Predicate.Buyer)
	if err != nil {
		a.find("receipt.none", p, "%v", err)
		return
	}
	found, err := receipt.Find(a.job.Predicate.Receipts, want, time.UnixMilli(g.Issued))
	refusals := receipt.Refusals(err)
	if err != nil && len(refusals) == 0 {
		a.find("receipt.none", p, "%v", err)
	}
	for n, r := range found {
		beyond := r.Covers(g.Obligations.Leaves[0].First, g.Obligations.Leaves.End(), int64(g.Obligations.Epochs))
		if len(beyond) == 0 {
			a.paid(l, p, r)
			return
		}
		if n == 0 {
			refusals = beyond
		}
	}
	for _, r := range refusals {
		a.find(r.Rule(), p, "%v", r)
	}
}

func (a *audit) paid(l *lease, p string, r *receipt.Receipt) {
	a.verdict.Paid = append(a.verdict.Paid, Paid{
		p, l.manifest.ID, r.Sale, r.Issuer, r.ID, r.Payment, r.Payee, r.Amount, r.Currency,
	})
	a.fact("receipt", p, "given for receipt %s of %s, payment %s, which the issuer of the keys in the terms vouches for; whether it was used before, the broker's ledger says",
		r.ID, r.Issuer, r.Payment)
}
