// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

func pinned(name string) dataset.Step {
	return dataset.Step{Name: name, Digest: envelope.Sum([]byte(name)), Config: json.RawMessage(`{}`)}
}

// inMode is a run in a privacy mode with the steps that it takes.
func inMode(mode string) usagetest.Scenario {
	s := usagetest.Scenario{Mode: mode}
	switch mode {
	case dataset.ModeRedacted:
		module := pinned(dataset.StepModule)
		module.ABI, module.Shape, module.Findings = dataset.ABITransform, dataset.ShapeMap, dataset.Types{"PERSON"}
		s.Steps = []dataset.Step{module, pinned(dataset.StepRedact)}
	case dataset.ModePseudonymised:
		s.Steps = []dataset.Step{pinned(dataset.StepTokenise)}
	case dataset.ModeKAnonymous:
		s.Steps = []dataset.Step{pinned("generalise"), pinned(dataset.StepKAnon)}
	case dataset.ModeLocalDP:
		s.Steps = []dataset.Step{pinned("k-rr"), pinned("discrete-laplace")}
		s.Steps[0].Epsilon, s.Steps[1].Epsilon = 500_000, 1_000_000
	}
	return s
}

// withUsage bends the statement of a run in a mode.
func withUsage(mode string, f func(*usage.Statement)) usagetest.Scenario {
	s := inMode(mode)
	s.Statement = f
	return s
}

func withGrant(mode string, f func(*grant.Obligations)) usagetest.Scenario {
	s := inMode(mode)
	s.Grant = func(i int, g *grant.Grant) {
		if i == 1 {
			f(&g.Obligations)
		}
	}
	return s
}

// TestModesVerify: a run in every mode verifies, and says what the code saw; with several datasets too.
func TestModesVerify(t *testing.T) {
	for _, mode := range dataset.Modes() {
		s := inMode(mode)
		s.Datasets = 2
		if dataset.Private(mode) {
			s.Offer = populations // nobody counts twice
		}
		v := usagetest.New(t, s).Verify()
		if err := v.Err(); err != nil {
			t.Errorf("%s: %v", mode, err)
			continue
		}
		told := slices.ContainsFunc(v.Facts, func(f usage.Fact) bool { return f.Rule == "transformed" })
		if want := len(s.Steps) > 0; told != want || want != (len(v.Statement.Transforms) > 0) {
			t.Errorf("%s: %v", mode, v.Facts)
		}
		if want := int64(3_000_000); mode == dataset.ModeLocalDP && v.Statement.Privacy != want {
			t.Errorf("privacy %d, want that of both datasets, %d", v.Statement.Privacy, want)
		}
	}
}

// TestFailedBeforeTheSteps: a run that failed while records went through steps says nothing of steps.
func TestFailedBeforeTheSteps(t *testing.T) {
	s := inMode(dataset.ModeRedacted)
	s.Failed = usage.ReasonTransform
	s.Statement = func(s *usage.Statement) {
		s.Transforms = []usage.Transform{}
		p := &s.Packages[1]
		p.Records, p.Billable, p.Epochs = 0, 0, 0
	}
	if err := usagetest.New(t, s).Verify().Err(); err != nil {
		t.Error(err)
	}
}

