// SPDX-License-Identifier: Apache-2.0

// Package dcaptest is a vendor of our own in Intel's place: root, PCK CA, PCK, TCB signing certificate, CRLs, TCB info, QE
// identity, and quotes that are properly signed. Every field can be changed first, so that each refusal shows alone.
//
// Trust domain: tests only. No byte of it is Intel's.
package dcaptest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
)

// Vendor makes evidence of one platform. Change fields after [New] and before the first use of a method.
type Vendor struct {
	TEE dcap.TEE
	Now time.Time // that everything is valid at

	RootKey, CAKey, PCKKey, SigningKey *ecdsa.PrivateKey // of the certificates
	AttestationKey                     *ecdsa.PrivateKey
	Root, CA, PCK, Signing             *x509.Certificate // templates
	Platform                           Extension

	RootCRL, PCKCRL       *x509.RevocationList // templates; nil: none
	RootCRLKey, PCKCRLKey *ecdsa.PrivateKey
	TCBInfo, QEIdentity   map[string]any    // nil: none
	TCBInfoKey, QEKey     *ecdsa.PrivateKey // that sign them
	RawTCBInfo            []byte            // instead of TCBInfo, if not nil

	QEReport    []byte // 384 bytes; its report data is filled in, unless it is set
	QEReportKey *ecdsa.PrivateKey
	Auth        []byte
	QuoteKey    *ecdsa.PrivateKey // that signs the quote
	Header      []byte            // 48 bytes
	Body        []byte            // enclave report, or TD report of 584 (1.0) or 648 (1.5) bytes
	Chain       []byte            // PEM in the quote; nil: the certificates above
	CertType    int               // of the innermost certification data
}

// Extension is the SGX extension of the PCK certificate.
type Extension struct {
	PPID, CPUSVN, Instance [16]byte
	PCEID                  [2]byte
	FMSPC                  [6]byte
	Components             [16]int
	PCESVN                 int
	Type                   int
	Omit                   int // member to leave out; 0: none
	OmitTCB                int // member of the TCB to leave out; 0: none
}

const validity = 365 * 24 * time.Hour

// New is a platform that is up to date.
func New(tee dcap.TEE) *Vendor {
	v := &Vendor{
		TEE: tee, Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), RootKey: Key("root"), CAKey: Key("ca"), PCKKey: Key("pck"),
		SigningKey: Key("signing"), AttestationKey: Key("attestation"), Auth: []byte("authentication data of 32 bytes!"), CertType: 5,
		QEReport: make([]byte, 384), Header: make([]byte, 48),
	}
	v.RootCRLKey, v.PCKCRLKey, v.TCBInfoKey, v.QEKey, v.QEReportKey, v.QuoteKey = v.RootKey, v.CAKey, v.SigningKey, v.SigningKey, v.PCKKey, v.AttestationKey
	for i := range v.Platform.PPID {
		v.Platform.PPID[i], v.Platform.Instance[i], v.Platform.Components[i] = byte(0xa0+i), byte(0xb0+i), 5
	}
	v.Platform.FMSPC, v.Platform.PCESVN = [6]byte{0, 0x90, 0x6e, 0xd5, 0, 0}, 13
	v.certificates()
	v.statements()
	copy(v.QEReport[48:], []byte{0x15, 0, 0, 0, 0, 0, 0, 0, 0xe7})
	copy(v.QEReport[128:], qeSigner())
	binary.LittleEndian.PutUint16(v.QEReport[256:], 1)
	binary.LittleEndian.PutUint16(v.QEReport[258:], 8)
	v.header(3)
	v.Body = EnclaveBody()
	if tee == dcap.TDX {
		v.header(4)
		v.Body = TDBody(584)
	}
	return v
}

// Key is a key derived from seed; those of [New] are of "root", "ca", "pck", "signing" and "attestation".
func Key(seed string) *ecdsa.PrivateKey { return attestationtest.PrivateKey("dcaptest " + seed) }

