// SPDX-License-Identifier: Apache-2.0

package keyholder

import (
	"crypto/hpke"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// SealTo encrypts a package's keys to an attested enclave: HPKE base mode (RFC 9180), MLKEM768-X25519, HKDF-SHA256,
// AES-256-GCM, info = d, aad = the grant's digest. The result is the encapsulated key followed by the ciphertext.
func SealTo(hpkeKey []byte, d, grantID envelope.Digest, keys []byte) ([]byte, error) {
	pk, err := hpke.MLKEM768X25519().NewPublicKey(hpkeKey)
	if err != nil {
		return nil, fmt.Errorf("%w: HPKE key: %v", ErrInput, err)
	}
	enc, s, err := hpke.NewSender(pk, hpke.HKDFSHA256(), hpke.AES256GCM(), d[:])
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	ct, err := s.Seal(grantID[:], keys)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return append(enc, ct...), nil
}
