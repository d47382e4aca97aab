// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Transform is one step that every granted record of one dataset went through before the code started. In modes that let no
// figure of records out, all figures are 0, and Sealed says that this is why.
type Transform struct {
	Manifest envelope.Digest `json:"manifest"`
	dataset.StepReport
	Fuel   int64 `json:"fuel"` // of a module
	Sealed bool  `json:"sealed"`
}

// Seal takes the figures out.
func (t *Transform) Seal() {
	t.RecordsIn, t.RecordsOut, t.BytesIn, t.BytesOut, t.Fuel = 0, 0, 0, 0, 0
	t.Findings, t.Quarantined, t.Sealed = []dataset.Count{}, []dataset.Count{}, true
}

// TransformsOf are the steps of one dataset, in order.
func (s *Statement) TransformsOf(manifest envelope.Digest) (out []Transform) {
	for _, t := range s.Transforms {
		if t.Manifest == manifest {
			out = append(out, t)
		}
	}
	return out
}

// validateTransforms refuses steps of packages that are not there or not data, steps out of order, and figures of which one
// contradicts the next.
func (s *Statement) validateTransforms() error {
	bad := func(i int, f string, a ...any) error {
		return fmt.Errorf("%w: transform %d: %s", ErrInvalid, i, fmt.Sprintf(f, a...))
	}
	if s.Transforms == nil || len(s.Transforms) > maxPackages*dataset.MaxSteps {
		return bad(len(s.Transforms), "no list, or too many")
	}
	at := 0 // the code is not transformed
	for i := range s.Transforms {
		t := &s.Transforms[i]
		next := slices.IndexFunc(s.Packages, func(p Package) bool { return p.Manifest == t.Manifest })
		if next < 1 || next < at {
			return bad(i, "of a package that is not released data, or out of order")
		}
		if err := t.Validate(); err != nil {
			return bad(i, "%v", err)
		}
		if !figures(t.Fuel) || t.Fuel > 0 && t.Step != dataset.StepModule {
			return bad(i, "fuel of %d", t.Fuel)
		}
		if t.Sealed && (max(t.RecordsIn, t.RecordsOut, t.BytesIn, t.BytesOut, t.Fuel) != 0 || len(t.Findings)+len(t.Quarantined) != 0) {
			return bad(i, "figures that are sealed are stated too")
		}
		if next == at && i > 0 {
			before := &s.Transforms[i-1]
			if t.RecordsIn != before.RecordsOut || t.BytesIn != before.BytesOut || t.Sealed != before.Sealed {
				return bad(i, "takes in other than the step before gave")
			}
		}
		at = next
	}
	return nil
}

// CheckSteps holds the steps and the privacy that a grant obliges to against the terms of its package: exactly the terms', no
// more and no fewer. Enclave and auditors use it.
func CheckSteps(o *grant.Obligations, m *dataset.Manifest) []Problem {
	var p problems
	want, err := m.Terms.StepIDs(o.Mode)
	if err != nil {
		p.must(false, "terms.transforms", "%v", err)
		return p
	}
	if m.Kind == dataset.KindCode {
		want = nil
	}
	p.must(slices.Equal(o.Transforms, want), "terms.transforms", "obliges to %d steps that are not the %d of the terms' mode %q", len(o.Transforms), len(want), o.Mode)
	spends := int64(0)
	if m.Kind == dataset.KindDataset {
		spends = m.Terms.EpsilonFor(o.Mode)
	}
	if t := m.Terms.PrivacyFor(o.Mode); m.Kind == dataset.KindDataset && t != nil {
		p.must(o.Privacy > 0 && o.Privacy <= t.Epsilon, "terms.privacy", "debits %d millionths of epsilon, the terms allow one job %d", o.Privacy, t.Epsilon)
		return p
	}
	p.must(o.Privacy == spends, "terms.privacy", "debits %d millionths of epsilon, the terms' steps spend %d", o.Privacy, spends)
	return p
}

