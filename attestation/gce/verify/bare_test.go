// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/gce/shielded"
	"github.com/glovebox-dev/glovebox/attestation/gce/verify"
)

// bareChecks are verify.SignatureChecks signature verifications over prepared hashes, as in the real evidence.
func bareChecks(t testing.TB) func() {
	t.Helper()
	e := realEvidence(t, "gce-cos-85-nonce9009.pb")
	x, err := shielded.Parse(e.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	ak, err := x509.ParseCertificate(x.AKCertificate)
	if err != nil {
		t.Fatal(err)
	}
	parse := func(i int) *x509.Certificate {
		c, err := x509.ParseCertificate(e.Endorsements[i].Body)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	inter, root := parse(2), parse(4)
	type signed struct {
		key  crypto.PublicKey
		hash [32]byte
		sig  []byte
	}
	all := []signed{
		{ak.PublicKey, sha256.Sum256(x.Quote), x.Signature[6:]},
		{inter.PublicKey, sha256.Sum256(ak.RawTBSCertificate), ak.Signature},
		{root.PublicKey, sha256.Sum256(inter.RawTBSCertificate), inter.Signature},
		{root.PublicKey, sha256.Sum256(root.RawTBSCertificate), root.Signature},
	}
	if len(all) != verify.SignatureChecks {
		t.Fatalf("%d checks, want %d", len(all), verify.SignatureChecks)
	}
	return func() {
		for _, s := range all {
			if err := rsa.VerifyPKCS1v15(s.key.(*rsa.PublicKey), crypto.SHA256, s.hash[:], s.sig); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSignatureChecksAreCounted(t *testing.T) { bareChecks(t)() }