func qeSigner() []byte { h := sha256.Sum256([]byte("dcaptest QE signer")); return h[:] }

func (v *Vendor) certificates() {
	name := func(cn string) pkix.Name { return pkix.Name{CommonName: cn, Organization: []string{"Not Intel"}} }
	ca := x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	leaf := x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	cert := func(serial int64, cn string, usage x509.KeyUsage, isCA bool) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: name(cn), NotBefore: v.Now.Add(-validity), NotAfter: v.Now.Add(validity),
			KeyUsage: usage, IsCA: isCA, BasicConstraintsValid: true,
		}
	}
	v.Root, v.CA = cert(1, "Intel SGX Root CA", ca, true), cert(2, "Intel SGX PCK Platform CA", ca, true)
	v.PCK, v.Signing = cert(3, "Intel SGX PCK Certificate", leaf, false), cert(4, "Intel SGX TCB Signing", leaf, false)
	crl := func() *x509.RevocationList {
		return &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: v.Now.Add(-time.Hour), NextUpdate: v.Now.Add(30 * 24 * time.Hour)}
	}
	v.RootCRL, v.PCKCRL = crl(), crl()
}

// Component lists are 16 members of this SVN.
func components(svn int) []any {
	out := make([]any, 16)
	for i := range out {
		out[i] = map[string]any{"svn": svn}
	}
	return out
}

// Level is a TCB level for [Vendor].TCBInfo.
func Level(svn, pcesvn int, status string, advisories ...string) map[string]any {
	return map[string]any{
		"tcb":     map[string]any{"sgxtcbcomponents": components(svn), "tdxtcbcomponents": components(svn), "pcesvn": pcesvn},
		"tcbDate": "2025-11-12T00:00:00Z", "tcbStatus": status, "advisoryIDs": advisories,
	}
}

// SVN is a level of the QE identity or of a TDX module.
func SVN(svn int, status string, advisories ...string) map[string]any {
	return map[string]any{"tcb": map[string]any{"isvsvn": svn}, "tcbDate": "2025-11-12T00:00:00Z", "tcbStatus": status, "advisoryIDs": advisories}
}

func (v *Vendor) statements() {
	issued, next := v.Now.Add(-24*time.Hour).Format(time.RFC3339), v.Now.Add(29*24*time.Hour).Format(time.RFC3339)
	v.TCBInfo = map[string]any{
		"id": v.TEE.String(), "version": 3, "issueDate": issued, "nextUpdate": next, "fmspc": fmt.Sprintf("%X", v.Platform.FMSPC),
		"pceId": "0000", "tcbType": 0, "tcbEvaluationDataNumber": 18,
		"tcbLevels": []any{
			Level(5, 13, "UpToDate"), Level(4, 13, "SWHardeningNeeded", "INTEL-SA-00615"), Level(3, 11, "OutOfDate", "INTEL-SA-00614"), Level(1, 5, "Revoked"),
		},
	}
	id := "QE"
	if v.TEE == dcap.TDX {
		id = "TD_QE"
		module := func(id string) map[string]any {
			return map[string]any{
				"id": id, "mrsigner": fmt.Sprintf("%096d", 0), "attributes": "0000000000000000", "attributesMask": "FFFFFFFFFFFFFFFF",
				"tcbLevels": []any{SVN(5, "UpToDate"), SVN(2, "OutOfDate", "INTEL-SA-00837")},
			}
		}
		v.TCBInfo["tdxModule"] = module("TDX")
		v.TCBInfo["tdxModuleIdentities"] = []any{module("TDX_01"), module("TDX_03")}
	}
	v.QEIdentity = map[string]any{
		"id": id, "version": 2, "issueDate": issued, "nextUpdate": next, "tcbEvaluationDataNumber": 18, "miscselect": "00000000",
		"miscselectMask": "FFFFFFFF", "attributes": "11000000000000000000000000000000", "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
		"mrsigner": fmt.Sprintf("%X", qeSigner()), "isvprodid": 1, "tcbLevels": []any{SVN(8, "UpToDate"), SVN(6, "OutOfDate", "INTEL-SA-00477")},
	}
}

