// SPDX-License-Identifier: Apache-2.0

package attestation_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// sgx is the policy test's platform: one whose vendor publishes a status.
const sgx = attestation.PlatformSGX

func sgxReport(change func(*attestation.Report)) func(*attestation.Report) *attestation.Report {
	return func(r *attestation.Report) *attestation.Report {
		r.Assurance = attestation.AssuranceTEE
		r.Measurements = map[string]string{"mrenclave": strings.Repeat("ab", 32)}
		r.TCB = &attestation.TCB{Status: attestation.UpToDate}
		r.Chip = "0123456789abcdef"
		r.Collateral = []attestation.Collateral{{Name: "tcb-info", Issued: now - 10, Expires: now + 10, Evaluation: 17}}
		if change != nil {
			change(r)
		}
		return r
	}
}

func sgxReference(p *attestation.Policy) *attestation.Reference {
	return &attestation.Reference{Version: 1, NotAfter: now + 60, Policy: p, Values: []attestation.ReferenceValue{
		{Name: "e1", Platform: sgx, Measurements: map[string]string{"mrenclave": strings.Repeat("ab", 32)}},
	}}
}

// judged is the error of evidence whose report was bent, under p.
func judged(t *testing.T, p *attestation.Policy, change func(*attestation.Report)) error {
	t.Helper()
	v, err := attestation.NewVerifier(sgxReference(p), echo{sgx, sgxReport(change)})
	if err != nil {
		t.Fatal(err)
	}
	e := newEvidence(t, "a")
	e.Platform = sgx
	c, err := v.Verify(t.Context(), encode(t, e), now)
	if (err == nil) != c.Valid() {
		t.Errorf("claims %+v with error %v", c, err)
	}
	return err
}

