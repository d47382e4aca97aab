// SPDX-License-Identifier: Apache-2.0

// Package entitlement turns what a buyer brings, a licence receipt or the owner's counted permit, into a capability: a
// short token for one release, bound to the attested key of one lease of one enclave.
//
// Trust domain: the owner's side; the package is pure. Its one job: a capability says what was released on the strength
// of what, and is worth nothing in another enclave, for another binding, at another broker or a second time. That it is
// spent once is the ledger's to say: [Capability.ID] is unique for a binding and a package.
// docs/spec/entitlement.md is the format.
package entitlement

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/jws"
	"github.com/glovebox-dev/glovebox/internal/receipt"
)

// Errors. All mean: this capability opens nothing here. [ErrCapability] is the root of them.
var (
	ErrCapability = errors.New("capability")
	ErrInvalid    = fmt.Errorf("%w is malformed or incomplete", ErrCapability)
	ErrSignature  = fmt.Errorf("%w is not signed by this broker", ErrCapability)
	ErrHolder     = fmt.Errorf("%w is bound to another enclave's key", ErrCapability)
	ErrBinding    = fmt.Errorf("%w is for another binding", ErrCapability)
	ErrExpired    = fmt.Errorf("%w has expired", ErrCapability)
	ErrNotYet     = fmt.Errorf("%w is not valid yet", ErrCapability)
)

// Type is the typ header of a capability.
const Type = "glovebox-capability+jwt"

// MaxLife bounds how long a capability lasts: as long as a grant may.
const MaxLife = grant.MaxLease

// Capability is what a broker released, for whom, and what was paid for it. It is not a permission on its own: the
// enclave obeys the grant, which names the capability's digest. The payload is canonical JSON. Changing a member's
// meaning needs a new typ; members are never removed.
type Capability struct {
	Issuer     envelope.PublicKey `json:"iss"`       // the broker's key, which signs
	Audience   envelope.PublicKey `json:"aud"`       // the same: only who minted it redeems it
	ID         envelope.Nonce     `json:"jti"`       // [CapabilityID]; the ledger spends it once
	Issued     int64              `json:"iat"`       // Unix seconds, broker's clock
	Expires    int64              `json:"exp"`       // Unix seconds, not after the grant's expiry
	Confirm    receipt.Confirm    `json:"cnf"`       // thumbprint of the lease's signing key, as attested
	Binding    envelope.Digest    `json:"binding"`   // d, which the evidence vouches for
	Job        envelope.Digest    `json:"job"`       //
	Manifest   envelope.Digest    `json:"manifest"`  //
	Dataset    envelope.PackageID `json:"dataset"`   //
	Version    int64              `json:"version"`   //
	Operations []string           `json:"ops"`       // sorted, e.g. [receipt.ScopeTrain]
	Chunks     Chunks             `json:"chunks"`    // [ChunksOf] the grant's leaves
	Epochs     int                `json:"epochs"`    //
	Uses       int64              `json:"uses"`      // 1
	Receipt    *envelope.Digest   `json:"receipt"`   // the sale it was given for ([receipt.Claims.SaleID]), or null
	Permit     *envelope.Digest   `json:"permit"`    // the permit it was given for, or null; exactly one of the two
	Payment    string             `json:"paymentId"` // of the receipt; "" with a permit
}

// CapabilityID is the one jti of a binding and a package: whoever mints twice for a lease mints the same token.
func CapabilityID(binding, manifest envelope.Digest) envelope.Nonce {
	return envelope.Nonce(envelope.Hash("glovebox.dev/capability-id/v1", binding[:], manifest[:]))
}

// Mint signs c with the broker's key and returns the token with its digest, which a grant names and which does not depend
// on the signature. Issuer, Audience, ID and Uses are set by Mint, whatever c says.
func Mint(c Capability, broker *envelope.Signer) (compact string, digest envelope.Digest, err error) {
	if broker == nil || broker.Role() != envelope.RoleBroker {
		return "", digest, fmt.Errorf("%w: capabilities are signed by a broker", envelope.ErrRole)
	}
	c.Issuer, c.Audience = broker.Public(), broker.Public()
	c.ID, c.Uses = CapabilityID(c.Binding, c.Manifest), 1
	if err := c.validate(); err != nil {
		return "", digest, err
	}
	return jws.Sign(Type, jwk.ThumbprintOf(c.Issuer), c, broker)
}

// Verified is a capability that [VerifyCapability] accepted.
type Verified struct {
	Capability
	Digest envelope.Digest // of the payload: what the grant names
}

