// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// ErrNotPrivate is a pipeline whose noise does not make whole records private.
var ErrNotPrivate = errors.New("builtin: the steps do not make records differentially private")

// Names of the steps that [Private] knows.
const (
	stepKeep     = "keep"
	stepDrop     = "drop"
	stepSuppress = "suppress"
	stepKRR      = "k-rr"
	stepLaplace  = "discrete-laplace"
	stepGaussian = "discrete-gaussian"
)

// Private refuses steps whose epsilons, added, do not bound what all of them tell of a record. Noise in one field is worth nothing if
// another tells the same. So there must be a keep step, every field that it names must get noise, and up to the last
// noise each step must make one record of each, whatever it has: none that leaves out or quarantines some; and none may fail for what records
// do not have, so that every field must be optional. What comes after the last noise sees only what is private already. Its errors
// wrap ErrNotPrivate.
func Private(steps []dataset.Step) error {
	last := -1
	for i := range steps {
		if steps[i].Epsilon > 0 {
			last = i
		}
	}
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", ErrNotPrivate, fmt.Sprintf(format, a...))
	}
	if last < 0 {
		return bad("none adds noise")
	}
	var kept, noisy []string
	for i := range steps[:last+1] {
		names, required, err := fieldNames(&steps[i])
		if err != nil {
			return bad("step %d, %s: %v", i+1, steps[i].Name, err)
		}
		switch steps[i].Name {
		case stepKeep:
			kept = names
		case stepKRR, stepLaplace:
			noisy = append(noisy, names...)
		case stepGaussian:
			return bad("step %d, %s, spends a delta too, which no account of steps takes", i+1, stepGaussian)
		case stepDrop, stepSuppress:
		default:
			return bad("step %d, %s, comes before the last noise and may leave records out by what they have: only %s, %s and %s may", i+1, steps[i].Name,
				stepKeep, stepDrop, stepSuppress)
		}
		if required != "" {
			return bad("step %d, %s: field %q needs \"optional\": true: whether the run fails where no record has it would be told without noise", i+1, steps[i].Name, required)
		}
	}
	if kept == nil {
		return bad("fields that get no noise pass as they are: add a %s step that names those that do", stepKeep)
	}
	for _, name := range kept {
		if !slices.Contains(noisy, name) {
			return bad("field %q is kept and gets no noise", name)
		}
	}
	return nil
}

// fieldNames are the fields that a step's configuration names, and the first of them that some record must have.
func fieldNames(s *dataset.Step) (names []string, required string, err error) {
	var c struct {
		Fields []struct {
			Field    string `json:"field"`
			Optional bool   `json:"optional"`
		} `json:"fields"`
	}
	if err := json.Unmarshal(s.Config, &c); err != nil || len(c.Fields) == 0 {
		return nil, "", errors.New("its configuration names no fields")
	}
	for _, f := range c.Fields {
		if names = append(names, f.Field); !f.Optional && required == "" {
			required = f.Field
		}
	}
	return names, required, nil
}