func TestTCBStatus(t *testing.T) {
	until := func(d time.Duration) string { return time.Unix(now, 0).Add(d).UTC().Format(time.RFC3339) }
	advised := func(status string, ids ...string) *attestation.Policy {
		p := attestation.DefaultPolicy()
		p.TCB.Advisories = map[string][]string{status: ids}
		return p
	}
	waived := func(status, end string, ids ...string) *attestation.Policy {
		p := attestation.DefaultPolicy()
		p.TCB.Waivers = []attestation.Waiver{{Status: status, Advisories: ids, Until: end, Reason: "the cloud patches in May"}}
		return p
	}
	const a, b = "INTEL-SA-00615", "INTEL-SA-00828"
	for name, c := range map[string]struct {
		policy *attestation.Policy
		tcb    *attestation.TCB
		ok     bool
	}{
		"up to date":                         {nil, &attestation.TCB{Status: attestation.UpToDate}, true},
		"nothing allowed":                    {&attestation.Policy{Version: 1}, &attestation.TCB{Status: attestation.UpToDate}, false},
		"no TCB info":                        {nil, nil, false},
		"no status":                          {nil, &attestation.TCB{}, false},
		"unknown status":                     {nil, &attestation.TCB{Status: "Fine"}, false},
		"hardening needed":                   {nil, &attestation.TCB{Status: attestation.SWHardeningNeeded, Advisories: []string{a}}, false},
		"hardening needed, advisory named":   {advised(attestation.SWHardeningNeeded, a), &attestation.TCB{Status: attestation.SWHardeningNeeded, Advisories: []string{a}}, true},
		"hardening needed for no reason":     {advised(attestation.SWHardeningNeeded, a), &attestation.TCB{Status: attestation.SWHardeningNeeded}, false},
		"hardening needed, another stands":   {advised(attestation.SWHardeningNeeded, a), &attestation.TCB{Status: attestation.SWHardeningNeeded, Advisories: []string{a, b}}, false},
		"configuration, hardening was named": {advised(attestation.SWHardeningNeeded, a), &attestation.TCB{Status: attestation.ConfigurationNeeded, Advisories: []string{a}}, false},
		"configuration needed, named":        {advised(attestation.ConfigurationNeeded, a, b), &attestation.TCB{Status: attestation.ConfigurationNeeded, Advisories: []string{b}}, true},
		"out of date":                        {nil, &attestation.TCB{Status: attestation.OutOfDate}, false},
		"out of date, waived":                {waived(attestation.OutOfDate, until(time.Hour), a), &attestation.TCB{Status: attestation.OutOfDate, Advisories: []string{a}}, true},
		"out of date, waiver over":           {waived(attestation.OutOfDate, until(-time.Second), a), &attestation.TCB{Status: attestation.OutOfDate, Advisories: []string{a}}, false},
		"out of date, another advisory":      {waived(attestation.OutOfDate, until(time.Hour), a), &attestation.TCB{Status: attestation.OutOfDate, Advisories: []string{b}}, false},
		"out of date, another waived":        {waived(attestation.OutOfDateConfigurationNeeded, until(time.Hour)), &attestation.TCB{Status: attestation.OutOfDate}, false},
		"revoked":                            {waived(attestation.OutOfDate, until(time.Hour), a), &attestation.TCB{Status: attestation.Revoked}, false},
	} {
		err := judged(t, c.policy, func(r *attestation.Report) { r.TCB = c.tcb })
		if c.ok != (err == nil) || !c.ok && (!errors.Is(err, attestation.ErrAppraise) || !strings.Contains(err.Error(), "tcb-status")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAppraisalDemands(t *testing.T) {
	seventeen, eighteen := 17, 18
	for name, c := range map[string]struct {
		policy func(*attestation.Policy)
		change func(*attestation.Report)
		fails  string // the check; "": none
	}{
		"default":                {nil, nil, ""},
		"debug":                  {nil, func(r *attestation.Report) { r.Debug = true }, "debug"},
		"collateral expired":     {nil, func(r *attestation.Report) { r.Collateral[0].Expires = now - 1 }, "collateral-tcb-info"},
		"collateral expires now": {nil, func(r *attestation.Report) { r.Collateral[0].Expires = now }, ""},
		"collateral of tomorrow": {nil, func(r *attestation.Report) { r.Collateral[0].Issued = now + 1 }, "collateral-tcb-info"},
		"collateral for ever":    {nil, func(r *attestation.Report) { r.Collateral[0].Expires = 0 }, "collateral-tcb-info"},
		"evaluation 17":          {func(p *attestation.Policy) { p.MinimumEvaluation = &seventeen }, nil, ""},
		"evaluation 18":          {func(p *attestation.Policy) { p.MinimumEvaluation = &eighteen }, nil, "tcb-evaluation"},
		"the least evaluation counts": {func(p *attestation.Policy) { p.MinimumEvaluation = &eighteen }, func(r *attestation.Report) {
			r.Collateral = append(r.Collateral, attestation.Collateral{Name: "x", Issued: now, Expires: now, Evaluation: 18})
		}, "tcb-evaluation"},
		"evaluation of the default": {nil, func(r *attestation.Report) { r.Collateral[0].Evaluation = 16 }, "tcb-evaluation"},
		"evaluation 0 is a number": {nil, func(r *attestation.Report) {
			r.Collateral = append(r.Collateral, attestation.Collateral{Name: attestation.CollateralQEIdentity, Issued: now, Expires: now})
		}, "tcb-evaluation"},
		"no evaluation":  {func(p *attestation.Policy) { p.MinimumEvaluation = &seventeen }, func(r *attestation.Report) { r.Collateral = nil }, "tcb-evaluation"},
		"chip listed":    {func(p *attestation.Policy) { p.Chips = []string{"0123456789abcdef"} }, nil, ""},
		"chip unlisted":  {func(p *attestation.Policy) { p.Chips = []string{"0123456789abcdee"} }, nil, "chip"},
		"chip not said":  {func(p *attestation.Policy) { p.Chips = []string{"0123456789abcdef"} }, func(r *attestation.Report) { r.Chip = "" }, "chip"},
		"gpu demanded":   {func(p *attestation.Policy) { p.GPU.Required = true }, nil, "gpu"},
		"other enclave":  {nil, func(r *attestation.Report) { r.Measurements["mrenclave"] = strings.Repeat("ac", 32) }, "reference-values"},
		"no measurement": {nil, func(r *attestation.Report) { r.Measurements = nil }, "reference-values"},
	} {
		p := attestation.DefaultPolicy()
		if c.policy != nil {
			c.policy(p)
		}
		err := judged(t, p, c.change)
		if (err == nil) != (c.fails == "") || c.fails != "" && !strings.Contains(err.Error(), "sgx: "+c.fails) {
			t.Errorf("%s: got %v, want %q to fail", name, err, c.fails)
		}
	}
}

func TestPolicyRefused(t *testing.T) {
	for name, change := range map[string]func(*attestation.Policy){
		"no version":              func(p *attestation.Policy) { p.Version = 0 },
		"status allowed as it is": func(p *attestation.Policy) { p.TCB.Allow = append(p.TCB.Allow, attestation.OutOfDate) },
		"revoked allowed":         func(p *attestation.Policy) { p.TCB.Allow = []string{attestation.Revoked} },
		"revoked by advisory": func(p *attestation.Policy) {
			p.TCB.Advisories = map[string][]string{attestation.Revoked: {"INTEL-SA-00615"}}
		},
		"out of date by advisory": func(p *attestation.Policy) {
			p.TCB.Advisories = map[string][]string{attestation.OutOfDate: {"INTEL-SA-00615"}}
		},
		"no advisories": func(p *attestation.Policy) { p.TCB.Advisories = map[string][]string{attestation.SWHardeningNeeded: {}} },
		"advisory of another kind": func(p *attestation.Policy) {
			p.TCB.Advisories = map[string][]string{attestation.SWHardeningNeeded: {"*"}}
		},
		"waiver without end": func(p *attestation.Policy) {
			p.TCB.Waivers = []attestation.Waiver{{Status: attestation.OutOfDate, Reason: "x"}}
		},
		"waiver without reason": func(p *attestation.Policy) {
			p.TCB.Waivers = []attestation.Waiver{{Status: attestation.OutOfDate, Until: "2027-01-01T00:00:00Z"}}
		},
		"waiver for revoked": func(p *attestation.Policy) {
			p.TCB.Waivers = []attestation.Waiver{{Status: attestation.Revoked, Until: "2027-01-01T00:00:00Z", Reason: "x"}}
		},
		"evaluation 0":      func(p *attestation.Policy) { p.MinimumEvaluation = new(int) },
		"any AMD firmware":  func(p *attestation.Policy) { p.SNP.MinimumTCB["Milan"] = attestation.SNPTCB{} },
		"any microcode":     func(p *attestation.Policy) { p.SNP.MinimumTCB["Milan"] = attestation.SNPTCB{BootLoader: 4, SNP: 29} },
		"negative ISVSVN":   func(p *attestation.Policy) { least := -1; p.SGX.MinimumSVN = &least },
		"empty chip list":   func(p *attestation.Policy) { p.Chips = []string{} },
		"chip in capitals":  func(p *attestation.Policy) { p.Chips = []string{"0123456789ABCDEF"} },
		"unknown product":   func(p *attestation.Policy) { p.SNP.MinimumTCB["Naples"] = attestation.SNPTCB{} },
		"tokens for anyone": func(p *attestation.Policy) { p.OIDC = &attestation.OIDCPolicy{} },
	} {
		p := attestation.DefaultPolicy()
		change(p)
		if err := p.Validate(); !errors.Is(err, attestation.ErrReference) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := attestation.NewVerifier(sgxReference(p), echo{sgx, nil}); !errors.Is(err, attestation.ErrReference) {
			t.Errorf("%s: a verifier was made: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "null": "null", "not JSON": "x", "unknown member": `{"version":1,"tbc":{}}`,
		"twice": `{"version":1,"version":1}`, "trailing": `{"version":1}{}`, "too large": strings.Repeat(" ", attestation.MaxPolicy+1),
	} {
		if _, err := attestation.ParsePolicy([]byte(text)); !errors.Is(err, attestation.ErrReference) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestPolicyIsTheVerifiersOwn: what a verifier demands does not change with what it was made of.
func TestPolicyIsTheVerifiersOwn(t *testing.T) {
	ref := sgxReference(attestation.DefaultPolicy())
	v, err := attestation.NewVerifier(ref, echo{sgx, sgxReport(func(r *attestation.Report) { r.TCB.Status = attestation.OutOfDate })})
	if err != nil {
		t.Fatal(err)
	}
	ref.Policy.TCB.Waivers = []attestation.Waiver{{Status: attestation.OutOfDate, Until: "2099-01-01T00:00:00Z", Reason: "x"}}
	e := newEvidence(t, "a")
	e.Platform = sgx
	if _, err := v.Verify(t.Context(), encode(t, e), now); !errors.Is(err, attestation.ErrAppraise) {
		t.Errorf("got %v", err)
	}
}

// TestStatusesThatNoListMakesGood: also where somebody put them into a policy that was not validated.
func TestStatusesThatNoListMakesGood(t *testing.T) {
	for _, s := range []string{attestation.Revoked, attestation.OutOfDate, attestation.SWHardeningNeeded} {
		p := attestation.TCBPolicy{Allow: []string{attestation.Revoked}}
		switch s {
		case attestation.OutOfDate:
			p.Advisories = map[string][]string{s: {"INTEL-SA-00615"}}
		case attestation.SWHardeningNeeded:
			p.Waivers = []attestation.Waiver{{Status: s, Advisories: []string{"INTEL-SA-00615"}, Until: "2099-01-01T00:00:00Z", Reason: "x"}}
		}
		if _, ok := attestation.Accepts(&p, &attestation.TCB{Status: s, Advisories: []string{"INTEL-SA-00615"}}, now); ok {
			t.Errorf("%s is accepted", s)
		}
	}
}

// TestPolicyTravelsInReference: what an owner signed is what a verifier demands, and what her file says.
func TestPolicyTravelsInReference(t *testing.T) {
	p := attestation.DefaultPolicy()
	p.TCB.Allow = nil
	key, err := envelope.GenerateSigner(envelope.RoleReference)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := attestation.SignReference(sgxReference(p), key)
	if err != nil {
		t.Fatal(err)
	}
	ref, _, err := attestation.VerifyReference(signed, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := judged(t, ref.Policy, nil); !errors.Is(err, attestation.ErrAppraise) {
		t.Errorf("got %v", err)
	}
	file, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	read, err := attestation.ParsePolicy(file)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := p.Digest()
	if b, err := read.Digest(); err != nil || a != b {
		t.Errorf("a policy and its file differ: %v", err)
	}
}