// VerifyCapability accepts a capability that brokerKey signed for the binding and the holder's key, at a time. wantJkt
// is the thumbprint of the key that the caller has seen its holder use; a capability in other hands is worth nothing.
// That it was not spent before, the caller's ledger says.
func VerifyCapability(compact string, brokerKey envelope.PublicKey, wantBinding envelope.Digest, wantJkt string, now time.Time) (*Verified, error) {
	if wantBinding.IsZero() || wantJkt == "" || brokerKey.IsZero() || now.Unix() <= 0 {
		return nil, fmt.Errorf("%w: verification without broker, binding, holder or time", ErrInvalid)
	}
	v, err := Read(compact, brokerKey)
	if err != nil {
		return nil, err
	}
	t := now.Unix()
	switch {
	case v.Binding != wantBinding:
		return nil, fmt.Errorf("%w: %s, this is %s", ErrBinding, v.Binding, wantBinding)
	case v.Confirm.JKT != wantJkt:
		return nil, fmt.Errorf("%w: %s, its holder uses %s", ErrHolder, v.Confirm.JKT, wantJkt)
	case t >= v.Expires:
		return nil, fmt.Errorf("%w: at %d, it is %d", ErrExpired, v.Expires, t)
	case t < v.Issued:
		return nil, fmt.Errorf("%w: issued at %d, it is %d", ErrNotYet, v.Issued, t)
	}
	return v, nil
}

// Read verifies the signature of a capability and its completeness, and says what it was for. It does not say that
// anybody may use it now: that is [VerifyCapability]. Auditors and ledgers read past capabilities with it.
func Read(compact string, brokerKey envelope.PublicKey) (*Verified, error) {
	key, err := jwk.Of(brokerKey.ECDSA())
	if err != nil {
		return nil, fmt.Errorf("%w: no broker's key", ErrInvalid)
	}
	tok, err := jws.Parse(compact)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	payload, err := tok.Verify(Type, []jwk.JWK{key})
	switch {
	case errors.Is(err, jws.ErrType):
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	v := &Verified{Digest: envelope.Sum(payload)}
	if err := envelope.Decode(payload, jws.MaxToken, &v.Capability); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := v.validate(); err != nil {
		return nil, err
	}
	if !v.Issuer.Equal(brokerKey) {
		return nil, fmt.Errorf("%w: it says %s", ErrSignature, v.Issuer)
	}
	return v, nil
}

var thumbprint = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// validate refuses a capability with anything missing. The zero Capability is invalid.
func (c *Capability) validate() error {
	bad := func(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(f, a...)) }
	switch {
	case c.Issuer.IsZero() || !c.Audience.Equal(c.Issuer):
		return bad("no issuer, or another audience")
	case c.Binding.IsZero() || c.Job.IsZero() || c.Manifest.IsZero() || c.Dataset.IsZero() || c.Version < 1:
		return bad("no binding, job, manifest, dataset or version")
	case c.ID != CapabilityID(c.Binding, c.Manifest):
		return bad("jti is not that of its binding and manifest")
	case c.Issued < 1 || c.Expires <= c.Issued || c.Expires-c.Issued > int64(MaxLife/time.Second):
		return bad("issued at %d, expires at %d", c.Issued, c.Expires)
	case !thumbprint.MatchString(c.Confirm.JKT):
		return bad("cnf.jkt is no thumbprint")
	case len(c.Operations) == 0 || !slices.IsSorted(c.Operations) || slices.Contains(c.Operations, "") ||
		len(slices.Compact(slices.Clone(c.Operations))) != len(c.Operations):
		return bad("operations are missing, unsorted or repeated")
	case c.Epochs < 1 || c.Uses != 1:
		return bad("%d epochs, %d uses; want at least 1, exactly 1", c.Epochs, c.Uses)
	case (c.Receipt == nil) == (c.Permit == nil) || c.Receipt != nil && c.Receipt.IsZero() || c.Permit != nil && c.Permit.IsZero():
		return bad("want a receipt or a permit, not both")
	case (c.Receipt == nil) != (c.Payment == ""):
		return bad("a payment id comes with a receipt, and with nothing else")
	case !c.Chunks.valid():
		return bad("chunks")
	}
	return nil
}

// Chunks sums up which leaves were released. A grant may list thousands of ranges, a token stays short.
type Chunks struct {
	First  int64           `json:"first"`  // the run that encloses them all
	Count  int64           `json:"count"`  // of that run
	Leaves int64           `json:"leaves"` // how many of its leaves were released; the rest was withheld
	Digest envelope.Digest `json:"digest"` // SHA-256 of the canonical JSON of the ranges, as the grant lists them
}

// ChunksOf sums up the leaves of a grant; the zero Chunks, which no capability may have, if there are none.
func ChunksOf(rs grant.Ranges) Chunks {
	if len(rs) == 0 {
		return Chunks{}
	}
	b, err := envelope.Canonical(rs)
	if err != nil {
		return Chunks{}
	}
	return Chunks{First: rs[0].First, Count: rs.End() - rs[0].First, Leaves: rs.Count(), Digest: envelope.Sum(b)}
}

func (c Chunks) valid() bool {
	return c.First >= 0 && c.Count >= 1 && c.First <= receipt.MaxAmount-c.Count && c.Leaves >= 1 && c.Leaves <= c.Count && !c.Digest.IsZero()
}
