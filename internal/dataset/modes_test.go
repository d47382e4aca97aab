// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func pinned(name, config string) Step {
	return Step{Name: name, Digest: envelope.Sum([]byte(name)), Config: json.RawMessage(config)}
}

func module(shape string) Step {
	return Step{Name: StepModule, Digest: envelope.Sum([]byte(shape)), ABI: ABITransform, Shape: shape, Config: json.RawMessage(`{}`)}
}

func noise(name string) Step {
	s := pinned(name, `{}`)
	s.Epsilon = 500_000
	return s
}

// withMode are terms that allow one mode, with these steps.
func withMode(t *testing.T, mode string, steps ...Step) Terms {
	t.Helper()
	terms := newFixture(t).config(FormatCSV, "a\n1\n").Manifest.Terms
	terms.Modes, terms.Steps = []string{mode}, nil
	if len(steps) > 0 {
		terms.Steps = []ModeSteps{{mode, steps}}
	}
	if mode == ModeLocalDP {
		terms.Privacy.Adjacency, terms.Privacy.Epsilon, terms.Privacy.BuyerEpsilon = ReplaceOne, 2_000_000, 1_000_000
	}
	return terms
}

func TestModesAreSorted(t *testing.T) {
	if !slices.IsSorted(Modes()) || slices.Contains(Modes(), "") || Enforced("") || Enforced("aggregate-only") {
		t.Error(Modes())
	}
}

