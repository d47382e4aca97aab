// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/verify"
)

// nobodys demands that evidence is explained, every check but the last passed, and that nobody vouches for it.
func nobodys(t *testing.T, name string, e *attestation.Evidence, want ...string) {
	t.Helper()
	r, err := newFormat(t).Authenticate(t.Context(), e, now)
	if !errors.Is(err, verify.ErrEndorsed) || r.Assurance != "" {
		t.Errorf("%s: got %v", name, err)
		return
	}
	for i, c := range r.Checks {
		if last := i == len(r.Checks)-1; (c.Outcome == attestation.Fail) != last || (last && c.Name != "ak-endorsement") {
			t.Errorf("%s: %+v", name, c)
		}
	}
	for _, w := range append(want, "quoted", "resets") {
		if !slices.ContainsFunc(r.Facts, func(f attestation.Fact) bool { return f.Name == w }) {
			t.Errorf("%s: no fact %q", name, w)
		}
	}
}

// TestVouchedForByNobody: what tools leave of a TPM's quote parses, is explained check by check, and is refused.
func TestVouchedForByNobody(t *testing.T) {
	for name, key := range map[string]*tpmtest.Cloud{
		"RSA": tpmtest.NewCloud(t, tpmtest.RSAKey(t, "bare", 2048)), "ECC": tpmtest.NewCloud(t, tpmtest.ECCKey("bare")),
	} {
		message, signature := key.Quote(t, []byte("challenge"))
		spki, err := x509.MarshalPKIXPublicKey(key.Key.Public())
		if err != nil {
			t.Fatal(err)
		}
		var values []byte
		for _, v := range key.PCRs {
			values = append(values, v[:]...)
		}
		public := key.AKPublic()
		for form, ak := range map[string][]byte{
			"TPMT_PUBLIC": public, "TPM2B_PUBLIC": append([]byte{byte(len(public) >> 8), byte(len(public))}, public...),
			"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), "DER": spki,
		} {
			e, err := verify.Import(attestation.Raw{
				Report: message, Collateral: [][]byte{signature, ak, values}, EventLogs: [][]byte{key.Log},
			})
			if err != nil {
				t.Errorf("%s %s: %v", name, form, err)
				continue
			}
			nobodys(t, name+" "+form, e, "pcr23")
		}
	}
	m := newMachine(t, "a")
	e := m.evidence(t, attestationtest.Binding(t, "a"))
	own, err := verify.Import(attestation.Raw{Report: e.Evidence, EventLogs: [][]byte{m.log}})
	if err != nil {
		t.Fatal(err)
	}
	nobodys(t, "own form", own, "pcr14")
}

// TestPeersTPMEvidence is Confidential Containers' own test evidence, of a software TPM.
func TestPeersTPMEvidence(t *testing.T) {
	e, err := verify.Import(attestation.Raw{Report: attestationtest.Peer(t, "trustee", "deps_verifier_test_data_tpm_evidence.json")})
	if err != nil {
		t.Fatal(err)
	}
	nobodys(t, "trustee", e, "pcr0")
}

func TestImportRefuses(t *testing.T) {
	c := tpmtest.NewCloud(t, tpmtest.ECCKey("bare"))
	message, signature := c.Quote(t, []byte("challenge"))
	for name, x := range map[string]struct {
		raw  attestation.Raw
		hint string
	}{
		"nothing":        {attestation.Raw{}, "0 bytes"},
		"message alone":  {attestation.Raw{Report: message}, "as collateral"},
		"no values":      {attestation.Raw{Report: message, Collateral: [][]byte{signature, c.AKPublic()}}, "0 PCR values"},
		"something else": {attestation.Raw{Report: message, Collateral: [][]byte{[]byte("hello")}}, "neither"},
		"other JSON":     {attestation.Raw{Report: []byte(`{"a":1}`)}, "ak_public"},
	} {
		if _, err := verify.Import(x.raw); !errors.Is(err, verify.ErrImport) || !strings.Contains(err.Error(), x.hint) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestForeignQuoteRefused: a bad signature, other values, a key that is none.
func TestForeignQuoteRefused(t *testing.T) {
	c := tpmtest.NewCloud(t, tpmtest.ECCKey("bare"))
	good := func() quote.Evidence {
		m, s := c.Quote(t, []byte("challenge"))
		return quote.Evidence{AKPublic: c.AKPublic(), PCRs: c.Values(), Quote: m, Signature: s}
	}
	for name, x := range map[string]struct {
		change func(*quote.Evidence)
		want   error
	}{
		"signature": {func(q *quote.Evidence) { q.Signature = tpmtest.NewCloud(t, tpmtest.ECCKey("x")).Sign(t, q.Quote) }, quote.ErrSignature},
		"values":    {func(q *quote.Evidence) { q.PCRs["pcr9"] = strings.Repeat("0", 64) }, quote.ErrPCRs},
		"key":       {func(q *quote.Evidence) { q.AKPublic = []byte("none") }, quote.ErrKey},
	} {
		q := good()
		x.change(&q)
		raw, err := q.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newFormat(t).Authenticate(t.Context(), &attestation.Evidence{Evidence: raw}, now); !errors.Is(err, x.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
