// SPDX-License-Identifier: Apache-2.0

// Package snptest is AMD for tests: roots, intermediates, chips, clouds' keys and revocation lists, and properly signed
// reports with any field.
//
// Trust domain: tests only. Nobody but a test trusts its roots, which are made anew in every process.
package snptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
)

// Line is a product line with keys of its own.
type Line struct {
	Name           string
	ARK, ASK, ASVK *x509.Certificate
	ark, ask, asvk *rsa.PrivateKey
}

// Now is a time at which everything made here is valid unless said otherwise.
var Now = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)

var makeKeys = sync.OnceValues(func() (keys [3]*rsa.PrivateKey, err error) {
	for i := range keys {
		if keys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return keys, err
		}
	}
	return keys, nil
})

// New makes a product line: "Milan", "Genoa" or "Turin". Lines share keys, not certificates.
func New(t testing.TB, name string) *Line {
	t.Helper()
	keys, err := makeKeys()
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{Name: name, ark: keys[0], ask: keys[1], asvk: keys[2]}
	l.ARK = l.authority(t, "ARK-"+name, l.ark, 1)
	l.ASK = l.authority(t, "SEV-"+name, l.ask, 0x10000)
	l.ASVK = l.authority(t, "SEV-VLEK-"+name, l.asvk, 0x10001)
	return l
}

func subject(cn string) pkix.Name {
	return pkix.Name{
		CommonName: cn, Country: []string{"US"}, Locality: []string{"Santa Clara"}, Province: []string{"CA"},
		Organization: []string{"Advanced Micro Devices"}, OrganizationalUnit: []string{"Engineering"},
	}
}

func (l *Line) authority(t testing.TB, cn string, key *rsa.PrivateKey, serial int64) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: subject(cn), NotBefore: Now.AddDate(-5, 0, 0), NotAfter: Now.AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SignatureAlgorithm: x509.SHA384WithRSAPSS, SubjectKeyId: []byte(cn),
	}
	parent := l.ARK
	if parent == nil {
		parent = c
	}
	return certify(t, c, parent, key.Public(), l.ark)
}

