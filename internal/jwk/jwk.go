// SPDX-License-Identifier: Apache-2.0

// Package jwk reads public signature keys in the form that marketplaces publish them: JSON Web Keys (RFC 7517) of two
// kinds, ES256 on P-256 and RS256 with at least 2048 bits, and their thumbprints (RFC 7638).
//
// Trust domain: all of them; the package is pure and holds no state. Its one job: turn a foreign key document into a
// public key of a kind that is certain, or into an error. A document that carries any private member is refused whole.
package jwk

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors. All mean that the key must not be used.
var (
	ErrKey     = errors.New("jwk: not a usable key")
	ErrPrivate = fmt.Errorf("%w: it carries a private or symmetric key", ErrKey)
	ErrKind    = fmt.Errorf("%w: want ES256 on P-256, or RS256", ErrKey)
	ErrWeak    = fmt.Errorf("%w: RSA modulus or exponent out of bounds", ErrKey)
)

// The algorithms. A key is good for one of them, by its type and never by what a token's header says.
const (
	ES256 = "ES256" // ECDSA on P-256 with SHA-256
	RS256 = "RS256" // RSASSA-PKCS1-v1_5 with SHA-256
)

// JWK is a public key as terms pin it. Kid, Alg and Use are always there; of the others exactly those that the key type
// has. Changing a field's meaning needs a new manifest type.
type JWK struct {
	Kty string `json:"kty"`           // "EC" or "RSA"
	Crv string `json:"crv,omitempty"` // "P-256"; EC only, like X and Y: 32 bytes each, base64url
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"` // RSA only: the modulus, base64url, no leading zero
	E   string `json:"e,omitempty"` // RSA only: the exponent
	Kid string `json:"kid"`         // what a token's header names it by
	Alg string `json:"alg"`         // ES256 or RS256
	Use string `json:"use"`         // "sig"
}

// document is a key as others publish it. The members that concern certificates are read and dropped: trust in a key
// comes from its thumbprint in the terms.
type document struct {
	JWK
	KeyOps  []string        `json:"key_ops"`
	X5U     json.RawMessage `json:"x5u"`
	X5C     json.RawMessage `json:"x5c"`
	X5T     json.RawMessage `json:"x5t"`
	X5TS256 json.RawMessage `json:"x5t#S256"`
	Ext     json.RawMessage `json:"ext"` // Web Crypto
	Iat     json.RawMessage `json:"iat"` // OpenID federation, like the next three
	Nbf     json.RawMessage `json:"nbf"`
	Exp     json.RawMessage `json:"exp"`
	Revoked json.RawMessage `json:"revoked"`
}

// private are the members of RFC 7518 section 6 that only a private or symmetric key has.
type private struct {
	D   json.RawMessage `json:"d"`
	P   json.RawMessage `json:"p"`
	Q   json.RawMessage `json:"q"`
	DP  json.RawMessage `json:"dp"`
	DQ  json.RawMessage `json:"dq"`
	QI  json.RawMessage `json:"qi"`
	Oth json.RawMessage `json:"oth"`
	K   json.RawMessage `json:"k"`
}

func (p private) some() bool {
	for _, m := range []json.RawMessage{p.D, p.P, p.Q, p.DP, p.DQ, p.QI, p.Oth, p.K} {
		if m != nil {
			return true
		}
	}
	return false
}

