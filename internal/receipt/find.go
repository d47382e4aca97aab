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

// Covers says what of a use goes beyond the receipt; nothing if it covers the leaves from first up to end, read in so many
// epochs. A receipt that names no chunks or epochs covers what the offer allows.
func (r *Receipt) Covers(first, end, epochs int64) (all Refused) {
	if !r.Valid() {
		return Refused{{ErrNone, "it was not verified", "verify it first"}}
	}
	from := r.Issuer
	if c := r.Chunks; c != nil && (first < c.First || end > c.First+c.Count) {
		all = append(all, &Refusal{
			ErrChunks, fmt.Sprintf("it covers leaves %d to %d, asked for are %d to %d", c.First, c.First+c.Count-1, first, end-1),
			fmt.Sprintf("ask %s for a receipt that covers them", from),
		})
	}
	if r.Epochs != 0 && epochs > r.Epochs {
		all = append(all, &Refusal{
			ErrEpochs, fmt.Sprintf("it is for %d epochs, asked for are %d", r.Epochs, epochs),
			fmt.Sprintf("train in at most %d, or ask %s for a receipt for more", r.Epochs, from),
		})
	}
	return all
}
