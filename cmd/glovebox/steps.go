// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

// maxStepsFile bounds a file with a pipeline.
const maxStepsFile = dataset.MaxSteps * 2 * dataset.MaxStepConfig

// stepsHint is what to do about a file that is no pipeline.
const stepsHint = `write a list of steps, e.g. [{"step": "redact", "config": {"fields": ["*"]}}]; docs/transforms.md lists them`

// readSteps reads a pipeline: a JSON list of steps, each with its name and configuration, and pins those that are not. Modules
// come pinned from glovebox creator transform pack.
func readSteps(path string) ([]dataset.Step, error) {
	b, err := readBounded(path, maxStepsFile)
	if err != nil {
		return nil, err
	}
	steps, err := parseSteps(b)
	if err != nil {
		return nil, Errorf(KindUsage, "%s", hintOf(err)).from(fmt.Errorf("%s: %w", path, err))
	}
	return steps, nil
}

// parseSteps takes a list of steps, or one alone, as transform pack prints it.
func parseSteps(b []byte) ([]dataset.Step, error) {
	var raw []json.RawMessage
	if text := bytes.TrimLeft(b, " \t\r\n"); bytes.HasPrefix(text, []byte{'{'}) {
		raw = append(raw, b)
	} else if err := transforms.DecodeWords(b, maxStepsFile, &raw); err != nil {
		return nil, err
	}
	if len(raw) == 0 || len(raw) > dataset.MaxSteps {
		return nil, fmt.Errorf("%d steps, want 1 to %d", len(raw), dataset.MaxSteps)
	}
	out := make([]dataset.Step, 0, len(raw))
	for i, r := range raw {
		s, err := parseStep(r)
		if errors.Is(err, transforms.ErrConfig) {
			err = &configError{s.Name, err}
		}
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", i+1, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// configError is about the configuration of one step.
type configError struct {
	step string
	err  error
}

func (e *configError) Error() string { return e.err.Error() }

func (e *configError) Unwrap() error { return e.err }

// hintOf is what to do about steps that cannot be read.
func hintOf(err error) string {
	e, ok := errors.AsType[*configError](err)
	if !ok {
		return stepsHint
	}
	var members []string
	for _, entry := range builtin.Describe() {
		if entry.Name != e.step {
			continue
		}
		for _, m := range entry.Members {
			members = append(members, m.Name)
		}
	}
	return fmt.Sprintf("the configuration of %s has %s; docs/transforms.md says of each what it takes", e.step, strings.Join(members, ", "))
}

// parseStep pins a step, or holds one that is pinned to what this release has.
func parseStep(b []byte) (s dataset.Step, err error) {
	if err := transforms.DecodeWords(b, maxStepsFile, &s); err != nil {
		return s, err
	}
	if s.Config == nil {
		s.Config = json.RawMessage(`{}`)
	}
	if s.Config, err = envelope.Canonical(s.Config); err != nil {
		return s, err
	}
	if s.Config[0] != '{' {
		return s, fmt.Errorf("%w: config: want an object", transforms.ErrConfig)
	}
	if s.Name == dataset.StepModule {
		if s.Digest.IsZero() {
			return s, errors.New("a module is named by its digest: glovebox creator transform pack MODULE prints the step")
		}
		return s, s.Validate()
	}
	pinned, err := builtin.Pin(s.Name, s.Config)
	if err != nil {
		return s, err // with the name
	}
	if !s.Digest.IsZero() && s.Digest != pinned.Digest {
		return s, fmt.Errorf("%s is pinned to %s, and this release has %s; leave the digest out to pin that", s.Name, short(s.Digest.String()), short(pinned.Digest.String()))
	}
	if s.Epsilon != 0 && s.Epsilon != pinned.Epsilon {
		return s, fmt.Errorf("%s spends %d millionths of epsilon, not %d", s.Name, pinned.Epsilon, s.Epsilon)
	}
	return pinned, nil
}

// refusedSteps is the error about steps that no pipeline can be made of; what has a hint of its own keeps it.
func refusedSteps(err error) error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	return Errorf(KindUsage, "correct the step; docs/transforms.md says what each takes").from(err)
}
