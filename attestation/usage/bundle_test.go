// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func TestRunsVerify(t *testing.T) {
	for name, s := range map[string]usagetest.Scenario{
		"one dataset":    {},
		"three datasets": {Datasets: 3},
		"simulated":      {Assurance: attestation.AssuranceSimulated},
		"tpm":            {Assurance: attestation.AssuranceTPM},
		"large log":      {Entries: 1000},
		"failed":         {Failed: usage.ReasonTrap},
		"failed while releasing": {Failed: usage.ReasonUnavailable, Datasets: 2, Statement: func(s *usage.Statement) {
			s.Packages, s.Isolation, s.Measured = s.Packages[:2], usage.NotStarted, usage.Measured{}
			s.Execution = nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := usagetest.New(t, s)
			v := r.Verify()
			if !v.OK() || v.Err() != nil {
				t.Fatalf("findings: %v", v.Findings)
			}
			want := s.Assurance
			if want == "" {
				want = attestation.AssuranceSoftwareTPM
			}
			if v.Assurance != want || v.Witnessed || len(v.Facts) == 0 || v.Facts[0].Rule != "unwitnessed" {
				t.Errorf("assurance %q, witnessed %v, facts %v", v.Assurance, v.Witnessed, v.Facts)
			}
			if completed := v.Statement.Outcome == usage.OutcomeCompleted; completed != (v.Result != nil) || completed == (s.Failed != "") {
				t.Errorf("outcome %q with result %v", v.Statement.Outcome, v.Result)
			}
		})
	}
}

// TestPartialRead: a part of a dataset may be read; the verdict says that its read root was not recomputed.
func TestPartialRead(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{Statement: func(s *usage.Statement) {
		p := &s.Packages[1]
		p.Leaves[0].Count, p.ReadRoot = 1, &other
		p.Reads, p.Bytes, p.Records, p.Billable, p.Epochs, p.Heartbeat = 1, 56+4*(16<<10+16), 500, 500, 1, 1
	}})
	v := r.Verify()
	if !v.OK() || v.Facts[0].Rule != "partial-read" {
		t.Errorf("findings %v, facts %v", v.Findings, v.Facts)
	}
	// Records of segments that no delivered leaf touches cannot have been delivered.
	more := r.Again(t, usagetest.Scenario{Statement: func(s *usage.Statement) {
		p := &s.Packages[1]
		p.Leaves[0].Count, p.ReadRoot, p.Reads, p.Heartbeat, p.Epochs, p.Bytes = 1, &other, 1, 1, 1, 60_000
		p.Records, p.Billable = p.Records/2, p.Billable/2
	}})
	wantRule(t, more.Verify().Findings, "use.records")
}

func TestVerifyResult(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{})
	v := r.Verify()
	if err := usage.VerifyResult(v, bytes.NewReader(r.Result)); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty": nil, "truncated": r.Result[:len(r.Result)-1], "longer": append(bytes.Clone(r.Result), 0), "another": []byte("age-encryption.org/v1\nno"),
	} {
		if err := usage.VerifyResult(v, bytes.NewReader(b)); !errors.Is(err, usage.ErrResult) {
			t.Errorf("%s: %v", name, err)
		}
	}
	failed := r.Again(t, usagetest.Scenario{Failed: usage.ReasonTrap}).Verify()
	if err := usage.VerifyResult(failed, bytes.NewReader(r.Result)); !errors.Is(err, usage.ErrResult) {
		t.Errorf("a failed run: %v", err)
	}
	refused := r.Again(t, usagetest.Scenario{Statement: func(s *usage.Statement) { s.Job = other }}).Verify()
	for name, v := range map[string]*usage.Verdict{
		"nil": nil, "zero": {}, "refused": refused, "made by hand": {Verified: true, Statement: v.Statement, Result: v.Result},
	} {
		if err := usage.VerifyResult(v, bytes.NewReader(r.Result)); !errors.Is(err, usage.ErrRefused) {
			t.Errorf("%s verdict: %v", name, err)
		}
	}
}

