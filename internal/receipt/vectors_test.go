// SPDX-License-Identifier: Apache-2.0

package receipt_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/glovebox-dev/glovebox/broker/entitlement/entitlementtest"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/jws"
	"github.com/glovebox-dev/glovebox/internal/receipt"
)

var update = flag.Bool("update", false, "write the vectors anew")

// vectorExpect is the `want:` line of a vector: an Expect in JSON.
type vectorExpect struct {
	Issuer    string              `json:"issuer"`
	Audience  string              `json:"audience"`
	Payee     string              `json:"payee"`
	Keys      []jwk.JWK           `json:"keys"`
	MinAmount int64               `json:"minAmount"`
	Currency  string              `json:"currency"`
	Dataset   envelope.PackageID  `json:"dataset"`
	Version   int64               `json:"version"`
	Offer     envelope.Digest     `json:"offer"`
	Buyer     envelope.PublicKey  `json:"buyer"`
	Scope     string              `json:"scope"`
	Require   []dataset.Attribute `json:"require"`
}

// vector is a file of header lines, a blank line and a receipt.
type vector struct {
	name, expect string
	now          time.Time
	want         receipt.Expect
	body         string
}

func vectorDir() string { return filepath.Join("..", "..", "testdata", "vectors", "receipt") }

func loadVectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectorDir(), "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	var out []vector
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		head, body, ok := bytes.Cut(b, []byte("\n\n"))
		h := map[string]string{}
		for _, l := range strings.Split(string(head), "\n") {
			k, v, _ := strings.Cut(l, ": ")
			h[k] = v
		}
		v := vector{name: filepath.Base(f), expect: h["expect"], body: strings.TrimSuffix(string(body), "\n")}
		var e vectorExpect
		if err := envelope.DecodeStrict([]byte(h["want"]), 1<<16, &e); err != nil || !ok || v.expect == "" || h["comment"] == "" {
			t.Fatalf("%s is not a vector: %v", f, err)
		}
		if v.now, err = time.Parse(time.RFC3339, h["now"]); err != nil {
			t.Fatal(err)
		}
		v.want = receipt.Expect{
			Issuer: e.Issuer, Audience: e.Audience, Payee: e.Payee, Keys: e.Keys, MinAmount: e.MinAmount, Currency: e.Currency,
			Dataset: e.Dataset, Version: e.Version, Offer: e.Offer, Buyer: e.Buyer, Scope: e.Scope, Require: e.Require,
		}
		out = append(out, v)
	}
	return out
}

// TestVectors holds every vector to four properties: the outcome that it names; a payload that reads back to the same
// claims; not one byte that could be another; and the same word from an independent implementation about its signature.
func TestVectors(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range loadVectors(t) {
		seen[v.expect] = true
		r, err := receipt.Verify(v.body, v.want, v.now)
		var rules []string
		for _, one := range receipt.Refusals(err) {
			rules = append(rules, strings.TrimPrefix(one.Rule(), "receipt."))
		}
		if got := strings.Join(rules, " "); (v.expect == "ok") != (err == nil) || v.expect != "ok" && got != v.expect {
			t.Errorf("%s: %q, want %q (%v)", v.name, got, v.expect, err)
		}
		if signed := independent(v.body, v.want.Keys); !signed && err == nil {
			t.Errorf("%s: golang-jwt does not verify it", v.name)
		}
		if err != nil {
			continue
		}
		payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(v.body, ".")[1])
		var again receipt.Claims
		b, err := envelope.Canonical(r.Claims)
		if err != nil || jws.Exact(b, receipt.MaxReceipt, &again) != nil || envelope.Sum(payload) != r.Digest {
			t.Errorf("%s: claims do not read back: %v", v.name, err)
		}
		for i := range len(v.body) {
			changed := []byte(v.body)
			changed[i] ^= 1
			if _, err := receipt.Verify(string(changed), v.want, v.now); !errors.Is(err, receipt.ErrReceipt) {
				t.Fatalf("%s: byte %d changed: %v", v.name, i, err)
			}
		}
	}
	for _, e := range []string{
		"ok", "malformed", "type", "algorithm", "kid", "signature", "expired", "not-yet", "issuer", "audience", "payee", "amount",
		"currency", "dataset", "version", "offer", "buyer thumbprint", "thumbprint", "scope", "attribute", "version payee amount",
	} {
		if !seen[e] {
			t.Errorf("no vector expects %q", e)
		}
	}
}

