// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The modes in which the enclave itself answers for differential privacy, whatever the code does.
const (
	ModeTraining  = "dp-training"      // the enclave samples, clips, sums, adds noise and steps; code computes gradients
	ModeRelease   = "dp-release"       // the enclave answers queries with noise; there is no code
	ModeAggregate = "sample-aggregate" // code runs on disjoint shards, and the enclave aggregates with noise
)

// ModePrivacy is what one job may do to records in one of those modes.
type ModePrivacy struct {
	Mode          string   `json:"mode"`
	Epsilon       int64    `json:"epsilon"`       // millionths: the most that one job may spend, all its attempts together
	Delta         int64    `json:"delta"`         // 10⁻¹²: the δ at which, and no job's may be greater
	Contributions int64    `json:"contributions"` // records of one contributor that count at most, in each step; 1 where the unit is a record
	Runtimes      []string `json:"runtimes"`      // runtime classes, sorted: what every ε rests on besides noise
	Shards        int64    `json:"shards"`        // least number of shards of [ModeAggregate]; 0 in the others
}

// PrivacyFor is what terms allow in a mode, nil if nothing.
func (t *Terms) PrivacyFor(mode string) *ModePrivacy {
	for i := range t.Private {
		if t.Private[i].Mode == mode {
			return &t.Private[i]
		}
	}
	return nil
}

// MaxContributions bounds the records of one contributor that may count.
const MaxContributions = 1_000_000

// RuntimesFor are the runtime classes that a mode of [Private] runs in, the one that asks least of the worker first. Other
// modes have none here: what their code runs in bears on nothing that the terms promise.
func RuntimesFor(mode string) []string {
	switch mode {
	case ModeTraining:
		return []string{"wasm-train/1", "wasm-train-sum/1"}
	case ModeRelease:
		return []string{"dp-query/1"}
	case ModeAggregate:
		return []string{"wasm-fuel/1"}
	}
	return nil
}

// singly are the built-in steps that make at most one record of each, whatever the others are. Only they may stand before
// noise that is calibrated to one unit: of what looks at several records, one of them changes many.
var singly = []string{"code", "drop", "filter", StepFPE, "generalise", "keep", "media", StepRedact, "rename", "suppress", StepTokenise}

// unfailing refuses steps of a mode of [Private] that ask for fields that some record must have. Where there are no columns, that
// none has it would be found out from the records, and the enclave tells nobody: what is asked for could never be had.
func (m *Manifest) unfailing() error {
	if m.Format != FormatJSONL {
		return nil // files have no fields, and columns are the same for all records
	}
	for _, mode := range m.Terms.Modes {
		if !Private(mode) {
			continue
		}
		steps := m.Terms.StepsFor(mode)
		for i := range steps {
			if name := steps[i].required(); name != "" {
				return invalid(`terms: mode %s: step %d, %s: field %q needs "optional": true: whether the run fails where no record has it would be told without noise`,
					mode, i+1, steps[i].Name, name)
			}
		}
	}
	return nil
}

// required is the first field that a built-in step fails without, "" if it does without any: either all its fields are optional
// together, or each on its own.
func (s *Step) required() string {
	var c struct {
		Optional bool              `json:"optional"`
		Fields   []json.RawMessage `json:"fields"`
	}
	if json.Unmarshal(s.Config, &c) != nil { // which the step itself refuses
		return ""
	}
	for _, raw := range c.Fields {
		var name string
		var f struct {
			Field    string `json:"field"`
			Optional bool   `json:"optional"`
		}
		switch {
		case json.Unmarshal(raw, &name) == nil:
			if !c.Optional && name != "*" {
				return name
			}
		case json.Unmarshal(raw, &f) == nil && !f.Optional:
			return f.Field
		}
	}
	return ""
}

// alone refuses steps of which one unit could change more than its own records, or end the run.
func alone(steps []Step) error {
	for i := range steps {
		if !slices.Contains(singly, steps[i].Name) {
			return invalid("terms: steps: %s before noise of the enclave's, which hides one unit: only steps that look at one record at a time may come before it: %s",
				steps[i].Name, strings.Join(singly, ", "))
		}
	}
	return nil
}

// CountedTwice says what is wrong with a job over two datasets of [SamePeople], and CountOnce what to do.
const (
	CountedTwice = "both are of one owner and on the same people, who would count twice where the noise hides one of them"
	CountOnce    = "pack them as one dataset, or run one job each"
)

