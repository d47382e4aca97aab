// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
	"github.com/glovebox-dev/glovebox/attestation/sgx/verify"
)

// BenchmarkVerify authenticates one quote with full collateral: verify.SignatureChecks ECDSA P-256 verifications.
func BenchmarkVerify(b *testing.B) {
	v := dcaptest.New(dcap.SGX)
	f, e := verify.NewTestFormat(v.Pin()), evidence(b, v)
	benchmark(b, f, e, v.Now.Unix())
}

// BenchmarkVerifyReal is the same with real evidence, whose CRL and TCB info are longer.
func BenchmarkVerifyReal(b *testing.B) {
	f, err := verify.NewFormat()
	if err != nil {
		b.Fatal(err)
	}
	for _, v := range vectors() {
		if v.err == nil {
			b.Run(v.name, func(b *testing.B) {
				e, err := verify.Import(attestation.Raw{Report: v.quote(b), Collateral: v.collateral(b)})
				if err != nil {
					b.Fatal(err)
				}
				benchmark(b, f, e, at(b, v.at))
			})
		}
	}
}

func benchmark(b *testing.B, f attestation.Format, e *attestation.Evidence, now int64) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Authenticate(context.Background(), e, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareSignatures makes the signature checks of one verification and nothing else.
func BenchmarkBareSignatures(b *testing.B) {
	k := dcaptest.Key("bench")
	h := sha256.Sum256([]byte("message"))
	sig, err := ecdsa.SignASN1(rand.Reader, k, h[:])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for range verify.SignatureChecks {
			if !ecdsa.VerifyASN1(&k.PublicKey, h[:], sig) {
				b.Fatal("bad signature")
			}
		}
	}
}
