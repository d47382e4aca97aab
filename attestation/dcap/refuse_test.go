// SPDX-License-Identifier: Apache-2.0

package dcap_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
)

// refusal is one thing wrong with otherwise good evidence.
type refusal struct {
	change func(v *dcaptest.Vendor)
	failed string
	err    error
}

func set(doc func(v *dcaptest.Vendor) map[string]any, name string, value any) func(*dcaptest.Vendor) {
	return func(v *dcaptest.Vendor) { doc(v)[name] = value }
}

func info(v *dcaptest.Vendor) map[string]any { return v.TCBInfo }

func identity(v *dcaptest.Vendor) map[string]any { return v.QEIdentity }

func day(v *dcaptest.Vendor, days int) string { return v.Now.AddDate(0, 0, days).Format(time.RFC3339) }

func revoke(serial int64) []x509.RevocationListEntry {
	return []x509.RevocationListEntry{{SerialNumber: big.NewInt(serial), RevocationTime: time.Unix(1, 0)}}
}

// understood is a critical extended key usage: x509 understands it, and no chain of Intel's has one.
var understood = pkix.Extension{Id: []int{2, 5, 29, 37}, Critical: true, Value: []byte{0x30, 6, 6, 4, 0x55, 0x1d, 0x25, 0}}

var critical = pkix.Extension{Id: []int{1, 2, 3}, Critical: true, Value: []byte{5, 0}}

