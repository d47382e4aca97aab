// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// signedPart is one signed statement of a run and its key.
type signedPart struct {
	name   string
	key    usagetest.Key
	signed []byte
}

func signedParts(r *usagetest.Run) []signedPart {
	k := r.Keys
	out := []signedPart{
		{"usage", k.Lease, r.Parts.Usage}, {"job", k.Buyer, r.Parts.Job}, {"ticket", k.CodeBroker, r.Parts.Ticket},
	}
	for i := range r.Parts.Grants {
		owner, broker := k.CodeOwner, k.CodeBroker
		if i > 0 {
			owner, broker = k.Creator, k.CreatorBroker
		}
		out = append(out,
			signedPart{fmt.Sprintf("manifest[%d]", i), owner, r.Parts.Manifests[i]},
			signedPart{fmt.Sprintf("grant[%d]", i), broker, r.Parts.Grants[i]},
			signedPart{fmt.Sprintf("commit[%d]", i), broker, r.Parts.Commits[i]})
	}
	return out
}

func payload(t *testing.T, signed []byte) (v map[string]any) {
	t.Helper()
	_, b, _, err := envelope.Parts(signed)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestEveryFieldDeletedOrZeroed deletes and zeroes each field of each signed part, signs it again with the right key,
// and leaves everything else as it was.
func TestEveryFieldDeletedOrZeroed(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{Witnesses: 2})
	n := 0
	for _, p := range signedParts(r) {
		stride := 1
		if testing.Short() {
			stride = 9
		}
		for i, e := range usagetest.Edits(payload(t, p.signed)) {
			if i%stride != 0 {
				continue
			}
			signed, err := usagetest.Resign(p.signed, p.key, func(m map[string]any) { e.Apply(m) })
			if err != nil {
				t.Fatal(err)
			}
			n++
			if v := audit(t, r, replace(t, r, p.name, signed)); v.OK() {
				t.Errorf("%s: %s: still verifies", p.name, e)
			}
		}
	}
	if n < 100 {
		t.Fatalf("only %d edits", n)
	}
}

// innocent are edits that everybody downstream may agree to, because the value they leave is a possible one.
var innocent = []string{
	"usage: zero predicate.measured.cpuMillis", "usage: zero predicate.measured.peakMemory", "usage: zero predicate.measured.wallMillis",
	"usage: zero predicate.packages.0.heartbeat",                                                              // the grant's own allowance sufficed
	"usage: zero predicate.time.released",                                                                     // everything was released at once
	"usage: zero predicate.outputs", "usage: delete predicate.outputs.0", "usage: delete predicate.outputs.1", // a file that the code did not write
	"usage: zero predicate.outputs.0.bytes", "usage: zero predicate.outputs.1.bytes", // or wrote empty
	"job: zero predicate.params", "job: delete predicate.params.RATE", "job: zero predicate.params.RATE", // the code's own business
}

// TestEveryFieldDeletedOrZeroedInConspiracy does the same, but all who sign later sign what fits the changed part: no
// digest gives it away, only its meaning.
func TestEveryFieldDeletedOrZeroedInConspiracy(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{Witnesses: 2})
	n, spared := 0, 0
	for _, p := range signedParts(r) {
		if strings.HasPrefix(p.name, "manifest") {
			continue // covered above: packages are not packed again here
		}
		stride := 1
		if testing.Short() {
			stride = 9
		}
		for i, e := range usagetest.Edits(payload(t, p.signed)) {
			if i%stride != 0 {
				continue
			}
			n++
			bent := r.Again(t, usagetest.Scenario{Edit: func(part string, m map[string]any) {
				if part == p.name {
					e.Apply(m)
				}
			}})
			what := p.name + ": " + e.String()
			switch v := bent.Verify(); {
			case v.OK() && slices.Contains(innocent, what):
				spared++
			case v.OK():
				t.Errorf("%s: still verifies", what)
			case slices.Contains(innocent, what):
				t.Errorf("%s: refused, but listed as innocent: %v", what, v.Findings)
			}
		}
	}
	if n < 50 || (!testing.Short() && spared != len(innocent)) {
		t.Fatalf("%d edits, %d of %d innocent ones met", n, spared, len(innocent))
	}
}

