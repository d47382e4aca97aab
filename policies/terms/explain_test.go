// SPDX-License-Identifier: Apache-2.0

package terms_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/policies"
	"github.com/glovebox-dev/glovebox/policies/input"
	"github.com/glovebox-dev/glovebox/policies/oracle"
	"github.com/glovebox-dev/glovebox/policies/terms"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// told are terms of several kinds, and for each what must pass and what must not, by the words of its examples.
func told(t *testing.T) map[string]struct {
	edits     []string // of the template, old and new in turn
	pass, not []string
} {
	k, err := envelope.GenerateSigner(envelope.RoleOwner)
	if err != nil {
		t.Fatal(err)
	}
	key := k.Public().String()
	market := "receipts: {issuer: https://m.example, audience: glovebox, payee: alice, minimum: 20.00, keys: [{kty: EC, crv: P-256, " +
		"x: MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4, y: 4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM, kid: m1}]}"
	always := []string{
		"the same for marketing", "the same for advertising", "the same with 16777217 bytes of output", "the same after 10 jobs", "the same with 21 passes", "the same after 5 jobs of the same buyer",
		"the same with a spend cap of 19.999999 EUR", "the same after the offer ended", "the same after you withdrew the package",
	}
	but := func(more ...string) []string { return append(slices.Clone(always), more...) }
	return map[string]struct {
		edits     []string
		pass, not []string
	}{
		"the template": {
			nil,
			[]string{"for research, metrics and model out, 20 passes, results kept and used in AT, not commercially", "the same, and the results are passed on", "the same of another buyer", "the same with other code"},
			but("the same, commercially", "the same, with results used in US", "the same with a table as output", "the same on a machine that proves software-tpm only"),
		},
		"the open": {
			[]string{"commercial: false", "commercial: true", "training-only: true", "training-only: false", "[EEA, CH]", "everywhere", "[metrics, model] ", "[metrics, model, table] "},
			[]string{"the same, commercially", "the same, and the results are passed on"},
			always,
		},
		"no derivatives": {
			[]string{"derivatives: true", "derivatives: false"}, nil, but("the same, and the results are passed on"),
		},
		"one buyer, one owner's code": {
			[]string{"buyers:\n  any: true", "buyers:\n  keys: [" + key + "]", "code:\n  any: true", "code:\n  owners: [" + key + "]"},
			nil, but("the same of another buyer", "the same with other code"),
		},
		"one code package": {
			[]string{"code:\n  any: true", "code:\n  manifests: [sha256:" + strings.Repeat("1f", 32) + "]"},
			[]string{"the same of another buyer"},
			but("the same with other code"),
		},
		"by receipt": {
			[]string{"access: open", "access: receipt\n" + market, "buyers:\n  any: true", "buyers:\n  any: true\n  require: {country: [DE]}"},
			[]string{"the same of another buyer"},
			but("the same without a receipt", "the same with a receipt that was used up", "the same with a receipt for 19.999999 EUR", "the same with a receipt that does not state the buyer's country"),
		},
		"by permit": {
			[]string{"access: open", "access: permit"}, nil, but("the same without a permit", "the same with a permit that was used up"),
		},
		"with consent": {
			[]string{"consent: none", "consent: required", "unit: record", "unit: contributor"}, nil, but("the same when every contributor's consent is withdrawn"),
		},
		"training": {
			[]string{"modes: [raw-in-tee]", "modes: {dp-training: {epsilon: 2, delta: 0.00001}}", "  unit: record", "  unit: record\n  epsilon: 8\n  delta: 0.00001"},
			[]string{"for research, metrics and model out, 1 pass, results kept and used in AT, not commercially", "the same of another buyer"},
			append(slices.DeleteFunc(slices.Clone(always), func(s string) bool { return s == "the same with 21 passes" }), "the same with 2 passes",
				"the same with an epsilon of 2.000001", "the same with less noise than its epsilon takes", "the same over one million million records",
				"the same in runtime wasm-train-sum/1"),
		},
		"a test": {
			[]string{"version: 1", "version: 1\ntest: true", "assurance: tpm", "assurance: simulated"}, nil, always,
		},
	}
}

