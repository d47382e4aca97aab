// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/gce/shielded"
	"github.com/glovebox-dev/glovebox/attestation/gce/verify"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
)

const now = 1_790_000_000

// authority is a fake of Google's: a root and an intermediate that certifies attestation keys.
type authority struct {
	root, inter       *x509.Certificate
	rootKey, interKey crypto.Signer
	serial            int64
}

func newAuthority(t testing.TB, name string, bend func(root, inter *x509.Certificate)) *authority {
	t.Helper()
	a := &authority{rootKey: tpmtest.ECCKey("root " + name), interKey: tpmtest.ECCKey("inter " + name), serial: 100}
	root := caTemplate("EK/AK CA Root "+name, 1)
	inter := caTemplate("EK/AK CA Intermediate "+name, 2)
	if bend != nil {
		bend(root, inter)
	}
	a.root = create(t, root, root, a.rootKey.Public(), a.rootKey)
	a.inter = create(t, inter, a.root, a.interKey.Public(), a.rootKey)
	return a
}

func caTemplate(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(now, 0).Add(-time.Hour), NotAfter: time.Unix(now, 0).Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name),
	}
}

func create(t testing.TB, c, parent *x509.Certificate, pub any, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

type instance struct {
	Zone       string `asn1:"utf8"`
	Number     int64
	Project    string `asn1:"utf8"`
	ID         int64
	Name       string   `asn1:"utf8"`
	Properties security `asn1:"explicit,tag:0"`
}

type security struct {
	Version    int64 `asn1:"explicit,tag:0"`
	Production bool  `asn1:"explicit,tag:1"`
	Encrypted  bool  `asn1:"explicit,tag:2"`
}

func goodInstance() instance {
	return instance{"europe-west3-a", 12345, "project", 0x0102030405060708, "vm", security{7, true, false}}
}

func extension(t testing.TB, i instance) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: shielded.InstanceOID, Value: der}
}

// certify makes a key's certificate as Google does, with a critical directory name, and lets a test bend it.
func (a *authority) certify(t testing.TB, key crypto.PublicKey, bend func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	name, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0x00}}})
	if err != nil {
		t.Fatal(err)
	}
	a.serial++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), NotBefore: a.root.NotBefore, NotAfter: a.root.NotAfter, BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage:    []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}},
		CRLDistributionPoints: []string{"https://pki.example/crl"},
		ExtraExtensions:       []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: name}, extension(t, goodInstance())},
	}
	if bend != nil {
		bend(c)
	}
	return create(t, c, a.inter, key, a.interKey)
}

func (a *authority) endorsements(more ...attestation.Endorsement) []attestation.Endorsement {
	return append([]attestation.Endorsement{
		{Type: attestation.CertificateType, Body: a.inter.Raw}, {Type: attestation.CertificateType, Body: a.root.Raw},
	}, more...)
}

// crl is the intermediate's list.
func (a *authority) crl(t testing.TB, by crypto.Signer, from, to int64, revoked ...*big.Int) attestation.Endorsement {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Unix(from, 0), NextUpdate: time.Unix(to, 0)}
	for _, s := range revoked {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: s, RevocationTime: time.Unix(now-60, 0)})
	}
	issuer := *a.inter
	issuer.PublicKey = by.Public()
	der, err := x509.CreateRevocationList(rand.Reader, l, &issuer, by)
	if err != nil {
		t.Fatal(err)
	}
	return attestation.Endorsement{Type: attestation.CRLType, Body: der}
}

// scenario is a good VM with good evidence, for tests to depart from.
type scenario struct {
	ca   *authority
	vm   *tpmtest.Cloud
	x    shielded.Evidence
	e    *attestation.Evidence
	root *x509.Certificate // that is pinned
}

func newScenario(t testing.TB, key crypto.Signer) *scenario {
	t.Helper()
	s := &scenario{ca: newAuthority(t, "mine", nil), vm: tpmtest.NewCloud(t, key)}
	s.root = s.ca.root
	s.e = &attestation.Evidence{
		Version: 1, Platform: attestation.PlatformGCE, Endorsements: s.ca.endorsements(), Claims: attestationtest.Binding(t, "a"),
		Nested: []attestation.Nested{},
	}
	s.x.AKCertificate = s.ca.certify(t, key.Public(), nil).Raw
	s.quote(t)
	return s
}

func rsaKey(t testing.TB) *rsa.PrivateKey { return tpmtest.RSAKey(t, "gce", 2048) }
func eccKey() *ecdsa.PrivateKey           { return tpmtest.ECCKey("gce") }
func (s *scenario) quote(t testing.TB)    { t.Helper(); d := s.digest(t); s.quoteOver(t, d[:]) }
func (s *scenario) bend(f func(*x509.Certificate), t testing.TB) {
	t.Helper()
	s.x.AKCertificate = s.ca.certify(t, s.vm.Key.Public(), f).Raw
}

func (s *scenario) digest(t testing.TB) [32]byte {
	t.Helper()
	d, err := s.e.Claims.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (s *scenario) quoteOver(t testing.TB, qualifying []byte) {
	t.Helper()
	s.x.AKPublic, s.x.PCRs = s.vm.AKPublic(), s.vm.Values()
	s.x.Quote, s.x.Signature = s.vm.Quote(t, qualifying)
	s.e.EventLogs = []attestation.EventLog{{Type: attestation.TCG2Log, Body: s.vm.Log}}
}

func (s *scenario) format(t testing.TB) attestation.Format {
	t.Helper()
	f, err := verify.NewTestOnlyFormat(s.root)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// evidence is the envelope with the platform's part in it.
func (s *scenario) evidence(t testing.TB) *attestation.Evidence {
	t.Helper()
	b, err := s.x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.e.Evidence = b
	return s.e
}

func (s *scenario) raw(t testing.TB) []byte {
	t.Helper()
	b, err := s.evidence(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *scenario) verifier(t testing.TB) *attestation.Verifier {
	t.Helper()
	v, err := attestation.NewVerifier(&attestation.Reference{Version: 1, NotAfter: now + 3600, Values: []attestation.ReferenceValue{
		{Name: "test", Platform: attestation.PlatformGCE, Measurements: tpmValues(s.vm)},
	}}, s.format(t))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// tpmValues are what a reference value pins: everything up to PCR 15.
func tpmValues(vm *tpmtest.Cloud) map[string]string {
	out := vm.Values()
	for _, n := range []string{"pcr16", "pcr17", "pcr18", "pcr19", "pcr20", "pcr21", "pcr22", "pcr23"} {
		delete(out, n)
	}
	return out
}
