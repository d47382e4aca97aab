// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tdx/verify"
)

// BenchmarkVerify is a whole authentication, collateral and log included. "ratio" is its rate over that of the bare
// signature checks in it.
func BenchmarkVerify(b *testing.B) {
	for _, shape := range shapes {
		b.Run(fmt.Sprintf("v%d-body%d", shape[0], shape[1]), func(b *testing.B) {
			s := newScenario(b, shape[0], shape[1])
			e, f := s.evidence(b), s.format()
			bare := bareChecks(b)
			for b.Loop() {
				if _, err := f.Authenticate(b.Context(), e, s.now); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(bare.Seconds()/(b.Elapsed().Seconds()/float64(b.N)), "ratio")
		})
	}
}

// bareChecks is what the signature checks of one authentication take by themselves.
func bareChecks(b *testing.B) time.Duration {
	b.Helper()
	k := attestationtest.PrivateKey("bench")
	h := sha256.Sum256([]byte("bench"))
	sig, err := ecdsa.SignASN1(rand.Reader, k, h[:])
	if err != nil {
		b.Fatal(err)
	}
	const rounds = 100
	start := time.Now()
	for range rounds * verify.SignatureChecks {
		if !ecdsa.VerifyASN1(&k.PublicKey, h[:], sig) {
			b.Fatal("bench: bad signature")
		}
	}
	return time.Since(start) / rounds
}
