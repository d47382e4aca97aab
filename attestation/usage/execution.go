// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// CostTable is the only table of costs that runtime class [job.RuntimeWASM] counts fuel by.
const CostTable = "fuel/1"

// Execution says which module ran and what it used. Whoever has the module can do the run again and must get the same
// figures: fuel is counted by instructions inside Rewritten, not by a clock.
type Execution struct {
	Module    envelope.Digest `json:"module"`    // SHA-256 of the module in the code package
	Rewritten envelope.Digest `json:"rewritten"` // SHA-256 of what ran: Module with the counting in it
	Costs     string          `json:"costs"`     // the table of costs
	Fuel      int64           `json:"fuel"`      // units used; 0 if the worker was killed, for the count died with it
}

// validateExecution refuses an execution that is incomplete or does not go with the outcome.
func (s *Statement) validateExecution() error {
	bad := func(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(f, a...)) }
	x := s.Execution
	switch {
	case s.Runtime == job.RuntimeQuery && x != nil:
		return bad("executed a module in runtime %q, which has none", s.Runtime)
	case x == nil && s.Outcome == OutcomeCompleted && s.Runtime != job.RuntimeQuery:
		return bad("completed without an execution")
	case x == nil:
		return nil
	case s.Reason == ReasonModule:
		return bad("executed a module that was not admitted")
	case x.Module.IsZero() || x.Rewritten.IsZero() || x.Costs == "":
		return bad("execution without modules or table of costs")
	case !figures(x.Fuel):
		return bad("fuel out of range")
	}
	return nil
}

// checkExecution holds the execution against the job's limit and against how the run ended.
func (p *problems) checkExecution(s *Statement, j *job.Job) {
	x, l := s.Execution, &j.Limits
	if x == nil {
		p.must(s.Reason != ReasonFuel, "usage.execution", "out of fuel without a module")
		return
	}
	p.must(s.Isolation != NotStarted, "usage.execution", "a module was executed without a worker")
	p.must(x.Costs == CostTable, "usage.execution", "table of costs %q, this release has %q", x.Costs, CostTable)
	if job.Private(j.Mode) {
		return // no fuel is stated, and none ends a run
	}
	p.must(x.Fuel <= l.Fuel, "usage.fuel", "%d units of fuel, the job allows %d", x.Fuel, l.Fuel)
	p.must(x.Fuel > 0 || s.Outcome != OutcomeCompleted, "usage.fuel", "completed without fuel")
	p.must(s.Reason != ReasonFuel || x.Fuel == l.Fuel, "usage.fuel", "out of fuel after %d units of %d", x.Fuel, l.Fuel)
}
