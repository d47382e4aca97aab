// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// TestStepIdentity holds the identity of a step to docs/spec/manifest.md: the canonical JSON of all of it, under a label.
func TestStepIdentity(t *testing.T) {
	s := Step{Name: "redact", Digest: envelope.Sum([]byte("method")), Config: json.RawMessage(`{"detect":["all"]}`), Epsilon: 7}
	canonical := `{"abi":"","config":{"detect":["all"]},"digest":"` + s.Digest.String() + `","epsilon":7,"findings":[],"shape":"","step":"redact"}`
	id, err := s.ID()
	if want := envelope.Hash("glovebox.dev/step/v1", []byte(canonical)); err != nil || id != want {
		t.Errorf("%s, %v, want %s", id, err, want)
	}
	if want := envelope.Hash("glovebox.dev/step-config/v1", s.Config); s.ConfigDigest() != want {
		t.Errorf("configuration %s, want %s", s.ConfigDigest(), want)
	}
	seen := []envelope.Digest{id}
	for name, change := range map[string]func(s *Step){
		"name": func(s *Step) { s.Name = "scan" }, "digest": func(s *Step) { s.Digest[0]++ }, "configuration": func(s *Step) { s.Config = json.RawMessage(`{}`) },
		"epsilon": func(s *Step) { s.Epsilon++ }, "ABI": func(s *Step) { s.ABI = ABITransform }, "shape": func(s *Step) { s.Shape = ShapeMap },
		"finding": func(s *Step) { s.Findings = Types{"A"} },
	} {
		other := s
		change(&other)
		id, err := other.ID()
		if err != nil || slices.Contains(seen, id) {
			t.Errorf("another %s: %s, %v", name, id, err)
		}
		seen = append(seen, id)
	}
}

