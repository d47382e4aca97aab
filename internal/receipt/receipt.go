// SPDX-License-Identifier: Apache-2.0

// Package receipt verifies licence receipts: what a marketplace signs when a buyer has bought the use of a dataset.
//
// Trust domain: brokers, auditors and buyers; the package is pure, opens nothing and asks nobody. Its one job: a
// [Receipt] that verified was signed by a key that the dataset's terms pin, for exactly this offer, buyer, payee and
// amount; or every reason why not, each with what would satisfy it. docs/spec/receipt.md is the format.
//
// It does not know whether a receipt was used before: the ledger of the creator's broker counts the uses of a sale.
package receipt

import (
	"fmt"
	"slices"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/jws"
)

// Type is the typ header of a receipt: a token made for anything else is not one.
const Type = "glovebox-receipt+jwt"

// Expect says which receipt is acceptable. Every field but the last is required.
type Expect struct {
	Issuer, Audience, Payee string
	Keys                    []jwk.JWK // pinned in the terms
	MinAmount               int64     // millionths; 0 where the terms give the use away
	Currency                string
	Dataset                 [16]byte
	Version                 int64
	Offer                   envelope.Digest
	Buyer                   envelope.PublicKey
	Scope                   string              // operation, [ScopeTrain]
	Require                 []dataset.Attribute // what must be stated about the buyer
}

// Receipt is a receipt that [Verify] accepted, or that [Peek] showed. The zero Receipt is not valid.
type Receipt struct {
	Claims
	Kid      string          // of the key that signed it
	Sale     envelope.Digest // [Claims.SaleID]: what the ledger counts uses of
	Digest   envelope.Digest // of the payload as received
	verified bool
}

// Valid reports whether [Verify] made r.
func (r *Receipt) Valid() bool { return r != nil && r.verified }

// Verify checks a receipt against want at a time. The error is a [Refused] with every reason, or [ErrExpect] when the
// caller does not say what to expect.
func Verify(compact string, want Expect, now time.Time) (*Receipt, error) {
	if err := want.validate(now); err != nil {
		return nil, err
	}
	tok, err := parse(compact)
	if err != nil {
		return nil, refuse(nil, err, want)
	}
	payload, err := tok.Verify(Type, want.Keys)
	if err != nil {
		return nil, refuse(tok, err, want)
	}
	r, err := read(tok, payload)
	if err != nil {
		return nil, Refused{malformed(err, want)}
	}
	if all := r.compare(want, now); len(all) > 0 {
		return nil, all
	}
	r.verified = true
	return r, nil
}

// Peek reads a receipt WITHOUT checking its signature, to show what it claims or which dataset it is for. Nothing it
// returns may be acted on.
func Peek(compact string) (*Receipt, error) {
	tok, err := parse(compact)
	if err != nil {
		return nil, Refused{malformed(err, Expect{})}
	}
	if tok.Header.Typ != Type {
		return nil, refuse(tok, fmt.Errorf("%w: %q", jws.ErrType, tok.Header.Typ), Expect{})
	}
	r, err := read(tok, tok.PeekPayload())
	if err != nil {
		return nil, Refused{malformed(err, Expect{})}
	}
	return r, nil
}

func parse(compact string) (*jws.Token, error) {
	if len(compact) > MaxReceipt {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", jws.ErrMalformed, len(compact), MaxReceipt)
	}
	return jws.Parse(compact)
}

func read(tok *jws.Token, payload []byte) (*Receipt, error) {
	r := &Receipt{Kid: tok.Header.Kid, Digest: envelope.Sum(payload)}
	if err := jws.Exact(payload, MaxReceipt, &r.Claims); err != nil {
		return nil, err
	}
	if err := r.validate(); err != nil {
		return nil, err
	}
	r.Sale = r.SaleID()
	return r, nil
}

// validate refuses an expectation that would let anything pass.
func (e *Expect) validate(now time.Time) error {
	switch {
	case e.Issuer == "" || e.Audience == "" || e.Payee == "":
		return fmt.Errorf("%w: no issuer, audience or payee", ErrExpect)
	case len(e.Keys) == 0:
		return fmt.Errorf("%w: no key is pinned", ErrExpect)
	case e.MinAmount < 0 || e.Currency == "":
		return fmt.Errorf("%w: no amount or currency", ErrExpect)
	case e.Dataset == [16]byte{} || e.Version < 1 || e.Offer.IsZero():
		return fmt.Errorf("%w: no dataset, version or offer", ErrExpect)
	case e.Buyer.IsZero() || e.Scope == "":
		return fmt.Errorf("%w: no buyer or operation", ErrExpect)
	case now.Unix() <= 0:
		return fmt.Errorf("%w: no time", ErrExpect)
	}
	for i, k := range e.Keys {
		if err := k.Validate(); err != nil {
			return fmt.Errorf("%w: key %d: %w", ErrExpect, i+1, err)
		}
		if slices.ContainsFunc(e.Keys[:i], func(o jwk.JWK) bool { return o.Kid == k.Kid }) {
			return fmt.Errorf("%w: two keys have the kid %q", ErrExpect, k.Kid)
		}
	}
	for _, a := range e.Require {
		if a.Name == "" || len(a.AnyOf) == 0 {
			return fmt.Errorf("%w: an attribute without name or values", ErrExpect)
		}
	}
	return nil
}