// TestEveryEvidenceFieldDeletedOrZeroed edits the evidence envelope, which is not signed but bound.
func TestEveryEvidenceFieldDeletedOrZeroed(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{})
	var v map[string]any
	if err := json.Unmarshal(r.Parts.Evidence, &v); err != nil {
		t.Fatal(err)
	}
	for _, e := range usagetest.Edits(v) {
		var c any
		if err := json.Unmarshal(r.Parts.Evidence, &c); err != nil {
			t.Fatal(err)
		}
		b, err := envelope.Canonical(e.Apply(c))
		if err != nil {
			t.Fatal(err)
		}
		if v := audit(t, r, replace(t, r, "evidence", b)); v.OK() {
			t.Errorf("%s: still verifies", e)
		}
	}
}

// TestEveryProofFieldDeletedOrZeroed edits what surrounds the usage statement in its sigstore bundle.
func TestEveryProofFieldDeletedOrZeroed(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{})
	for _, e := range usagetest.Edits(bundleJSON(t, r)["usage"]) {
		m := bundleJSON(t, r)
		m["usage"] = e.Apply(m["usage"])
		if v := audit(t, r, canonical(t, m)); v.OK() {
			t.Errorf("%s: still verifies", e)
		}
	}
}

// TestEveryBundleFieldDeletedOrZeroed leaves out whole parts.
func TestEveryBundleFieldDeletedOrZeroed(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{Witnesses: 2})
	m := bundleJSON(t, r)
	for _, e := range usagetest.Edits(m) {
		if len(e.Path) > 2 {
			continue
		}
		if v := audit(t, r, canonical(t, e.Apply(bundleJSON(t, r)))); v.OK() {
			t.Errorf("%s: still verifies", e)
		}
	}
}

// TestEveryTrustFieldDeletedOrZeroed takes anchors away: each is a finding or a refusal to read the file.
func TestEveryTrustFieldDeletedOrZeroed(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{Witnesses: 2})
	b, err := usage.WriteTrust(&r.Trust)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	for _, e := range usagetest.Edits(v) {
		if len(e.Path) == 1 && e.Path[0] == "simulatedRoot" {
			continue // null already: the caller's Formats decides what that means
		}
		var c any
		if err := json.Unmarshal(b, &c); err != nil {
			t.Fatal(err)
		}
		tr, err := usage.ParseTrust(canonical(t, e.Apply(c)))
		if err != nil {
			continue
		}
		v, err := usage.Audit(context.Background(), r.Bundle, *tr, r.Formats)
		if err != nil {
			t.Fatal(err)
		}
		if v.OK() && (v.Witnessed || e.String() != "delete witnesses") { // who trusts none is told so
			t.Errorf("%s: still verifies", e)
		}
	}
}

func audit(t *testing.T, r *usagetest.Run, bundle []byte) *usage.Verdict {
	t.Helper()
	v, err := usage.Audit(context.Background(), bundle, r.Trust, r.Formats)
	if err != nil {
		t.Fatal(err)
	}
	if v.OK() == (len(v.Findings) > 0) {
		t.Fatalf("OK is %v with %d findings", v.OK(), len(v.Findings))
	}
	return v
}

func bundleJSON(t *testing.T, r *usagetest.Run) (m map[string]any) {
	t.Helper()
	if err := json.Unmarshal(r.Bundle, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func canonical(t *testing.T, v any) []byte {
	t.Helper()
	b, err := envelope.Canonical(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// replace puts other bytes in a part's place. A usage statement is logged again.
func replace(t *testing.T, r *usagetest.Run, part string, b []byte) []byte {
	t.Helper()
	if part == "usage" {
		n := *r
		n.Parts.Usage = b
		n.Seal()
		return n.Bundle
	}
	m := bundleJSON(t, r)
	name, index, listed := strings.Cut(part, "[")
	if !listed {
		m[name] = json.RawMessage(b)
		return canonical(t, m)
	}
	var i int
	if _, err := fmt.Sscanf(index, "%d]", &i); err != nil {
		t.Fatal(err)
	}
	m[name+"s"].([]any)[i] = json.RawMessage(b)
	return canonical(t, m)
}
