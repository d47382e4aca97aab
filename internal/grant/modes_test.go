// SPDX-License-Identifier: Apache-2.0

package grant_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// TestObligationsOfModes: each mode has what it rests on, and nothing that another one does.
func TestObligationsOfModes(t *testing.T) {
	step := envelope.Sum([]byte("step"))
	for name, c := range map[string]struct {
		mode    string
		steps   []envelope.Digest
		privacy int64
		logs    string
		ok      bool
	}{
		"redacted":              {dataset.ModeRedacted, []envelope.Digest{step}, 0, grant.LogsSealed, true},
		"of code":               {dataset.ModeRedacted, []envelope.Digest{}, 0, grant.LogsSealed, true},
		"pseudonymised":         {dataset.ModePseudonymised, []envelope.Digest{step, step}, 0, grant.LogsOff, true},
		"k-anonymous":           {dataset.ModeKAnonymous, []envelope.Digest{step}, 0, grant.LogsOff, true},
		"local-dp":              {dataset.ModeLocalDP, []envelope.Digest{step}, 5, grant.LogsOff, true},
		"local-dp of code":      {dataset.ModeLocalDP, []envelope.Digest{}, 0, grant.LogsOff, true},
		"raw with steps":        {dataset.ModeRaw, []envelope.Digest{step}, 0, grant.LogsOff, false},
		"raw with a spend":      {dataset.ModeRaw, []envelope.Digest{}, 1, grant.LogsOff, false},
		"redacted with a spend": {dataset.ModeRedacted, []envelope.Digest{step}, 1, grant.LogsOff, false},
		"noise for nothing":     {dataset.ModeLocalDP, []envelope.Digest{step}, 0, grant.LogsOff, false},
		"a spend for no noise":  {dataset.ModeLocalDP, []envelope.Digest{}, 5, grant.LogsOff, false},
		"negative":              {dataset.ModeLocalDP, []envelope.Digest{step}, -5, grant.LogsOff, false},
		"huge":                  {dataset.ModeLocalDP, []envelope.Digest{step}, 1 << 60, grant.LogsOff, false},
		"words of k-anonymous":  {dataset.ModeKAnonymous, []envelope.Digest{step}, 0, grant.LogsSealed, false},
		"words of local-dp":     {dataset.ModeLocalDP, []envelope.Digest{step}, 5, grant.LogsSealed, false},
		"a zero step":           {dataset.ModeRedacted, []envelope.Digest{{}}, 0, grant.LogsOff, false},
		"no list":               {dataset.ModeRedacted, nil, 0, grant.LogsOff, false},
		"too many":              {dataset.ModeRedacted, slices.Repeat([]envelope.Digest{step}, dataset.MaxSteps+1), 0, grant.LogsOff, false},
		"not enforced":          {"aggregate-only", []envelope.Digest{step}, 5, grant.LogsOff, false},
		"training":              {dataset.ModeTraining, []envelope.Digest{}, 5, grant.LogsOff, true},
		"training after steps":  {dataset.ModeTraining, []envelope.Digest{step}, 5, grant.LogsOff, true},
		"releases":              {dataset.ModeRelease, []envelope.Digest{}, 5, grant.LogsOff, true},
		"aggregates":            {dataset.ModeAggregate, []envelope.Digest{}, 5, grant.LogsOff, true},
		"training of code":      {dataset.ModeTraining, []envelope.Digest{}, 0, grant.LogsOff, true},
		"words of training":     {dataset.ModeTraining, []envelope.Digest{}, 5, grant.LogsSealed, false},
		"words of aggregates":   {dataset.ModeAggregate, []envelope.Digest{}, 5, grant.LogsSealed, false},
		"training for nothing":  {dataset.ModeTraining, []envelope.Digest{step}, 0, grant.LogsOff, false},
	} {
		g := goodGrant(t)
		o := &g.Obligations
		o.Mode, o.Transforms, o.Privacy, o.Logs = c.mode, c.steps, c.privacy, c.logs
		if dataset.Private(c.mode) {
			o.Epochs = 1
		}
		if c.privacy > 0 {
			g.Population = "people"
		}
		if err := g.Validate(); (err == nil) != c.ok || err != nil && !errors.Is(err, grant.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPrivateModesOfData: in modes with noise of the enclave's, data has its spend, code has none, and there is one pass.
func TestPrivateModesOfData(t *testing.T) {
	for name, change := range map[string]func(*grant.Grant){
		"data for nothing": func(g *grant.Grant) { g.Obligations.Privacy = 0 },
		"code that spends": func(g *grant.Grant) { g.Population = "" },
		"two passes":       func(g *grant.Grant) { g.Obligations.Epochs = 2 },
	} {
		g := goodGrant(t)
		o := &g.Obligations
		g.Population, o.Mode, o.Epochs, o.Privacy = "people", dataset.ModeTraining, 1, 5
		if err := g.Validate(); err != nil {
			t.Fatal(err)
		}
		change(g)
		if err := g.Validate(); !errors.Is(err, grant.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
