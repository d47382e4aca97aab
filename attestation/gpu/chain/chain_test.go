// SPDX-License-Identifier: Apache-2.0

package chain_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/glovebox-dev/glovebox/attestation/gpu/chain"
	"github.com/glovebox-dev/glovebox/attestation/gpu/gputest"
)

func parsed(t *testing.T, of []*gputest.Authority) []*x509.Certificate {
	t.Helper()
	certs, err := chain.Parse(gputest.Certs(of))
	if err != nil {
		t.Fatal(err)
	}
	return certs
}

// TestLeafThatIsACA: the key of a leaf that may sign certificates, too, could make itself leaves of other firmware.
func TestLeafThatIsACA(t *testing.T) {
	v := gputest.New(gputest.Options{})
	if err := chain.Verify(parsed(t, v.Device), gputest.Pin(v.Device), gputest.Now); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(c *x509.Certificate){
		"CA":               func(c *x509.Certificate) { c.IsCA = true },
		"another usage":    func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyEncipherment },
		"signs more certs": func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign },
	} {
		v := gputest.New(gputest.Options{Edit: func(chain string, i int, c *x509.Certificate) {
			if chain == "device" && i == 0 {
				edit(c)
			}
		}})
		err := chain.Verify(parsed(t, v.Device), gputest.Pin(v.Device), gputest.Now)
		if !errors.Is(err, chain.ErrChain) || !strings.Contains(err.Error(), "signatures only") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// responder is a certificate for answers, signed by issuer's key under the name of parent.
func responder(t *testing.T, issuer *gputest.Authority, parent *x509.Certificate, edit func(c *x509.Certificate)) *gputest.Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Responder"}, SignatureAlgorithm: x509.ECDSAWithSHA384,
		NotBefore: time.Unix(gputest.Now-1e6, 0), NotAfter: time.Unix(gputest.Now+1e6, 0), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
	}
	edit(c)
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, issuer.Key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &gputest.Authority{Cert: c, Key: key}
}

// TestResponders: the library takes the word of any certificate that the issuer's key signed.
func TestResponders(t *testing.T) {
	v := gputest.New(gputest.Options{})
	certs, issuer := parsed(t, v.Device), v.Device[2]
	other := *issuer.Cert
	other.RawSubject, other.Subject = nil, pkix.Name{CommonName: "Another"}
	as := func(c *x509.Certificate) {}
	for name, c := range map[string]struct {
		by    *gputest.Authority
		words string
	}{
		"appointed":         {responder(t, issuer, issuer.Cert, as), ""},
		"CA":                {responder(t, issuer, issuer.Cert, func(c *x509.Certificate) { c.IsCA = true }), "not appointed"},
		"of another's name": {responder(t, issuer, &other, as), "not appointed"},
		"not marked":        {responder(t, issuer, issuer.Cert, func(c *x509.Certificate) { c.ExtKeyUsage = nil }), "not a responder"},
		"expired":           {responder(t, issuer, issuer.Cert, func(c *x509.Certificate) { c.NotAfter = time.Unix(gputest.Now-1, 0) }), "does not hold"},
		"not yet":           {responder(t, issuer, issuer.Cert, func(c *x509.Certificate) { c.NotBefore = time.Unix(gputest.Now+1, 0) }), "does not hold"},
	} {
		raw := gputest.OCSP(v.Device, 1, gputest.Answer{Status: ocsp.Good, From: gputest.Now - 100, To: gputest.Now + 100, Responder: c.by})
		if _, err := ocsp.ParseResponseForCert(raw, certs[1], certs[2]); err != nil {
			t.Errorf("%s: the library refuses it by itself: %v", name, err)
		}
		got, err := chain.Revocation(certs, 1, [][]byte{raw}, gputest.Now)
		if c.words == "" {
			if err != nil || len(got) != 1 || got[0].Index != 1 {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			continue
		}
		if !errors.Is(err, chain.ErrOCSP) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: got %v, want %q", name, err, c.words)
		}
	}
}
