// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/oidc/verify"
)

// Real tokens of Confidential Space are in the history of project-oak/oak, of type PKI: one of a TDX machine with a
// production image (ctf_sha2/confidential_space/samples), and of a SEV machine with a debug image (oak_attestation_gcp/testdata).
const (
	oakTDX     = "sample.jwt"
	oakSEV     = "valid.jwt"
	oakBroken  = "invalid_signature.jwt"
	oakSelf    = "confidential_space_valid.jwt" // self-signed, with claims of jwt.io
	tdxNonce   = "75a91c8dbe289f190d5e70ab1cb70c93cc14d7243f0ef3ff5326a622ead220a6"
	tdxIssued  = 1757060250
	sevIssued  = 1750688551
	sevExpires = 1750692151
)

func load(t testing.TB, name string) (*attestation.Evidence, attestation.Format) {
	t.Helper()
	e, err := verify.Import(attestation.Raw{Report: attestationtest.Peer(t, "oak", name)})
	if err != nil {
		t.Fatal(err)
	}
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	return e, f
}

func TestRealTDXToken(t *testing.T) {
	e, f := load(t, oakTDX)
	r, err := f.Authenticate(t.Context(), e, tdxIssued)
	if err != nil {
		t.Fatal(err)
	}
	if r.Assurance != attestation.AssuranceTEE || r.Debug || r.Measurements["image"] != image || r.Measurements["image-id"] != imageID || hex.EncodeToString(r.Bound) != tdxNonce {
		t.Errorf("%+v", r)
	}
	if r.TCB == nil || r.TCB.Status != attestation.UpToDate || len(r.Collateral) != 4 || len(r.Facts) < 15 {
		t.Errorf("%+v", r)
	}
	p := policy(t)
	p.OIDC.Issuers, p.OIDC.Audience = nil, "z08381475938604996746"
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		p      *attestation.Policy
		after  time.Duration
		accept bool
	}{
		{"at its time", p, 0, true},
		{"a clock behind", p, -time.Minute, true},
		{"too early", p, -3 * time.Minute, false},
		{"an hour later", p, 59 * time.Minute, true},
		{"expired", p, 61 * time.Minute, false},
		{"another audience", policy(t), 0, false},
		{"a policy without tokens", attestation.DefaultPolicy(), 0, false},
	} {
		in, err := attestation.NewInspector(references(image, c.p), nil, f)
		if err != nil {
			t.Fatal(err)
		}
		v, err := in.Inspect(t.Context(), raw, tdxIssued+int64(c.after/time.Second), r.Bound)
		if err != nil || v.Accepted() != c.accept {
			t.Errorf("%s: %v, %v", c.name, err, v.Err())
		}
	}
}

func TestRealDebugToken(t *testing.T) {
	e, f := load(t, oakSEV)
	r, err := f.Authenticate(t.Context(), e, sevIssued)
	if err != nil || !r.Debug || r.Assurance != attestation.AssuranceTPM || string(r.Bound) != "a nonce between 10 and 74 characters" {
		t.Fatalf("%+v, %v", r, err)
	}
	p := policy(t)
	p.OIDC.Audience, p.OIDC.Hardware = "https://echo.oak.dev", []string{"GCP_AMD_SEV"}
	in, err := attestation.NewInspector(references(r.Measurements["image"], p), nil, f)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	v, err := in.Inspect(t.Context(), raw, sevIssued, nil)
	if err != nil || !errors.Is(v.Err(), attestation.ErrAppraise) {
		t.Errorf("%v, %v", err, v.Err())
	}
	failed := map[string]bool{}
	for _, c := range v.Parts[0].Checks {
		if c.Outcome == attestation.Fail {
			failed[c.Name] = true
		}
	}
	if len(failed) != 2 || !failed["debug"] || !failed["oidc-support"] {
		t.Errorf("failed: %v", failed)
	}
}

func TestRealTokensThatAreRefused(t *testing.T) {
	e, f := load(t, oakBroken)
	if _, err := f.Authenticate(t.Context(), e, sevIssued); !errors.Is(err, verify.ErrSignature) {
		t.Error(err)
	}
	// Signed by itself: one certificate, which leads nowhere.
	if _, err := verify.Import(attestation.Raw{Report: attestationtest.Peer(t, "oak", oakSelf)}); !errors.Is(err, verify.ErrChain) {
		t.Error(err)
	}
}

func TestImportForms(t *testing.T) {
	token, _ := newFake("0123456789").build(t)
	text, err := json.Marshal(map[string]any{"token": string(token), "expires": 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"compact": token, "newline": append(bytes.Clone(token), '\n'), "JSON": text, "wrapped": bytes.Replace(token, []byte("."), []byte("\r\n."), 2),
	} {
		e, err := verify.Import(attestation.Raw{Report: raw})
		if err != nil || !bytes.Equal(e.Evidence, token) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, raw := range map[string]attestation.Raw{
		"nothing": {}, "text": {Report: []byte("token")}, "JSON without it": {Report: []byte(`{"x":1}`)}, "half JSON": {Report: []byte(`{"token":`)},
		"oversized": {Report: make([]byte, 1<<20)}, "two parts": {Report: []byte("e30.e30")},
		"a key set": {Report: token, Collateral: [][]byte{jwks(t, "published", fakeKeys()[3])}}, "a root": {Report: token, Certs: [][]byte{{1}}}, "a log": {Report: token, EventLogs: [][]byte{{1}}},
	} {
		if e, err := verify.Import(raw); !errors.Is(err, verify.ErrImport) {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
}
