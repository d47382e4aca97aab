// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localrun"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// TestVerdictsOnTrainings: a guest that a job could not train fails, with a hint; one that it could does not.
func TestVerdictsOnTrainings(t *testing.T) {
	for want, r := range map[string]localrun.Result{
		"":                                  {Training: &localrun.Training{Params: 2, Records: 3, Gradients: 2, Zeros: 1, Without: 1}},
		"give it some with --data":          {Training: &localrun.Training{Params: 2}},
		"the reasons are above":             {Training: &localrun.Training{Params: 2, Records: 3, Without: 3}},
		"write the gradient to where":       {Training: &localrun.Training{Params: 2, Records: 3, Gradients: 2, Zeros: 2, Without: 1}},
		"build Go with -buildmode=c-shared": {Reason: "module", Training: &localrun.Training{}},
		"it must accept train.json":         {Reason: "trap", Training: &localrun.Training{}},
		"than --fuel 1000 to start":         {Reason: "fuel-limit", Training: &localrun.Training{}},
		"or fewer records":                  {Reason: "wall-limit", Training: &localrun.Training{Params: 2, Records: 3, Gradients: 3}},
		"give it longer with --wall, or ma": {Reason: "wall-limit", Training: &localrun.Training{}},
	} {
		err := (&localView{Result: &r, Limits: job.Limits{MemoryBytes: 64 << 20, Fuel: 1000}}).verdict()
		if e, ok := errors.AsType[*Error](err); (err == nil) != (want == "") || ok && !strings.Contains(e.Hint, want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
