// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/ecdsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"

	"github.com/google/go-sev-guest/verify/trust"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/snp"
	"github.com/glovebox-dev/glovebox/attestation/snp/verify"
)

// real is the first vector's evidence, of a Milan chip, with AMD's keys of full size.
func real(b *testing.B) (*attestation.Evidence, int64) {
	b.Helper()
	v := vectors()[0]
	return v.evidence(b)
}

// BenchmarkVerify authenticates, binds and appraises a real report.
func BenchmarkVerify(b *testing.B) {
	e, at := real(b)
	f, err := verify.NewFormat()
	if err != nil {
		b.Fatal(err)
	}
	p := attestation.DefaultPolicy()
	for b.Loop() {
		r, err := f.Authenticate(b.Context(), e, at)
		if err != nil {
			b.Fatal(err)
		}
		f.(attestation.Appraiser).Appraise(r, p, at)
	}
}

// BenchmarkSignatureChecks is [verify.SignatureChecks] and nothing else: the bare verifications of the same signatures.
func BenchmarkSignatureChecks(b *testing.B) {
	e, _ := real(b)
	block, _ := pem.Decode(trust.AskArkMilanVcekBytes)
	ask, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		b.Fatal(err)
	}
	var key *x509.Certificate
	for _, der := range e.Find(attestation.CertificateType) {
		if c, err := x509.ParseCertificate(der); err == nil && c.Subject.CommonName == "SEV-VCEK" {
			key = c
		}
	}
	report, err := snp.ParseReport(e.Evidence)
	if err != nil {
		b.Fatal(err)
	}
	r, s := new(big.Int).SetBytes(report.R), new(big.Int).SetBytes(report.S)
	for b.Loop() {
		if err := ask.CheckSignature(key.SignatureAlgorithm, key.RawTBSCertificate, key.Signature); err != nil {
			b.Fatal(err)
		}
		sum := sha512.Sum384(report.Signed)
		if !ecdsa.Verify(key.PublicKey.(*ecdsa.PublicKey), sum[:], r, s) {
			b.Fatal("report signature")
		}
	}
}