// SamePeople reports whether one person may be a unit of privacy of both datasets, as far as their manifests tell: they are of one
// owner and of one population. A contributor has another identity in each dataset, so with that unit all of one owner's are. What
// two owners know of the same person neither can tell.
func SamePeople(a, b *Manifest, unit string) bool {
	return a.Owner.Equal(b.Owner) && (unit == UnitContributor || a.Terms.Privacy.Population == b.Terms.Privacy.Population)
}

// PrivacyUnits is how many units of privacy there are in a dataset: contributors or records, as the terms mean it.
func (m *Manifest) PrivacyUnits() int64 {
	if m.Terms.Privacy.Unit == UnitContributor {
		return m.Contributors()
	}
	return m.Records
}

// PrivacyUnits is how many of them are selected.
func (s *Selection) PrivacyUnits(m *Manifest) int64 {
	if m.Terms.Privacy.Unit == UnitContributor {
		return int64(len(s.IDs(m)))
	}
	return s.Records
}

// checkDelta refuses, with [ErrDelta], an account that holds at a delta of one in its units or more. Delta is a chance of no guarantee at
// all: at one in n a mechanism that publishes one of n persons, drawn by lot, would be within the account.
func (m *Manifest) checkDelta() error {
	n := m.PrivacyUnits()
	if m.Kind == KindCode || n < 1 || !slices.ContainsFunc(m.Terms.Modes, Accounted) || m.Terms.Privacy.Delta <= (picos-1)/n {
		return nil
	}
	return fmt.Errorf("%w: %v, and the data is of %d %ss", ErrDelta, float64(m.Terms.Privacy.Delta)/picos, n, m.Terms.Privacy.Unit)
}

const picos = 1_000_000_000_000 // δ is counted in 10⁻¹²

// validatePrivate wants what jobs may spend said of exactly the modes in which the enclave adds noise. Code has none: it is
// nobody's records.
func (t *Terms) validatePrivate(kind Kind) error {
	if t.Private != nil && (len(t.Private) == 0 || kind == KindCode) {
		return invalid("terms: private: want null where there is no mode with noise of the enclave's, and of code")
	}
	if kind == KindCode {
		return nil
	}
	for i := range t.Private {
		p := &t.Private[i]
		switch {
		case i > 0 && p.Mode <= t.Private[i-1].Mode:
			return invalid("terms: private: modes must be sorted and distinct")
		case !Private(p.Mode) || !slices.Contains(t.Modes, p.Mode):
			return invalid("terms: private: mode %q is not one with noise of the enclave's that the terms allow", p.Mode)
		}
		if err := p.validate(&t.Privacy); err != nil {
			return fmt.Errorf("mode %s: %w", p.Mode, err)
		}
	}
	for _, mode := range t.Modes {
		if Private(mode) && t.PrivacyFor(mode) == nil {
			return invalid("terms: private: mode %s, and nothing says what one job may spend", mode)
		}
	}
	return nil
}

func (p *ModePrivacy) validate(account *Privacy) error {
	switch {
	case p.Epsilon < 1 || p.Epsilon > account.Epsilon:
		return invalid("terms: private: epsilon of %d for one job, want more than 0 and at most the account's %d", p.Epsilon, account.Epsilon)
	case p.Delta < 1 || p.Delta > account.Delta:
		return invalid("terms: private: delta of %d for one job, want more than 0 and at most the account's %d", p.Delta, account.Delta)
	case p.Contributions < 1 || p.Contributions > MaxContributions:
		return invalid("terms: private: %d records of one contributor, want 1 to %d", p.Contributions, MaxContributions)
	case p.Contributions != 1 && account.Unit == UnitRecord:
		return invalid("terms: private: %d records of one unit, and the unit is a record: want 1", p.Contributions)
	case (p.Mode == ModeAggregate) != (p.Shards > 0) || p.Shards < 0 || p.Mode == ModeAggregate && p.Shards < 2 || p.Shards > MaxShards:
		return invalid("terms: private: %d shards, want 2 to %d of %s, and 0 of other modes", p.Shards, MaxShards, ModeAggregate)
	case len(p.Runtimes) == 0 || !ordered(p.Runtimes, text):
		return invalid("terms: private: runtimes must be named, sorted and distinct")
	}
	for _, r := range p.Runtimes {
		if !slices.Contains(RuntimesFor(p.Mode), r) {
			return invalid("terms: private: runtime %q, want of %q", r, RuntimesFor(p.Mode))
		}
	}
	return nil
}

// MaxShards bounds the parts that data is cut into.
const MaxShards = 65_536