// Pin is what [dcap.Verify] takes as root.
func (v *Vendor) Pin() [32]byte {
	b, err := x509.MarshalPKIXPublicKey(v.RootKey.Public())
	if err != nil {
		panic("dcaptest: " + err.Error())
	}
	return sha256.Sum256(b)
}

// Certificates are root, CA, PCK certificate and TCB signing certificate, DER.
func (v *Vendor) Certificates(t testing.TB) (root, ca, pck, signing []byte) {
	t.Helper()
	sign := func(c, by *x509.Certificate, k, byKey *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, by, k.Public(), byKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	leaf := *v.PCK
	leaf.ExtraExtensions = append(leaf.ExtraExtensions, pkix.Extension{Id: []int{1, 2, 840, 113741, 1, 13, 1}, Value: v.Platform.encode(t)})
	root = sign(v.Root, v.Root, v.RootKey, v.RootKey)
	return root, sign(v.CA, v.Root, v.CAKey, v.RootKey), sign(&leaf, v.CA, v.PCKKey, v.CAKey), sign(v.Signing, v.Root, v.SigningKey, v.RootKey)
}

// PEM is a chain.
func PEM(ders ...[]byte) []byte {
	var out []byte
	for _, d := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d})...)
	}
	return out
}

// Endorsements is the collateral as an envelope holds it.
func (v *Vendor) Endorsements(t testing.TB) []attestation.Endorsement {
	t.Helper()
	root, ca, _, signing := v.Certificates(t)
	out := []attestation.Endorsement{{Type: attestation.ChainType, Body: PEM(signing)}}
	for _, c := range []struct {
		list   *x509.RevocationList
		issuer []byte
		key    *ecdsa.PrivateKey
	}{{v.RootCRL, root, v.RootCRLKey}, {v.PCKCRL, ca, v.PCKCRLKey}} {
		if c.list == nil {
			continue
		}
		by, err := x509.ParseCertificate(c.issuer)
		if err != nil {
			t.Fatal(err)
		}
		by.PublicKey, by.KeyUsage, by.SubjectKeyId = c.key.Public(), x509.KeyUsageCRLSign, []byte{1} // whatever the certificate says
		der, err := x509.CreateRevocationList(rand.Reader, c.list, by, c.key)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, attestation.Endorsement{Type: attestation.CRLType, Body: der})
	}
	if v.TCBInfo != nil {
		out = append(out, attestation.Endorsement{Type: attestation.TCBInfoType, Body: statement(t, "tcbInfo", v.TCBInfo, v.RawTCBInfo, v.TCBInfoKey)})
	}
	if v.QEIdentity != nil {
		out = append(out, attestation.Endorsement{Type: attestation.QEIdentityType, Body: statement(t, "enclaveIdentity", v.QEIdentity, nil, v.QEKey)})
	}
	return out
}

func statement(t testing.TB, member string, doc map[string]any, raw []byte, k *ecdsa.PrivateKey) []byte {
	t.Helper()
	if raw == nil {
		var err error
		if raw, err = json.Marshal(doc); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Appendf(nil, `{%q:%s,"signature":"%x"}`, member, raw, Sign(t, k, raw))
}

// Sign is r ‖ s over SHA-256 of msg.
func Sign(t testing.TB, k *ecdsa.PrivateKey, msg []byte) []byte {
	t.Helper()
	h := sha256.Sum256(msg)
	r, s, err := ecdsa.Sign(rand.Reader, k, h[:])
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 64)
	r.FillBytes(out[:32])
	s.FillBytes(out[32:])
	return out
}