func refusals() map[string]refusal {
	past := func(v *dcaptest.Vendor) time.Time { return v.Now.Add(-time.Hour) }
	future := func(v *dcaptest.Vendor) time.Time { return v.Now.Add(time.Hour) }
	other := dcaptest.Key("other")
	return map[string]refusal{
		// The chain.
		"expired PCK certificate": {func(v *dcaptest.Vendor) { v.PCK.NotAfter = past(v) }, "pck-chain", dcap.ErrExpired},
		"PCK certificate to come": {func(v *dcaptest.Vendor) { v.PCK.NotBefore = future(v) }, "pck-chain", dcap.ErrExpired},
		"expired PCK CA":          {func(v *dcaptest.Vendor) { v.CA.NotAfter = past(v) }, "pck-chain", dcap.ErrExpired},
		"expired root":            {func(v *dcaptest.Vendor) { v.Root.NotAfter = past(v) }, "pck-chain", dcap.ErrExpired},
		"PCK certificate is a CA": {func(v *dcaptest.Vendor) { v.PCK.IsCA, v.PCK.KeyUsage = true, v.CA.KeyUsage }, "pck-chain", dcap.ErrChain},
		"PCK key usage":           {func(v *dcaptest.Vendor) { v.PCK.KeyUsage = x509.KeyUsageKeyAgreement }, "pck-chain", dcap.ErrChain},
		"PCK CA is none":          {func(v *dcaptest.Vendor) { v.CA.IsCA = false; v.CA.KeyUsage = x509.KeyUsageDigitalSignature }, "pck-chain", dcap.ErrChain},
		"PCK CA's name":           {func(v *dcaptest.Vendor) { v.CA.Subject.CommonName = "Intel SGX Other CA" }, "pck-chain", dcap.ErrChain},
		"PCK certificate's name":  {func(v *dcaptest.Vendor) { v.PCK.Subject.CommonName = "Somebody" }, "pck-chain", dcap.ErrChain},
		"PCK, no constraints":     {func(v *dcaptest.Vendor) { v.PCK.BasicConstraintsValid = false }, "pck-chain", dcap.ErrChain},
		"unknown critical":        {func(v *dcaptest.Vendor) { v.PCK.ExtraExtensions = []pkix.Extension{critical} }, "pck-chain", dcap.ErrChain},
		"understood critical":     {func(v *dcaptest.Vendor) { v.PCK.ExtraExtensions = []pkix.Extension{understood} }, "pck-chain", dcap.ErrChain},
		// The Quoting Enclave.
		"QE report by another key": {func(v *dcaptest.Vendor) { v.QEReportKey = other }, "qe-report-signature", dcap.ErrSignature},
		"evidence for another key": {func(v *dcaptest.Vendor) { v.QEReport[320] = 1 }, "attestation-key", dcap.ErrSignature},
		"quote by another key":     {func(v *dcaptest.Vendor) { v.QuoteKey = other }, "quote-signature", dcap.ErrSignature},
		"QE of somebody else":      {func(v *dcaptest.Vendor) { v.QEReport[128]++ }, "quoting-enclave", dcap.ErrQE},
		"QE is another product":    {func(v *dcaptest.Vendor) { v.QEReport[256]++ }, "quoting-enclave", dcap.ErrQE},
		"QE in debug mode":         {func(v *dcaptest.Vendor) { v.QEReport[48] |= dcap.FlagDebug }, "quoting-enclave", dcap.ErrQE},
		"QE's debug mode not asked": {func(v *dcaptest.Vendor) {
			v.QEReport[48] |= 2
			identity(v)["attributesMask"] = "00000000000000000000000000000000"
		}, "quoting-enclave", dcap.ErrQE},
		"QE not initialised":       {func(v *dcaptest.Vendor) { v.QEReport[48] &^= dcap.FlagInit }, "quoting-enclave", dcap.ErrQE},
		"QE's MISCSELECT":          {func(v *dcaptest.Vendor) { v.QEReport[16] = 1 }, "quoting-enclave", dcap.ErrQE},
		"QE's mask is short":       {set(identity, "attributesMask", "FF"), "quoting-enclave", dcap.ErrQE},
		"QE too old for any level": {func(v *dcaptest.Vendor) { v.QEReport[258] = 1 }, "quoting-enclave", dcap.ErrTCB},
		// QE identity.
		"no QE identity":             {func(v *dcaptest.Vendor) { v.QEIdentity = nil }, "qe-identity", dcap.ErrMissing},
		"QE identity by another":     {func(v *dcaptest.Vendor) { v.QEKey = other }, "qe-identity", dcap.ErrSignature},
		"QE identity by root":        {func(v *dcaptest.Vendor) { v.QEKey = v.RootKey }, "qe-identity", dcap.ErrSignature},
		"identity of the QVE":        {set(identity, "id", "QVE"), "qe-identity", dcap.ErrCollateral},
		"QE identity version 1":      {set(identity, "version", 1), "qe-identity", dcap.ErrCollateral},
		"expired QE identity":        {func(v *dcaptest.Vendor) { identity(v)["nextUpdate"] = day(v, -1) }, "qe-identity", dcap.ErrExpired},
		"QE identity to come":        {func(v *dcaptest.Vendor) { identity(v)["issueDate"] = day(v, 1) }, "qe-identity", dcap.ErrExpired},
		"QE level of new status":     {set(identity, "tcbLevels", []any{dcaptest.SVN(8, "Excellent")}), "quoting-enclave", dcap.ErrMalformed},
		"QE identity, no product":    {func(v *dcaptest.Vendor) { delete(identity(v), "isvprodid") }, "qe-identity", dcap.ErrCollateral},
		"QE identity, no number":     {func(v *dcaptest.Vendor) { delete(identity(v), "tcbEvaluationDataNumber") }, "qe-identity", dcap.ErrCollateral},
		"QE identity, no issue date": {func(v *dcaptest.Vendor) { delete(identity(v), "issueDate") }, "qe-identity", dcap.ErrExpired},
		"QE identity without dates":  {func(v *dcaptest.Vendor) { delete(identity(v), "nextUpdate") }, "qe-identity", dcap.ErrExpired},
		// TCB info.
		"no TCB info":            {func(v *dcaptest.Vendor) { v.TCBInfo = nil }, "tcb-info", dcap.ErrMissing},
		"TCB info by another":    {func(v *dcaptest.Vendor) { v.TCBInfoKey = other }, "tcb-info", dcap.ErrSignature},
		"TCB info by the PCK":    {func(v *dcaptest.Vendor) { v.TCBInfoKey = v.PCKKey }, "tcb-info", dcap.ErrSignature},
		"TCB info of another":    {set(info, "fmspc", "00906ED50001"), "tcb-info", dcap.ErrCollateral},
		"another PCE-ID":         {set(info, "pceId", "0001"), "tcb-info", dcap.ErrCollateral},
		"TCB info version 2":     {set(info, "version", 2), "tcb-info", dcap.ErrCollateral},
		"TCB info version 4":     {set(info, "version", 4), "tcb-info", dcap.ErrCollateral},
		"another TEE":            {set(info, "id", "XYZ"), "tcb-info", dcap.ErrCollateral},
		"another TCB type":       {set(info, "tcbType", 1), "tcb-info", dcap.ErrCollateral},
		"expired TCB info":       {func(v *dcaptest.Vendor) { info(v)["nextUpdate"] = day(v, -1) }, "tcb-info", dcap.ErrExpired},
		"TCB info to come":       {func(v *dcaptest.Vendor) { info(v)["issueDate"] = day(v, 1) }, "tcb-info", dcap.ErrExpired},
		"TCB info, never issued": {func(v *dcaptest.Vendor) { delete(info(v), "issueDate") }, "tcb-info", dcap.ErrExpired},
		"TCB info, of year 1":    {set(info, "issueDate", "0001-01-01T00:00:00Z"), "tcb-info", dcap.ErrExpired},
		"TCB info, no end":       {func(v *dcaptest.Vendor) { delete(info(v), "nextUpdate") }, "tcb-info", dcap.ErrExpired},
		"no levels":              {set(info, "tcbLevels", []any{}), "tcb-info", dcap.ErrMalformed},
		"level of new status":    {set(info, "tcbLevels", []any{dcaptest.Level(0, 0, "Fine")}), "tcb-info", dcap.ErrMalformed},
		"no level is so low":     {set(info, "tcbLevels", []any{dcaptest.Level(6, 13, "UpToDate")}), "tcb-level", dcap.ErrTCB},
		"PCE older than all":     {func(v *dcaptest.Vendor) { v.Platform.PCESVN = 4 }, "tcb-level", dcap.ErrTCB},
		"name twice":             {twice(`"id"`), "tcb-info", dcap.ErrMalformed},
		"name twice, any case":   {twice(`"ID"`), "tcb-info", dcap.ErrMalformed},
		"name with an escape":    {twice(`"\u0069d"`), "tcb-info", dcap.ErrMalformed},
		// Revocation.
		"no root CRL":         {func(v *dcaptest.Vendor) { v.RootCRL = nil }, "root-crl", dcap.ErrMissing},
		"no PCK CRL":          {func(v *dcaptest.Vendor) { v.PCKCRL = nil }, "pck-crl", dcap.ErrMissing},
		"revoked PCK":         {func(v *dcaptest.Vendor) { v.PCKCRL.RevokedCertificateEntries = revoke(3) }, "pck-crl", dcap.ErrRevoked},
		"revoked PCK CA":      {func(v *dcaptest.Vendor) { v.RootCRL.RevokedCertificateEntries = revoke(2) }, "root-crl", dcap.ErrRevoked},
		"revoked TCB signer":  {func(v *dcaptest.Vendor) { v.RootCRL.RevokedCertificateEntries = revoke(4) }, "root-crl", dcap.ErrRevoked},
		"root CRL by another": {func(v *dcaptest.Vendor) { v.RootCRLKey = other }, "root-crl", dcap.ErrSignature},
		"PCK CRL by another":  {func(v *dcaptest.Vendor) { v.PCKCRLKey = other }, "pck-crl", dcap.ErrSignature},
		"expired root CRL":    {func(v *dcaptest.Vendor) { v.RootCRL.NextUpdate = past(v).Add(time.Minute) }, "root-crl", dcap.ErrExpired},
		"expired PCK CRL":     {func(v *dcaptest.Vendor) { v.PCKCRL.NextUpdate = past(v).Add(time.Minute) }, "pck-crl", dcap.ErrExpired},
		"PCK CRL to come":     {func(v *dcaptest.Vendor) { v.PCKCRL.ThisUpdate = future(v) }, "pck-crl", dcap.ErrExpired},
		"delta CRL":           {func(v *dcaptest.Vendor) { v.PCKCRL.ExtraExtensions = []pkix.Extension{critical} }, "collateral", dcap.ErrMalformed},
		"root CRL, SHA-384":   {func(v *dcaptest.Vendor) { v.RootCRL.SignatureAlgorithm = x509.ECDSAWithSHA384 }, "collateral", dcap.ErrMalformed},
		"PCK CRL, SHA-384":    {func(v *dcaptest.Vendor) { v.PCKCRL.SignatureAlgorithm = x509.ECDSAWithSHA384 }, "collateral", dcap.ErrMalformed},
		"entry of an indirect": {func(v *dcaptest.Vendor) {
			v.PCKCRL.RevokedCertificateEntries = revoke(9)
			v.PCKCRL.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{critical}
		}, "collateral", dcap.ErrMalformed},
		"expired TCB signer":     {func(v *dcaptest.Vendor) { v.Signing.NotAfter = past(v) }, "tcb-signing-chain", dcap.ErrExpired},
		"TCB signer is a CA":     {func(v *dcaptest.Vendor) { v.Signing.IsCA, v.Signing.KeyUsage = true, v.CA.KeyUsage }, "tcb-signing-chain", dcap.ErrChain},
		"signer, no constraints": {func(v *dcaptest.Vendor) { v.Signing.BasicConstraintsValid = false }, "tcb-signing-chain", dcap.ErrChain},
		"TCB signer's name":      {func(v *dcaptest.Vendor) { v.Signing.Subject.CommonName = "Intel SGX PCK Certificate" }, "tcb-signing-chain", dcap.ErrCollateral},
		"a PCK CA signs the TCB": {func(v *dcaptest.Vendor) { v.Signing.Subject.CommonName = "Intel SGX PCK Processor CA" }, "tcb-signing-chain", dcap.ErrChain},
	}
}

