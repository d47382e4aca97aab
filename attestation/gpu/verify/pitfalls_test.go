// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ocsp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/chain"
	"github.com/glovebox-dev/glovebox/attestation/gpu/gputest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/verify"
)

// TestGoNVTrustTakesTheLastCertificateAsRoot: go-nvtrust's CertChain.Verify puts the last certificate of the chain into
// its pool of roots, so that any chain is its own authority. This does the same, which accepts a stranger's chain; ours
// has NVIDIA's root pinned and refuses it.
func TestGoNVTrustTakesTheLastCertificateAsRoot(t *testing.T) {
	s := newScenario(t)
	e := s.evidence()
	certs, err := chain.Parse(e.Find(attestation.CertificateType))
	if err != nil {
		t.Fatal(err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(certs[len(certs)-1])
	for _, c := range certs[1 : len(certs)-1] {
		between.AddCert(c)
	}
	certs[0].UnhandledCriticalExtensions = nil
	_, err = certs[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: certs[0].NotBefore.AddDate(0, 0, 1),
	})
	if err != nil {
		t.Errorf("the trap: a chain that is its own authority is refused by the library: %v", err)
	}
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Authenticate(t.Context(), e, s.now); !errors.Is(err, chain.ErrRoot) {
		t.Errorf("ours: %v", err)
	}
}

// TestLocalEATIsUnsigned: what NVIDIA's local verifier writes is a token with "alg":"none". It is refused as evidence, and
// the refusal says what to give instead.
func TestLocalEATIsUnsigned(t *testing.T) {
	token := `{"claims":[{"measres":"success"}],"detached_eat":[["JWT","` + base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + `.e30."]]}`
	for _, report := range []string{token, `{"detached_eat":[]}`, "eyJhbGciOiJub25lIn0.e30."} {
		_, err := verify.Import(attestation.Raw{Report: []byte(report), Certs: [][]byte{{0x30}}})
		if !errors.Is(err, attestation.ErrMalformed) {
			t.Errorf("%s: %v", report, err)
		}
	}
	real := attestationtest.Peer(t, "dstack", "dstack_dstack-util_tests_fixtures_gpu_attestation_h100.json")
	_, err := verify.Import(attestation.Raw{Report: real, Certs: [][]byte{{0x30}}})
	if !errors.Is(err, attestation.ErrMalformed) || !strings.Contains(err.Error(), "give the report itself") {
		t.Errorf("dstack's: %v", err)
	}
}

// TestNonceOfTheRequest: a report has two nonces, and the responder chooses the second. Only the first is an answer.
func TestNonceOfTheRequest(t *testing.T) {
	s := newScenario(t)
	d := s.report.Nonce
	s.report.Nonce = [32]byte{1}
	s.report.Edit = func(b []byte) []byte {
		at := 37 + 8 + 64*55
		copy(b[at:], d[:])
		return b
	}
	if err := s.run(t); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("got %v", err)
	}
}

// TestOCSPLibraryAcceptsNeighbours: golang.org/x/crypto/ocsp accepts an answer signed by any certificate of the same
// issuer, marked as a responder or not, and compares serial numbers only. Ours demands both.
func TestOCSPLibraryAcceptsNeighbours(t *testing.T) {
	v := gputest.New(gputest.Options{})
	a := gputest.Answer{Status: ocsp.Good, From: gputest.Now - 1, To: gputest.Now + 1, Responder: gputest.Responder(v.Device[2], false)}
	raw := gputest.OCSP(v.Device, 1, a)
	if _, err := ocsp.ParseResponseForCert(raw, v.Device[1].Cert, v.Device[2].Cert); err != nil {
		t.Errorf("the trap: the library refuses it: %v", err)
	}
	var certs []*x509.Certificate
	for _, c := range v.Device {
		certs = append(certs, c.Cert)
	}
	if _, err := chain.Revocation(certs, 1, [][]byte{raw}, gputest.Now); !errors.Is(err, chain.ErrOCSP) {
		t.Errorf("ours: %v", err)
	}
	a.Responder = gputest.Responder(v.Device[2], true)
	got, err := chain.Revocation(certs, 1, [][]byte{gputest.OCSP(v.Device, 1, a)}, gputest.Now)
	if err != nil || len(got) != 1 {
		t.Errorf("a responder that the issuer appointed: %v", err)
	}
}