// independent asks golang-jwt about the signature alone, with the pinned keys' algorithms as the only valid methods.
func independent(compact string, keys []jwk.JWK) bool {
	for _, k := range keys {
		p := jwt.NewParser(jwt.WithValidMethods([]string{k.Alg}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
		tok, err := p.Parse(compact, func(tok *jwt.Token) (any, error) {
			if tok.Header["kid"] != k.Kid {
				return nil, errors.New("another key")
			}
			return k.PublicKey()
		})
		if err == nil && tok.Valid {
			return true
		}
	}
	return false
}

// TestMakeVectors writes them with -update.
func TestMakeVectors(t *testing.T) {
	if !*update {
		t.Skip("without -update")
	}
	w := newWorld(t)
	want, err := envelope.Canonical(w.vectorWant())
	if err != nil {
		t.Fatal(err)
	}
	put := func(name, expect, comment, compact string) {
		t.Helper()
		text := fmt.Sprintf("expect: %s\ncomment: %s\nnow: %s\nwant: %s\n\n%s\n", expect, comment, now.Format(time.RFC3339), want, compact)
		if err := os.WriteFile(filepath.Join(vectorDir(), name+".txt"), []byte(text), 0o644); err != nil { //nolint:gosec // a public test vector
			t.Fatal(err)
		}
	}
	c := w.claims(t)
	put("valid-es256", "ok", "ES256", w.Sign(c))
	put("valid-rs256", "ok", "RS256", w.SignRSA(c))
	full := w.claims(t)
	full.Chunks, full.Epochs, full.Uses = &receipt.Chunks{First: 0, Count: 16}, 3, 10
	put("valid-full", "ok", "with every optional claim", w.Sign(full))
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	put("valid-spaces", "ok", "space and order of members are the issuer's", w.SignPayload(b))
	w.putClaims(put)
	w.putTokens(t, put, c)
	w.putPayloads(t, put, string(b))
}

// vectorWant is the expectation in the order of a vector's fields.
func (w *world) vectorWant() vectorExpect {
	e := w.want
	return vectorExpect{e.Issuer, e.Audience, e.Payee, e.Keys, e.MinAmount, e.Currency, e.Dataset, e.Version, e.Offer, e.Buyer, e.Scope, e.Require}
}

type put func(name, expect, comment, compact string)

// putClaims writes receipts that are signed well and sold otherwise.
func (w *world) putClaims(put put) {
	other := w.Claims(w.pack, w.pack.Owner, now) // another P-256 key than the buyer's
	for _, v := range []struct {
		expect, comment string
		change          func(*receipt.Claims)
	}{
		{"issuer", "another issuer", func(c *receipt.Claims) { c.Issuer = "https://other.example" }},
		{"audience", "another creator's", func(c *receipt.Claims) { c.Audience = "did:key:other" }},
		{"payee", "paid to somebody else", func(c *receipt.Claims) { c.Payee = "acct_mallory" }},
		{"amount", "one millionth short", func(c *receipt.Claims) { c.Amount = w.want.MinAmount - 1 }},
		{"currency", "rupiah", func(c *receipt.Claims) { c.Currency = "IDR" }},
		{"dataset", "another dataset", func(c *receipt.Claims) { c.Dataset[0]++ }},
		{"version", "the version before", func(c *receipt.Claims) { c.Version-- }},
		{"offer", "an offer that was withdrawn", func(c *receipt.Claims) { c.Offer[0]++ }},
		{"buyer thumbprint", "another buyer's", func(c *receipt.Claims) { c.Buyer, c.Confirm = other.Buyer, other.Confirm }},
		{"thumbprint", "the buyer's name with another key", func(c *receipt.Claims) { c.Confirm = other.Confirm }},
		{"scope", "to look, not to train", func(c *receipt.Claims) { c.Scopes = []string{"preview"} }},
		{"attribute", "a buyer of another sector", func(c *receipt.Claims) { c.Attributes = map[string][]string{"sector": {"adtech"}} }},
		{"expired", "ended this second", func(c *receipt.Claims) { c.Issued, c.NotBefore, c.Expires = c.Issued-60, c.NotBefore-60, now.Unix() }},
		{"not-yet", "begins in two minutes", func(c *receipt.Claims) { c.NotBefore += 120 }},
		{"version payee amount", "wrong in three ways, and all are named", func(c *receipt.Claims) { c.Payee, c.Amount, c.Version = "acct_mallory", 1, 9 }},
	} {
		put("claim-"+strings.ReplaceAll(v.expect, " ", "-"), v.expect, v.comment, w.Sell(w.pack, w.buyer, now, v.change))
	}
}

// putTokens writes receipts whose header or signature is wrong.
func (w *world) putTokens(t *testing.T, put put, c receipt.Claims) {
	t.Helper()
	good := w.Sign(c)
	at := strings.LastIndexByte(good, '.') + 1
	ec, rsa := entitlementtest.KidEC, entitlementtest.KidRSA
	put("alg-none", "algorithm", "alg none, no signature",
		w.SignWith(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, map[string]any{"kid": ec}, c))
	put("alg-hs256", "algorithm", "an HMAC under the published key",
		w.SignWith(jwt.SigningMethodHS256, w.JWKS(), map[string]any{"kid": ec}, c))
	put("alg-other-key-type", "algorithm", "ES256 with the kid of an RSA key",
		w.SignWith(jwt.SigningMethodES256, w.EC, map[string]any{"kid": rsa}, c))
	put("alg-ps256", "algorithm", "PS256 by the RSA key", w.SignWith(jwt.SigningMethodPS256, w.RSA, map[string]any{"kid": rsa}, c))
	put("kid-unknown", "kid", "a kid that is not pinned", w.SignWith(jwt.SigningMethodES256, w.EC, map[string]any{"kid": "market-ec-2"}, c))
	put("typ-jwt", "type", "typ JWT", w.SignWith(jwt.SigningMethodES256, w.EC, map[string]any{"kid": ec, "typ": "JWT"}, c))
	put("header-jwk", "malformed", "a key in the header", w.SignWith(jwt.SigningMethodES256, w.EC, map[string]any{"kid": ec, "jwk": w.Keys()[0]}, c))
	put("header-no-typ", "malformed", "no typ", w.SignWith(jwt.SigningMethodES256, w.EC, map[string]any{"kid": ec, "typ": nil}, c))
	sig, err := base64.RawURLEncoding.DecodeString(good[at:])
	if err != nil {
		t.Fatal(err)
	}
	put("signature-short", "signature", "63 bytes", good[:at]+enc(sig[:63]))
	put("signature-zero", "signature", "64 zeros", good[:at]+enc(make([]byte, 64)))
	another := w.Sign(w.claims(t))
	put("signature-other", "signature", "of another receipt", good[:at]+another[strings.LastIndexByte(another, '.')+1:])
	put("padded", "malformed", "base64 with padding", good+"==")
	put("two-parts", "malformed", "no signature at all", good[:at-1])
}

// putPayloads writes receipts that are signed well over something else than claims.
func (w *world) putPayloads(t *testing.T, put put, payload string) {
	t.Helper()
	swap := func(from, to string) string {
		t.Helper()
		if !strings.Contains(payload, from) {
			t.Fatalf("no %s in %s", from, payload)
		}
		return w.SignPayload([]byte(strings.Replace(payload, from, to, 1)))
	}
	put("payload-unknown-claim", "malformed", "a claim that is not known", swap(`"iss"`, `"sub": "x", "iss"`))
	put("payload-duplicate", "malformed", "amount twice", swap(`"amount"`, `"amount": 1, "amount"`))
	put("payload-case", "malformed", "Amount for amount", swap(`"amount"`, `"Amount"`))
	put("payload-exponent", "malformed", "2e7 for 20000000", swap(`20000000`, `2e7`))
	put("payload-fraction", "malformed", "a fraction", swap(`20000000`, `20000000.0`))
	put("payload-missing", "malformed", "no payment id", swap(`"payment"`, `"uses": 1, "Payment"`))
	put("payload-null", "malformed", "attributes null", swap(`"attributes": {`, `"attributes": null, "x": {`))
	put("payload-list", "malformed", "aud as a list", swap(`"aud": "`, `"aud": ["`))
}
