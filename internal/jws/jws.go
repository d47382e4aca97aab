// SPDX-License-Identifier: Apache-2.0

// Package jws reads JSON Web Signatures in compact form (RFC 7515, RFC 8725), one narrow kind of them: ES256 or RS256, a
// header of exactly alg, kid and typ, and a payload that is one JSON object.
//
// Trust domain: all of them; the package is pure, and links the standard library only because verifiers of usage
// attestations are part of the measured binary. Its one job: no byte of a payload before its signature is checked under a
// key that the caller chose. The header never chooses: it says which of the caller's keys is meant, and an algorithm
// that is not that key's own is refused.
package jws

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jwk"
)

// Errors. Every refusal wraps one of these.
var (
	ErrMalformed = errors.New("jws: malformed")
	ErrType      = errors.New("jws: another kind of token")
	ErrAlgorithm = errors.New("jws: algorithm is not the key's")
	ErrKeyID     = errors.New("jws: unknown key id")
	ErrSignature = errors.New("jws: bad signature")
)

const (
	// MaxToken bounds a token in bytes.
	MaxToken  = 8 << 10
	maxHeader = 512
)

// Header is the protected header. There are no others: crit, jku, jwk, x5c and zip are unknown members, and refused.
type Header struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`
}

// Token is a token whose form was checked and whose signature was not.
type Token struct {
	Header  Header
	input   string
	payload []byte
	sig     []byte
}

// Parse splits a token and reads its header. The payload stays closed until [Token.Verify].
func Parse(compact string) (*Token, error) {
	if len(compact) > MaxToken {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(compact), MaxToken)
	}
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%w: %d parts, want header.payload.signature", ErrMalformed, len(parts))
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = decode(p); err != nil {
			return nil, fmt.Errorf("%w: part %d is not base64url without padding", ErrMalformed, i+1)
		}
	}
	t := &Token{input: parts[0] + "." + parts[1], payload: raw[1], sig: raw[2]}
	if err := Exact(raw[0], maxHeader, &t.Header); err != nil {
		return nil, fmt.Errorf("%w: header, want alg, kid and typ: %w", ErrMalformed, err)
	}
	return t, nil
}

// decode reads base64url without padding: one spelling of each value, which the library's decoder alone does not ensure.
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, ErrMalformed
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

// Exact reads foreign JSON into v: what [envelope.DecodeStrict] refuses, and every member that is spelled in another
// case, is null or would be written otherwise. Space and order of members are free. v's optional members are omitempty.
func Exact(b []byte, limit int, v any) error {
	if err := envelope.DecodeStrict(b, limit, v); err != nil {
		return err
	}
	given, err := envelope.Canonical(json.RawMessage(b))
	if err != nil {
		return err
	}
	read, err := envelope.Canonical(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(given, read) {
		return fmt.Errorf("%w: a member is missing, null, empty or spelled otherwise", envelope.ErrNotCanonical)
	}
	return nil
}

// Find is the key that the header names. Errors: [ErrKeyID], and [ErrAlgorithm] if the header's algorithm is not that
// key's own: "none", an HMAC under the public key, or an RSA signature claimed for an EC key.
func (t *Token) Find(keys []jwk.JWK) (jwk.JWK, error) {
	for _, k := range keys {
		if k.Kid == "" || k.Kid != t.Header.Kid {
			continue
		}
		if err := k.Validate(); err != nil {
			return jwk.JWK{}, err
		}
		if k.Alg != t.Header.Alg {
			return jwk.JWK{}, fmt.Errorf("%w: the header says %q, key %q is for %s", ErrAlgorithm, t.Header.Alg, k.Kid, k.Alg)
		}
		return k, nil
	}
	return jwk.JWK{}, fmt.Errorf("%w: %q", ErrKeyID, t.Header.Kid)
}

// Verify checks type, algorithm, key id and signature, and opens the payload. The returned bytes are what was signed.
func (t *Token) Verify(typ string, keys []jwk.JWK) ([]byte, error) {
	if typ == "" || t.Header.Typ != typ {
		return nil, fmt.Errorf("%w: %q, want %q", ErrType, t.Header.Typ, typ)
	}
	k, err := t.Find(keys)
	if err != nil {
		return nil, err
	}
	pub, err := k.PublicKey()
	if err != nil {
		return nil, err
	}
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		p, err := envelope.NewPublicKey(pub)
		if err != nil {
			return nil, err
		}
		if err := p.VerifyJOSE(t.input, t.sig); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSignature, err)
		}
	case *rsa.PublicKey:
		h := sha256.Sum256([]byte(t.input))
		if err := rsa.VerifyPKCS1v15(pub, crypto.SHA256, h[:], t.sig); err != nil {
			return nil, fmt.Errorf("%w: RS256", ErrSignature)
		}
	default:
		return nil, fmt.Errorf("%w: %q", ErrAlgorithm, t.Header.Alg)
	}
	return t.payload, nil
}

// PeekPayload opens the payload WITHOUT checking the signature, to show people what a token claims. Nothing in it may be
// acted on.
func (t *Token) PeekPayload() []byte { return t.payload }

// Sign makes an ES256 token of canonical claims with a Glovebox key, and the digest of its payload, which is its
// identity: ECDSA signatures are malleable.
func Sign(typ, kid string, claims any, s *envelope.Signer) (compact string, id envelope.Digest, err error) {
	payload, err := envelope.Canonical(claims)
	if err != nil {
		return "", id, err
	}
	header, err := envelope.Canonical(Header{jwk.ES256, kid, typ})
	if err != nil {
		return "", id, err
	}
	enc := base64.RawURLEncoding.EncodeToString
	input := enc(header) + "." + enc(payload)
	sig, err := s.SignJOSE(input)
	if err != nil {
		return "", id, err
	}
	compact = input + "." + enc(sig)
	if len(compact) > MaxToken {
		return "", id, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(compact), MaxToken)
	}
	return compact, envelope.Sum(payload), nil
}
