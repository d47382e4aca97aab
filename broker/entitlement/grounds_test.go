// SPDX-License-Identifier: Apache-2.0

package entitlement_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/entitlement"
	"github.com/glovebox-dev/glovebox/broker/entitlement/entitlementtest"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/receipt"
	"github.com/glovebox-dev/glovebox/policies/input"
)

// offer is a package and a job for it.
func offer(t *testing.T, access string) (*entitlementtest.Marketplace, *dataset.Manifest, *job.Job) {
	t.Helper()
	market := entitlementtest.New(t)
	m := &dataset.Manifest{Dataset: dataset.ID{5}, Version: 1, Owner: signer(t, envelope.RoleOwner).Public()}
	m.Terms.Access, m.Terms.Price.Currency, m.Tree.Size = access, "EUR", 40
	m.Segments = []dataset.Segment{{Leaves: 4}, {Leaves: 8}, {Leaves: 28}}
	if access == dataset.AccessReceipt {
		m.Terms.Receipts = market.Terms("alice", 100)
	}
	return market, m, &job.Job{Buyer: signer(t, envelope.RoleBuyer).Public(), Code: envelope.Sum([]byte("code"))}
}

func TestGroundsReceipt(t *testing.T) {
	market, m, j := offer(t, dataset.AccessReceipt)
	grounds, why := entitlement.Grounds(m, j, nil, now)
	if len(grounds) != 0 || len(why) != 1 || why[0].Rule != "receipt.none" || why[0].Satisfy == "" {
		t.Fatal(grounds, why)
	}
	j.Receipts = []string{
		market.Sell(m, j.Buyer, now, func(c *receipt.Claims) { c.Amount, c.Payee = 1, "mallory" }),
	}
	if grounds, why = entitlement.Grounds(m, j, nil, now); len(grounds) != 0 || len(why) != 2 {
		t.Fatal(grounds, why)
	}
	j.Receipts = append(j.Receipts, market.Sell(m, j.Buyer, now),
		market.Sell(m, j.Buyer, now, func(c *receipt.Claims) {
			c.Uses, c.Epochs, c.Chunks = 3, 2, &receipt.Chunks{First: 4, Count: 8}
		}))
	grounds, why = entitlement.Grounds(m, j, nil, now)
	if len(grounds) != 2 || why != nil || grounds[0].Uses != 1 || grounds[1].Uses != 3 {
		t.Fatal(grounds, why)
	}
	in := grounds[1].Input(2, m)
	if in.Kind != input.EntitlementReceipt || in.Left != 2 || in.Epochs != 2 || len(in.Leaves) != 1 || in.Leaves[0] != (grant.Range{First: 4, Count: 8}) || in.Paid != 100 || in.Buyer != j.Buyer.String() {
		t.Errorf("%+v", in)
	}
	if in := grounds[0].Input(1, m); in.Leaves.Count() != 40 || in.Epochs != job.MaxEpochs {
		t.Errorf("%+v", in)
	}
	for _, c := range []struct{ first, count, from, leaves int64 }{
		{0, 40, 0, 40}, {0, 12, 0, 12}, {0, 13, 0, 12}, {1, 11, 4, 8}, {3, 37, 4, 36}, {5, 30, 0, 0}, {0, 3, 0, 0}, {40, 1, 0, 0}, {12, 1 << 50, 12, 28},
	} {
		j.Receipts = []string{market.Sell(m, j.Buyer, now, func(r *receipt.Claims) { r.Chunks = &receipt.Chunks{First: c.first, Count: c.count} })}
		some, _ := entitlement.Grounds(m, j, nil, now)
		got := some[0].Input(1, m).Leaves
		if got.Count() != c.leaves || c.leaves > 0 && (len(got) != 1 || got[0].First != c.from) {
			t.Errorf("%+v: %+v", c, got)
		}
	}
	if in := (*entitlement.Ground)(nil).Input(9, m); in.Kind != input.EntitlementNone {
		t.Errorf("%+v", in)
	}
	if in := (&entitlement.Ground{}).Input(9, m); in.Kind != input.EntitlementNone {
		t.Errorf("%+v", in)
	}
	m.Terms.Receipts = nil
	if grounds, why = entitlement.Grounds(m, j, nil, now); len(grounds) != 0 || len(why) != 1 {
		t.Error(grounds, why)
	}
}