func certify(t testing.TB, c, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Bundles are the line's certificates as AMD publishes them.
func (l *Line) Bundles() (vcek, vlek []byte) {
	f := func(cs ...*x509.Certificate) (out []byte) {
		for _, c := range cs {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		return out
	}
	return f(l.ASK, l.ARK), f(l.ASVK, l.ARK)
}

// Key is an endorsement key and its certificate.
type Key struct {
	Cert    *x509.Certificate
	Private *ecdsa.PrivateKey
}

// TCB is one that [attestation.DefaultPolicy] accepts.
func (l *Line) TCB() attestation.SNPTCB {
	switch l.Name {
	case "Milan":
		return attestation.SNPTCB{BootLoader: 4, SNP: 29, Microcode: 222}
	case "Genoa":
		return attestation.SNPTCB{BootLoader: 10, SNP: 28, Microcode: 88}
	}
	return attestation.SNPTCB{FMC: 1, BootLoader: 1, TEE: 1, SNP: 5, Microcode: 82}
}

// Chip is the line's chip, as reports name it: 64 bytes, of which Turin uses 8.
func (l *Line) Chip() (id [64]byte) {
	n := len(id)
	if l.Name == "Turin" {
		n = 8
	}
	for i := range n {
		id[i] = byte(i + 1)
	}
	return id
}

// HWID is the chip as the line's certificates name it.
func (l *Line) HWID() []byte {
	id := l.Chip()
	if l.Name == "Turin" {
		return id[:8]
	}
	return id[:]
}

// VCEK certifies a new key for the line's chip at a TCB. Change, if not nil, changes the certificate before it is signed.
func (l *Line) VCEK(t testing.TB, tcb attestation.SNPTCB, change func(*x509.Certificate)) *Key {
	t.Helper()
	exts := append(l.levels(t, tcb), Extension(t, "4", bare(l.HWID())), Extension(t, "2", ia5(l.Name+"-B0")))
	return l.key(t, "SEV-VCEK", 0, exts, l.ASK, l.ask, change)
}

// VLEK certifies a new key of a cloud at a TCB.
func (l *Line) VLEK(t testing.TB, tcb attestation.SNPTCB, change func(*x509.Certificate)) *Key {
	t.Helper()
	exts := append(l.levels(t, tcb), Extension(t, "5", ia5("CN=cloud.example")), Extension(t, "2", ia5(l.Name)))
	return l.key(t, "SEV-VLEK", 7, exts, l.ASVK, l.asvk, change)
}

func (l *Line) key(t testing.TB, cn string, serial int64, exts []pkix.Extension, issuer *x509.Certificate, by crypto.Signer, change func(*x509.Certificate)) *Key {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: subject(cn), NotBefore: Now.AddDate(-1, 0, 0), NotAfter: Now.AddDate(6, 0, 0),
		SignatureAlgorithm: x509.SHA384WithRSAPSS, ExtraExtensions: exts,
	}
	if change != nil {
		change(c)
	}
	public := crypto.PublicKey(k.Public())
	if c.PublicKey != nil {
		public = c.PublicKey
	}
	return &Key{certify(t, c, issuer, public, by), k}
}

// levels are the extensions that say which TCB a key was derived for.
func (l *Line) levels(t testing.TB, tcb attestation.SNPTCB) []pkix.Extension {
	t.Helper()
	out := []pkix.Extension{
		Extension(t, "1", 0),
		Extension(t, "3.1", int(tcb.BootLoader)),
		Extension(t, "3.2", int(tcb.TEE)),
		Extension(t, "3.3", int(tcb.SNP)),
		Extension(t, "3.8", int(tcb.Microcode)),
	}
	for _, reserved := range []string{"3.4", "3.5", "3.6", "3.7"} {
		out = append(out, Extension(t, reserved, 0))
	}
	if l.Name == "Turin" {
		out = append(out, Extension(t, "3.9", int(tcb.FMC)))
	}
	return out
}

type (
	ia5  string // an ASN.1 string
	bare []byte // not ASN.1
)

// Extension is one of AMD's, by what follows 1.3.6.1.4.1.3704.1 in its name.
func Extension(t testing.TB, id string, value any) pkix.Extension {
	t.Helper()
	oid, err := x509.ParseOID("1.3.6.1.4.1.3704.1." + id)
	if err != nil {
		t.Fatal(err)
	}
	var object asn1.ObjectIdentifier
	der, err := oid.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(append([]byte{asn1.TagOID, byte(len(der))}, der...), &object); err != nil {
		t.Fatal(err)
	}
	var b []byte
	switch v := value.(type) {
	case ia5:
		b, err = asn1.MarshalWithParams(string(v), "ia5")
	case bare:
		b = v
	default:
		b, err = asn1.Marshal(v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: object, Value: b}
}

// IA5 is a string value for [Extension], Bare one without ASN.1 around it.
func IA5(s string) any { return ia5(s) }

// Bare is a value that is not ASN.1.
func Bare(b []byte) any { return bare(b) }

// Encode writes a TCB as the line's reports have it.
func (l *Line) Encode(t attestation.SNPTCB) [8]byte {
	if l.Name == "Turin" {
		return [8]byte{t.FMC, t.BootLoader, t.TEE, t.SNP, 0, 0, 0, t.Microcode}
	}
	return [8]byte{t.BootLoader, t.TEE, 0, 0, 0, 0, t.SNP, t.Microcode}
}

// Report is one of version 3 over data, by a chip in good order. It is not signed: change it, then [Sign] it.
func (l *Line) Report(data [64]byte) []byte {
	b, tcb, chip := make([]byte, 1184), l.Encode(l.TCB()), l.Chip()
	binary.LittleEndian.PutUint32(b, 3)
	binary.LittleEndian.PutUint64(b[0x08:], 1<<17|1<<16|1<<8|55) // SMT allowed, interface 1.55
	b[0x34], b[0x40] = 1, 1<<5|1<<2|1                            // ECDSA; alias check, ECC, SMT
	copy(b[0x50:], data[:])
	for i := range 48 {
		b[0x90+i] = byte(0x40 + i)
	}
	for i := range 32 {
		b[0xc0+i], b[0x140+i], b[0x160+i] = byte(0x80+i), byte(0xa0+i), 0xff
	}
	for _, at := range []int{0x38, 0x180, 0x1e0, 0x1f0} {
		copy(b[at:], tcb[:])
	}
	copy(b[0x188:], map[string][]byte{"Milan": {0x19, 0x01, 1}, "Genoa": {0x19, 0x11, 1}, "Turin": {0x1a, 0x02, 1}}[l.Name])
	copy(b[0x1a0:], chip[:])
	copy(b[0x1e8:], []byte{55, 55, 1, 0, 55, 55, 1, 0})
	return b
}

// Sign signs a report in place, and returns it.
func (k *Key) Sign(t testing.TB, report []byte) []byte {
	t.Helper()
	sum := sha512.Sum384(report[:0x2a0])
	r, s, err := ecdsa.Sign(rand.Reader, k.Private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	clear(report[0x2a0:])
	for i, b := range r.FillBytes(make([]byte, 48)) {
		report[0x2a0+47-i] = b
	}
	for i, b := range s.FillBytes(make([]byte, 48)) {
		report[0x2a0+72+47-i] = b
	}
	return report
}

// CRL is a list by the root, valid around [Now], that revokes serial numbers. Change, if not nil, changes it before it is
// signed.
func (l *Line) CRL(t testing.TB, change func(*x509.RevocationList), revoked ...int64) []byte {
	t.Helper()
	c := &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: Now.AddDate(0, 0, -1), NextUpdate: Now.AddDate(0, 0, 30), SignatureAlgorithm: x509.SHA384WithRSAPSS,
	}
	for _, s := range revoked {
		c.RevokedCertificateEntries = append(c.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: Now.AddDate(0, 0, -2)})
	}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateRevocationList(rand.Reader, c, l.ARK, l.ark)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
