// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// TestCodeByItsOwner: terms that admit one owner's code verify with it.
func TestCodeByItsOwner(t *testing.T) {
	if v := usagetest.New(t, byCoder()).Verify(); !v.OK() {
		t.Error(v.Findings)
	}
}

// TestCheckJob: terms that admit one buyer and one code package admit those, and the zero terms nobody and nothing.
func TestCheckJob(t *testing.T) {
	buyer, coder := mustKey(envelope.RoleBuyer).Public(), mustKey(envelope.RoleOwner).Public()
	m := &dataset.Manifest{Kind: dataset.KindDataset, Terms: dataset.Terms{Purposes: []string{"research"}}.ForAnyone()}
	m.Terms.Buyers = dataset.Buyers{Keys: []envelope.PublicKey{buyer}}
	m.Terms.Code = dataset.Code{Manifests: []envelope.Digest{other}}
	j := &job.Job{Buyer: buyer, Code: other, Purpose: "research", Use: job.Use{Territory: "DE"}, Outputs: []job.Output{{Name: "m", Class: "model"}}}
	rules := func(coder envelope.PublicKey) (out []string) {
		for _, p := range usage.CheckJob(j, &grant.Obligations{Outputs: []string{"model"}}, m, coder) {
			out = append(out, p.Rule)
		}
		return slices.Compact(out)
	}
	if got := rules(envelope.PublicKey{}); got != nil {
		t.Errorf("a buyer and code on the lists: %v", got)
	}
	m.Terms.Code = dataset.Code{Owners: []envelope.PublicKey{coder}}
	if got := rules(coder); got != nil {
		t.Errorf("code by an owner on the list: %v", got)
	}
	if got := rules(envelope.PublicKey{}); !slices.Equal(got, []string{"terms.code"}) {
		t.Errorf("code by nobody: %v", got)
	}
	all := []string{"terms.buyers", "terms.code", "terms.purpose", "terms.licence"}
	for _, kind := range []dataset.Kind{dataset.KindDataset, ""} {
		m.Kind, m.Terms = kind, dataset.Terms{}
		if got := rules(coder); !slices.Equal(got, all) {
			t.Errorf("zero terms, kind %q: %v", kind, got)
		}
	}
	m.Kind = dataset.KindCode
	if got := rules(coder); got != nil {
		t.Errorf("code is its owner's word: %v", got)
	}
}
