// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// ModeSteps are what is done to every record, in order, before code sees it in one privacy mode.
type ModeSteps struct {
	Mode  string `json:"mode"`
	Steps []Step `json:"steps"`
}

// Step is one step of a pipeline of transforms, pinned: the same step does the same to the same record, or it is refused.
type Step struct {
	Name   string          `json:"step"`   // of a built-in, or StepModule
	Digest envelope.Digest `json:"digest"` // of a built-in's method, or SHA-256 of a module
	ABI    string          `json:"abi"`    // of a module: ABITransform or ABIWASI; "" for a built-in
	Shape  string          `json:"shape"`  // of a module: what it may make of records; "" for a built-in, which knows
	// Config is a JSON object, canonical. A built-in refuses members that it does not know.
	Config json.RawMessage `json:"config"`
	// Epsilon bounds what the step's noise spends for one record, in millionths, pure; 0: it draws none.
	Epsilon int64 `json:"epsilon"`
	// Findings are the types of findings that a module may report; others count as [OtherFinding]. None for a built-in, which knows.
	Findings Types `json:"findings"`
}

// StepModule is the name of a step that is a WebAssembly module of the creator's.
const StepModule = "module"

// How a module takes records.
const (
	ABITransform = "tx/1" // docs/spec/transform-abi.md
	ABIWASI      = "wasi" // a command: records on stdin, what becomes of them on stdout
)

// Shapes: what a step may make of records. More or other records than its shape allows end the run.
const (
	ShapeMap    = "map"    // exactly one of each, in order
	ShapeFilter = "filter" // one of each or none, in order
	ShapeAny    = "any"    // any number
)

// Bounds of a pipeline.
const (
	MaxSteps       = 32
	MaxStepConfig  = 256 << 10 // bytes
	MaxStepName    = 64
	MaxStepTypes   = 128 // of a module's findings
	stepLabel      = "glovebox.dev/step/v1"
	configLabel    = "glovebox.dev/step-config/v1"
	maxStepEpsilon = 1_000_000_000 // a thousand
)

// ID names a step with its configuration: SHA-256 of a label and the canonical step, see docs/spec/manifest.md. Grants and
// usage attestations name steps by it.
func (s *Step) ID() (envelope.Digest, error) {
	b, err := envelope.Canonical(s)
	if err != nil {
		return envelope.Digest{}, fmt.Errorf("%w: step %q: %w", ErrManifest, s.Name, err)
	}
	return envelope.Hash(stepLabel, b), nil
}

// ConfigDigest names the configuration alone.
func (s *Step) ConfigDigest() envelope.Digest { return envelope.Hash(configLabel, s.Config) }

// Validate refuses a step that is not pinned or not canonical. Whether a built-in knows the configuration is for it to say.
func (s *Step) Validate() error {
	bad := func(f string, a ...any) error {
		return fmt.Errorf("%w: step %q: %s", ErrManifest, s.Name, fmt.Sprintf(f, a...))
	}
	module := s.Name == StepModule
	switch {
	case s.Name == "" || len(s.Name) > MaxStepName || s.Digest.IsZero():
		return bad("no name or no digest")
	case module && s.ABI != ABITransform && s.ABI != ABIWASI:
		return bad("ABI %q, want %s or %s", s.ABI, ABITransform, ABIWASI)
	case module && !slices.Contains([]string{ShapeMap, ShapeFilter, ShapeAny}, s.Shape):
		return bad("shape %q", s.Shape)
	case !module && (s.ABI != "" || s.Shape != "" || len(s.Findings) != 0):
		return bad("a built-in has an ABI, a shape or types of findings")
	case len(s.Findings) > MaxStepTypes:
		return bad("%d types of findings, at most %d", len(s.Findings), MaxStepTypes)
	case s.Epsilon < 0 || s.Epsilon > maxStepEpsilon:
		return bad("epsilon %d", s.Epsilon)
	case len(s.Config) < 2 || len(s.Config) > MaxStepConfig || s.Config[0] != '{':
		return bad("configuration of %d bytes, want a JSON object of at most %d", len(s.Config), MaxStepConfig)
	}
	for i, name := range s.Findings {
		if !FindingType(name) || i > 0 && s.Findings[i-1] >= name {
			return bad("type of finding %q: want A to Z, 0 to 9 and _, at most %d, sorted, each once", name, MaxCountName)
		}
	}
	c, err := envelope.Canonical(s.Config)
	if err != nil || string(c) != string(s.Config) {
		return bad("configuration is not canonical JSON")
	}
	return nil
}

// StepsFor are the steps of a mode; none in modes that have none.
func (t *Terms) StepsFor(mode string) []Step {
	for i := range t.Steps {
		if t.Steps[i].Mode == mode {
			return t.Steps[i].Steps
		}
	}
	return nil
}

// StepIDs are the identities of a mode's steps, in order, as a grant has them.
func (t *Terms) StepIDs(mode string) ([]envelope.Digest, error) {
	out := []envelope.Digest{}
	steps := t.StepsFor(mode)
	for i := range steps {
		id, err := steps[i].ID()
		if err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, nil
}

// EpsilonFor is what a mode's steps spend for one record, in millionths.
func (t *Terms) EpsilonFor(mode string) (sum int64) {
	for _, s := range t.StepsFor(mode) {
		sum += s.Epsilon
	}
	return sum
}

// Modules are the modules that steps of any mode run, each once: blobs of the package's store beside its segments, under their
// SHA-256.
func (t *Terms) Modules() []envelope.Digest {
	out := []envelope.Digest{}
	for i := range t.Steps {
		for _, s := range t.Steps[i].Steps {
			if s.Name == StepModule && !slices.Contains(out, s.Digest) {
				out = append(out, s.Digest)
			}
		}
	}
	return out
}