// twice writes id a second time, under a name that some readers take for it.
func twice(name string) func(v *dcaptest.Vendor) {
	return func(v *dcaptest.Vendor) {
		b, err := json.Marshal(v.TCBInfo)
		if err != nil {
			panic("dcap_test: " + err.Error())
		}
		v.RawTCBInfo = append([]byte(`{`+name+`:"`+v.TEE.String()+`",`), b[1:]...)
	}
}

// TestRefusals shows each refusal alone: evidence is good but for one thing, the check that must fail is the last and only
// one, and its error says which kind it is.
func TestRefusals(t *testing.T) {
	n := 0
	for _, tee := range []dcap.TEE{dcap.SGX, dcap.TDX} {
		for name, c := range refusals() {
			v := dcaptest.New(tee)
			c.change(v)
			r, err := run(t, v)
			if !errors.Is(err, c.err) || !only(r, c.failed) {
				t.Errorf("%v: %s: %v, failed %q", tee, name, err, failed(r))
			}
			n++
		}
		if r, err := run(t, dcaptest.New(tee)); err != nil || r.TCB == nil || r.TCB.Status != attestation.UpToDate {
			t.Errorf("%v: unchanged: %v", tee, err)
		}
	}
	t.Logf("%d kinds of bad evidence refused", n)
}

