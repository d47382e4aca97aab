// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
)

// TestEveryPolicyFieldHasWords: a demand, or a check that is given up, which a card does not mention would be signed unseen.
func TestEveryPolicyFieldHasWords(t *testing.T) {
	strict := policyWords(nil)
	n := 0
	for path, change := range map[string]string{
		"tcb.allow":       `{"tcb": {"allow": []}}`,
		"tcb.advisories":  `{"tcb": {"advisories": {"SWHardeningNeeded": ["INTEL-SA-00615"]}}}`,
		"tcb.waivers":     `{"tcb": {"waivers": [{"status": "OutOfDate", "advisories": [], "until": "2027-01-01T00:00:00Z", "reason": "new boards come"}]}}`,
		"snp.minimumTcb":  `{"snp": {"minimumTcb": {}}}`,
		"oidc":            `{"oidc": {"issuers": null, "audience": "a", "support": ["STABLE"], "hardware": ["GCP_INTEL_TDX"]}}`,
		"minimum":         `{"minimumEvaluation": 999}`,
		"chips":           `{"chips": ["c1c1c1c1c1c1c1c1"]}`,
		"sgx.minimumSvn":  `{"sgx": {"minimumSvn": 3}}`,
		"snp.minimum.fmc": `{"snp": {"minimumTcb": {"Turin": {"fmc": 9}}}}`,
	} {
		p := attestation.DefaultPolicy()
		if err := json.Unmarshal([]byte(change), p); err != nil {
			t.Fatal(err)
		}
		if path == "snp.minimumTcb" {
			p.SNP.MinimumTCB = nil
		}
		if slices.Equal(policyWords(p), strict) {
			t.Errorf("no words for %s", path)
		}
		n++
	}
	for _, section := range []string{"SNP", "TDX", "GPU"} { // every switch
		typ := reflect.ValueOf(attestation.DefaultPolicy()).Elem().FieldByName(section).Type()
		for i := range typ.NumField() {
			if typ.Field(i).Type.Kind() != reflect.Bool {
				continue
			}
			p := attestation.DefaultPolicy()
			f := reflect.ValueOf(p).Elem().FieldByName(section).Field(i)
			f.SetBool(!f.Bool())
			words := policyWords(p)
			if slices.Equal(words, strict) {
				t.Errorf("no words for %s.%s", section, typ.Field(i).Name)
			}
			if unsafe := strings.HasPrefix(typ.Field(i).Name, "Unsafe"); unsafe != strings.Contains(strings.Join(words, "\n"), "UNSAFE") {
				t.Errorf("%s.%s is not marked as what it is: %q", section, typ.Field(i).Name, words)
			}
			n++
		}
	}
	t.Logf("%d fields", n)
}

// TestDocumentedPolicies: the first example of the page is the default, and all of them can be given to --policy.
func TestDocumentedPolicies(t *testing.T) {
	b, err := os.ReadFile("../../docs/spec/appraisal.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := strings.Split(string(b), "```json\n")[1:]
	if len(examples) < 2 {
		t.Fatalf("%d examples", len(examples))
	}
	for i, e := range examples {
		text, _, _ := strings.Cut(e, "```")
		p, err := attestation.ParsePolicy([]byte(text))
		if err != nil {
			t.Errorf("example %d: %v", i, err)
			continue
		}
		if i > 0 {
			continue
		}
		got, err := p.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if want, err := attestation.DefaultPolicy().Digest(); err != nil || got != want {
			t.Errorf("the first example is not the default policy: %v", err)
		}
	}
}
