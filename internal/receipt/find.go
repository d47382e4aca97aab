// SPDX-License-Identifier: Apache-2.0

package receipt

import (
	"fmt"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// For says which receipt a package's terms ask of a buyer. It refuses terms that ask for none ([ErrExpect]).
func For(m *dataset.Manifest, buyer envelope.PublicKey) (Expect, error) {
	if m == nil || m.Terms.Access != dataset.AccessReceipt || m.Terms.Receipts == nil {
		return Expect{}, fmt.Errorf("%w: the terms name nobody whose receipts count", ErrExpect)
	}
	t := m.Terms.Receipts
	return Expect{
		Issuer: t.Issuer, Audience: t.Audience, Payee: t.Payee, Keys: t.Keys, MinAmount: t.MinAmount, Currency: m.Terms.Price.Currency,
		Dataset: m.Dataset, Version: m.Version, Offer: m.OfferDigest(), Buyer: buyer, Scope: ScopeTrain, Require: m.Terms.Buyers.Require,
	}, nil
}

// Find verifies the receipts of a job and returns those that are as wanted, in the job's order and without a sale twice:
// the first may be used up, which only a ledger knows. A job's other receipts are for other datasets. Without one that is
// as wanted the error is a [Refused] with every reason against those for this dataset, or [ErrNone].
func Find(receipts []string, want Expect, now time.Time) ([]*Receipt, error) {
	if err := want.validate(now); err != nil {
		return nil, err
	}
	var found []*Receipt
	var all Refused
	sales := map[envelope.Digest]bool{}
	for i, compact := range receipts {
		r, err := Verify(compact, want, now)
		switch {
		case err == nil && !sales[r.Sale]:
			sales[r.Sale] = true
			found = append(found, r)
		case err != nil && concerns(compact, want):
			for _, one := range Refusals(err) {
				one.Message = fmt.Sprintf("number %d: %s", i+1, one.Message)
				all = append(all, one)
			}
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case len(all) > 0:
		return nil, all
	}
	return nil, Refused{{
		ErrNone, fmt.Sprintf("the job carries %d receipts, none of them for dataset %s", len(receipts), envelope.PackageID(want.Dataset)),
		fmt.Sprintf("buy the offer %s at %s, and submit with --receipt FILE", want.Offer, want.Issuer),
	}}
}

// concerns reports whether a receipt claims to be for the wanted dataset, or cannot be read at all.
func concerns(compact string, want Expect) bool {
	r, err := Peek(compact)
	return err != nil || r.Dataset == envelope.PackageID(want.Dataset)
}
