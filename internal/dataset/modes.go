// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"encoding/json"
	"fmt"
	"slices"
)

// The privacy modes that this release enforces: at release by the brokers' rules, and again in the enclave. Those in which
// the enclave answers for differential privacy are [ModeTraining], [ModeRelease] and [ModeAggregate].
const (
	ModeKAnonymous    = "k-anonymous"
	ModeLocalDP       = "local-dp"
	ModePseudonymised = "pseudonymised"
	ModeRaw           = "raw-in-tee"
	ModeRedacted      = "redacted"
)

// Modes lists them, sorted. It is the one list: terms, grants, rules and enclaves ask it.
func Modes() []string {
	return []string{ModeRelease, ModeTraining, ModeKAnonymous, ModeLocalDP, ModePseudonymised, ModeRaw, ModeRedacted, ModeAggregate}
}

// Enforced reports whether this release enforces a mode.
func Enforced(mode string) bool { return slices.Contains(Modes(), mode) }

// Noisy reports whether a mode's promise is made by its steps, which put noise into each record.
func Noisy(mode string) bool { return mode == ModeLocalDP }

// Private reports whether a mode's promise is made by the enclave itself, which adds noise to what it makes of all records:
// what is spent is then the job's to say, within [Terms.Private], not the steps'.
func Private(mode string) bool {
	return mode == ModeTraining || mode == ModeRelease || mode == ModeAggregate
}

// Accounted reports whether an account of privacy counts what jobs in a mode spend. The others' is infinite there.
func Accounted(mode string) bool { return Noisy(mode) || Private(mode) }

// Silent reports whether a mode lets nothing out but its outputs: no logs, and no figures that depend on records.
func Silent(mode string) bool { return mode == ModeKAnonymous || Accounted(mode) }

// Built-in steps that modes rest on.
const (
	StepRedact   = "redact"
	StepScan     = "scan"
	StepTokenise = "tokenise"
	StepFPE      = "fpe"
	StepKAnon    = "kanon"
)

// maxPipelines bounds the modes that have steps.
const maxPipelines = 16

// validateSteps holds each mode to the steps that its promise rests on. Code has none: it is nobody's records.
func (t *Terms) validateSteps(kind Kind) error {
	if t.Steps != nil && len(t.Steps) == 0 || len(t.Steps) > maxPipelines {
		return invalid("terms: steps: want null, or a list of modes with their steps")
	}
	if kind == KindCode {
		if t.Steps != nil {
			return invalid("terms: steps: code is not transformed")
		}
		return nil
	}
	for i := range t.Steps {
		p := &t.Steps[i]
		switch {
		case i > 0 && p.Mode <= t.Steps[i-1].Mode:
			return invalid("terms: steps: modes must be sorted and distinct")
		case !slices.Contains(t.Modes, p.Mode):
			return invalid("terms: steps: mode %q is not one that the terms allow", p.Mode)
		}
	}
	for _, mode := range t.Modes {
		if err := t.validatePipeline(mode, t.StepsFor(mode)); err != nil {
			return fmt.Errorf("mode %s: %w", mode, err)
		}
	}
	return nil
}

func (t *Terms) validatePipeline(mode string, steps []Step) error {
	has := func(ok func(*Step) bool) bool {
		return slices.ContainsFunc(steps, func(s Step) bool { return ok(&s) })
	}
	switch {
	case len(steps) > MaxSteps:
		return invalid("terms: steps: %d, at most %d", len(steps), MaxSteps)
	case mode == ModeRaw && len(steps) > 0:
		return invalid("terms: steps: records are given as they are, so there can be none")
	case mode != ModeRaw && !Private(mode) && len(steps) == 0:
		return invalid("terms: steps: the mode rests on its steps, and there are none")
	}
	for i := range steps {
		if err := steps[i].Validate(); err != nil {
			return err
		}
	}
	if epsilon := t.EpsilonFor(mode); Noisy(mode) != (epsilon > 0) {
		return invalid("terms: steps: noise of epsilon %d, and only %s draws any", epsilon, ModeLocalDP)
	}
	switch {
	case mode == ModeRedacted && !decided(steps):
		return invalid("terms: steps: after the last module, want a redact step, or a scan step that acts (quarantine or fail)")
	case mode == ModePseudonymised && !has((*Step).keyed):
		return invalid("terms: steps: want a %s or %s step, or a %s step with a keyed operator", StepTokenise, StepFPE, StepRedact)
	case mode == ModeKAnonymous && steps[len(steps)-1].Name != StepKAnon:
		return invalid("terms: steps: the last must be %s: what comes after it could undo it", StepKAnon)
	case mode == ModeLocalDP && multiplied(steps):
		return invalid("terms: steps: before the last noise, a module that may make several records of one would multiply its epsilon")
	case Private(mode):
		return alone(steps)
	}
	return t.validateNoise(mode)
}

// validateNoise: what one person may spend must be known, and a contributor may have any number of records. Noise hides what a
// record says, not that it is there.
func (t *Terms) validateNoise(mode string) error {
	switch {
	case !Noisy(mode):
		return nil
	case t.Privacy.Unit != UnitRecord:
		return invalid("terms: epsilon is of a record, and the privacy unit is a %s, who may have any number of them: want unit %q", t.Privacy.Unit, UnitRecord)
	case t.Privacy.Adjacency != ReplaceOne:
		return invalid("terms: noise in records hides what they say, not how many there are: want adjacency %q", ReplaceOne)
	}
	return nil
}

// decided reports whether a built-in has the last word on what may pass: after a module of somebody's, what it says to have
// removed is looked for again.
func decided(steps []Step) bool {
	ok := false
	for i := range steps {
		switch s := &steps[i]; s.Name {
		case StepModule:
			ok = false
		case StepRedact:
			ok = true
		case StepScan:
			ok = ok || slices.Contains([]string{"quarantine", "fail"}, s.member("act"))
		}
	}
	return ok
}

// multiplied reports whether a module that may repeat records stands before noise.
func multiplied(steps []Step) bool {
	several := false
	for i := range steps {
		several = several || steps[i].Name == StepModule && steps[i].Shape == ShapeAny
		if several && steps[i].Epsilon > 0 {
			return true
		}
	}
	return false
}

// keyed reports whether a step puts keyed values in the place of what it takes away.
func (s *Step) keyed() bool {
	switch s.Name {
	case StepTokenise, StepFPE:
		return true
	case StepRedact:
	default:
		return false
	}
	var c struct {
		Operators map[string]struct {
			Op string `json:"op"`
		} `json:"operators"`
	}
	if err := json.Unmarshal(s.Config, &c); err != nil {
		return false
	}
	for _, o := range c.Operators {
		if slices.Contains([]string{"hash", "encrypt", "surrogate", "shift"}, o.Op) {
			return true
		}
	}
	return false
}

// member is a text in a step's configuration, "" if there is none.
func (s *Step) member(name string) (out string) {
	var c map[string]json.RawMessage
	if json.Unmarshal(s.Config, &c) != nil || json.Unmarshal(c[name], &out) != nil {
		return ""
	}
	return out
}