func TestStepInvalid(t *testing.T) {
	builtIn := Step{Name: "redact", Digest: envelope.Sum([]byte("method")), Config: json.RawMessage(`{}`)}
	mod := Step{Name: StepModule, Digest: envelope.Sum([]byte("module")), ABI: ABIWASI, Shape: ShapeAny, Config: json.RawMessage(`{}`)}
	for _, s := range []Step{builtIn, mod} {
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	change := func(s Step, f func(*Step)) Step { f(&s); return s }
	for name, s := range map[string]Step{
		"zero":                     {},
		"no name":                  change(builtIn, func(s *Step) { s.Name = "" }),
		"a built-in with findings": change(builtIn, func(s *Step) { s.Findings = Types{"A"} }),
		"findings out of order":    change(mod, func(s *Step) { s.Findings = Types{"B", "A"} }),
		"a finding twice":          change(mod, func(s *Step) { s.Findings = Types{"A", "A"} }),
		"a finding with text":      change(mod, func(s *Step) { s.Findings = Types{"Ann Lee"} }),
		"too many findings":        change(mod, func(s *Step) { s.Findings = make(Types, MaxStepTypes+1) }),
		"not pinned":               change(builtIn, func(s *Step) { s.Digest = envelope.Digest{} }),
		"a built-in with an ABI":   change(builtIn, func(s *Step) { s.ABI = ABITransform }),
		"a built-in with a shape":  change(builtIn, func(s *Step) { s.Shape = ShapeMap }),
		"another ABI":              change(mod, func(s *Step) { s.ABI = "tx/2" }),
		"another shape":            change(mod, func(s *Step) { s.Shape = "square" }),
		"no configuration":         change(builtIn, func(s *Step) { s.Config = nil }),
		"a list as configuration":  change(builtIn, func(s *Step) { s.Config = json.RawMessage(`[]`) }),
		"not canonical":            change(builtIn, func(s *Step) { s.Config = json.RawMessage(`{"b":1,"a":2}`) }),
		"a member twice":           change(builtIn, func(s *Step) { s.Config = json.RawMessage(`{"a":1,"a":2}`) }),
		"not JSON":                 change(builtIn, func(s *Step) { s.Config = json.RawMessage(`{a}`) }),
		"epsilon below 0":          change(builtIn, func(s *Step) { s.Epsilon = -1 }),
		"epsilon above a thousand": change(builtIn, func(s *Step) { s.Epsilon = maxStepEpsilon + 1 }),
	} {
		if err := s.Validate(); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestModulesOfTerms: each module once, whatever the modes that run it.
func TestModulesOfTerms(t *testing.T) {
	a, b := module(ShapeMap), module(ShapeFilter)
	terms := Terms{Steps: []ModeSteps{{ModePseudonymised, []Step{a, pinned(StepTokenise, `{}`), b}}, {ModeRedacted, []Step{a, pinned(StepRedact, `{}`)}}}}
	if got := terms.Modules(); !slices.Equal(got, []envelope.Digest{a.Digest, b.Digest}) {
		t.Errorf("%v", got)
	}
	if got := new(Terms).Modules(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// TestIngestIsChecked: what a manifest says of the time before packing adds up.
func TestIngestIsChecked(t *testing.T) {
	f := newFixture(t)
	good := fullManifest(t, f).Manifest
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(d *Metadata){
		"findings that do not add up": func(d *Metadata) { d.PIIScan.Findings++ },
		"a scan without a method":     func(d *Metadata) { d.PIIScan.Method = envelope.Digest{} },
		"types without a list":        func(d *Metadata) { d.PIIScan.Types, d.PIIScan.Findings = nil, 0 },
		"more unread than there are":  func(d *Metadata) { d.PIIScan.Unread = d.PIIScan.Records + 1 },
		"fewer than none unread":      func(d *Metadata) { d.PIIScan.Unread = -1 },
		"records from nowhere":        func(d *Metadata) { d.Transforms[0].RecordsOut = 5 },
		"more left out than missing":  func(d *Metadata) { d.Transforms[0].Quarantined[0].Count = 3 },
		"k of nobody":                 func(d *Metadata) { d.Anonymity.K = 0 },
		"k of more than all":          func(d *Metadata) { d.Anonymity.K = 3 },
		"l above k":                   func(d *Metadata) { d.Anonymity.L = 3 },
		"l of nothing":                func(d *Metadata) { d.Anonymity.Sensitive = []string{} },
		"no quasi-identifiers":        func(d *Metadata) { d.Anonymity.Quasi = nil },
		"fields out of order":         func(d *Metadata) { d.Anonymity.Quasi = []string{"b", "a"} },
		"of other records":            func(d *Metadata) { d.Anonymity.Records = 1 },
	} {
		m := fullManifest(t, f).Manifest
		change(&m.Metadata)
		if err := m.Validate(); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTypesAreNeverNull: a step has one identity, whether its list of types was left out or empty; null is no list.
func TestTypesAreNeverNull(t *testing.T) {
	for _, types := range []Types{nil, {}, {"A", "B"}} {
		b, err := json.Marshal(types)
		var back Types
		if err == nil {
			err = json.Unmarshal(b, &back)
		}
		if err != nil || !slices.Equal(back, types) || b[0] != '[' {
			t.Errorf("%q: %s, %v", types, b, err)
		}
	}
	var back Types
	if json.Unmarshal([]byte(`null`), &back) == nil || json.Unmarshal([]byte(`[1]`), &back) == nil {
		t.Error("taken")
	}
}

// TestRounded: two significant digits, upwards, never past the largest amount.
func TestRounded(t *testing.T) {
	for n, want := range map[int64]int64{
		0: 0, 1: 1, 99: 99, 100: 100, 101: 110, 110: 110, 999: 1000, 1001: 1100, 4711: 4800, 123_456_789: 130_000_000, MaxAmount: MaxAmount, MaxAmount - 1: MaxAmount,
	} {
		if got := Rounded(n); got != want || Rounded(got) != got {
			t.Errorf("%d became %d, want %d", n, got, want)
		}
	}
}

// TestModuleTellsByFigures: from the first module on, figures that are not rounded are refused; before it they are exact.
func TestModuleTellsByFigures(t *testing.T) {
	good := func() []StepReport {
		all := []StepReport{
			{Step: "drop", BytesIn: 1234, BytesOut: 1111},
			{Step: StepModule, BytesIn: 1111, BytesOut: 987, Findings: []Count{{"A", 512}}},
			{Step: StepScan, BytesIn: 987, BytesOut: 987, Findings: []Count{{"B", 333}}},
		}
		all[1].Round(false)
		all[2].Round(true)
		return all
	}
	if all := good(); !CheckRounded(all) || all[1].BytesIn != 1111 || all[1].BytesOut != 990 || all[1].Findings[0].Count != 520 || all[2].BytesIn != 990 {
		t.Errorf("%+v", all)
	}
	for name, change := range map[string]func(all []StepReport){
		"findings": func(all []StepReport) { all[1].Findings[0].Count = 512 }, "bytes out": func(all []StepReport) { all[1].BytesOut = 987 },
		"bytes in after": func(all []StepReport) { all[2].BytesIn = 987 }, "bytes out after": func(all []StepReport) { all[2].BytesOut = 987 },
		"findings after": func(all []StepReport) { all[2].Findings[0].Count = 333 },
	} {
		all := good()
		if change(all); CheckRounded(all) {
			t.Errorf("%s: taken", name)
		}
	}
}
