// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/receipt"
)

// TestOneSaleOfTwoPackagesIsUsedByEither: what one package of a sale gives back, another has used. Whichever ends last, the
// receipt comes back only when nothing of the sale was read.
func TestOneSaleOfTwoPackagesIsUsedByEither(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ read, unreadFirst bool }{
		"the unread one last": {true, false}, "the unread one first": {true, true}, "none was read": {false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, m := shop(t)
			second := w.creator.pack(dataset.KindDataset, withTerms(func(terms *dataset.Terms) {
				terms.Access, terms.Receipts, terms.MaxUses = dataset.AccessReceipt, m.Terms("https://creator.example", 5), 100
			}))
			w.more = []*packed{second}
			bundle := func(c *receipt.Claims) { c.ID = "bundle-1" }
			receipts := []string{w.sold(m, bundle), m.Sell(second.Manifest, *w.buyer.cfg.Buyer, w.clock.now(), bundle)}
			w.newJob(func(j *job.Job) { j.Receipts = receipts })
			e := w.newEnclave(nil)
			for _, p := range w.packs() {
				must(t, e.release(p))
			}
			signed := e.usage(func(s *usage.Statement) {
				failed(s)
				for i := range s.Packages {
					if p := &s.Packages[i]; p.Manifest == second.ID || !c.read {
						p.Leaves, p.ReadRoot, p.Reads, p.Bytes, p.Records, p.Billable, p.Epochs = []grant.Range{}, nil, 0, 0, 0, 0, 0
					}
				}
			})
			order := []*packed{w.data, second}
			if c.unreadFirst {
				slices.Reverse(order)
			}
			for _, p := range order {
				_, err := w.creator.Commit(t.Context(), signed, &p.ID)
				must(t, err)
			}
			w.more = nil
			w.with(receipts[0])
			err := w.asking(1).release(w.data)
			if !c.read {
				must(t, err)
				return
			}
			if got := rules(t, err); !slices.Contains(got, "entitlement-uses") {
				t.Errorf("data of the sale was read, and the receipt is good for another job: %v", got)
			}
		})
	}
}
