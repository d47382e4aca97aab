// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/broker/entitlement/entitlementtest"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/receipt"
)

// sold is a run over a package that is sold by a marketplace.
type sold struct {
	*usagetest.Run
	market *entitlementtest.Marketplace
	pack   *dataset.Manifest
}

func newSold(t *testing.T) *sold {
	t.Helper()
	s := &sold{market: entitlementtest.New(t)}
	s.Run = usagetest.New(t, usagetest.Scenario{Offer: func(i int, m *dataset.Manifest) {
		if i == 1 {
			m.Terms.Access, m.Terms.Receipts = dataset.AccessReceipt, s.market.Terms("alice", 5_000_000)
			m.Terms.Buyers.Require = []dataset.Attribute{{Name: "sector", AnyOf: []string{"research"}}}
		}
	}})
	v, err := dataset.Verify(s.Parts.Manifests[1])
	if err != nil {
		t.Fatal(err)
	}
	s.pack = &v.Predicate
	return s
}

// again runs with these receipts in the job, and a capability in the grant of the data.
func (s *sold) again(t *testing.T, bend func(*usagetest.Scenario), receipts ...string) *usagetest.Run {
	t.Helper()
	capability := envelope.Sum([]byte("capability"))
	sc := usagetest.Scenario{
		Job: func(j *job.Job) { j.Receipts = append([]string{}, receipts...) },
		Grant: func(i int, g *grant.Grant) {
			if i == 1 {
				g.Entitlement = &capability
			}
		},
	}
	if bend != nil {
		bend(&sc)
	}
	return s.Again(t, sc)
}

func (s *sold) sell(change ...func(*receipt.Claims)) string {
	return s.market.Sell(s.pack, s.Keys.Buyer.Public(), time.UnixMilli(usagetest.Now), change...)
}

func TestPaid(t *testing.T) {
	s := newSold(t)
	short := s.sell(func(c *receipt.Claims) { c.Epochs = 1 })
	v := s.again(t, nil, s.sell(func(c *receipt.Claims) { c.Dataset[0]++ }), short, s.sell()).Verify()
	if !v.OK() || len(v.Paid) != 1 {
		t.Fatalf("%v %+v", v.Findings, v.Paid)
	}
	p := v.Paid[0]
	if p.Part != "grant[1]" || p.Manifest == (envelope.Digest{}) || p.Receipt != "sale-3" || p.Payment != "pay_3" || p.Amount != 5_000_000 || p.Currency != "EUR" || p.Payee != entitlementtest.Payee {
		t.Errorf("%+v", p)
	}
	if !slices.ContainsFunc(v.Facts, func(f usage.Fact) bool { return f.Rule == "receipt" && strings.Contains(f.Message, "pay_3") }) {
		t.Errorf("no word of it: %+v", v.Facts)
	}
}

// TestGrantWithoutReceipt: a broker that releases what its owner sells, to somebody who did not buy it, is found out.
func TestGrantWithoutReceipt(t *testing.T) {
	s := newSold(t)
	late := time.UnixMilli(usagetest.Now).Add(-2 * time.Hour)
	thief := s.Keys.CodeOwner.Public()
	for rule, receipts := range map[string][]string{
		"receipt.none":      {},
		"receipt.malformed": {"YQ.YQ.YQ"},
		"receipt.expired":   {s.market.Sell(s.pack, s.Keys.Buyer.Public(), late)},
		"receipt.buyer":     {s.market.Sell(s.pack, thief, time.UnixMilli(usagetest.Now))},
		"receipt.amount":    {s.sell(func(c *receipt.Claims) { c.Amount = 1 })},
		"receipt.offer":     {s.sell(func(c *receipt.Claims) { c.Offer[0]++ })},
		"receipt.attribute": {s.sell(func(c *receipt.Claims) { c.Attributes = nil })},
		"receipt.epochs":    {s.sell(func(c *receipt.Claims) { c.Epochs = 1 })},
		"receipt.chunks":    {s.sell(func(c *receipt.Claims) { c.Chunks = &receipt.Chunks{First: 1, Count: 1 << 20} })},
		"receipt.kid":       {entitlementtest.New(t).SignWith(jwt.SigningMethodES256, s.market.EC, map[string]any{"kid": "other"}, s.market.Claims(s.pack, s.Keys.Buyer.Public(), late))},
		"receipt.signature": {entitlementtest.New(t).Sign(s.market.Claims(s.pack, s.Keys.Buyer.Public(), late))},
	} {
		v := s.again(t, nil, receipts...).Verify()
		found := false
		for _, f := range v.Findings {
			found = found || f.Rule == rule && f.Part == "grant[1]"
			if !strings.HasPrefix(f.Rule, "receipt.") {
				t.Errorf("%s: %v", rule, f)
			}
		}
		if !found || len(v.Paid) != 0 || v.OK() {
			t.Errorf("%s: %v, %+v", rule, v.Findings, v.Paid)
		}
	}
}

// TestGrantWithoutCapability: a grant says what was spent on it exactly where the terms ask for something.
func TestGrantWithoutCapability(t *testing.T) {
	s := newSold(t)
	v := s.again(t, func(sc *usagetest.Scenario) { sc.Grant = nil }, s.sell()).Verify()
	if len(v.Findings) != 1 || v.Findings[0].Rule != "grant.entitlement" || v.Findings[0].Part != "grant[1]" {
		t.Errorf("%v", v.Findings)
	}
	capability := envelope.Sum([]byte("capability"))
	v = usagetest.New(t, usagetest.Scenario{Grant: func(_ int, g *grant.Grant) { g.Entitlement = &capability }}).Verify()
	if len(v.Findings) != 2 || v.Findings[0].Rule != "grant.entitlement" {
		t.Errorf("%v", v.Findings)
	}
}
