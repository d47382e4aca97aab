// SPDX-License-Identifier: Apache-2.0

package receipt_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/entitlement/entitlementtest"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/receipt"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// world is a marketplace, a package that is sold there and a buyer.
type world struct {
	*entitlementtest.Marketplace
	pack  *dataset.Manifest
	buyer envelope.PublicKey
	want  receipt.Expect
}

func newKey(t testing.TB, role envelope.Role) envelope.PublicKey {
	t.Helper()
	s, err := envelope.GenerateSigner(role)
	if err != nil {
		t.Fatal(err)
	}
	return s.Public()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{Marketplace: entitlementtest.New(t), buyer: newKey(t, envelope.RoleBuyer)}
	owner := newKey(t, envelope.RoleOwner)
	w.pack = &dataset.Manifest{Dataset: dataset.ID{1, 2, 3}, Version: 2, Owner: owner}
	w.pack.Terms.Access = dataset.AccessReceipt
	w.pack.Terms.Receipts = w.Terms(owner.String(), 20_000_000)
	w.pack.Terms.Price.Currency = "EUR"
	w.pack.Terms.Buyers = dataset.Buyers{Any: true, Require: []dataset.Attribute{{Name: "sector", AnyOf: []string{"health", "research"}}}}
	var err error
	if w.want, err = receipt.For(w.pack, w.buyer); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) claims(t testing.TB) receipt.Claims {
	t.Helper()
	return w.Claims(w.pack, w.buyer, now)
}

