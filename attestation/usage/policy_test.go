// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
)

// TestStricterListFailsTheAudit: evidence that was good enough under the list that a broker released by is judged again by
// the auditor's, and the finding names the check.
func TestStricterListFailsTheAudit(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{Reference: func(ref *attestation.Reference) { ref.Policy = attestation.DefaultPolicy() }})
	if v := r.Verify(); !v.OK() {
		t.Fatalf("under the first list: %v", v.Findings)
	}
	for check, change := range map[string]func(*attestation.Policy){
		"chip": func(p *attestation.Policy) { p.Chips = []string{strings.Repeat("c1", 32)} },
		"gpu":  func(p *attestation.Policy) { p.GPU.Required = true },
	} {
		t.Run(check, func(t *testing.T) {
			strict := r.Trust
			list, _, err := attestation.VerifyReference(r.Trust.References[0].Signed, r.Trust.References[0].Key)
			if err != nil {
				t.Fatal(err)
			}
			list.Version++
			change(list.Policy)
			signed, err := attestation.SignReference(list, r.Keys.Reference.Signer)
			if err != nil {
				t.Fatal(err)
			}
			strict.References = []usage.TrustedReference{{Key: r.Trust.References[0].Key, Signed: signed}}
			v, err := usage.Audit(t.Context(), r.Bundle, strict, r.Formats)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(v.Findings, func(f usage.Finding) bool {
				return f.Rule == "evidence.appraise" && f.Part == "evidence" && strings.Contains(f.Message, ": "+check+":")
			}) {
				t.Errorf("no finding names check %s: %v", check, v.Findings)
			}
		})
	}
}
