// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/fuel"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

func TestCostsAreThoseOfTheStatement(t *testing.T) {
	if fuel.CostTable != usage.CostTable {
		t.Errorf("fuel is counted by %q, statements know %q", fuel.CostTable, usage.CostTable)
	}
}

// TestExecutionIsAttested: what the worker says it executed is in the statement, and brokers agree to it. A run whose
// module was not admitted executed nothing.
func TestExecutionIsAttested(t *testing.T) {
	limit := int64(1 << 20)
	lower := func(j *job.Job) { j.Limits.Fuel = limit }
	for name, c := range map[string]struct {
		change func(*sandbox.Outcome)
		fuel   int64 // -1: no execution
	}{
		"completed":   {nil, 4321},
		"out of fuel": {func(o *sandbox.Outcome) { o.Reason, o.Fuel, o.Outputs = sandbox.ReasonFuel, limit, nil }, limit},
		"killed":      {func(o *sandbox.Outcome) { o.Reason, o.Fuel, o.Outputs = sandbox.ReasonWall, 0, nil }, 0},
		"refused": {func(o *sandbox.Outcome) {
			*o = sandbox.Outcome{Isolation: isolation, Reason: sandbox.ReasonModule}
		}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, lower)
			r, a := w.run(reader{change: c.change})
			if r == nil {
				t.Fatalf("abandoned: %+v", a)
			}
			s, _ := w.statement(r)
			var want *usage.Execution
			if c.fuel >= 0 {
				want = &usage.Execution{Module: s.Execution.Module, Rewritten: envelope.Sum([]byte("rewritten")), Costs: "fuel/1", Fuel: c.fuel}
			}
			if diff := cmp.Diff(want, s.Execution); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// TestImpossibleFuelIsNotCommitted: no broker commits to figures that the job's limit rules out, and nothing leaves.
func TestImpossibleFuelIsNotCommitted(t *testing.T) {
	w := newWorld(t, func(j *job.Job) { j.Limits.Fuel = 4320 })
	if r, a := w.run(reader{}); r != nil || a == nil {
		t.Fatal("a run that used more fuel than its job allows was committed")
	}
}