// TestWrongRoot: the same chain under another pin, and a chain that only looks like it.
func TestWrongRoot(t *testing.T) {
	v := dcaptest.New(dcap.SGX)
	q, ends := parse(t, v), v.Endorsements(t)
	for name, pin := range map[string][32]byte{"Intel's": dcap.IntelRoot(), "another": {1}} {
		r := &attestation.Report{}
		if err := dcap.Verify(q, ends, pin, v.Now.Unix(), r); !errors.Is(err, dcap.ErrChain) || !only(r, "root") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := dcap.Verify(q, ends, [32]byte{}, v.Now.Unix(), &attestation.Report{}); !errors.Is(err, dcap.ErrMalformed) {
		t.Errorf("no pin at all: %v", err)
	}
	// A root with the pinned key that did not sign itself: only the key is Intel's.
	root, ca, pck, _ := v.Certificates(t)
	v.RootKey = dcaptest.Key("other")
	forged, _, _, _ := v.Certificates(t)
	for name, chain := range map[string][]byte{"another key": dcaptest.PEM(pck, ca, forged), "reordered": dcaptest.PEM(ca, pck, root), "two": dcaptest.PEM(pck, ca), "four": dcaptest.PEM(pck, ca, root, root)} {
		w := dcaptest.New(dcap.SGX)
		w.Chain = chain
		if r, err := run(t, w); err == nil || len(failed(r)) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestIssuerName: the key is right and the name is not: the CA of processors signed, and that of platforms is shown, whose
// CRL says nothing of this certificate.
func TestIssuerName(t *testing.T) {
	v, w := dcaptest.New(dcap.SGX), dcaptest.New(dcap.SGX)
	w.CA.Subject.CommonName = "Intel SGX PCK Processor CA"
	root, ca, _, _ := v.Certificates(t)
	_, _, pck, _ := w.Certificates(t)
	v.Chain = dcaptest.PEM(pck, ca, root)
	if r, err := run(t, v); !errors.Is(err, dcap.ErrChain) || !only(r, "pck-chain") {
		t.Errorf("%v, failed %q", err, failed(r))
	}
	v = dcaptest.New(dcap.SGX)
	ends := v.Endorsements(t)
	ends[2] = w.Endorsements(t)[2]
	r := &attestation.Report{}
	if err := dcap.Verify(parse(t, v), ends, v.Pin(), v.Now.Unix(), r); !errors.Is(err, dcap.ErrCollateral) || !only(r, "collateral") {
		t.Errorf("CRL of another CA: %v, failed %q", err, failed(r))
	}
}

// TestOtherKeys: nothing but P-256 with SHA-256 is read, so no curve of an attacker's choice is ever computed on.
func TestOtherKeys(t *testing.T) {
	for name, curve := range map[string]elliptic.Curve{"P-384": elliptic.P384(), "P-521": elliptic.P521(), "P-224": elliptic.P224()} {
		v := dcaptest.New(dcap.SGX)
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		v.PCKKey = k
		if r, err := run(t, v); !errors.Is(err, dcap.ErrMalformed) || !only(r, "certification-data") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPCKExtension: each member of the SGX extension that is left out.
func TestPCKExtension(t *testing.T) {
	for member := 1; member <= 5; member++ {
		v := dcaptest.New(dcap.SGX)
		v.Platform.Omit = member
		if r, err := run(t, v); !errors.Is(err, dcap.ErrMalformed) || !only(r, "certification-data") {
			t.Errorf("member %d: %v", member, err)
		}
	}
	v := dcaptest.New(dcap.SGX)
	v.Platform.Omit = 6 // the platform instance, which processor certificates lack
	if _, err := run(t, v); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(e *dcaptest.Extension){
		"no CPUSVN":        func(e *dcaptest.Extension) { e.OmitTCB = 18 },
		"no PCE SVN":       func(e *dcaptest.Extension) { e.OmitTCB = 17 },
		"15 components":    func(e *dcaptest.Extension) { e.OmitTCB = 7 },
		"component of 256": func(e *dcaptest.Extension) { e.Components[3] = 256 },
		"negative":         func(e *dcaptest.Extension) { e.Components[3] = -1 },
		"PCE SVN of 65536": func(e *dcaptest.Extension) { e.PCESVN = 1 << 16 },
	} {
		v := dcaptest.New(dcap.SGX)
		change(&v.Platform)
		if _, err := run(t, v); !errors.Is(err, dcap.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStrangersAmongEndorsements: what has no part in the verification is refused, not passed over.
func TestStrangersAmongEndorsements(t *testing.T) {
	v, w := dcaptest.New(dcap.SGX), dcaptest.New(dcap.SGX)
	w.RootKey, w.SigningKey = dcaptest.Key("other"), dcaptest.Key("other signing")
	good := v.Endorsements(t)
	_, _, _, stranger := w.Certificates(t)
	one := func(typ string, body []byte) []attestation.Endorsement {
		return append(append([]attestation.Endorsement{}, good...), attestation.Endorsement{Type: typ, Body: body})
	}
	for name, ends := range map[string][]attestation.Endorsement{
		"a type of another platform": one("application/ocsp-response", []byte{1}),
		"second TCB info":            one(attestation.TCBInfoType, good[3].Body),
		"second QE identity":         one(attestation.QEIdentityType, good[4].Body),
		"second CRL":                 one(attestation.CRLType, good[2].Body),
		"a stranger's certificate":   one(attestation.CertificateType, stranger),
		"not a certificate":          one(attestation.CertificateType, []byte{0x30, 0}),
		"empty chain":                one(attestation.ChainType, []byte{0}),
		"text before a chain":        one(attestation.ChainType, append([]byte("x\n"), good[0].Body...)),
		"spaces before a statement":  append(append([]attestation.Endorsement{}, good[:3]...), attestation.Endorsement{Type: attestation.TCBInfoType, Body: append([]byte(" "), good[3].Body...)}),
	} {
		r := &attestation.Report{}
		if err := dcap.Verify(parse(t, v), ends, v.Pin(), v.Now.Unix(), r); err == nil || len(failed(r)) != 1 {
			t.Errorf("%s: %v, failed %q", name, err, failed(r))
		}
	}
	// What the quote has already, and a second signer that the root certified, do no harm.
	q := parse(t, v)
	v.SigningKey, v.Signing.SerialNumber = dcaptest.Key("renewed"), big.NewInt(44)
	_, _, _, renewed := v.Certificates(t)
	ends := append(one(attestation.CertificateType, renewed), attestation.Endorsement{Type: attestation.ChainType, Body: q.Signature.Chain})
	if err := dcap.Verify(q, ends, v.Pin(), v.Now.Unix(), &attestation.Report{}); err != nil {
		t.Errorf("known and renewed certificates: %v", err)
	}
	v.SigningKey, v.Signing.SerialNumber = dcaptest.Key("renewed again"), big.NewInt(45)
	_, _, _, third := v.Certificates(t)
	ends = append(ends, attestation.Endorsement{Type: attestation.CertificateType, Body: third})
	r := &attestation.Report{}
	if err := dcap.Verify(q, ends, v.Pin(), v.Now.Unix(), r); !errors.Is(err, dcap.ErrMissing) || !only(r, "tcb-signing-chain") {
		t.Errorf("three signers: %v, failed %q", err, failed(r))
	}
}

func TestNothingToVerify(t *testing.T) {
	v := dcaptest.New(dcap.TDX)
	good := parse(t, v)
	for name, change := range map[string]func(q *dcap.Quote){
		"no signature":         func(q *dcap.Quote) { q.Signature = nil },
		"nothing signed":       func(q *dcap.Quote) { q.Signed = nil },
		"no TEE":               func(q *dcap.Quote) { q.TEE = 0 },
		"unknown TEE":          func(q *dcap.Quote) { q.TEE = 3 },
		"SGX with a module":    func(q *dcap.Quote) { q.TEE = dcap.SGX },
		"TDX without a module": func(q *dcap.Quote) { q.Module = nil },
		"short QE report":      func(q *dcap.Quote) { s := *q.Signature; s.QEReport = s.QEReport[1:]; q.Signature = &s },
		"no chain":             func(q *dcap.Quote) { s := *q.Signature; s.Chain = nil; q.Signature = &s },
	} {
		q := *good
		change(&q)
		r := &attestation.Report{}
		if err := dcap.Verify(&q, nil, v.Pin(), v.Now.Unix(), r); !errors.Is(err, dcap.ErrMalformed) || !only(r, "certification-data") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := dcap.Verify(nil, nil, v.Pin(), v.Now.Unix(), &attestation.Report{}); !errors.Is(err, dcap.ErrMalformed) {
		t.Errorf("nil: %v", err)
	}
}