// CheckTransforms holds what a statement says was done to the records of package i against the terms and the grant. A run that
// failed before the last record went through says nothing. Brokers and auditors use it.
func CheckTransforms(s *Statement, i int, m *dataset.Manifest, o *grant.Obligations) []Problem {
	var p problems
	u, steps, did := &s.Packages[i], m.Terms.StepsFor(o.Mode), s.TransformsOf(s.Packages[i].Manifest)
	if m.Kind == dataset.KindCode || len(o.Transforms) == 0 {
		p.must(len(did) == 0, "use.transforms", "%d steps were done, and none is granted", len(did))
		return p
	}
	if len(did) == 0 {
		p.must(s.Outcome != OutcomeCompleted && u.Records == 0, "use.transforms", "records were delivered, and none of the %d steps was done", len(o.Transforms))
		return p
	}
	if len(did) != len(o.Transforms) || len(did) != len(steps) {
		p.must(false, "use.transforms", "%d steps were done, %d are granted", len(did), len(o.Transforms))
		return p
	}
	reports := make([]dataset.StepReport, 0, len(did))
	for n := range did {
		reports = append(reports, did[n].StepReport)
		p.checkStep(&did[n], &steps[n], o.Transforms[n], dataset.Silent(o.Mode))
	}
	p.must(dataset.CheckRounded(reports), "use.transforms", "figures that a module had a hand in are not rounded")
	p.checkCounts(u, did, m, o)
	return p
}

// checkStep: a step is the granted one, and made of records what its shape allows.
func (p *problems) checkStep(t *Transform, step *dataset.Step, id envelope.Digest, silent bool) {
	p.must(t.ID == id && t.Step == step.Name && t.Digest == step.Digest && t.Config == step.ConfigDigest(), "use.transforms",
		"step %q with id %s was done, the terms and the grant have %q with id %s", t.Step, t.ID, step.Name, id)
	p.must(t.Sealed == silent, "use.transforms", "figures of step %q are sealed: %t, the mode says %t", t.Step, t.Sealed, silent)
	p.must(dataset.Rounded(t.Fuel) == t.Fuel, "use.transforms", "fuel of step %q is not rounded", t.Step)
	if step.Name == dataset.StepModule {
		other := slices.ContainsFunc(t.Findings, func(c dataset.Count) bool {
			return c.Name != dataset.OtherFinding && !slices.Contains(step.Findings, c.Name)
		})
		p.must(!other, "use.transforms", "step %q found what its terms do not pin", t.Step)
	}
	left := t.RecordsIn - t.RecordsOut
	if dataset.KeepsAll(step.Name) {
		p.must(left == dataset.SumCounts(t.Quarantined), "use.transforms", "step %q left %d records out, %d of them for a reason; it chooses none",
			t.Step, left, dataset.SumCounts(t.Quarantined))
	}
	switch step.Shape {
	case dataset.ShapeMap:
		p.must(t.RecordsOut == t.RecordsIn, "use.transforms", "step %q made %d records of %d, its shape allows none but as many", t.Step, t.RecordsOut, t.RecordsIn)
	case dataset.ShapeFilter:
		p.must(t.RecordsOut <= t.RecordsIn, "use.transforms", "step %q made %d records of %d, its shape allows no more", t.Step, t.RecordsOut, t.RecordsIn)
	}
}

// checkCounts: all that is granted went in, and no more was delivered than came out, nor billed than went in.
func (p *problems) checkCounts(u *Package, did []Transform, m *dataset.Manifest, o *grant.Obligations) {
	sel, err := m.Select(o.Leaves.Spans())
	if err != nil {
		return // which is a finding of its own
	}
	most := sel.Records
	if last := &did[len(did)-1]; !last.Sealed {
		p.must(did[0].RecordsIn == sel.Records, "use.transforms", "%d records went into the first step, %d are granted", did[0].RecordsIn, sel.Records)
		most = min(most, last.RecordsOut)
	}
	p.must(u.Records <= product(most, u.Epochs), "use.records", "%d records in %d epochs, the steps left %d", u.Records, u.Epochs, most)
}
