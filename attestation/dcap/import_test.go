// SPDX-License-Identifier: Apache-2.0

package dcap_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
)

func TestImportRefuses(t *testing.T) {
	long := make([][]byte, 0, 70)
	for i := range 70 {
		long = append(long, []byte(strings.Replace(`{"tcbInfo":{"n":N},"signature":"`+strings.Repeat("00", 64)+`"}`, "N", strings.Repeat("1", i+1), 1)))
	}
	for name, files := range map[string][][]byte{
		"empty":                 {nil},
		"spaces":                {[]byte(" \n")},
		"text":                  {[]byte("hello, world")},
		"broken JSON":           {[]byte("{")},
		"unknown JSON":          {[]byte(`{"x":1}`)},
		"no signature":          {[]byte(`{"tcbInfo":{}}`)},
		"short signature":       {[]byte(`{"tcbInfo":{},"signature":"00"}`)},
		"list of something":     {[]byte(`[{"x":1}]`)},
		"broken PEM":            {[]byte("-----BEGIN CERTIFICATE-----\nAA")},
		"a key":                 {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})},
		"PEM of no certificate": {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})},
		"bad percent":           {[]byte("-----BEGIN%20CERTIFICATE-----%ZZ")},
		"nested too deeply":     {[]byte(strings.Repeat("3", 2*2*2*2*2))},
		"too large":             {make([]byte, attestation.MaxEvidence+1)},
		"too many":              long,
	} {
		if out, err := dcap.Import(nil, files); !errors.Is(err, dcap.ErrImport) || out != nil {
			t.Errorf("%s: %d, %v", name, len(out), err)
		}
		if out, err := dcap.Import(files, nil); !errors.Is(err, dcap.ErrImport) || out != nil {
			t.Errorf("%s, as certificates: %d, %v", name, len(out), err)
		}
	}
	if out, err := dcap.Import(nil, nil); err != nil || len(out) != 0 {
		t.Errorf("nothing: %d, %v", len(out), err)
	}
}

// TestSelect: everything somebody may have collected, of which a quote needs a part.
func TestSelect(t *testing.T) {
	v, tdx := dcaptest.New(dcap.SGX), dcaptest.New(dcap.TDX)
	family := dcaptest.New(dcap.SGX)
	family.TCBInfo["fmspc"] = "112233445566"
	processor := dcaptest.New(dcap.SGX)
	processor.CA.Subject.CommonName, processor.CAKey = "Intel SGX PCK Processor CA", dcaptest.Key("processor")
	processor.PCKCRLKey = processor.CAKey
	root, ca, pck, _ := v.Certificates(t)
	all := []attestation.Endorsement{}
	for _, x := range []*dcaptest.Vendor{tdx, family, processor} {
		all = append(all, x.Endorsements(t)[1:]...)
	}
	for _, der := range [][]byte{root, ca, pck} {
		all = append(all, attestation.Endorsement{Type: attestation.CertificateType, Body: der})
	}
	q := parse(t, v)
	good := v.Endorsements(t)
	for _, list := range [][]attestation.Endorsement{good, append(all[2:4:4], good...)} {
		if err := dcap.Verify(q, dcap.Select(list, q), v.Pin(), v.Now.Unix(), &attestation.Report{}); err != nil {
			t.Error(err)
		}
	}
	got := dcap.Select(all, q)
	for _, e := range got {
		if e.Type == attestation.TCBInfoType && !bytes.Contains(e.Body, []byte(`"id":"SGX"`)) {
			t.Errorf("kept %s", e.Body)
		}
	}
	if len(dcap.Select(all, nil)) != len(all) {
		t.Error("without a quote nothing is left out")
	}
	foreign := dcap.Select(tdx.Endorsements(t), q)
	r := &attestation.Report{}
	if err := dcap.Verify(q, foreign, v.Pin(), v.Now.Unix(), r); !errors.Is(err, dcap.ErrCollateral) || !only(r, "tcb-info") {
		t.Errorf("collateral of TDX for SGX: %v", err)
	}
}

// TestIntelSample reads the sample of Intel's own library: signed under a root that Intel made up for it, with a quote that
// holds no certificates and a TCB info of version 2. None of it passes for the real thing.
func TestIntelSample(t *testing.T) {
	const at = 1577836800 // 2020-01-01
	file := func(name string) []byte {
		return attestationtest.Peer(t, "intel-qvl", "Src_AttestationApp_sampleData_"+name)
	}
	q := file("quote.dat")
	if _, err := dcap.ParseSGXSignature(q[436:]); !errors.Is(err, dcap.ErrMalformed) {
		t.Errorf("certification data of type 1: %v", err)
	}
	ends, err := dcap.Import([][]byte{file("pckSignChain.pem"), file("tcbSignChain.pem")},
		[][]byte{file("rootCaCrl.der"), file("intermediateCaCrl.pem"), file("tcbInfo.json"), file("qeIdentity.json")})
	if err != nil {
		t.Fatal(err)
	}
	// The same signature data with the certificates that belong to it, as a quote of today holds them.
	s := q[436:]
	chain := bytes.Join([][]byte{file("pckCert.pem"), file("pckSignChain.pem")}, nil)
	withChain := append(bytes.Clone(s[:578]), 5, 0, byte(len(chain)), byte(len(chain)>>8), 0, 0)
	sig, err := dcap.ParseSGXSignature(append(withChain, chain...))
	if err != nil {
		t.Fatal(err)
	}
	quote := &dcap.Quote{TEE: dcap.SGX, Signed: q[:432], Signature: sig}
	r := &attestation.Report{}
	if err := dcap.Verify(quote, dcap.Select(ends, quote), dcap.IntelRoot(), at, r); !errors.Is(err, dcap.ErrChain) || !only(r, "root") {
		t.Errorf("under Intel's root: %v", err)
	}
	// Under the root of the sample everything up to the TCB info, whose version nobody publishes any more, is in order.
	p, _ := pem.Decode(file("trustedRootCaCert.pem"))
	root, err := x509.ParseCertificate(p.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	r = &attestation.Report{}
	err = dcap.Verify(quote, dcap.Select(ends, quote), sha256.Sum256(root.RawSubjectPublicKeyInfo), at, r)
	t.Logf("under the sample's root: %v", err)
	if !errors.Is(err, dcap.ErrCollateral) || !only(r, "tcb-info") {
		t.Errorf("under the sample's root: %v, failed %q", err, failed(r))
	}
}