// transformCases bend what is said of steps.
func transformCases() map[string]bad {
	redacted := func(f func(*usage.Statement)) bad {
		return bad{rule: "use.transforms", part: "usage", scenario: withUsage(dataset.ModeRedacted, f)}
	}
	last := func(f func(*usage.Transform)) bad {
		return redacted(func(s *usage.Statement) { f(&s.Transforms[len(s.Transforms)-1]) })
	}
	both := func(f func(*usage.Transform)) bad {
		return redacted(func(s *usage.Statement) { f(&s.Transforms[0]); f(&s.Transforms[1]) })
	}
	return map[string]bad{
		"no steps were done":        redacted(func(s *usage.Statement) { s.Transforms = []usage.Transform{} }),
		"a step was left out":       redacted(func(s *usage.Statement) { s.Transforms = s.Transforms[:1] }),
		"another step was done":     last(func(t *usage.Transform) { t.ID = other }),
		"a step of another release": last(func(t *usage.Transform) { t.Digest = other }),
		"another configuration":     last(func(t *usage.Transform) { t.Config = other }),
		"fewer records went in":     both(func(t *usage.Transform) { t.RecordsIn--; t.RecordsOut-- }),
		"a built-in that keeps all drops": {rule: "use.transforms", part: "usage", scenario: func() usagetest.Scenario {
			s := withUsage(dataset.ModeRedacted, func(s *usage.Statement) { s.Transforms[2].RecordsOut-- })
			s.Steps = append(s.Steps, pinned("drop"))
			return s
		}()},
		"a map that drops": redacted(func(s *usage.Statement) {
			s.Transforms[0].RecordsOut--
			s.Transforms[1].RecordsIn--
			s.Transforms[1].RecordsOut--
			s.Packages[1].Records, s.Packages[1].Billable = s.Packages[1].Records-2, s.Packages[1].Billable-2
		}),
		"a module that names findings as it likes":   redacted(func(s *usage.Statement) { s.Transforms[0].Findings[0].Name = "SECRET_4711" }),
		"a module that says something by its counts": redacted(func(s *usage.Statement) { s.Transforms[0].Findings[0].Count = 4711 }),
		"a module that says something by its fuel":   redacted(func(s *usage.Statement) { s.Transforms[0].Fuel = 4711 }),
		"a module that says something by bytes": redacted(func(s *usage.Statement) {
			s.Transforms[0].BytesOut, s.Transforms[1].BytesIn = s.Transforms[0].BytesOut+1, s.Transforms[0].BytesOut+1
		}),
		"sealed without need": both(func(t *usage.Transform) { t.Seal() }),
		"figures that a silent mode does not let out": {rule: "use.transforms", part: "usage", scenario: withUsage(dataset.ModeKAnonymous, func(s *usage.Statement) {
			for i := range s.Transforms {
				s.Transforms[i].Sealed, s.Transforms[i].RecordsIn, s.Transforms[i].RecordsOut = false, 3100, 3100
			}
		})},
		"steps in raw mode": {rule: "use.transforms", part: "usage", scenario: onUsage(func(s *usage.Statement) {
			r := pinned(dataset.StepRedact)
			id, _ := r.ID()
			s.Transforms = []usage.Transform{{Manifest: s.Packages[1].Manifest, StepReport: dataset.StepReport{
				Step: r.Name, ID: id, Digest: r.Digest, Config: r.ConfigDigest(), Findings: []dataset.Count{}, Quarantined: []dataset.Count{},
			}}}
		})},
		"more delivered than the steps left": {rule: "use.records", part: "usage", scenario: withUsage(dataset.ModeRedacted, func(s *usage.Statement) {
			s.Transforms[1].RecordsOut -= 5
		})},
		"read again for the steps": {rule: "use.reads", part: "usage", scenario: withUsage(dataset.ModeRedacted, func(s *usage.Statement) {
			p := &s.Packages[1]
			p.Reads, p.Bytes, p.Heartbeat = 2*p.Reads, 2*p.Bytes, p.Reads
		})},
		"grant without the terms' steps": {rule: "terms.transforms", part: "grant[1]", scenario: withGrant(dataset.ModeRedacted, func(o *grant.Obligations) { o.Transforms = o.Transforms[1:] })},
		"grant with other steps":         {rule: "terms.transforms", part: "grant[1]", scenario: withGrant(dataset.ModeRedacted, func(o *grant.Obligations) { slices.Reverse(o.Transforms) })},
		"grant that debits less":         {rule: "terms.privacy", part: "grant[1]", scenario: withGrant(dataset.ModeLocalDP, func(o *grant.Obligations) { o.Privacy-- })},
		"grant in another mode":          {rule: "terms.mode", part: "grant[1]", scenario: withGrant(dataset.ModeRedacted, func(o *grant.Obligations) { o.Mode = dataset.ModePseudonymised })},
		"privacy understated":            {rule: "usage.privacy", part: "usage", scenario: withUsage(dataset.ModeLocalDP, func(s *usage.Statement) { s.Privacy-- })},
		"privacy in raw mode":            {rule: "usage.privacy", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Privacy = 1 })},
		"a dataset in raw mode beside": {rule: "grant.mode", part: "grant[1]", scenario: func() usagetest.Scenario {
			s := inMode(dataset.ModeRedacted)
			s.Job = func(j *job.Job) { j.Mode = dataset.ModeRaw }
			return s
		}()},
		"terms that cannot be": {rule: "manifest.signature", part: "manifest[1]", scenario: usagetest.Scenario{
			Mode: dataset.ModeRedacted, Steps: inMode(dataset.ModeRedacted).Steps,
			Edit: func(part string, m map[string]any) {
				if part == "manifest[1]" {
					m["predicate"].(map[string]any)["terms"].(map[string]any)["steps"] = nil
				}
			},
		}},
	}
}