// TestPickUsedUp: the first that has a use left counts; if none has, policy hears that there is nothing left.
func TestPickUsedUp(t *testing.T) {
	grounds := []entitlement.Ground{{ID: envelope.Sum([]byte("a")), Uses: 1}, {ID: envelope.Sum([]byte("b")), Uses: 3}}
	uses := map[envelope.Digest]int64{}
	used := func(g *entitlement.Ground) (int64, error) { return uses[g.ID], nil }
	for _, want := range []struct{ at, left int64 }{{0, 1}, {1, 3}, {1, 2}, {1, 1}, {0, 0}} {
		g, left, err := entitlement.Pick(grounds, used)
		if err != nil || g != &grounds[want.at] || left != want.left {
			t.Fatalf("%v %d %v, want %v", g, left, err, want)
		}
		uses[g.ID]++
	}
	if g, left, err := entitlement.Pick(nil, used); g != nil || left != 0 || err != nil {
		t.Error(g, left, err)
	}
	broken := errors.New("broken")
	if _, _, err := entitlement.Pick(grounds, func(*entitlement.Ground) (int64, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestGroundsPermit(t *testing.T) {
	_, m, j := offer(t, dataset.AccessPermit)
	other, code := signer(t, envelope.RoleBuyer).Public(), envelope.Sum([]byte("other code"))
	permit := func(change func(*grant.Permit)) *envelope.Verified[grant.Permit] {
		p := grant.Permit{ID: envelope.NewNonce(), Dataset: m.Dataset, Buyer: &j.Buyer, Count: 2, NotAfter: now.Unix()}
		change(&p)
		v := &envelope.Verified[grant.Permit]{ID: envelope.Sum(p.ID[:])}
		v.Predicate = p
		return v
	}
	for name, c := range map[string]struct {
		change func(*grant.Permit)
		rule   string
	}{
		"hers":             {func(*grant.Permit) {}, ""},
		"anybody's":        {func(p *grant.Permit) { p.Buyer = nil }, ""},
		"for her code":     {func(p *grant.Permit) { p.Code = &j.Code }, ""},
		"another buyer's":  {func(p *grant.Permit) { p.Buyer = &other }, "permit.none"},
		"another dataset":  {func(p *grant.Permit) { p.Dataset[0]++ }, "permit.none"},
		"for other code":   {func(p *grant.Permit) { p.Code = &code }, "permit.code"},
		"expired":          {func(p *grant.Permit) { p.NotAfter-- }, "permit.expired"},
		"anybody's, ended": {func(p *grant.Permit) { p.Buyer = nil; p.NotAfter-- }, "permit.none"},
		"somebody's code":  {func(p *grant.Permit) { p.Buyer = nil; p.Code = &code }, "permit.none"},
	} {
		v := permit(c.change)
		grounds, why := entitlement.Grounds(m, j, []*envelope.Verified[grant.Permit]{v}, now)
		switch {
		case c.rule == "" && (len(grounds) != 1 || grounds[0].ID != v.ID || grounds[0].Uses != 2 || why != nil):
			t.Errorf("%s: %v %v", name, grounds, why)
		case c.rule != "" && (len(grounds) != 0 || len(why) != 1 || why[0].Rule != c.rule || why[0].Message == "" || why[0].Satisfy == ""):
			t.Errorf("%s: %v %v", name, grounds, why)
		case c.rule == "permit.none" && strings.Contains(why[0].Message+why[0].Satisfy, other.String()):
			t.Errorf("%s: names another buyer", name)
		}
	}
	v := permit(func(p *grant.Permit) { p.Code = &j.Code })
	grounds, _ := entitlement.Grounds(m, j, []*envelope.Verified[grant.Permit]{v}, now)
	if in := grounds[0].Input(2, m); in.Kind != input.EntitlementPermit || in.Left != 2 || in.Code != j.Code.String() {
		t.Errorf("%+v", in)
	}
}

func TestGroundsOfOtherAccess(t *testing.T) {
	_, m, j := offer(t, dataset.AccessOpen)
	if grounds, why := entitlement.Grounds(m, j, nil, now); grounds != nil || why != nil {
		t.Error(grounds, why)
	}
	m.Terms.Access = ""
	if grounds, why := entitlement.Grounds(m, j, nil, now); grounds != nil || len(why) != 1 {
		t.Error(grounds, why)
	}
}

// TestGroundToCapability: what is minted says what was granted, and for what.
func TestGroundToCapability(t *testing.T) {
	market, m, j := offer(t, dataset.AccessReceipt)
	j.Receipts = []string{market.Sell(m, j.Buyer, now)}
	grounds, _ := entitlement.Grounds(m, j, nil, now)
	broker, lease := signer(t, envelope.RoleBroker), signer(t, envelope.RoleEnclave).Public()
	g := &grant.Grant{Binding: envelope.Sum([]byte("d")), Job: envelope.Sum([]byte("job")), Manifest: envelope.Sum([]byte("m")), Issued: now.UnixMilli() + 1}
	g.Obligations = grant.Obligations{Leaves: grant.Ranges{{First: 2, Count: 5}}, Epochs: 3, Expires: now.Add(time.Hour).UnixMilli() + 999}
	compact, digest, err := entitlement.Mint(grounds[0].Capability(g, m, lease), broker)
	if err != nil {
		t.Fatal(err)
	}
	v, err := entitlement.VerifyCapability(compact, broker.Public(), g.Binding, jwk.ThumbprintOf(lease), now)
	if err != nil || v.Digest != digest || *v.Receipt != grounds[0].ID || v.Payment != "pay_1" || v.Permit != nil || v.Epochs != 3 || v.Chunks != entitlement.ChunksOf(g.Obligations.Leaves) || v.Expires*1000 > g.Obligations.Expires {
		t.Errorf("%+v %v", v, err)
	}
	permit := &entitlement.Ground{ID: envelope.Sum([]byte("permit")), Uses: 1, Permit: &grant.Permit{}}
	if _, _, err := entitlement.Mint(permit.Capability(g, m, lease), broker); err != nil {
		t.Error(err)
	}
	if _, _, err := entitlement.Mint((&entitlement.Ground{ID: permit.ID}).Capability(g, m, lease), broker); !errors.Is(err, entitlement.ErrInvalid) {
		t.Errorf("on no ground: %v", err)
	}
}
