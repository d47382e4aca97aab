// SPDX-License-Identifier: Apache-2.0

package attestation_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const now = 1_790_000_000

// echo is a platform whose evidence is the bound digest itself; the report can be bent by a test.
type echo struct {
	platform attestation.Platform
	bend     func(*attestation.Report) *attestation.Report
}

var errForged = errors.New("forged")

func (f echo) Platform() attestation.Platform { return f.platform }

func (f echo) Authenticate(_ context.Context, e *attestation.Evidence, _ int64) (*attestation.Report, error) {
	if len(e.Evidence) != 32 {
		return nil, errForged
	}
	r := &attestation.Report{
		Platform: f.platform, Assurance: attestation.AssuranceSoftwareTPM, Bound: e.Evidence, Measurements: measured(),
	}
	if f.bend != nil {
		r = f.bend(r)
	}
	return r, nil
}

func (f echo) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if !bytes.Equal(r.Bound, d[:]) {
		return errors.New("other digest")
	}
	return nil
}

func nested(e *attestation.Evidence) attestation.Nested {
	return attestation.Nested{Platform: e.Platform, Evidence: e.Evidence, Endorsements: e.Endorsements, EventLogs: e.EventLogs}
}

func measured() map[string]string {
	m := map[string]string{"enclave": strings.Repeat("ab", 32)}
	for i, p := range []string{"pcr0", "pcr2", "pcr4", "pcr7", "pcr8", "pcr9", "pcr11", "pcr12", "pcr13", "pcr14"} {
		m[p] = strings.Repeat(fmt.Sprintf("%02x", i+1), 32)
	}
	return m
}

func reference() *attestation.Reference {
	return &attestation.Reference{Version: 3, NotAfter: now + 60, Values: []attestation.ReferenceValue{
		{Name: "v1", Platform: attestation.PlatformTPM, Measurements: measured()},
	}}
}