// loose are the claims as JSON that a test can spoil.
func (w *world) loose(t testing.TB) map[string]any {
	t.Helper()
	b, err := json.Marshal(w.claims(t))
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// refused checks that err is exactly one refusal, of a kind, and that it says how to satisfy it.
func refused(t *testing.T, what string, err, kind error) {
	t.Helper()
	all := receipt.Refusals(err)
	if len(all) != 1 || !errors.Is(err, kind) || !errors.Is(err, receipt.ErrReceipt) {
		t.Errorf("%s: %v, want %v", what, err, kind)
		return
	}
	if r := all[0]; r.Message == "" || r.Satisfy == "" || r.Rule() == "receipt." || !strings.Contains(err.Error(), r.Satisfy) {
		t.Errorf("%s: says %q, %q, %q", what, r.Rule(), r.Message, r.Satisfy)
	}
}

func TestVerify(t *testing.T) {
	w := newWorld(t)
	c := w.claims(t)
	for name, compact := range map[string]string{"ES256": w.Sign(c), "RS256": w.SignRSA(c)} {
		r, err := receipt.Verify(compact, w.want, now)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !r.Valid() || !reflect.DeepEqual(r.Claims, c) || r.Sale != c.SaleID() || r.Digest.IsZero() || r.Kid == "" || r.MaxUses() != 1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestOptionalClaims(t *testing.T) {
	w := newWorld(t)
	c := w.claims(t)
	c.Chunks, c.Epochs, c.Uses, c.Attributes["country"] = &receipt.Chunks{First: 4, Count: 8}, 3, 5, []string{"DE", "Österreich"}
	r, err := receipt.Verify(w.Sign(c), w.want, now)
	if err != nil || !reflect.DeepEqual(r.Claims, c) || r.MaxUses() != 5 {
		t.Fatalf("%+v %v", r, err)
	}
	for name, v := range map[string]any{
		"chunks": map[string]any{"first": -1, "count": 1}, "epochs": -1, "uses": -1, "attributes": map[string]any{"sector": []any{}},
	} {
		m := w.loose(t)
		m[name] = v
		_, err := receipt.Verify(w.Sign(m), w.want, now)
		refused(t, name, err, receipt.ErrMalformed)
	}
	for name, v := range map[string]any{
		"chunks": map[string]any{"first": 0, "count": 0}, "epochs": 0, "uses": 0, "attributes": nil, "more": 1, "sub": "somebody", "ISS": "x",
	} {
		m := w.loose(t)
		m[name] = v
		_, err := receipt.Verify(w.Sign(m), w.want, now)
		refused(t, name+" that says nothing, or is unknown", err, receipt.ErrMalformed)
	}
}

// TestClaimsAgainstTerms: each claim that is another than the terms', the job's or the clock's is refused with its own
// error.
func TestClaimsAgainstTerms(t *testing.T) {
	w := newWorld(t)
	other := newKey(t, envelope.RoleBuyer)
	for name, c := range map[string]struct {
		change func(*receipt.Claims)
		want   error
	}{
		"other issuer":     {func(c *receipt.Claims) { c.Issuer += "x" }, receipt.ErrIssuer},
		"other audience":   {func(c *receipt.Claims) { c.Audience += "x" }, receipt.ErrAudience},
		"other payee":      {func(c *receipt.Claims) { c.Payee = "acct_mallory" }, receipt.ErrPayee},
		"amount too low":   {func(c *receipt.Claims) { c.Amount-- }, receipt.ErrAmount},
		"for nothing":      {func(c *receipt.Claims) { c.Amount = 0 }, receipt.ErrAmount},
		"other currency":   {func(c *receipt.Claims) { c.Currency = "IDR" }, receipt.ErrCurrency},
		"other dataset":    {func(c *receipt.Claims) { c.Dataset[15]++ }, receipt.ErrDataset},
		"other version":    {func(c *receipt.Claims) { c.Version-- }, receipt.ErrVersion},
		"other offer":      {func(c *receipt.Claims) { c.Offer[0]++ }, receipt.ErrOffer},
		"other buyer":      {func(c *receipt.Claims) { c.Buyer = other }, receipt.ErrBuyer},
		"other key":        {func(c *receipt.Claims) { c.Confirm.JKT = jwk.ThumbprintOf(other) }, receipt.ErrThumbprint},
		"other operation":  {func(c *receipt.Claims) { c.Scopes = []string{"read", "train-later"} }, receipt.ErrScope},
		"other sector":     {func(c *receipt.Claims) { c.Attributes["sector"] = []string{"adtech"} }, receipt.ErrAttribute},
		"sector not said":  {func(c *receipt.Claims) { c.Attributes = nil }, receipt.ErrAttribute},
		"expired":          {func(c *receipt.Claims) { c.Expires = now.Unix(); c.NotBefore--; c.Issued-- }, receipt.ErrExpired},
		"not yet valid":    {func(c *receipt.Claims) { c.NotBefore += 61 }, receipt.ErrNotYet},
		"issued to-morrow": {func(c *receipt.Claims) { c.Issued += 61 }, receipt.ErrNotYet},
	} {
		_, err := receipt.Verify(w.Sell(w.pack, w.buyer, now, c.change), w.want, now)
		refused(t, name, err, c.want)
	}
	// The issuer's clock may be a little ahead.
	if _, err := receipt.Verify(w.Sell(w.pack, w.buyer, now.Add(time.Minute)), w.want, now); err != nil {
		t.Error(err)
	}
	// A receipt that is wrong in several ways says so at once.
	_, err := receipt.Verify(w.Sell(w.pack, w.buyer, now, func(c *receipt.Claims) {
		c.Payee, c.Amount, c.Version = "acct_mallory", 1, 9
	}), w.want, now)
	if len(receipt.Refusals(err)) != 3 || !errors.Is(err, receipt.ErrPayee) || !errors.Is(err, receipt.ErrAmount) || !errors.Is(err, receipt.ErrVersion) {
		t.Errorf("not every reason: %v", err)
	}
}

// TestClaimsThemselves: claims that contradict themselves or go beyond a bound are malformed, whatever is expected.
func TestClaimsThemselves(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*receipt.Claims){
		"ends before it begins":     func(c *receipt.Claims) { c.NotBefore, c.Expires = now.Unix()+50, now.Unix()+10 },
		"ends before it was issued": func(c *receipt.Claims) { c.Issued, c.Expires = now.Unix()+50, now.Unix()+10 },
		"long jti":                  func(c *receipt.Claims) { c.ID = strings.Repeat("x", 257) },
		"long payment id":           func(c *receipt.Claims) { c.Payment = strings.Repeat("x", 257) },
		"long issuer":               func(c *receipt.Claims) { c.Issuer = strings.Repeat("x", 1025) },
		"not UTF-8":                 func(c *receipt.Claims) { c.ID = "\xff" },
		"thumbprint in hex":         func(c *receipt.Claims) { c.Confirm.JKT = strings.Repeat("a", 64) },
		"currency":                  func(c *receipt.Claims) { c.Currency = "euro" },
		"scope twice":               func(c *receipt.Claims) { c.Scopes = []string{"train", "train"} },
		"scope with a space":        func(c *receipt.Claims) { c.Scopes = []string{"train", "train all"} },
		"too many scopes":           func(c *receipt.Claims) { c.Scopes = strings.Split("train"+strings.Repeat(",train", 16), ",") },
		"attribute's name":          func(c *receipt.Claims) { c.Attributes["Sector"] = []string{"health"} },
		"attribute's value twice":   func(c *receipt.Claims) { c.Attributes["sector"] = []string{"health", "health"} },
		"attribute's empty value":   func(c *receipt.Claims) { c.Attributes["sector"] = []string{"health", ""} },
		"chunks beyond all":         func(c *receipt.Claims) { c.Chunks = &receipt.Chunks{First: 1, Count: receipt.MaxAmount} },
		"chunks from nowhere":       func(c *receipt.Claims) { c.Chunks = &receipt.Chunks{First: -1, Count: 5} },
	} {
		_, err := receipt.Verify(w.Sell(w.pack, w.buyer, now, change), w.want, now)
		refused(t, name, err, receipt.ErrMalformed)
	}
}

// TestClaimMissing: every claim that is required, taken out, nulled or emptied, refuses the receipt.
func TestClaimMissing(t *testing.T) {
	w := newWorld(t)
	tried := 0
	for name, v := range w.loose(t) {
		if name == "attributes" {
			continue
		}
		for how, spoil := range map[string]func(map[string]any){
			"deleted": func(m map[string]any) { delete(m, name) },
			"null":    func(m map[string]any) { m[name] = nil },
			"empty":   func(m map[string]any) { m[name] = reflect.Zero(reflect.TypeOf(v)).Interface() },
			"a list":  func(m map[string]any) { m[name] = []any{v} },
			"renamed": func(m map[string]any) { m[strings.ToUpper(name)] = v; delete(m, name) },
		} {
			tried++
			m := w.loose(t)
			spoil(m)
			if _, err := receipt.Verify(w.Sign(m), w.want, now); len(receipt.Refusals(err)) == 0 {
				t.Errorf("%s %s: %v", name, how, err)
			}
		}
	}
	if tried < 5*16 {
		t.Errorf("only %d changes tried", tried)
	}
}

// TestExpectMissing: a caller that leaves out what to expect gets nothing.
func TestExpectMissing(t *testing.T) {
	w := newWorld(t)
	compact := w.Sign(w.claims(t))
	if _, err := receipt.Verify(compact, receipt.Expect{}, now); !errors.Is(err, receipt.ErrExpect) {
		t.Errorf("zero Expect: %v", err)
	}
	if _, err := receipt.Verify(compact, w.want, time.Time{}); !errors.Is(err, receipt.ErrExpect) {
		t.Errorf("zero time: %v", err)
	}
	optional := map[string]bool{"MinAmount": true, "Require": true} // nothing is asked, or none
	v := reflect.ValueOf(&w.want).Elem()
	for i := range v.NumField() {
		f, was := v.Field(i), reflect.ValueOf(v.Field(i).Interface())
		f.SetZero()
		_, err := receipt.Verify(compact, w.want, now)
		if name := v.Type().Field(i).Name; errors.Is(err, receipt.ErrExpect) == optional[name] {
			t.Errorf("without %s: %v", name, err)
		}
		f.Set(was)
	}
	w.want.Require = []dataset.Attribute{{Name: "sector"}}
	if _, err := receipt.Verify(compact, w.want, now); !errors.Is(err, receipt.ErrExpect) {
		t.Errorf("attribute without values: %v", err)
	}
	w.want.Require, w.want.Keys = nil, append(w.Keys(), w.Keys()[0])
	if _, err := receipt.Verify(compact, w.want, now); !errors.Is(err, receipt.ErrExpect) {
		t.Errorf("a kid twice: %v", err)
	}
}

func TestFor(t *testing.T) {
	w := newWorld(t)
	if _, err := receipt.For(nil, w.buyer); !errors.Is(err, receipt.ErrExpect) {
		t.Error(err)
	}
	w.pack.Terms.Access = dataset.AccessOpen
	if _, err := receipt.For(w.pack, w.buyer); !errors.Is(err, receipt.ErrExpect) {
		t.Error(err)
	}
	w.pack.Terms.Access, w.pack.Terms.Receipts = dataset.AccessReceipt, nil
	if _, err := receipt.For(w.pack, w.buyer); !errors.Is(err, receipt.ErrExpect) {
		t.Error(err)
	}
}

func TestFind(t *testing.T) {
	w := newWorld(t)
	elsewhere := func(c *receipt.Claims) { c.Dataset[0]++ }
	one, two := w.Sell(w.pack, w.buyer, now), w.Sell(w.pack, w.buyer, now)
	other := w.Sell(w.pack, w.buyer, now, elsewhere)
	poor := w.Sell(w.pack, w.buyer, now, func(c *receipt.Claims) { c.Amount-- })
	found, err := receipt.Find([]string{other, poor, one, two}, w.want, now)
	if err != nil || len(found) != 2 || found[0].ID >= found[1].ID {
		t.Fatalf("%+v %v", found, err)
	}
	_, err = receipt.Find([]string{other}, w.want, now)
	refused(t, "for another dataset only", err, receipt.ErrNone)
	_, err = receipt.Find(nil, w.want, now)
	refused(t, "none", err, receipt.ErrNone)
	_, err = receipt.Find([]string{other, poor}, w.want, now)
	refused(t, "too cheap", err, receipt.ErrAmount)
	_, err = receipt.Find([]string{"a.b.c"}, w.want, now)
	refused(t, "unreadable", err, receipt.ErrMalformed)
	if _, err := receipt.Find([]string{one}, receipt.Expect{}, now); !errors.Is(err, receipt.ErrExpect) {
		t.Errorf("zero Expect: %v", err)
	}
}

func TestCovers(t *testing.T) {
	w := newWorld(t)
	read := func(change func(*receipt.Claims)) *receipt.Receipt {
		t.Helper()
		r, err := receipt.Verify(w.Sell(w.pack, w.buyer, now, change), w.want, now)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	whole := read(func(*receipt.Claims) {})
	if err := whole.Covers(0, receipt.MaxAmount, 10_000); len(err) != 0 {
		t.Error(err)
	}
	part := read(func(c *receipt.Claims) { c.Chunks, c.Epochs = &receipt.Chunks{First: 4, Count: 8}, 3 })
	if err := part.Covers(4, 12, 3); len(err) != 0 {
		t.Error(err)
	}
	refused(t, "before", part.Covers(3, 12, 3), receipt.ErrChunks)
	refused(t, "after", part.Covers(4, 13, 3), receipt.ErrChunks)
	refused(t, "too often", part.Covers(4, 12, 4), receipt.ErrEpochs)
	if err := part.Covers(0, 99, 99); len(err) != 2 {
		t.Error(err)
	}
	refused(t, "not verified", (&receipt.Receipt{}).Covers(0, 1, 1), receipt.ErrNone)
}

func TestPeek(t *testing.T) {
	w := newWorld(t)
	c := w.claims(t)
	r, err := receipt.Peek(w.Sign(c))
	if err != nil || r.Valid() || !reflect.DeepEqual(r.Claims, c) {
		t.Fatalf("%+v %v", r, err)
	}
	if (&receipt.Receipt{Claims: c}).Valid() || (*receipt.Receipt)(nil).Valid() {
		t.Error("valid without verification")
	}
	if _, err := receipt.Peek(strings.Repeat("A", receipt.MaxReceipt+1)); !errors.Is(err, receipt.ErrMalformed) {
		t.Error(err)
	}
}

// TestRules: every error has a rule of its own.
func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range []error{
		receipt.ErrMalformed, receipt.ErrType, receipt.ErrAlgorithm, receipt.ErrKeyID, receipt.ErrSignature, receipt.ErrExpired,
		receipt.ErrNotYet, receipt.ErrIssuer, receipt.ErrAudience, receipt.ErrPayee, receipt.ErrAmount, receipt.ErrCurrency,
		receipt.ErrDataset, receipt.ErrVersion, receipt.ErrOffer, receipt.ErrBuyer, receipt.ErrThumbprint, receipt.ErrScope,
		receipt.ErrAttribute, receipt.ErrNone, receipt.ErrChunks, receipt.ErrEpochs,
	} {
		rule := (&receipt.Refusal{Err: kind}).Rule()
		if rule == "receipt." || seen[rule] {
			t.Errorf("%v has rule %q", kind, rule)
		}
		seen[rule] = true
	}
}
