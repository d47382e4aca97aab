// SPDX-License-Identifier: Apache-2.0

package attestation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Names of the checks that every platform is put to.
const (
	checkAuthentic  = "authentic"
	checkAssurance  = "assurance"
	checkBinding    = "binding"
	checkNesting    = "nesting"
	checkDebug      = "debug"
	checkTCB        = "tcb-status"
	checkEvaluation = "tcb-evaluation"
	checkChip       = "chip"
	checkGPU        = "gpu"
	checkReference  = "reference-values"
)

// hasTCB lists the platforms whose vendor publishes a status for every patch level. Without one they are refused.
func hasTCB(p Platform) bool {
	return p == PlatformSGX || p == PlatformTDX || p == PlatformAzureTDX
}

// appraise puts an authentic report to the demands of p that do not depend on the platform.
func (p *Policy) appraise(r *Report, now int64) []Check {
	out := []Check{p.debug(r), p.tcb(r, now)}
	for _, c := range r.Collateral {
		out = append(out, c.check(now))
	}
	return append(out, p.evaluation(r), p.chip(r))
}

func appraised(name string, ok bool, seen, want, note string) Check {
	c := Check{Step: StepAppraise, Name: name, Outcome: Pass, Seen: seen, Want: want}
	if !ok {
		c.Outcome, c.Note = Fail, note
	}
	return c
}

func inapplicable(step Step, name, why string) Check {
	return Check{Step: step, Name: name, Outcome: NotApplicable, Note: why}
}

func (p *Policy) debug(r *Report) Check {
	return appraised(checkDebug, !r.Debug, strconv.FormatBool(r.Debug), "false", "the host can read the memory of what is debugged")
}

func (p *Policy) tcb(r *Report, now int64) Check {
	if r.TCB == nil {
		if hasTCB(r.Platform) {
			return appraised(checkTCB, false, "", UpToDate, "no TCB info: fetch it with glovebox operator endorsements fetch")
		}
		return inapplicable(StepAppraise, checkTCB, "this platform's vendor publishes no status")
	}
	seen := r.TCB.Status
	if len(r.TCB.Advisories) > 0 {
		seen += " " + strings.Join(r.TCB.Advisories, ",")
	}
	want, ok := p.TCB.accepts(r.TCB, now)
	return appraised(checkTCB, ok, seen, want, "the platform's patches are not good enough for this policy")
}

// accepts says whether a status is good enough, and what would have been.
func (t *TCBPolicy) accepts(s *TCB, now int64) (want string, ok bool) {
	want = strings.Join(t.Allow, ",")
	if s.Status != Revoked && slices.Contains(t.Allow, s.Status) {
		return want, true
	}
	covers := func(ids []string) bool {
		return !slices.ContainsFunc(s.Advisories, func(id string) bool { return !slices.Contains(ids, id) })
	}
	if ids := t.Advisories[s.Status]; len(ids) > 0 && len(s.Advisories) > 0 && slices.Contains(advisable, s.Status) {
		want = s.Status + " with no advisory but " + strings.Join(ids, ",")
		if covers(ids) {
			return want, true
		}
	}
	for _, w := range t.Waivers {
		if w.Status != s.Status || !slices.Contains(waivable, s.Status) {
			continue
		}
		want = fmt.Sprintf("%s until %s with no advisory but %s", w.Status, w.Until, strings.Join(w.Advisories, ","))
		if until, err := time.Parse(time.RFC3339, w.Until); err == nil && now <= until.Unix() && covers(w.Advisories) {
			return want, true
		}
	}
	return want, false
}

func (c Collateral) check(now int64) Check {
	ok := c.Expires > 0 && c.Issued <= now && now <= c.Expires
	return appraised("collateral-"+c.Name, ok, day(c.Issued)+" to "+day(c.Expires), "holds at "+day(now), "not valid at this time: fetch it again with glovebox operator endorsements fetch, or judge old evidence as of its own time")
}

func day(t int64) string { return time.Unix(t, 0).UTC().Format(time.RFC3339) }

// evaluation demands the least evaluation number of every collateral that has one.
func (p *Policy) evaluation(r *Report) Check {
	if p.MinimumEvaluation == nil {
		return inapplicable(StepAppraise, checkEvaluation, "the policy asks for none")
	}
	least, found := 0, false
	for _, c := range r.Collateral {
		statement := c.Name == CollateralTCBInfo || c.Name == CollateralQEIdentity
		if (statement || c.Evaluation > 0) && (!found || c.Evaluation < least) {
			least, found = c.Evaluation, true
		}
	}
	if !found && !hasTCB(r.Platform) {
		return inapplicable(StepAppraise, checkEvaluation, "this platform's vendor has none")
	}
	return appraised(checkEvaluation, found && least >= *p.MinimumEvaluation, strconv.Itoa(least), "at least "+strconv.Itoa(*p.MinimumEvaluation), "the collateral is older than the policy allows")
}

func (p *Policy) chip(r *Report) Check {
	if p.Chips == nil {
		return inapplicable(StepAppraise, checkChip, "the policy accepts any machine")
	}
	return appraised(checkChip, r.Chip != "" && slices.Contains(p.Chips, r.Chip), r.Chip, fmt.Sprintf("one of %d machines", len(p.Chips)), "the machine is not on the policy's list, or does not say which it is")
}

// demandGPU is put to the whole envelope.
func (p *Policy) demandGPU(e *Evidence) Check {
	if !p.GPU.Required {
		return inapplicable(StepAppraise, checkGPU, "the policy asks for none")
	}
	n := 0
	for _, x := range e.Nested {
		if x.Platform == PlatformGPU {
			n++
		}
	}
	return appraised(checkGPU, n > 0, strconv.Itoa(n)+" nested", "at least 1", "the policy asks for a GPU")
}