// Parse reads one published key. What it leaves open is filled in: alg by the key's type, use "sig", kid the thumbprint.
// Errors: [ErrPrivate], [ErrKind], [ErrWeak], [ErrKey].
func Parse(b []byte) (JWK, error) {
	if len(b) > MaxKey {
		return JWK{}, fmt.Errorf("%w: %d bytes, at most %d", ErrKey, len(b), MaxKey)
	}
	// Looked for first, whatever else is wrong: a published private key must be reported as that.
	var p private
	if json.Unmarshal(b, &p) == nil && p.some() {
		return JWK{}, ErrPrivate
	}
	var d document
	if err := envelope.DecodeStrict(b, MaxKey, &d); err != nil {
		return JWK{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if d.Revoked != nil {
		return JWK{}, fmt.Errorf("%w: it is marked as revoked", ErrKey)
	}
	if d.KeyOps != nil && (len(d.KeyOps) != 1 || d.KeyOps[0] != "verify") {
		return JWK{}, fmt.Errorf("%w: key_ops %q, want verify alone", ErrKind, d.KeyOps)
	}
	k := d.JWK
	if k.Use == "" {
		k.Use = "sig"
	}
	if k.Alg == "" {
		k.Alg = algorithm(k.Kty)
	}
	if k.Kid == "" {
		k.Kid = k.thumbprint()
	}
	return k, k.Validate()
}

// ParseSet reads a JWKS document. Keys of kinds that Glovebox does not verify with are left out, as RFC 7517 section 5
// asks; a private key anywhere, a kid used twice, or no usable key at all refuses the whole.
func ParseSet(b []byte) ([]JWK, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := envelope.DecodeStrict(b, MaxSet, &set); err != nil {
		return nil, fmt.Errorf("%w: key set: %w", ErrKey, err)
	}
	if len(set.Keys) > MaxKeys {
		return nil, fmt.Errorf("%w: a set of %d keys, at most %d", ErrKey, len(set.Keys), MaxKeys)
	}
	var out []JWK
	kids := map[string]bool{}
	for _, raw := range set.Keys {
		k, err := Parse(raw)
		if errors.Is(err, ErrPrivate) {
			return nil, err
		}
		if err != nil {
			continue
		}
		if kids[k.Kid] {
			return nil, fmt.Errorf("%w: two keys have the kid %q", ErrKey, k.Kid)
		}
		kids[k.Kid] = true
		out = append(out, k)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no usable key among %d", ErrKind, len(set.Keys))
	}
	return out, nil
}

// algorithm is the one algorithm of a key type.
func algorithm(kty string) string {
	switch kty {
	case "EC":
		return ES256
	case "RSA":
		return RS256
	}
	return ""
}

// Validate checks every member. The zero JWK is invalid.
func (k JWK) Validate() error {
	if _, err := k.public(); err != nil {
		return err
	}
	switch {
	case k.Alg != algorithm(k.Kty):
		return fmt.Errorf("%w: alg %q on a key of type %s", ErrKind, k.Alg, k.Kty)
	case k.Use != "sig":
		return fmt.Errorf("%w: use %q, want sig", ErrKind, k.Use)
	case !printable(k.Kid):
		return fmt.Errorf("%w: kid must be 1 to %d printable ASCII characters", ErrKey, maxKid)
	}
	return nil
}

func printable(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxKid
}

// PublicKey is the key itself, an *ecdsa.PublicKey or an *rsa.PublicKey, if [JWK.Validate] accepts k.
func (k JWK) PublicKey() (crypto.PublicKey, error) {
	if err := k.Validate(); err != nil {
		return nil, err
	}
	return k.public()
}

func (k JWK) public() (crypto.PublicKey, error) {
	switch k.Kty {
	case "EC":
		return k.ec()
	case "RSA":
		return k.rsa()
	}
	return nil, fmt.Errorf("%w: key type %q", ErrKind, k.Kty)
}

func (k JWK) ec() (*ecdsa.PublicKey, error) {
	if k.Crv != "P-256" || k.N != "" || k.E != "" {
		return nil, fmt.Errorf("%w: curve %q", ErrKind, k.Crv)
	}
	x, errX := decode(k.X)
	y, errY := decode(k.Y)
	if errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
		return nil, fmt.Errorf("%w: a coordinate is not 32 bytes in base64url", ErrKey)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return nil, fmt.Errorf("%w: not a point on P-256", ErrKey)
	}
	return pub, nil
}

func (k JWK) rsa() (*rsa.PublicKey, error) {
	if k.Crv != "" || k.X != "" || k.Y != "" {
		return nil, fmt.Errorf("%w: an RSA key with members of an EC key", ErrKind)
	}
	n, errN := decode(k.N)
	e, errE := decode(k.E)
	if errN != nil || errE != nil || len(n) == 0 || len(e) == 0 || n[0] == 0 || e[0] == 0 {
		return nil, fmt.Errorf("%w: modulus or exponent is not a minimal base64url integer", ErrKey)
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	if bits := modulus.BitLen(); bits < MinRSABits || bits > MaxRSABits || modulus.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: modulus of %d bits, want %d to %d and odd", ErrWeak, bits, MinRSABits, MaxRSABits)
	}
	if !exponent.IsInt64() || exponent.Int64() < minExponent || exponent.Int64() > maxExponent || exponent.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: exponent, want an odd number from %d", ErrWeak, minExponent)
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

// decode reads base64url without padding; there is one spelling of each value.
func decode(s string) ([]byte, error) {
	for _, c := range []byte(s) {
		if c == '\r' || c == '\n' { // which encoding/base64 skips
			return nil, ErrKey
		}
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

// Thumbprint is the RFC 7638 SHA-256 thumbprint in base64url, or "" for a key that is not valid. It does not depend on
// kid, alg or use.
func (k JWK) Thumbprint() string {
	if k.Validate() != nil {
		return ""
	}
	return k.thumbprint()
}

func (k JWK) thumbprint() string {
	if _, err := k.public(); err != nil {
		return ""
	}
	text := `{"e":"` + k.E + `","kty":"RSA","n":"` + k.N + `"}`
	if k.Kty == "EC" {
		text = `{"crv":"P-256","kty":"EC","x":"` + k.X + `","y":"` + k.Y + `"}`
	}
	h := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

// Of writes a public key as a JWK whose kid is its thumbprint. k must be ECDSA P-256 or RSA.
func Of(k crypto.PublicKey) (JWK, error) {
	enc := base64.RawURLEncoding.EncodeToString
	j := JWK{Use: "sig"}
	switch k := k.(type) {
	case *ecdsa.PublicKey:
		if k == nil || k.Curve != elliptic.P256() {
			return JWK{}, ErrKind
		}
		raw, err := k.Bytes() // 4 ‖ x ‖ y
		if err != nil {
			return JWK{}, fmt.Errorf("%w: not a point on P-256", ErrKey)
		}
		j.Kty, j.Crv, j.X, j.Y = "EC", "P-256", enc(raw[1:33]), enc(raw[33:])
	case *rsa.PublicKey:
		if k == nil || k.N == nil {
			return JWK{}, ErrKind
		}
		j.Kty, j.N, j.E = "RSA", enc(k.N.Bytes()), enc(big.NewInt(int64(k.E)).Bytes())
	default:
		return JWK{}, ErrKind
	}
	j.Alg, j.Kid = algorithm(j.Kty), j.thumbprint()
	return j, j.Validate()
}

// ThumbprintOf is the RFC 7638 thumbprint of a Glovebox key, as a `cnf` member's jkt names it; "" for the zero key.
func ThumbprintOf(k envelope.PublicKey) string {
	if k.IsZero() {
		return ""
	}
	j, err := Of(k.ECDSA())
	if err != nil {
		return ""
	}
	return j.Thumbprint()
}
