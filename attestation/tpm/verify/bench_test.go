// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
)

// BenchmarkVerify authenticates one quote with its broker's endorsement and its log: two ECDSA P-256 verifications.
func BenchmarkVerify(b *testing.B) {
	e, f := newMachine(b, "bench").evidence(b, attestationtest.Binding(b, "bench")), newFormat(b)
	for b.Loop() {
		if _, err := f.Authenticate(b.Context(), e, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareChecks is two ECDSA P-256 verifications and nothing else.
func BenchmarkBareChecks(b *testing.B) {
	k, h := attestationtest.PrivateKey("bench"), sha256.Sum256([]byte("quote"))
	sig, err := ecdsa.SignASN1(rand.Reader, k, h[:])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for range 2 {
			if !ecdsa.VerifyASN1(&k.PublicKey, h[:], sig) {
				b.Fatal("bad signature")
			}
		}
	}
}
