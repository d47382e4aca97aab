// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

const lostVectors = "../../testdata/vectors/lease-lost"

// lostVector is the body of a vector: what an auditor has when a lease was lost.
type lostVector struct {
	Record   json.RawMessage `json:"record"`
	Grant    json.RawMessage `json:"grant"`
	Manifest json.RawMessage `json:"manifest"`
}

// TestLeaseLostVectors: each vector's rule is among the findings, and each rule that the spec lists has a vector.
func TestLeaseLostVectors(t *testing.T) {
	if *update {
		writeLostVectors(t)
	}
	seen := map[string]bool{}
	for name, v := range readVectors(t, lostVectors) {
		trust, err := usage.ParseTrust([]byte(v.head["trust"]))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var body lostVector
		if err := json.Unmarshal(v.body, &body); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		record, findings := usage.VerifyLeaseLost(body.Record, body.Grant, body.Manifest, *trust)
		expect := v.head["expect"]
		seen[expect] = true
		if expect == "ok" {
			if record == nil || len(findings) != 0 {
				t.Errorf("%s: %v", name, findings)
			}
			continue
		}
		if !slices.ContainsFunc(findings, func(f usage.Finding) bool { return f.Rule == expect }) {
			t.Errorf("%s: want %s, got %v", name, expect, findings)
		}
	}
	spec, err := os.ReadFile(filepath.Join("..", "..", "docs", "spec", "lease-lost.md"))
	if err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile("`((?:lost|grant|manifest)\\.[a-z]+)`").FindAllStringSubmatch(string(spec), -1)
	if len(rules) < 12 || !seen["ok"] {
		t.Errorf("%d rules in the spec, a valid vector: %v", len(rules), seen["ok"])
	}
	for _, m := range rules {
		if !seen[m[1]] {
			t.Errorf("no vector expects %s", m[1])
		}
	}
}

func writeLostVectors(t *testing.T) {
	if err := os.MkdirAll(lostVectors, 0o755); err != nil {
		t.Fatal(err)
	}
	r := usagetest.New(t, usagetest.Scenario{Datasets: 2})
	good := lostVector{lost(t, r, nil), r.Parts.Grants[1], r.Parts.Manifests[1]}
	write := func(name, expect, comment string, trust usage.Trust, v lostVector) {
		b, err := usage.WriteTrust(&trust)
		if err != nil {
			t.Fatal(err)
		}
		writeVector(t, lostVectors, name, []string{"expect: " + expect, "comment: " + comment, "trust: " + string(b)}, canonical(t, v))
	}
	with := func(change func(v *lostVector)) lostVector {
		v := good
		change(&v)
		return v
	}
	bent := func(bend func(l *grant.LeaseLost)) lostVector {
		return with(func(v *lostVector) { v.Record = lost(t, r, bend) })
	}
	stranger := func(signed []byte) json.RawMessage {
		b, err := usagetest.Resign(signed, r.Keys.Nobody, func(map[string]any) {})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	write("valid", "ok", "a lease that went silent", r.Trust, good)
	write("valid-later", "ok", "other records came between", r.Trust, bent(func(l *grant.LeaseLost) { l.Sequence, l.Previous = l.Sequence+1, &other }))
	for rule, bend := range lostCases {
		write(rule, rule, "only this does not fit the grant", r.Trust, bent(bend))
	}
	write("lost-sequence-previous", "lost.sequence", "the very next record, but previous is not the grant", r.Trust, bent(func(l *grant.LeaseLost) {
		l.Previous = &other
	}))
	write("lost-signature", "lost.signature", "signed by another", r.Trust, with(func(v *lostVector) { v.Record = stranger(v.Record) }))
	write("lost-malformed", "lost.signature", "a field nobody knows", r.Trust, with(func(v *lostVector) {
		b, err := usagetest.Resign(v.Record, r.Keys.CreatorBroker, func(m map[string]any) { m["predicate"].(map[string]any)["x"] = 1 })
		if err != nil {
			t.Fatal(err)
		}
		v.Record = b
	}))
	write("lost-type", "lost.signature", "the grant in place of the record", r.Trust, with(func(v *lostVector) { v.Record = v.Grant }))
	write("lost-subject", "lost.signature", "subject is another grant", r.Trust, with(func(v *lostVector) {
		b, err := usagetest.Resign(v.Record, r.Keys.CreatorBroker, func(m map[string]any) {
			m["subject"] = []envelope.Subject{envelope.NewSubject("grant", other)}
		})
		if err != nil {
			t.Fatal(err)
		}
		v.Record = b
	}))
	write("grant-signature", "grant.signature", "the grant is signed by another", r.Trust, with(func(v *lostVector) { v.Grant = stranger(v.Grant) }))
	write("grant-manifest", "grant.manifest", "the grant of another package of the same owner", r.Trust, with(func(v *lostVector) { v.Grant = r.Parts.Grants[2] }))
	write("manifest-signature", "manifest.signature", "the job in place of the manifest", r.Trust, with(func(v *lostVector) { v.Manifest = r.Parts.Job }))
	nobody := r.Trust
	nobody.Owners = nil
	write("manifest-owner", "manifest.owner", "no owner is trusted", nobody, good)
}
