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
// signature checks in it, each at its best, so that a busy machine does not decide.
func BenchmarkVerify(b *testing.B) {
	for _, shape := range shapes {
		b.Run(fmt.Sprintf("v%d-body%d", shape[0], shape[1]), func(b *testing.B) {
			s := newScenario(b, shape[0], shape[1])
			e, f, checks := s.evidence(b), s.format(), bareChecks(b)
			whole, bare := time.Hour, time.Hour
			for b.Loop() {
				start := time.Now()
				if _, err := f.Authenticate(b.Context(), e, s.now); err != nil {
					b.Fatal(err)
				}
				whole = min(whole, time.Since(start))
				b.StopTimer()
				bare = min(bare, checks())
				b.StartTimer()
			}
			b.ReportMetric(float64(whole.Microseconds()), "best-µs")
			b.ReportMetric(float64(bare)/float64(whole), "ratio")
		})
	}
}

// bareChecks is the signature checks of one authentication by themselves, and how long they take.
func bareChecks(b *testing.B) func() time.Duration {
	b.Helper()
	k := attestationtest.PrivateKey("bench")
	h := sha256.Sum256([]byte("bench"))
	sig, err := ecdsa.SignASN1(rand.Reader, k, h[:])
	if err != nil {
		b.Fatal(err)
	}
	return func() time.Duration {
		start := time.Now()
		for range verify.SignatureChecks {
			if !ecdsa.VerifyASN1(&k.PublicKey, h[:], sig) {
				b.Fatal("bench: bad signature")
			}
		}
		return time.Since(start)
	}
}
