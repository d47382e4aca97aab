// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/verify"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

const now = 1_790_000_000

var enclave = envelope.Sum([]byte("an enclave binary"))

func broker(t testing.TB, seed string) *envelope.Signer {
	return attestationtest.Signer(t, envelope.RoleBroker, "broker "+seed)
}

// machine is a TPM with a measured enclave and the log that says so.
type machine struct {
	tpm *tpmtest.TPM
	log []byte
}

func newMachine(t testing.TB, seed string) *machine {
	t.Helper()
	m := &machine{tpmtest.New(seed), eventlog.Header()}
	m.measure(t, eventlog.Event{PCR: quote.EnclavePCR, Type: eventlog.IPL, Digest: enclave, Data: []byte(eventlog.EnclaveEvent)})
	return m
}

func (m *machine) measure(t testing.TB, e eventlog.Event) {
	t.Helper()
	var err error
	if m.log, err = eventlog.Append(m.log, e); err != nil {
		t.Fatal(err)
	}
	m.tpm.Extend(e.PCR, e.Digest)
}

// firmware measures something into each of PCRs 0 to 7, as hardware does.
func (m *machine) firmware(t testing.TB) *machine {
	t.Helper()
	for pcr := range 8 {
		m.measure(t, eventlog.Event{PCR: pcr, Type: 4, Digest: envelope.Sum([]byte{byte(pcr)}), Data: []byte{byte(pcr)}})
	}
	return m
}

// endorsement is good in every way for m's attestation key.
func (m *machine) endorsement(t testing.TB, a attestation.Assurance) grant.AKEndorsement {
	t.Helper()
	public := m.tpm.AKPublic()
	ak, err := quote.CheckAK(public)
	if err != nil {
		t.Fatal(err)
	}
	return grant.AKEndorsement{
		AKName: ak.NameHex(), AKPublic: public, EKCert: envelope.Sum([]byte("ek")), Root: envelope.Sum([]byte("root")),
		Assurance: string(a), Issued: (now - 60) * 1000, Expires: (now + 3600) * 1000,
	}
}

func sign(t testing.TB, e grant.AKEndorsement, s *envelope.Signer) attestation.Endorsement {
	t.Helper()
	b, err := verify.SignEndorsement(e, s)
	if err != nil {
		t.Fatal(err)
	}
	return attestation.Endorsement{Type: envelope.AKEndorsementType, Body: b}
}

// evidence over a binding, endorsed by broker "mine".
func (m *machine) evidence(t testing.TB, b attestation.Binding) *attestation.Evidence {
	t.Helper()
	d, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := m.tpm.Quote(t, d).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return &attestation.Evidence{
		Version: 1, Platform: attestation.PlatformTPM, Evidence: raw, Claims: b,
		Endorsements: []attestation.Endorsement{sign(t, m.endorsement(t, attestation.AssuranceSoftwareTPM), broker(t, "mine"))},
		EventLogs:    []attestation.EventLog{{Type: quote.EventLogType, Body: m.log}},
		Nested:       []attestation.Nested{},
	}
}

// pins is the reference value that m meets.
func (m *machine) pins() map[string]string {
	out := map[string]string{"enclave": enclave.Hex()}
	for _, i := range quote.PCRs() {
		out[quote.Name(i)] = envelope.Digest(m.tpm.PCRs[i]).Hex()
	}
	return out
}

func reference(pins map[string]string) *attestation.Reference {
	return &attestation.Reference{Version: 1, NotAfter: now + 3600, Values: []attestation.ReferenceValue{
		{Name: "test", Platform: attestation.PlatformTPM, Measurements: pins},
	}}
}

func newFormat(t testing.TB, keys ...envelope.PublicKey) *verify.Format {
	t.Helper()
	if len(keys) == 0 {
		keys = []envelope.PublicKey{broker(t, "mine").Public()}
	}
	f, err := verify.NewFormat(verify.Config{Brokers: keys})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newVerifier(t testing.TB, pins map[string]string, f attestation.Format) *attestation.Verifier {
	t.Helper()
	v, err := attestation.NewVerifier(reference(pins), f)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// authority is a CA of endorsement keys and one key it certified.
type authority struct {
	cert     *x509.Certificate
	key      *ecdsa.PrivateKey
	ekPublic []byte
	ekCert   []byte
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{key: attestationtest.PrivateKey("ca " + name)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(now, 0).Add(-time.Hour), NotAfter: time.Unix(now, 0).Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = parse(t, create(t, template, template, a.key.Public(), a.key))
	ek := attestationtest.PrivateKey("ek " + name)
	a.ekPublic = tpmtest.Public(tpm2.ECCEKTemplate, &ek.PublicKey)
	a.ekCert = a.certify(t, nil)
	return a
}

// certify makes an EK certificate as TPM makers do, with a critical directory name, and lets a test bend it.
func (a *authority) certify(t testing.TB, bend func(*x509.Certificate)) []byte {
	t.Helper()
	ek := attestationtest.PublicKey(t, "ek "+a.cert.Subject.CommonName)
	directoryName, err := asn1.Marshal([]asn1.RawValue{{
		Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0x00},
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter, BasicConstraintsValid: true,
		KeyUsage:           x509.KeyUsageKeyAgreement,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}}, // tcg-kp-EKCertificate
		ExtraExtensions:    []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: directoryName}},
	}
	if bend != nil {
		bend(c)
	}
	return create(t, c, a.cert, ek.ECDSA(), a.key)
}

func create(t testing.TB, c, parent *x509.Certificate, pub any, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (a *authority) root(as attestation.Assurance) verify.EKRoot {
	return verify.EKRoot{Cert: a.cert, Assurance: as}
}

func (a *authority) request(t testing.TB) grant.EnrollRequest {
	t.Helper()
	return grant.EnrollRequest{
		EKCert: bytes.Clone(a.ekCert), EKPublic: bytes.Clone(a.ekPublic), AKPublic: tpmtest.New("a").AKPublic(),
	}
}