func TestParseBundle(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{})
	b, err := usage.ParseBundle(r.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	if again := canonical(t, b); !bytes.Equal(again, r.Bundle) {
		t.Error("a parsed bundle does not encode to the same bytes")
	}
	if !bytes.Equal(b.SignedUsage(), r.Parts.Usage) || !json.Valid(b.Sigstore()) {
		t.Error("parts are not what went in")
	}
	bend := func(f func(m map[string]any)) []byte {
		m := bundleJSON(t, r)
		f(m)
		return canonical(t, m)
	}
	for name, c := range map[string]struct {
		b    []byte
		part string
		err  error
	}{
		"empty":             {nil, "bundle", envelope.ErrMalformed},
		"null":              {[]byte("null"), "usage", usage.ErrBundle},
		"huge":              {make([]byte, usage.MaxBundle+1), "bundle", envelope.ErrTooLarge},
		"trailing data":     {append(bytes.Clone(r.Bundle), " {}"...), "bundle", envelope.ErrMalformed},
		"white space":       {append(bytes.Clone(r.Bundle), '\n'), "bundle", envelope.ErrNotCanonical},
		"unknown field":     {bend(func(m map[string]any) { m["extra"] = 1 }), "bundle", envelope.ErrMalformed},
		"another version":   {bend(func(m map[string]any) { m["version"] = 1 }), "bundle", usage.ErrBundle},
		"one manifest":      {bend(func(m map[string]any) { m["manifests"] = m["manifests"].([]any)[:1] }), "bundle", usage.ErrBundle},
		"no grants":         {bend(func(m map[string]any) { m["grants"] = []any{} }), "bundle", usage.ErrBundle},
		"a commit less":     {bend(func(m map[string]any) { m["commits"] = m["commits"].([]any)[:1] }), "bundle", usage.ErrBundle},
		"a null grant":      {bend(func(m map[string]any) { m["grants"].([]any)[1] = nil }), "grant[1]", usage.ErrBundle},
		"no ticket":         {bend(func(m map[string]any) { delete(m, "ticket") }), "ticket", usage.ErrBundle},
		"no evidence":       {bend(func(m map[string]any) { m["evidence"] = nil }), "evidence", usage.ErrBundle},
		"no usage":          {bend(func(m map[string]any) { m["usage"] = nil }), "usage", usage.ErrBundle},
		"usage of a string": {bend(func(m map[string]any) { m["usage"] = "x" }), "proof", envelope.ErrMalformed},
		"no envelope":       {bend(func(m map[string]any) { delete(m["usage"].(map[string]any), "dsseEnvelope") }), "usage", usage.ErrBundle},
		"two log entries": {bend(func(m map[string]any) {
			v := m["usage"].(map[string]any)["verificationMaterial"].(map[string]any)
			v["tlogEntries"] = append(v["tlogEntries"].([]any), v["tlogEntries"].([]any)...)
		}), "proof", usage.ErrBundle},
		"a name re-cased":   {bytes.Replace(r.Bundle, []byte(`"logIndex"`), []byte(`"LogIndex"`), 1), "proof", envelope.ErrNotCanonical},
		"spaces in a part":  {bytes.Replace(r.Bundle, []byte(`"grants":[{`), []byte(`"grants":[{ `), 1), "grant[0]", envelope.ErrNotCanonical},
		"cut in the ticket": {r.Bundle[:bytes.Index(r.Bundle, []byte(`"ticket":`))+30], "ticket", envelope.ErrMalformed},
		"deep nesting":      {[]byte(strings.Repeat("[", 100_000)), "bundle", envelope.ErrMalformed},
	} {
		_, err := usage.ParseBundle(c.b)
		p, ok := errors.AsType[*usage.PartError](err)
		if !ok || p.Part != c.part || !errors.Is(err, c.err) || !errors.Is(err, usage.ErrBundle) {
			t.Errorf("%s: %v, want a %v about %s", name, err, c.err, c.part)
			continue
		}
		v, err := usage.Audit(context.Background(), c.b, r.Trust, r.Formats)
		if err != nil || v.OK() || len(v.Findings) != 1 || v.Findings[0].Rule != "bundle.malformed" {
			t.Errorf("%s: verdict %+v, %v", name, v, err)
		}
	}
}

// TestBundleByHand: a bundle that did not come out of ParseBundle is checked for shape too.
func TestBundleByHand(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{})
	v, err := (&usage.Bundle{}).Verify(context.Background(), r.Trust, r.Formats)
	if err != nil || v.OK() {
		t.Errorf("the zero bundle: %+v, %v", v, err)
	}
	wantRule(t, v.Findings, "bundle.malformed")
}

func TestMakeBundleRefuses(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{})
	body, err := usage.Body(r.Parts.Usage, r.Parts.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	good, err := r.Log.Proof(r.Log.Append(body))
	if err != nil {
		t.Fatal(err)
	}
	moved := good
	moved.Index--
	if _, err := usage.MakeBundle(r.Parts, r.Log.Log, moved); err == nil {
		t.Error("made a bundle with a proof of another entry")
	}
	if _, err := usage.MakeBundle(r.Parts, nil, good); err == nil {
		t.Error("made a bundle without a log")
	}
	parts := r.Parts
	parts.Evidence = []byte("{}")
	if _, err := usage.MakeBundle(parts, r.Log.Log, good); !errors.Is(err, attestation.ErrMalformed) {
		t.Errorf("made a bundle without evidence: %v", err)
	}
	parts = r.Parts
	parts.Commits = parts.Commits[:1]
	if _, err := usage.MakeBundle(parts, r.Log.Log, good); !errors.Is(err, usage.ErrBundle) {
		t.Errorf("made a bundle with a commit too few: %v", err)
	}
}

func TestAllFindingsAreReturned(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{Job: nil, Statement: func(s *usage.Statement) {
		s.Assurance, s.Outputs[0].Name, s.Packages[1].Heartbeat = "tee", "x", 0
	}})
	v := r.Verify()
	for _, rule := range []string{"assurance.statement", "usage.outputs", "use.allowance"} {
		wantRule(t, v.Findings, rule)
	}
	if err := v.Err(); !errors.Is(err, usage.ErrRefused) || !strings.Contains(err.Error(), "more") {
		t.Error(err)
	}
}

func TestCancelledAudit(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if v, err := usage.Audit(ctx, r.Bundle, r.Trust, r.Formats); !errors.Is(err, context.Canceled) || v.OK() {
		t.Errorf("%v, %v", v, err)
	}
}

func TestVerdictAsJSON(t *testing.T) {
	b, err := json.Marshal(usagetest.New(t, usagetest.Scenario{}).Verify())
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	got := map[string]any{"verified": m["verified"], "witnessed": m["witnessed"], "findings": m["findings"]}
	if d := cmp.Diff(map[string]any{"verified": true, "witnessed": false, "findings": []any{}}, got); d != "" {
		t.Error(d)
	}
}
