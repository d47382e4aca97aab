// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tdx/quote"
)

// Appraise implements [attestation.Appraiser]: the host cannot take pages away, nobody can move the TD to another machine,
// and there is an event log where the policy wants one.
func (f *Format) Appraise(r *attestation.Report, p *attestation.Policy, _ int64) []attestation.Check {
	d, ok := r.Detail.(*Detail)
	if !ok || d == nil || p == nil {
		return []attestation.Check{appraised("td-attributes", false, "", "a report of this platform", "there is nothing to appraise")}
	}
	return []attestation.Check{d.septVE(p), d.migration(), d.log(p)}
}

func appraised(name string, ok bool, seen, want, note string) attestation.Check {
	c := attestation.Check{Step: attestation.StepAppraise, Name: name, Outcome: attestation.Pass, Seen: seen, Want: want}
	if !ok {
		c.Outcome, c.Note = attestation.Fail, note
	}
	return c
}

func inapplicable(name, why string) attestation.Check {
	return attestation.Check{Step: attestation.StepAppraise, Name: name, Outcome: attestation.NotApplicable, Note: why}
}

func set(a, bit quote.Attributes) string {
	if a&bit != 0 {
		return "set"
	}
	return "not set"
}

// septVE: without SEPT_VE_DISABLE a host that unmaps a page makes the guest handle an exception where it least expects one.
func (d *Detail) septVE(p *attestation.Policy) attestation.Check {
	const name = "sept-ve-disable"
	if p.TDX.UnsafeWithoutSEPTVE {
		return inapplicable(name, "the policy accepts trust domains without it (unsafeWithoutSeptVe)")
	}
	seen := set(d.Attributes, quote.AttributeSEPTVEDisable)
	return appraised(name, seen == "set", seen, "set", "the host can unmap pages of the trust domain unnoticed")
}

// migration: no policy accepts it, since neither the place that a TD is moved to nor whoever moves it is attested.
func (d *Detail) migration() attestation.Check {
	seen := set(d.Attributes, quote.AttributeMigratable)
	return appraised("migratable", seen == "not set", seen, "not set", "a service TD could move the trust domain to another machine")
}

func (d *Detail) log(p *attestation.Policy) attestation.Check {
	const name = "event-log-present"
	if !p.TDX.RequireEventLog {
		return inapplicable(name, "the policy asks for none")
	}
	seen := map[bool]string{true: "present", false: "absent"}[d.EventLog]
	return appraised(name, d.EventLog, seen, "present", "the policy asks for an event log that leads to the RTMRs")
}