func newVerifier(t *testing.T, ref *attestation.Reference, bend func(*attestation.Report) *attestation.Report) *attestation.Verifier {
	t.Helper()
	v, err := attestation.NewVerifier(ref, echo{attestation.PlatformTPM, bend})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newEvidence(t *testing.T, seed string) *attestation.Evidence {
	t.Helper()
	b := attestationtest.Binding(t, seed)
	d, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return &attestation.Evidence{
		Version: 1, Platform: attestation.PlatformTPM, Evidence: d[:], Claims: b,
		Endorsements: []attestation.Endorsement{{Type: "x", Body: []byte("x")}},
		EventLogs:    []attestation.EventLog{{Type: "x", Body: []byte("x")}},
		Nested:       []attestation.Nested{},
	}
}

func encode(t *testing.T, e *attestation.Evidence) []byte {
	t.Helper()
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestVerify(t *testing.T) {
	e := newEvidence(t, "a")
	raw := encode(t, e)
	c, err := newVerifier(t, reference(), nil).Verify(t.Context(), raw, now)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := e.Claims.Digest()
	if !c.Valid() || c.Bound() != d || c.EvidenceDigest() != envelope.Sum(raw) || c.Reference() != "v1" ||
		c.Platform() != attestation.PlatformTPM || c.Assurance() != attestation.AssuranceSoftwareTPM {
		t.Errorf("claims %+v", c)
	}
	if diff := cmp.Diff(measured(), c.Measurements()); diff != "" {
		t.Error(diff)
	}
	c.Measurements()["enclave"] = "changed"
	c.Binding().Owners[0] = attestation.Owner{}
	if c.Measurements()["enclave"] == "changed" || c.Binding().Owners[0].Nonce.IsZero() {
		t.Error("claims can be changed by their reader")
	}
	if (&attestation.Claims{}).Valid() || (*attestation.Claims)(nil).Valid() {
		t.Error("claims without evidence are valid")
	}
}

// TestEvidenceOfAnotherEnclave: authentic evidence beside another enclave's claims is not bound to them.
func TestEvidenceOfAnotherEnclave(t *testing.T) {
	mine, other := newEvidence(t, "mine"), newEvidence(t, "other")
	mine.Evidence = other.Evidence
	_, err := newVerifier(t, reference(), nil).Verify(t.Context(), encode(t, mine), now)
	if !errors.Is(err, attestation.ErrBind) {
		t.Errorf("got %v", err)
	}
}

func TestPlatformRefusedByName(t *testing.T) {
	e := newEvidence(t, "a")
	e.Platform = attestation.PlatformSimulated
	_, err := newVerifier(t, reference(), nil).Verify(t.Context(), encode(t, e), now)
	if !errors.Is(err, attestation.ErrPlatform) || !strings.Contains(err.Error(), `"simulated" is refused by name`) {
		t.Errorf("got %v", err)
	}
}

func TestNestedEvidenceRefused(t *testing.T) {
	e := newEvidence(t, "a")
	e.Nested = []attestation.Nested{nested(newEvidence(t, "b"))}
	if _, err := newVerifier(t, reference(), nil).Verify(t.Context(), encode(t, e), now); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("got %v", err)
	}
}

func TestReportRefused(t *testing.T) {
	type report = attestation.Report
	for name, c := range map[string]struct {
		bend func(*report) *report
		want error
	}{
		"none":                 {func(*report) *report { return nil }, attestation.ErrAuthenticate},
		"of another platform":  {func(r *report) *report { r.Platform = attestation.PlatformSimulated; return r }, attestation.ErrAuthenticate},
		"more than it can be":  {func(r *report) *report { r.Assurance = attestation.AssuranceTEE; return r }, attestation.ErrAuthenticate},
		"without assurance":    {func(r *report) *report { r.Assurance = ""; return r }, attestation.ErrAuthenticate},
		"of nothing bound":     {func(r *report) *report { r.Bound = nil; return r }, attestation.ErrBind},
		"in debug mode":        {func(r *report) *report { r.Debug = true; return r }, attestation.ErrAppraise},
		"without measurements": {func(r *report) *report { r.Measurements = nil; return r }, attestation.ErrAppraise},
		"one digit off": {func(r *report) *report {
			r.Measurements = maps.Clone(r.Measurements)
			r.Measurements["pcr14"] = strings.Repeat("0a", 31) + "0b"
			return r
		}, attestation.ErrAppraise},
	} {
		_, err := newVerifier(t, reference(), c.bend).Verify(t.Context(), encode(t, newEvidence(t, "a")), now)
		if !errors.Is(err, c.want) || !errors.Is(err, attestation.ErrEvidence) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestEvidenceRefused(t *testing.T) {
	v := newVerifier(t, reference(), nil)
	forged := newEvidence(t, "a")
	forged.Evidence = []byte("short")
	for name, c := range map[string]struct {
		v    *attestation.Verifier
		raw  []byte
		now  int64
		want error
	}{
		"no verifier":        {nil, encode(t, newEvidence(t, "a")), now, attestation.ErrEvidence},
		"zero verifier":      {&attestation.Verifier{}, encode(t, newEvidence(t, "a")), now, attestation.ErrPlatform},
		"no time":            {v, encode(t, newEvidence(t, "a")), 0, attestation.ErrEvidence},
		"empty":              {v, nil, now, attestation.ErrMalformed},
		"too large":          {v, make([]byte, attestation.MaxEvidence+1), now, attestation.ErrMalformed},
		"not canonical":      {v, append(encode(t, newEvidence(t, "a")), '\n'), now, attestation.ErrMalformed},
		"forged":             {v, encode(t, forged), now, attestation.ErrAuthenticate},
		"reference outlived": {v, encode(t, newEvidence(t, "a")), now + 61, attestation.ErrAppraise},
	} {
		if _, err := c.v.Verify(t.Context(), c.raw, c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestTooManyParts(t *testing.T) {
	for name, change := range map[string]func(*attestation.Evidence){
		"endorsements": func(e *attestation.Evidence) {
			e.Endorsements = append(e.Endorsements, make([]attestation.Endorsement, 64)...)
		},
		"event logs":        func(e *attestation.Evidence) { e.EventLogs = append(e.EventLogs, make([]attestation.EventLog, 4)...) },
		"empty event log":   func(e *attestation.Evidence) { e.EventLogs[0].Body = nil },
		"empty endorsement": func(e *attestation.Evidence) { e.Endorsements[0].Body = nil },
		"nested": func(e *attestation.Evidence) {
			for range 5 {
				e.Nested = append(e.Nested, nested(newEvidence(t, "n")))
			}
		},
		"nested without evidence": func(e *attestation.Evidence) {
			e.Nested = []attestation.Nested{{Platform: attestation.PlatformGPU}}
		},
	} {
		e := newEvidence(t, "a")
		change(e)
		if _, err := attestation.ParseEvidence(encode(t, e)); !errors.Is(err, attestation.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestEveryFieldOfEvidence leaves out each field in turn. Those of the endorsements and event logs are the platform's to
// judge (see package verify) and only their emptiness is refused here.
func TestEveryFieldOfEvidence(t *testing.T) {
	v := newVerifier(t, reference(), nil)
	for _, m := range attestationtest.Mutations(t, encode(t, newEvidence(t, "a"))) {
		if m.Name == "$.endorsements zeroed" || m.Name == "$.eventLogs zeroed" {
			continue
		}
		if _, err := v.Verify(t.Context(), m.Doc, now); !errors.Is(err, attestation.ErrEvidence) {
			t.Errorf("%s: got %v", m.Name, err)
		}
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	if _, err := attestation.NewVerifier(reference()); !errors.Is(err, attestation.ErrPlatform) {
		t.Errorf("no format: %v", err)
	}
	if _, err := attestation.NewVerifier(reference(), nil); !errors.Is(err, attestation.ErrPlatform) {
		t.Errorf("nil format: %v", err)
	}
	f := echo{platform: attestation.PlatformTPM}
	if _, err := attestation.NewVerifier(reference(), f, f); !errors.Is(err, attestation.ErrPlatform) {
		t.Errorf("one format twice: %v", err)
	}
	if _, err := attestation.NewVerifier(reference(), echo{platform: "other"}); !errors.Is(err, attestation.ErrPlatform) {
		t.Errorf("unknown platform: %v", err)
	}
	for name, ref := range map[string]*attestation.Reference{"none": nil, "empty": {Version: 1, NotAfter: now}} {
		if _, err := attestation.NewVerifier(ref, f); !errors.Is(err, attestation.ErrReference) {
			t.Errorf("%s reference: %v", name, err)
		}
	}
}

// TestReferenceIsCopied: a relying party that later changes its list does not change a verifier.
func TestReferenceIsCopied(t *testing.T) {
	ref := reference()
	v := newVerifier(t, ref, nil)
	ref.Values[0].Measurements["pcr0"] = strings.Repeat("ff", 32)
	if _, err := v.Verify(t.Context(), encode(t, newEvidence(t, "a")), now); err != nil {
		t.Errorf("got %v", err)
	}
	ref.Values = nil
	if _, err := v.Verify(t.Context(), encode(t, newEvidence(t, "a")), now); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestAssuranceOrder(t *testing.T) {
	order := []attestation.Assurance{
		attestation.AssuranceSimulated, attestation.AssuranceSoftwareTPM, attestation.AssuranceTPM, attestation.AssuranceTEE,
	}
	for i, a := range order {
		for j, b := range order {
			if a.AtLeast(b) != (i >= j) {
				t.Errorf("%s at least %s: %v", a, b, a.AtLeast(b))
			}
		}
		for _, unknown := range []attestation.Assurance{"", "hardware"} {
			if a.AtLeast(unknown) || unknown.AtLeast(a) || unknown.AtLeast(unknown) {
				t.Errorf("unknown assurance %q compares", unknown)
			}
		}
	}
}

func FuzzParseEvidence(f *testing.F) {
	b := attestationtest.Binding(f, "fuzz")
	e := attestation.Evidence{Version: 1, Platform: "tpm", Evidence: []byte{1}, Claims: b}
	raw, err := e.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := attestation.ParseEvidence(in)
		if err != nil {
			if !errors.Is(err, attestation.ErrMalformed) {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		out, err := e.Encode()
		if err != nil || !bytes.Equal(in, out) {
			t.Fatalf("re-encoding differs: %v", err)
		}
		if _, err := e.Claims.Digest(); err != nil {
			t.Fatalf("parsed claims have no digest: %v", err)
		}
	})
}
