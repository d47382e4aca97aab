// SPDX-License-Identifier: Apache-2.0

// Package entitlementtest is a marketplace for tests: it has keys of both kinds, sells receipts that terms accept, and
// signs what no honest marketplace would.
//
// Trust domain: tests only. It signs with github.com/golang-jwt/jwt, as a marketplace in Go would, and not with our own
// code: what we verify was made by somebody else's.
package entitlementtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/receipt"
)

// What the marketplace calls itself and its seller, and its kids.
const (
	Issuer  = "https://market.example"
	Payee   = "acct_alice"
	KidEC   = "market-ec-1"
	KidRSA  = "market-rsa-1"
	Address = Issuer + "/jwks.json"
)

// Marketplace sells the use of datasets.
type Marketplace struct {
	t    testing.TB
	EC   *ecdsa.PrivateKey
	RSA  *rsa.PrivateKey
	sold int
}

// New opens a marketplace with fresh keys.
func New(t testing.TB) *Marketplace {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, jwk.MinRSABits)
	if err != nil {
		t.Fatal(err)
	}
	return &Marketplace{t: t, EC: ec, RSA: r}
}

// Keys are the marketplace's public keys, EC first.
func (m *Marketplace) Keys() []jwk.JWK {
	m.t.Helper()
	var out []jwk.JWK
	for kid, pub := range map[string]any{KidEC: &m.EC.PublicKey, KidRSA: &m.RSA.PublicKey} {
		k, err := jwk.Of(pub)
		if err != nil {
			m.t.Fatal(err)
		}
		k.Kid = kid
		out = append(out, k)
	}
	if out[0].Kid != KidEC {
		out[0], out[1] = out[1], out[0]
	}
	return out
}

// JWKS is the key document that the marketplace publishes.
func (m *Marketplace) JWKS() []byte {
	m.t.Helper()
	b, err := json.Marshal(map[string]any{"keys": m.Keys()})
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

// Terms are terms that accept this marketplace's receipts.
func (m *Marketplace) Terms(audience string, minAmount int64) *dataset.Receipts {
	m.t.Helper()
	return &dataset.Receipts{Issuer: Issuer, Audience: audience, Payee: Payee, Keys: m.Keys(), MinAmount: minAmount}
}

// Claims are those of a receipt for the whole of a package whose terms are [Marketplace.Terms], sold now for an hour.
// Each call is another sale.
func (m *Marketplace) Claims(p *dataset.Manifest, buyer envelope.PublicKey, now time.Time) receipt.Claims {
	m.t.Helper()
	if p.Terms.Receipts == nil {
		m.t.Fatal("entitlementtest: the terms ask for no receipt")
	}
	m.sold++
	c := receipt.Claims{
		Issuer: Issuer, Audience: p.Terms.Receipts.Audience, ID: fmt.Sprintf("sale-%d", m.sold),
		Issued: now.Unix(), NotBefore: now.Unix(), Expires: now.Add(time.Hour).Unix(),
		Dataset: p.Dataset, Version: p.Version, Buyer: buyer, Confirm: receipt.Confirm{JKT: jwk.ThumbprintOf(buyer)},
		Offer: p.OfferDigest(), Amount: max(p.Terms.Receipts.MinAmount, 1), Currency: p.Terms.Price.Currency, Payee: Payee,
		Payment: fmt.Sprintf("pay_%d", m.sold), Scopes: []string{receipt.ScopeTrain},
	}
	for _, a := range p.Terms.Buyers.Require {
		if c.Attributes == nil {
			c.Attributes = map[string][]string{}
		}
		c.Attributes[a.Name] = a.AnyOf[:1]
	}
	return c
}

// Sell is a receipt for [Marketplace.Claims] after change had its way with them.
func (m *Marketplace) Sell(p *dataset.Manifest, buyer envelope.PublicKey, now time.Time, change ...func(*receipt.Claims)) string {
	m.t.Helper()
	c := m.Claims(p, buyer, now)
	for _, f := range change {
		f(&c)
	}
	return m.Sign(c)
}

// Sign signs claims with the EC key.
func (m *Marketplace) Sign(claims any) string {
	m.t.Helper()
	return m.SignWith(jwt.SigningMethodES256, m.EC, map[string]any{"kid": KidEC}, claims)
}

// SignRSA signs claims with the RSA key.
func (m *Marketplace) SignRSA(claims any) string {
	m.t.Helper()
	return m.SignWith(jwt.SigningMethodRS256, m.RSA, map[string]any{"kid": KidRSA}, claims)
}

// SignWith signs claims as told. Members of header replace the usual ones; nil leaves one out.
func (m *Marketplace) SignWith(method jwt.SigningMethod, key any, header map[string]any, claims any) string {
	m.t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		m.t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var c jwt.MapClaims
	if err := d.Decode(&c); err != nil {
		m.t.Fatal(err)
	}
	tok := jwt.NewWithClaims(method, c)
	tok.Header["typ"] = receipt.Type
	for k, v := range header {
		if tok.Header[k] = v; v == nil {
			delete(tok.Header, k)
		}
	}
	signed, err := tok.SignedString(key)
	if err != nil {
		m.t.Fatal(err)
	}
	return signed
}

// SignPayload signs any bytes as a payload, with the EC key.
func (m *Marketplace) SignPayload(payload []byte) string {
	m.t.Helper()
	tok := jwt.New(jwt.SigningMethodES256)
	input := tok.EncodeSegment([]byte(`{"alg":"ES256","kid":"`+KidEC+`","typ":"`+receipt.Type+`"}`)) + "." + tok.EncodeSegment(payload)
	sig, err := tok.Method.Sign(input, m.EC)
	if err != nil {
		m.t.Fatal(err)
	}
	return input + "." + tok.EncodeSegment(sig)
}
