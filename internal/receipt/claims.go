// SPDX-License-Identifier: Apache-2.0

package receipt

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Claims are what a receipt says. Members without omitempty are required. Issuers write them, so a new member needs a
// new typ: one that is unknown is refused, as it may limit what was sold.
type Claims struct {
	Issuer    string             `json:"iss"`
	Audience  string             `json:"aud"` // one; what the terms say
	ID        string             `json:"jti"` // unique for the issuer: the sale
	Issued    int64              `json:"iat"` // Unix seconds, like the next two
	NotBefore int64              `json:"nbf"`
	Expires   int64              `json:"exp"`
	Dataset   envelope.PackageID `json:"dataset"`
	Version   int64              `json:"version"`
	Buyer     envelope.PublicKey `json:"buyer"`
	Confirm   Confirm            `json:"cnf"`
	Offer     envelope.Digest    `json:"offer"`  // digest of the offer that was accepted
	Amount    int64              `json:"amount"` // millionths of a currency unit
	Currency  string             `json:"currency"`
	Payee     string             `json:"payee"`
	Payment   string             `json:"payment"` // id of the payment
	Scopes    []string           `json:"scopes"`  // operations, e.g. [ScopeTrain]

	Chunks     *Chunks             `json:"chunks,omitempty"`     // the only leaves it covers
	Epochs     int64               `json:"epochs,omitempty"`     // the most of one job
	Uses       int64               `json:"uses,omitempty"`       // jobs; absent is one
	Attributes map[string][]string `json:"attributes,omitempty"` // of the buyer, in the issuer's word
}

// Confirm binds a receipt to a key (RFC 7800): JKT is the RFC 7638 thumbprint of the buyer's.
type Confirm struct {
	JKT string `json:"jkt"`
}

// Chunks is a run of leaves of the manifest's tree.
type Chunks struct {
	First int64 `json:"first"`
	Count int64 `json:"count"`
}

// ScopeTrain is the one operation of this release.
const ScopeTrain = "train"

var (
	scope         = regexp.MustCompile(`^[a-z][a-z0-9._:-]{0,63}$`)
	currency      = regexp.MustCompile(`^[A-Z]{3}$`)
	attributeName = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)
	thumbprint    = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
)

// validate checks the claims for themselves, not against what is expected.
func (c *Claims) validate() error {
	bad := func(f string, a ...any) error { return fmt.Errorf("claims: %s", fmt.Sprintf(f, a...)) }
	switch {
	case !text(c.Issuer, maxText) || !text(c.Audience, maxText) || !text(c.Payee, maxText):
		return bad("iss, aud or payee is empty, longer than %d bytes or not printable", maxText)
	case !text(c.ID, maxID) || !text(c.Payment, maxID):
		return bad("jti or payment is empty, longer than %d bytes or not printable", maxID)
	case !positive(c.Issued) || !positive(c.NotBefore) || !positive(c.Expires):
		return bad("iat, nbf or exp is not a time in Unix seconds")
	case c.Expires <= c.NotBefore || c.Expires <= c.Issued:
		return bad("it ends before it begins")
	case c.Dataset.IsZero() || !positive(c.Version) || c.Buyer.IsZero() || c.Offer.IsZero():
		return bad("dataset, version, buyer or offer is missing")
	case !thumbprint.MatchString(c.Confirm.JKT):
		return bad("cnf.jkt is not a SHA-256 thumbprint in base64url")
	case c.Amount < 0 || c.Amount > MaxAmount || !currency.MatchString(c.Currency):
		return bad("amount %d %q, want millionths of a currency in three capital letters", c.Amount, c.Currency)
	case c.Chunks != nil && (c.Chunks.First < 0 || !positive(c.Chunks.Count) || c.Chunks.First > MaxAmount-c.Chunks.Count):
		return bad("chunks %d and %d following", c.Chunks.First, c.Chunks.Count)
	case c.Epochs < 0 || c.Epochs > MaxAmount || c.Uses < 0 || c.Uses > MaxAmount:
		return bad("epochs %d, uses %d", c.Epochs, c.Uses)
	}
	if err := c.validateScopes(); err != nil {
		return bad("%v", err)
	}
	return c.validateAttributes()
}

func (c *Claims) validateScopes() error {
	if len(c.Scopes) == 0 || len(c.Scopes) > maxScopes {
		return fmt.Errorf("%d scopes, want 1 to %d", len(c.Scopes), maxScopes)
	}
	for i, s := range c.Scopes {
		if !scope.MatchString(s) || slices.Contains(c.Scopes[:i], s) {
			return fmt.Errorf("scope %q is malformed or repeated", s)
		}
	}
	return nil
}

func (c *Claims) validateAttributes() error {
	if len(c.Attributes) > maxAttributes {
		return fmt.Errorf("claims: %d attributes, at most %d", len(c.Attributes), maxAttributes)
	}
	for name, values := range c.Attributes {
		if !attributeName.MatchString(name) || len(values) == 0 || len(values) > maxValues {
			return fmt.Errorf("claims: attribute %q is malformed, or has %d values, want 1 to %d", name, len(values), maxValues)
		}
		for i, v := range values {
			if !text(v, maxValue) || slices.Contains(values[:i], v) {
				return fmt.Errorf("claims: attribute %q has a value that is malformed or repeated", name)
			}
		}
	}
	return nil
}

func positive(n int64) bool { return n >= 1 && n <= MaxAmount }

// text reports whether s is something that can be shown to people: it ends up in messages and on terminals.
func text(s string, limit int) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfffd || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return false
		}
	}
	return s != "" && len(s) <= limit
}

// Has reports whether the issuer states one of the values of the buyer.
func (c *Claims) Has(name string, anyOf []string) bool {
	return slices.ContainsFunc(c.Attributes[name], func(v string) bool { return slices.Contains(anyOf, v) })
}

// MaxUses is how many jobs the receipt is good for: one, unless it says more.
func (c *Claims) MaxUses() int64 { return max(c.Uses, 1) }

// SaleID is the identity of the sale: issuer and jti. Two receipts of one sale are one to the ledger, however often the
// issuer signed it.
func (c *Claims) SaleID() envelope.Digest {
	return envelope.Hash("glovebox.dev/receipt-id/v1", []byte(c.Issuer), []byte(c.ID))
}
