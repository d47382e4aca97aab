// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
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
		"minimum":         `{"minimumEvaluation": 17}`,
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