// TestPipelines: each mode rests on its steps, and terms that promise it without them are refused.
func TestPipelines(t *testing.T) {
	redact, scan := pinned(StepRedact, `{}`), pinned(StepScan, `{"act":"quarantine"}`)
	keyed := pinned(StepRedact, `{"operators":{"PERSON":{"op":"surrogate"}}}`)
	for _, c := range []struct {
		name, mode string
		steps      []Step
		want       string // in the refusal; "" for terms that stand
	}{
		{"raw", ModeRaw, nil, ""},
		{"raw with steps", ModeRaw, []Step{redact}, "as they are"},
		{"redacted", ModeRedacted, []Step{redact}, ""},
		{"redacted by nothing", ModeRedacted, nil, "there are none"},
		{"redacted by a module alone", ModeRedacted, []Step{module(ShapeMap)}, "after the last module"},
		{"redacted before a module", ModeRedacted, []Step{redact, module(ShapeMap)}, "after the last module"},
		{"module, then a scan that decides", ModeRedacted, []Step{module(ShapeMap), scan}, ""},
		{"module, then a scan that fails", ModeRedacted, []Step{module(ShapeMap), pinned(StepScan, `{"act":"fail"}`)}, ""},
		{"module, then a scan that reports", ModeRedacted, []Step{module(ShapeMap), pinned(StepScan, `{"act":"report"}`)}, "after the last module"},
		{"module, then a scan that says nothing", ModeRedacted, []Step{module(ShapeMap), pinned(StepScan, `{}`)}, "after the last module"},
		{"module, then redact, then columns dropped", ModeRedacted, []Step{module(ShapeMap), redact, pinned("drop", `{}`)}, ""},
		{"pseudonymised", ModePseudonymised, []Step{pinned(StepTokenise, `{}`)}, ""},
		{"pseudonymised by surrogates", ModePseudonymised, []Step{keyed}, ""},
		{"pseudonymised by plain redaction", ModePseudonymised, []Step{redact}, "keyed"},
		{"pseudonymised by dropping", ModePseudonymised, []Step{pinned("drop", `{}`)}, "keyed"},
		{"k-anonymous", ModeKAnonymous, []Step{pinned("generalise", `{}`), pinned(StepKAnon, `{}`)}, ""},
		{"k-anonymous without", ModeKAnonymous, []Step{pinned("generalise", `{}`)}, "the last must be"},
		{"k-anonymous, then filtered", ModeKAnonymous, []Step{pinned(StepKAnon, `{}`), pinned("filter", `{}`)}, "the last must be"},
		{"local-dp", ModeLocalDP, []Step{noise("k-rr"), noise("discrete-laplace")}, ""},
		{"local-dp without noise", ModeLocalDP, []Step{pinned("k-rr", `{}`)}, "epsilon"},
		{"local-dp of repeated records", ModeLocalDP, []Step{module(ShapeAny), noise("k-rr")}, "multiply"},
		{"local-dp, then a module", ModeLocalDP, []Step{noise("k-rr"), module(ShapeAny)}, ""},
		{"noise without an account", ModeRedacted, []Step{noise("k-rr"), redact}, "epsilon"},
		{"not pinned", ModeRedacted, []Step{{Name: StepRedact, Config: json.RawMessage(`{}`)}}, "no digest"},
		{"not canonical", ModeRedacted, []Step{pinned(StepRedact, `{ }`)}, "canonical"},
		{"too many", ModeRedacted, slices.Repeat([]Step{redact}, MaxSteps+1), "at most"},
	} {
		terms := withMode(t, c.mode, c.steps...)
		err := terms.Validate(true)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestNoiseNeedsItsAccount: what a contributor with many records would spend is not known, and noise does not hide that a
// record is there.
func TestNoiseNeedsItsAccount(t *testing.T) {
	good := withMode(t, ModeLocalDP, noise("k-rr"))
	if err := good.Validate(true); err != nil || good.EpsilonFor(ModeLocalDP) != 500_000 {
		t.Fatal(err, good.EpsilonFor(ModeLocalDP))
	}
	for name, change := range map[string]func(*Terms){
		"contributor":   func(m *Terms) { m.Privacy.Unit = UnitContributor },
		"add or remove": func(m *Terms) { m.Privacy.Adjacency = AddOrRemove },
	} {
		bad := withMode(t, ModeLocalDP, noise("k-rr"))
		change(&bad)
		if err := bad.Validate(true); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStepsOfOtherModes: steps are of modes that the terms allow, in order, and code has none.
func TestStepsOfOtherModes(t *testing.T) {
	redact := []Step{pinned(StepRedact, `{}`)}
	for name, steps := range map[string][]ModeSteps{
		"empty":    {},
		"twice":    {{ModeRedacted, redact}, {ModeRedacted, redact}},
		"another":  {{ModePseudonymised, redact}, {ModeRedacted, redact}},
		"unsorted": {{ModeRedacted, redact}, {ModeRaw, nil}},
	} {
		terms := withMode(t, ModeRedacted)
		terms.Steps = steps
		if err := terms.Validate(true); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := newFixture(t).config(FormatFiles, "a").Manifest
	m.Kind, m.Terms.Modes = KindCode, Modes()
	if err := m.Terms.validateSteps(KindCode); err != nil {
		t.Errorf("code in every mode: %v", err)
	}
	m.Terms.Steps = []ModeSteps{{ModeRedacted, redact}}
	if err := m.Terms.validateSteps(KindCode); !errors.Is(err, ErrManifest) {
		t.Errorf("code with steps: %v", err)
	}
}

func TestCounts(t *testing.T) {
	for name, list := range map[string][]Count{
		"null":     nil,
		"unsorted": {{"B", 1}, {"A", 1}},
		"twice":    {{"A", 1}, {"A", 1}},
		"none":     {{"A", 0}},
		"negative": {{"A", -1}},
		"text":     {{"jane doe", 1}},
		"long":     {{strings.Repeat("A", MaxCountName+1), 1}},
		"nameless": {{"", 1}},
	} {
		if err := ValidateCounts(list); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ValidateCounts([]Count{{"EMAIL_ADDRESS", 1}, {"too-large", 2}}); err != nil {
		t.Error(err)
	}
	if n := SumCounts([]Count{{"A", MaxAmount}, {"B", 5}}); n != MaxAmount {
		t.Error(n)
	}
}
