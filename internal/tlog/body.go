// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// What every entry is: Rekor v2's hashedrekord over the DSSE PAE.
const (
	Kind        = "hashedrekord"
	KindVersion = "0.0.2"
)

const (
	hashAlgorithm = "SHA2_256"
	keyDetails    = "PKIX_ECDSA_P256_SHA_256"
)

// The JSON of dev.sigstore.rekor.v2.Entry, as far as we use it.
type entry struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       struct {
		HashedRekord hashedRekord `json:"hashedRekordV002"`
	} `json:"spec"`
}

type hashedRekord struct {
	Data struct {
		Algorithm string `json:"algorithm"`
		Digest    []byte `json:"digest"`
	} `json:"data"`
	Signature struct {
		Content  []byte `json:"content"`
		Verifier struct {
			KeyDetails string `json:"keyDetails"`
			PublicKey  struct {
				RawBytes []byte `json:"rawBytes"`
			} `json:"publicKey"`
		} `json:"verifier"`
	} `json:"signature"`
}

// Body is the canonical log entry of a signed envelope: the SHA-256 of its PAE, its signature, and the key. It checks
// shape only; whoever trusts the entry verifies the envelope too.
func Body(signed []byte, key envelope.PublicKey) ([]byte, error) {
	if key.IsZero() {
		return nil, fmt.Errorf("%w: no key", ErrBody)
	}
	typ, payload, sig, err := envelope.Parts(signed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBody, err)
	}
	h := envelope.Sum(envelope.PAE(typ, payload))
	e := entry{APIVersion: KindVersion, Kind: Kind}
	r := &e.Spec.HashedRekord
	r.Data.Algorithm, r.Data.Digest = hashAlgorithm, h[:]
	r.Signature.Content = sig
	r.Signature.Verifier.KeyDetails = keyDetails
	r.Signature.Verifier.PublicKey.RawBytes = key.SPKI()
	b, err := envelope.Canonical(e)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBody, err)
	}
	if len(b) > MaxBody {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrBody, len(b), MaxBody)
	}
	return b, nil
}

// VerifyBody checks that body is byte for byte the entry of signed.
func VerifyBody(body, signed []byte, key envelope.PublicKey) error {
	want, err := Body(signed, key)
	if err != nil {
		return err
	}
	if !bytes.Equal(body, want) {
		return ErrBody
	}
	return nil
}