// TestImportForms: the forms that peers keep evidence in.
func TestImportForms(t *testing.T) {
	s := newScenario(t)
	e := s.evidence()
	certs := gputest.Certs(s.vendor.Device)
	var pems strings.Builder
	for _, c := range certs {
		pems.WriteString("-----BEGIN CERTIFICATE-----\n" + base64.StdEncoding.EncodeToString(c) + "\n-----END CERTIFICATE-----\n")
	}
	b64 := base64.StdEncoding.EncodeToString
	one := `{"arch":"HOPPER","evidence":"` + b64(e.Evidence) + `","certificate":"` + b64([]byte(pems.String())) + `"}`
	service, err := json.Marshal(map[string]any{"id": "NV_GPU_DRIVER_GH100_550.90.07", "rim": e.Endorsements[5].Body})
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string]attestation.Raw{
		"binary, DER":       {Report: e.Evidence, Certs: certs},
		"padded":            {Report: append(e.Evidence[:len(e.Evidence):len(e.Evidence)], 0), Certs: certs},
		"base64, PEM":       {Report: []byte(b64(e.Evidence) + "\n"), Certs: [][]byte{[]byte(pems.String())}},
		"base64 of PEM":     {Report: e.Evidence, Certs: [][]byte{[]byte(b64([]byte(pems.String())))}},
		"one":               {Report: []byte(one)},
		"Trustee":           {Report: []byte(`{"device_evidence_list":[` + one + `]}`)},
		"NRAS":              {Report: []byte(`{"nonce":"00","evidence_list":[` + one + `],"arch":"HOPPER"}`)},
		"the RIM service's": {Report: e.Evidence, Certs: certs, Collateral: [][]byte{service}},
	} {
		if raw.Collateral == nil {
			raw.Collateral = [][]byte{e.Endorsements[5].Body}
		}
		raw.Collateral = append(raw.Collateral, e.Endorsements[6].Body, e.Endorsements[7].Body)
		got, err := verify.Import(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got.Find(attestation.DriverRIMType)) != 1 || len(got.Find(attestation.VBIOSRIMType)) != 1 || len(got.Find(attestation.OCSPType)) != 1 {
			t.Errorf("%s: %d endorsements", name, len(got.Endorsements))
		}
		if _, err := s.format().Authenticate(t.Context(), got, s.now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestImportRefuses: files that are not what they are given as.
func TestImportRefuses(t *testing.T) {
	s := newScenario(t)
	e := s.evidence()
	certs := gputest.Certs(s.vendor.Device)
	for name, raw := range map[string]attestation.Raw{
		"nothing":          {},
		"no certificates":  {Report: e.Evidence},
		"event log":        {Report: e.Evidence, Certs: certs, EventLogs: [][]byte{{1}}},
		"two devices":      {Report: []byte(`{"evidence_list":[{"evidence":"AA=="},{"evidence":"AA=="}]}`), Certs: certs},
		"no device":        {Report: []byte(`{}`), Certs: certs},
		"words":            {Report: []byte("a report"), Certs: certs},
		"two zeros more":   {Report: append(e.Evidence[:len(e.Evidence):len(e.Evidence)], 0, 1), Certs: certs},
		"certificate text": {Report: e.Evidence, Certs: [][]byte{[]byte("a certificate")}},
		"a key":            {Report: e.Evidence, Certs: [][]byte{[]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")}},
		"collateral text":  {Report: e.Evidence, Certs: certs, Collateral: [][]byte{[]byte("a manifest")}},
		"empty collateral": {Report: e.Evidence, Certs: certs, Collateral: [][]byte{{}}},
		"JSON collateral":  {Report: e.Evidence, Certs: certs, Collateral: [][]byte{[]byte(`{"rim":""}`)}},
		"oversized":        {Report: make([]byte, 2<<20), Certs: certs},
	} {
		if _, err := verify.Import(raw); !errors.Is(err, attestation.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