// TestExamplesAreDecided: what explain says of each job is what the rules say, those in Rego and those in Go alike, and
// what the terms mean.
func TestExamplesAreDecided(t *testing.T) {
	rego, err := policies.Load(context.Background(), policies.Options{})
	if err != nil {
		t.Fatal(err)
	}
	asked := []input.Request{}
	ask := func(r input.Request) (bool, []grant.Reason, error) {
		asked = append(asked, r)
		allow, reasons, _ := oracle.Decide(r)
		return allow, reasons, nil
	}
	for name, c := range told(t) {
		text := terms.Template(now)
		for i := 0; i < len(c.edits); i += 2 {
			if strings.Count(text, c.edits[i]) != 1 {
				t.Fatalf("%s: the template does not have %q once", name, c.edits[i])
			}
			text = strings.Replace(text, c.edits[i], c.edits[i+1], 1)
		}
		compiled, err := terms.Parse([]byte(text)).Compile(terms.Config{Now: now})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		asked = asked[:0]
		examples, err := compiled.Examples(now, ask)
		if err != nil || len(examples) != len(asked) || len(examples) < 10 {
			t.Errorf("%s: %d examples, %d decided: %v", name, len(examples), len(asked), err)
			continue
		}
		verdicts := map[string]bool{}
		for i, e := range examples {
			d, err := rego.Decide(context.Background(), asked[i])
			if err != nil || d.Allow != e.Allow {
				t.Errorf("%s: %s: explained as %v, decided %v: %v", name, e.Job, e.Allow, d.Allow, err)
			}
			if e.Allow == (len(e.Reasons) > 0) {
				t.Errorf("%s: %s: allowed %v, with reasons %v", name, e.Job, e.Allow, e.Reasons)
			}
			verdicts[e.Job] = e.Allow
		}
		if !examples[0].Allow {
			t.Errorf("%s: the plain job is refused: %v", name, examples[0].Reasons)
		}
		for _, want := range []struct {
			allow bool
			jobs  []string
		}{{true, c.pass}, {false, c.not}} {
			for _, job := range want.jobs {
				if got, ok := verdicts[job]; !ok || got != want.allow {
					t.Errorf("%s: %q: allowed %v, there %v; want %v\nthere are %q", name, job, got, ok, want.allow, slices.Sorted(maps.Keys(verdicts)))
				}
			}
		}
	}
}

// TestNothingIsSaidThatWasNotDecided: a decider that fails is not replaced by a guess.
func TestNothingIsSaidThatWasNotDecided(t *testing.T) {
	c, err := terms.Parse([]byte(terms.Template(now))).Compile(terms.Config{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := c.Examples(now, func(input.Request) (bool, []grant.Reason, error) { return false, nil, context.Canceled }); err == nil || e != nil {
		t.Errorf("%v, %v", e, err)
	}
	e, err := c.Examples(now, func(input.Request) (bool, []grant.Reason, error) { return true, nil, nil })
	if err != nil || slices.ContainsFunc(e, func(x terms.Example) bool { return !x.Allow }) {
		t.Errorf("rules that allow everything, and an example that is refused: %v, %v", e, err)
	}
}

// TestWords: sentences follow the terms.
func TestWords(t *testing.T) {
	for edit, want := range map[[2]string]string{
		{"", ""}: "Jobs for research may run over the data, never for advertising or face-recognition.",
		{"per-use: 20.00               # for one completed job\n  per-record: 0.0001", "per-use: 0\n  per-record: 0"}: "It costs nothing.",
		{"share-alike: false", "share-alike: true"}: "Results may be changed and passed on, only under this licence.",
		{"derivatives: true", "derivatives: false"}: "Results may not be changed, built upon or passed on.",
		{"lease: 1h", "lease: 90m"}:                 "An enclave must prove tpm or better, and holds the key for 90 minutes at most.",
		{"access: open", "access: permit"}:          "A job needs a permit that you signed; every permit is good for a counted number of jobs.",
		{"[EEA, CH]", "everywhere"}:                 "Results may be used everywhere, never commercially.",
		{"revocable: false", "revocable: true"}:     "When you withdraw, results must be given up.",
	} {
		c, err := terms.Parse([]byte(strings.Replace(terms.Template(now), edit[0], edit[1], 1))).Compile(terms.Config{Now: now})
		if err != nil {
			t.Errorf("%q: %v", edit[1], err)
			continue
		}
		if all := strings.Join(c.Words(), "\n"); !strings.Contains(all, want) {
			t.Errorf("%q is not in:\n%s", want, all)
		}
	}
}
