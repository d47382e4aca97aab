// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/nitro/verify"
)

// useRefusals are certificates that say something of their use which nobody would apply.
func useRefusals(t *testing.T) map[string]refusal {
	kind := func(change func(*fake)) refusal { return refusal{change, verify.ErrChain, "certificates"} }
	chain := func(change func(*fake)) refusal { return refusal{change, verify.ErrChain, "certificate-chain"} }
	usage := func(i int, u ...x509.ExtKeyUsage) refusal { return kind(func(f *fake) { f.certs[i].ExtKeyUsage = u }) }
	leaf := func(u x509.KeyUsage) refusal { return chain(func(f *fake) { f.certs[4].KeyUsage |= u }) }
	old := func(i int) refusal {
		return kind(func(f *fake) { f.seal = func(c [][]byte) { c[i] = version2(t, c[i], f.keys[i-1].(*ecdsa.PrivateKey)) } })
	}
	return map[string]refusal{
		"critical name constraints": kind(func(f *fake) {
			f.certs[1].PermittedDNSDomainsCritical, f.certs[1].PermittedDNSDomains = true, []string{"only.example"}
			f.certs[4].DNSNames = []string{"evil.test"}
		}),
		"critical alternative name": kind(func(f *fake) {
			f.certs[4].ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: []byte{0x30, 3, 0x82, 1, 'x'}}}
		}),
		"CA for TLS servers":            usage(1, x509.ExtKeyUsageServerAuth),
		"leaf for TLS servers":          usage(4, x509.ExtKeyUsageServerAuth),
		"leaf for anything":             usage(4, x509.ExtKeyUsageAny),
		"leaf for something new":        kind(func(f *fake) { f.certs[4].UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}} }),
		"leaf signs certificates":       leaf(x509.KeyUsageCertSign),
		"leaf agrees keys":              leaf(x509.KeyUsageKeyAgreement),
		"leaf signs lists":              leaf(x509.KeyUsageCRLSign),
		"leaf without basic constraint": chain(func(f *fake) { f.certs[4].BasicConstraintsValid = false }),
		"CA of version 2":               old(2),
		"leaf of version 2":             old(4),
	}
}

// version2 is a certificate of the version before extensions, properly signed by key.
func version2(t *testing.T, der []byte, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	var c struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		t.Fatal(err)
	}
	v3, v2 := []byte{0xa0, 3, 2, 1, 2}, []byte{0xa0, 3, 2, 1, 1}
	tbs := bytes.Replace(c.TBS.FullBytes, v3, v2, 1)
	h := sha512.Sum384(tbs)
	sig, err := ecdsa.SignASN1(rand.Reader, key, h[:])
	if err != nil {
		t.Fatal(err)
	}
	c.TBS, c.Signature = asn1.RawValue{FullBytes: tbs}, asn1.BitString{Bytes: sig, BitLength: len(sig) * 8}
	out, err := asn1.Marshal(c)
	if err != nil || bytes.Equal(tbs, der) {
		t.Fatal(err)
	}
	return out
}

// TestLeafUsage: AWS's leaves may sign, and commit to what they sign; either is good.
func TestLeafUsage(t *testing.T) {
	f := newFake(make([]byte, 32))
	f.certs[4].KeyUsage |= x509.KeyUsageContentCommitment
	doc, format := f.build(t)
	if r, err := format.Authenticate(t.Context(), evidence(doc), stamp.Unix()); err != nil || r.Assurance != attestation.AssuranceTEE {
		t.Errorf("%+v, %v", r, err)
	}
}
