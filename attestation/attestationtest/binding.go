// SPDX-License-Identifier: Apache-2.0

package attestationtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Binding is a complete binding in which every value is derived from seed: the same seed, the same digest d.
func Binding(t testing.TB, seed string) attestation.Binding {
	t.Helper()
	b := attestation.Binding{
		SigningKey: PublicKey(t, seed+" signing"), LeaseID: nonce(seed + " lease"), Job: digest(seed + " job"),
		Runtime: "wasm-fuel/1", Configuration: digest(seed + " configuration"), SelfTest: digest(seed + " self-test"),
		Engine: digest(seed + " engine"),
	}
	for h := digest(seed + " hpke"); len(b.HPKEKey) < 1216; h = envelope.Sum(h[:]) {
		b.HPKEKey = append(b.HPKEKey, h[:]...)
	}
	for _, o := range []string{" code", " dataset"} {
		b.Owners = append(b.Owners, attestation.Owner{
			Audience: PublicKey(t, seed+o), Nonce: nonce(seed + o + " nonce"), Manifest: digest(seed + o + " manifest"),
		})
	}
	return b
}

// Signer is a key derived from seed. It is no secret.
func Signer(t testing.TB, role envelope.Role, seed string) *envelope.Signer {
	t.Helper()
	s, err := envelope.NewSigner(role, PrivateKey(seed))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// PrivateKey is a P-256 key derived from seed. It is no secret.
func PrivateKey(seed string) *ecdsa.PrivateKey {
	d := digest(seed)
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		panic("attestationtest: another seed, please: " + err.Error())
	}
	return k
}

// PublicKey is the public half of [PrivateKey].
func PublicKey(t testing.TB, seed string) envelope.PublicKey {
	t.Helper()
	p, err := envelope.NewPublicKey(PrivateKey(seed).Public())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func digest(s string) envelope.Digest { return sha256.Sum256([]byte(s)) }

func nonce(s string) envelope.Nonce { return sha256.Sum256([]byte(s)) }
