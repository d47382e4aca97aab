// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
)

// TestCertificateVersion: those of versions before 3 have no extensions, so nothing would say what they may be used for.
func TestCertificateVersion(t *testing.T) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	good, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseLink(good); err != nil {
		t.Fatal(err)
	}
	for version := range byte(4) { // 0 is version 1
		b := bytes.Replace(good, []byte{0xa0, 3, 2, 1, 2}, []byte{0xa0, 3, 2, 1, version}, 1)
		if _, err := parseLink(b); (version == 2) != (err == nil) || (err != nil && !errors.Is(err, ErrMalformed)) {
			t.Errorf("version %d: %v", version+1, err)
		}
	}
}
