// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/policies/oracle"
)

// TestReasonsSpeakInEpsilon: budgets are told in ε and δ, not in the integers that terms count in, by the rules and by their twin.
func TestReasonsSpeakInEpsilon(t *testing.T) {
	e := load(t)
	for rule, c := range map[string]struct {
		bend func(*Request)
		want string
	}{
		"epsilon":         {func(r *Request) { r.Account.EpsilonAfter = 4_291_074 }, "all jobs together would come to ε 4.291074, and 3 is allowed; this job is ε 0.5"},
		"buyer-epsilon":   {func(r *Request) { r.Account.BuyerEpsilonAfter = 1_000_001 }, "all jobs of this buyer together would come to ε 1.000001, and 1 is allowed; this job is ε 0.5"},
		"privacy-epsilon": {func(r *Request) { r.Terms.Private.Epsilon = 499_999 }, "the job would spend ε 0.5, and one job may spend 0.499999"},
		"privacy-bound":   {func(r *Request) { r.Job.Privacy.Computed = 3_000_001 }, "the mechanisms come to ε 3.000001, and the job states ε 0.5"},
		"privacy-delta":   {func(r *Request) { r.Job.Privacy.Delta = 10_000_000 }, "a δ of 1e-05 is too much"},
	} {
		r := private(dataset.ModeTraining)
		c.bend(&r)
		d, err := e.Decide(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		_, reasons, _ := oracle.Decide(r)
		if len(d.Reasons) != 1 || len(reasons) != 1 || d.Reasons[0].Rule != rule || reasons[0].Rule != rule {
			t.Errorf("%s: %+v, %+v", rule, d.Reasons, reasons)
			continue
		}
		if got := d.Reasons[0].Message; got != c.want {
			t.Errorf("%s: the rules say %q, want %q", rule, got, c.want)
		}
		if got := reasons[0].Message; got != c.want {
			t.Errorf("%s: the twin says %q, want %q", rule, got, c.want)
		}
	}
}
