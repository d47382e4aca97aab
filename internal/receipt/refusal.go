// SPDX-License-Identifier: Apache-2.0

package receipt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/jws"
)

// Errors. [ErrReceipt] is the root of all that speak against a receipt; [ErrExpect] speaks against the caller.
var (
	ErrExpect     = errors.New("receipt: nothing certain is expected")
	ErrReceipt    = errors.New("receipt")
	ErrMalformed  = fmt.Errorf("%w is malformed", ErrReceipt)
	ErrType       = fmt.Errorf("%w is another kind of token", ErrReceipt)
	ErrAlgorithm  = fmt.Errorf("%w has an algorithm that is not its key's", ErrReceipt)
	ErrKeyID      = fmt.Errorf("%w is signed by a key that the terms do not pin", ErrReceipt)
	ErrSignature  = fmt.Errorf("%w has a bad signature", ErrReceipt)
	ErrExpired    = fmt.Errorf("%w has expired", ErrReceipt)
	ErrNotYet     = fmt.Errorf("%w is not valid yet", ErrReceipt)
	ErrIssuer     = fmt.Errorf("%w is from another issuer", ErrReceipt)
	ErrAudience   = fmt.Errorf("%w is for another audience", ErrReceipt)
	ErrPayee      = fmt.Errorf("%w paid somebody else", ErrReceipt)
	ErrAmount     = fmt.Errorf("%w is for too small an amount", ErrReceipt)
	ErrCurrency   = fmt.Errorf("%w is in another currency", ErrReceipt)
	ErrDataset    = fmt.Errorf("%w is for another dataset", ErrReceipt)
	ErrVersion    = fmt.Errorf("%w is for another version", ErrReceipt)
	ErrOffer      = fmt.Errorf("%w is for another offer", ErrReceipt)
	ErrBuyer      = fmt.Errorf("%w belongs to another buyer", ErrReceipt)
	ErrThumbprint = fmt.Errorf("%w is bound to another key", ErrReceipt)
	ErrScope      = fmt.Errorf("%w is for another operation", ErrReceipt)
	ErrAttribute  = fmt.Errorf("%w does not state what the terms ask of buyers", ErrReceipt)
	ErrNone       = fmt.Errorf("%w is missing", ErrReceipt)
	ErrChunks     = fmt.Errorf("%w covers other chunks", ErrReceipt)
	ErrEpochs     = fmt.Errorf("%w is for fewer epochs", ErrReceipt)
)

// rules name the refusals for machines.
func rules() map[error]string {
	return map[error]string{
		ErrMalformed: "malformed", ErrType: "type", ErrAlgorithm: "algorithm", ErrKeyID: "kid", ErrSignature: "signature",
		ErrExpired: "expired", ErrNotYet: "not-yet", ErrIssuer: "issuer", ErrAudience: "audience", ErrPayee: "payee",
		ErrAmount: "amount", ErrCurrency: "currency", ErrDataset: "dataset", ErrVersion: "version", ErrOffer: "offer",
		ErrBuyer: "buyer", ErrThumbprint: "thumbprint", ErrScope: "scope", ErrAttribute: "attribute", ErrNone: "none",
		ErrChunks: "chunks", ErrEpochs: "epochs",
	}
}

// Refusal is one reason not to accept a receipt.
type Refusal struct {
	Err     error  // one of this package's
	Message string // what the receipt says; cites the receipt and the terms only
	Satisfy string // what would make it pass
}

// Rule names the refusal for machines; docs/spec/receipt.md lists them.
func (r *Refusal) Rule() string { return "receipt." + rules()[r.Err] }

func (r *Refusal) Error() string {
	if r.Message == "" {
		return r.Err.Error()
	}
	return r.Err.Error() + ": " + r.Message
}

func (r *Refusal) Unwrap() error { return r.Err }

// Refused is every reason not to accept a receipt; there is at least one.
type Refused []*Refusal

func (r Refused) Error() string {
	if len(r) == 0 {
		return ErrReceipt.Error()
	}
	var texts []string
	for _, one := range r {
		texts = append(texts, one.Error()+"; "+one.Satisfy)
	}
	return strings.Join(texts, "\n")
}

// Unwrap gives each refusal.
func (r Refused) Unwrap() []error {
	out := []error{ErrReceipt}
	for _, one := range r {
		out = append(out, one)
	}
	return out
}

// Refusals is every reason in an error of [Verify] or [Find]; none if it is another error.
func Refusals(err error) []*Refusal {
	all, _ := errors.AsType[Refused](err)
	return all
}

func malformed(err error, want Expect) *Refusal {
	return &Refusal{ErrMalformed, err.Error(), "get it again from " + issuer(want) + ", in the form of docs/spec/receipt.md"}
}

