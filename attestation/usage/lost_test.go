// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// lost signs a record that fits grant 1 of r but for what bend does.
func lost(t *testing.T, r *usagetest.Run, bend func(l *grant.LeaseLost)) []byte {
	t.Helper()
	g, err := grant.VerifyGrant(r.Parts.Grants[1], r.Keys.CreatorBroker.Public())
	if err != nil {
		t.Fatal(err)
	}
	l := grant.LeaseLost{
		Binding: g.Predicate.Binding, Grant: g.ID, Job: g.Predicate.Job, Manifest: g.Predicate.Manifest, Attempt: 1, LastHeartbeat: 3,
		Reason: grant.LostSilent, Sequence: 5, Previous: &g.ID, Time: usagetest.Now + 60_000,
	}
	if bend != nil {
		bend(&l)
	}
	signed, _, err := grant.Sign(&l, r.Keys.CreatorBroker.Signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestLeaseLost(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{})
	l, findings := usage.VerifyLeaseLost(lost(t, r, nil), r.Parts.Grants[1], r.Parts.Manifests[1], r.Trust)
	if len(findings) != 0 || l == nil || l.LastHeartbeat != 3 {
		t.Fatalf("%+v, %v", l, findings)
	}
}

var lostCases = map[string]func(l *grant.LeaseLost){
	"lost.binding":  func(l *grant.LeaseLost) { l.Binding = other },
	"lost.grant":    func(l *grant.LeaseLost) { l.Grant = other },
	"lost.job":      func(l *grant.LeaseLost) { l.Job = other },
	"lost.manifest": func(l *grant.LeaseLost) { l.Manifest = other },
	"lost.attempt":  func(l *grant.LeaseLost) { l.Attempt = 2 },
	"lost.sequence": func(l *grant.LeaseLost) { l.Sequence = 4 },
	"lost.time":     func(l *grant.LeaseLost) { l.Time = usagetest.Now },
}

func TestLeaseLostRefusals(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{})
	for rule, bend := range lostCases {
		_, findings := usage.VerifyLeaseLost(lost(t, r, bend), r.Parts.Grants[1], r.Parts.Manifests[1], r.Trust)
		wantRule(t, findings, rule)
	}
	_, findings := usage.VerifyLeaseLost(lost(t, r, func(l *grant.LeaseLost) { l.Previous = &other }), r.Parts.Grants[1], r.Parts.Manifests[1], r.Trust)
	wantRule(t, findings, "lost.sequence")

	good := lost(t, r, nil)
	forged, err := usagetest.Resign(good, r.Keys.Nobody, func(map[string]any) {})
	if err != nil {
		t.Fatal(err)
	}
	_, findings = usage.VerifyLeaseLost(forged, r.Parts.Grants[1], r.Parts.Manifests[1], r.Trust)
	wantRule(t, findings, "lost.signature")
	_, findings = usage.VerifyLeaseLost(good, r.Parts.Grants[0], r.Parts.Manifests[1], r.Trust)
	wantRule(t, findings, "grant.signature")
	_, findings = usage.VerifyLeaseLost(good, r.Parts.Grants[1], r.Parts.Job, r.Trust)
	wantRule(t, findings, "manifest.signature")
	_, findings = usage.VerifyLeaseLost(good, r.Parts.Grants[1], r.Parts.Manifests[1], usage.Trust{})
	wantRule(t, findings, "manifest.owner")
	foreign := usagetest.New(t, usagetest.Scenario{})
	_, findings = usage.VerifyLeaseLost(good, r.Parts.Grants[1], foreign.Parts.Manifests[1], r.Trust)
	wantRule(t, findings, "manifest.owner")
}

// TestLeaseLostFieldsDeletedOrZeroed: every field matters.
func TestLeaseLostFieldsDeletedOrZeroed(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{})
	good := lost(t, r, nil)
	for _, e := range usagetest.Edits(payload(t, good)) {
		if e.String() == "zero predicate.lastHeartbeat" {
			continue // silent from the start
		}
		bent, err := usagetest.Resign(good, r.Keys.CreatorBroker, func(m map[string]any) { e.Apply(m) })
		if err != nil {
			t.Fatal(err)
		}
		if _, findings := usage.VerifyLeaseLost(bent, r.Parts.Grants[1], r.Parts.Manifests[1], r.Trust); len(findings) == 0 {
			t.Errorf("%s: still verifies", e)
		}
	}
}

// TestLeaseLostForAnotherPackage: the grant of a second package of the same creator does not fit the first one's record.
func TestLeaseLostForAnotherPackage(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{Datasets: 2})
	_, findings := usage.VerifyLeaseLost(lost(t, r, nil), r.Parts.Grants[2], r.Parts.Manifests[1], r.Trust)
	wantRule(t, findings, "grant.manifest")
	wantRule(t, findings, "lost.grant")
}

func wantRule(t *testing.T, findings []usage.Finding, rule string) {
	t.Helper()
	if !slices.ContainsFunc(findings, func(f usage.Finding) bool { return f.Rule == rule }) {
		t.Errorf("want %s, got %v", rule, findings)
	}
}
