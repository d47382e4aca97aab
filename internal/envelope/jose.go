// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
)

// joseSignature is the length of an ES256 signature (RFC 7518 section 3.4): r ‖ s, 32 bytes each.
const joseSignature = 64

// SignJOSE signs the input of a JWS (RFC 7515): two base64url texts with a dot between. No such text is the pre-authentication
// encoding of an envelope, which holds spaces, so one key can sign both and neither signature passes for the other.
// Anything else is refused.
func (s *Signer) SignJOSE(input string) ([]byte, error) {
	if !isJOSE(input) {
		return nil, fmt.Errorf("%w: not the input of a JWS", ErrMalformed)
	}
	if s.key == nil {
		return nil, fmt.Errorf("%w: wiped", ErrKey)
	}
	h := sha256.Sum256([]byte(input))
	der, err := s.key.Sign(rand.Reader, h[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &rs); err != nil || len(rest) != 0 || rs.R.BitLen() > 256 || rs.S.BitLen() > 256 {
		return nil, fmt.Errorf("%w: the signer made no P-256 signature", ErrKey)
	}
	out := make([]byte, joseSignature)
	rs.R.FillBytes(out[:32])
	rs.S.FillBytes(out[32:])
	return out, nil
}

// VerifyJOSE checks an ES256 signature over the input of a JWS. Errors: [ErrMalformed], [ErrSignature].
func (p PublicKey) VerifyJOSE(input string, sig []byte) error {
	if !isJOSE(input) {
		return fmt.Errorf("%w: not the input of a JWS", ErrMalformed)
	}
	if p.k == nil || len(sig) != joseSignature {
		return fmt.Errorf("%w: want %d bytes, r and s", ErrSignature, joseSignature)
	}
	h := sha256.Sum256([]byte(input))
	if !ecdsa.Verify(p.k, h[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return fmt.Errorf("%w: ES256", ErrSignature)
	}
	return nil
}

// isJOSE reports whether s is two non-empty base64url texts with a dot between, the first of which opens a JSON object.
func isJOSE(s string) bool {
	header, payload, ok := strings.Cut(s, ".")
	if !ok || !strings.HasPrefix(header, "ey") || payload == "" {
		return false
	}
	for _, c := range []byte(header + payload) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