func issuer(want Expect) string {
	if want.Issuer == "" {
		return "its issuer"
	}
	return want.Issuer
}

// refuse sorts what the signature's check found.
func refuse(tok *jws.Token, err error, want Expect) Refused {
	from := issuer(want)
	one := func(kind error, message, satisfy string) Refused { return Refused{{kind, message, satisfy}} }
	switch {
	case errors.Is(err, jws.ErrType):
		return one(ErrType, fmt.Sprintf("its typ is %q", tok.Header.Typ), fmt.Sprintf("give a token that %s issued with typ %q", from, Type))
	case errors.Is(err, jws.ErrAlgorithm):
		return one(ErrAlgorithm, detail(err), "have it signed with the algorithm of the key that it names, ES256 or RS256")
	case errors.Is(err, jws.ErrKeyID):
		return one(ErrKeyID, fmt.Sprintf("its kid is %q", tok.Header.Kid), fmt.Sprintf("have %s sign it with one of the pinned keys: %s", from, kids(want.Keys)))
	case errors.Is(err, jws.ErrSignature):
		return one(ErrSignature, detail(err), "get it again from "+from+": this is not what it signed")
	}
	return Refused{malformed(err, want)}
}

// detail is the part of an error that this package's own words do not say already.
func detail(err error) string {
	s := err.Error()
	for _, kind := range []error{jws.ErrAlgorithm, jws.ErrSignature, envelope.ErrSignature} {
		s = strings.TrimPrefix(s, kind.Error()+": ")
	}
	return s
}

func kids(keys []jwk.JWK) string {
	var out []string
	for _, k := range keys {
		out = append(out, fmt.Sprintf("%q", k.Kid))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// compare finds every claim that is not as expected.
func (r *Receipt) compare(want Expect, now time.Time) (all Refused) {
	must := func(ok bool, kind error, satisfy, f string, a ...any) {
		if !ok {
			all = append(all, &Refusal{kind, fmt.Sprintf(f, a...), satisfy})
		}
	}
	from, t := want.Issuer, now.Unix()
	ask := func(f string, a ...any) string { return "ask " + from + " for a receipt " + fmt.Sprintf(f, a...) }
	must(r.Issuer == want.Issuer, ErrIssuer, fmt.Sprintf("buy at %s, whom the terms name", from), "it is from %s", r.Issuer)
	must(r.Audience == want.Audience, ErrAudience, ask("with aud %q", want.Audience), "its aud is %q", r.Audience)
	must(t < r.Expires, ErrExpired, "buy or renew it at "+from, "it ended at %s, it is %s", when(r.Expires), when(t))
	must(t+int64(skew/time.Second) >= max(r.NotBefore, r.Issued), ErrNotYet, "wait until then", "it begins at %s, it is %s", when(max(r.NotBefore, r.Issued)), when(t))
	must(r.Dataset == envelope.PackageID(want.Dataset), ErrDataset, ask("for dataset %s", envelope.PackageID(want.Dataset)), "it is for %s", r.Dataset)
	must(r.Version == want.Version, ErrVersion, ask("for version %d, or use the version it is for", want.Version), "it is for version %d", r.Version)
	must(r.Offer == want.Offer, ErrOffer, ask("for the offer as it stands, %s", want.Offer), "it is for %s", r.Offer)
	must(r.Buyer.Equal(want.Buyer), ErrBuyer, "submit as the buyer it was sold to, or "+ask("for %s", want.Buyer), "it was sold to %s", r.Buyer)
	must(r.Confirm.JKT == jwk.ThumbprintOf(want.Buyer), ErrThumbprint, ask("with cnf.jkt %q", jwk.ThumbprintOf(want.Buyer)), "its cnf.jkt is %q", r.Confirm.JKT)
	must(r.Payee == want.Payee, ErrPayee, ask("for a payment to %q", want.Payee), "it was paid to %q", r.Payee)
	must(r.Currency == want.Currency, ErrCurrency, ask("in %s", want.Currency), "it is in %s", r.Currency)
	must(r.Amount >= want.MinAmount, ErrAmount, ask("for at least %d millionths %s", want.MinAmount, want.Currency), "%d millionths %s", r.Amount, r.Currency)
	must(slices.Contains(r.Scopes, want.Scope), ErrScope, ask("with scope %q", want.Scope), "its scopes are %q", r.Scopes)
	for _, a := range want.Require {
		must(r.Has(a.Name, a.AnyOf), ErrAttribute, ask("that states %s as one of %q", a.Name, a.AnyOf), "%s is %q", a.Name, r.Attributes[a.Name])
	}
	return all
}

func when(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }
