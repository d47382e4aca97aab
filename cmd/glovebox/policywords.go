// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// policyWords says an appraisal policy in words, a line for each demand. Nil is the default.
func policyWords(p *attestation.Policy) []string {
	if p == nil {
		p = attestation.DefaultPolicy()
	}
	out := append(tcbWords(&p.TCB), snpWords(&p.SNP)...)
	if p.MinimumEvaluation != nil {
		out = append(out, fmt.Sprintf("Intel's collateral must have evaluation number %d or later", *p.MinimumEvaluation))
	}
	if p.SGX.MinimumSVN != nil {
		out = append(out, fmt.Sprintf("SGX enclaves must have security version %d or later", *p.SGX.MinimumSVN))
	}
	if p.Chips != nil {
		out = append(out, fmt.Sprintf("only %d named machines are accepted", len(p.Chips)))
		for _, c := range p.Chips {
			out = append(out, "  chip "+plain(c))
		}
	}
	if p.TDX.RequireEventLog {
		out = append(out, "TDX evidence must have an event log that leads to its registers")
	}
	if p.TDX.UnsafeWithoutSEPTVE {
		out = append(out, "UNSAFE: a TDX host may unmap a machine's pages unnoticed")
	}
	if p.GPU.Required {
		out = append(out, "a GPU must be there, with evidence of its own")
	}
	if p.GPU.UnsafeWithoutRIM {
		out = append(out, "UNSAFE: a GPU's measurements need not be compared with its maker's")
	}
	if p.GPU.UnsafeWithoutOCSP {
		out = append(out, "UNSAFE: nobody need have asked whether a GPU's certificates were revoked")
	}
	if p.OIDC != nil {
		out = append(out, oidcWords(p.OIDC)...)
	}
	return out
}

func oidcWords(o *attestation.OIDCPolicy) []string {
	out := []string{fmt.Sprintf("Confidential Space tokens are accepted for %q, on %s, with %s", o.Audience, strings.Join(o.Hardware, " or "), strings.Join(o.Support, " and "))}
	for _, i := range o.Issuers {
		keys, err := envelope.Canonical(i.Keys)
		if err != nil { // it is no JSON, and verifiers refuse it
			keys = i.Keys
		}
		out = append(out, fmt.Sprintf("  also if signed by %q with keys of SHA-256 %s", i.Issuer, envelope.Sum(keys).Hex()))
	}
	return out
}

func tcbWords(t *attestation.TCBPolicy) []string {
	out := []string{"Intel machines are refused, since no TCB status is accepted"}
	if len(t.Allow) > 0 {
		out[0] = "Intel machines must be " + strings.Join(t.Allow, " or ")
	}
	for _, s := range slices.Sorted(maps.Keys(t.Advisories)) {
		out = append(out, fmt.Sprintf("  or %s, with no advisory but %s", s, strings.Join(t.Advisories[s], ", ")))
	}
	for _, w := range t.Waivers {
		ids := "with no advisory"
		if len(w.Advisories) > 0 {
			ids += " but " + strings.Join(w.Advisories, ", ")
		}
		out = append(out, fmt.Sprintf("  or %s until %s, %s: %s", w.Status, w.Until, ids, plain(w.Reason)))
	}
	return out
}

func snpWords(s *attestation.SNPPolicy) []string {
	if len(s.MinimumTCB) == 0 {
		return []string{"AMD machines are refused, since no product line is named"}
	}
	var out []string
	for _, line := range slices.Sorted(maps.Keys(s.MinimumTCB)) {
		v := s.MinimumTCB[line]
		text := fmt.Sprintf("AMD %s needs boot loader %d, TEE %d, SNP %d, microcode %d or later", line, v.BootLoader, v.TEE, v.SNP, v.Microcode)
		if v.FMC > 0 {
			text += fmt.Sprintf(", FMC %d", v.FMC)
		}
		out = append(out, text)
	}
	for _, c := range []struct {
		on   bool
		text string
	}{
		{!s.AllowSMT, "AMD machines must run without hyper-threading"},
		{s.AllowVLEK, "AMD reports may be signed with the cloud's key (VLEK), which names no chip"},
		{s.UnsafeMigrationAgent, "UNSAFE: an AMD guest may have a migration agent, which can move its memory elsewhere"},
		{s.UnsafeWithoutCRL, "UNSAFE: nobody need have asked whether AMD revoked a chip's key"},
		{s.UnsafeWithoutAliasCheck, "UNSAFE: AMD memory need not have been checked for aliases (BadRAM)"},
	} {
		if c.on {
			out = append(out, c.text)
		}
	}
	return out
}
