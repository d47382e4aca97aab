// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/snp"
)

// Least version of the firmware's interface: the first that Linux hosts start SNP guests with.
const (
	minMajor = 1
	minMinor = 51
)

// appraisal is the checks of one report under way.
type appraisal struct {
	*Detail
	p   *attestation.SNPPolicy
	out []attestation.Check
}

// Appraise puts a report that [Verifier.Authenticate] filled to the policy's section for SEV-SNP. Debug mode, chips and the
// validity of collateral are everybody's and checked elsewhere.
func Appraise(r *attestation.Report, p *attestation.Policy, _ int64) []attestation.Check {
	d, ok := r.Detail.(interface{ SNP() *Detail })
	if !ok || d.SNP() == nil || d.SNP().Report == nil || d.SNP().line == nil || d.SNP().key == nil || p == nil {
		return []attestation.Check{{Step: attestation.StepAppraise, Name: "snp", Outcome: attestation.Fail, Note: "no authentic SEV-SNP report to appraise"}}
	}
	a := &appraisal{Detail: d.SNP(), p: &p.SNP}
	a.guest()
	a.platform()
	a.firmware()
	a.minimum()
	a.revoked()
	return a.out
}

func (a *appraisal) check(name string, ok bool, seen, want, note string) {
	c := attestation.Check{Step: attestation.StepAppraise, Name: name, Outcome: attestation.Pass, Seen: seen, Want: want}
	if !ok {
		c.Outcome, c.Note = attestation.Fail, note
	}
	a.out = append(a.out, c)
}

// guest is what its owner chose at launch.
func (a *appraisal) guest() {
	r := a.Report
	a.check("vmpl", r.VMPL == 0, strconv.FormatUint(uint64(r.VMPL), 10), "0", "software at a lower privilege level asked for this report, and more privileged software can impersonate it")
	migrates := r.Policy&snp.PolicyMigrate != 0
	agent := !constant(r.ReportIDMA[:])
	a.check("migration-agent", !migrates && !agent || migrates && a.p.UnsafeMigrationAgent, agentString(migrates, agent),
		"none"+unless(a.p.UnsafeMigrationAgent), "a migration agent can read and replace the guest")
	smt := r.Policy&snp.PolicySMT != 0
	a.check("smt", !smt || a.p.AllowSMT, allowed(smt), "not allowed"+unless(a.p.AllowSMT), "the guest may share a core with a thread of the host")
	zero := constant(r.AuthorKeyDigest[:]) && r.AuthorKeyDigest[0] == 0
	a.check("author-key", r.AuthorKey == !zero, fmt.Sprintf("enabled %t, digest zero %t", r.AuthorKey, zero), "a digest if, and only if, enabled", "the report contradicts itself")
}

// platform is what the host chose for the machine.
func (a *appraisal) platform() {
	r := a.Report
	a.check("key-kind", a.key.kind == vcek || a.p.AllowVLEK, string(a.key.kind), strings.TrimSuffix("VCEK or "+vlekIf(a.p.AllowVLEK), " or "),
		"a VLEK is the cloud's key and names no chip")
	aliases := r.PlatformInfo&snp.PlatformAliasCheck != 0
	want := "complete"
	if a.p.UnsafeWithoutAliasCheck {
		want = "complete, or not: the policy accepts both"
	}
	a.check("alias-check", aliases || a.p.UnsafeWithoutAliasCheck, doneString(aliases), want, "memory was not checked for aliases, which let the host read and replace the guest (BadRAM, CVE-2024-21944, AMD-SB-3015)")
	a.check("platform-info", r.PlatformInfo&^uint64(snp.PlatformKnown) == 0, fmt.Sprintf("%#x", r.PlatformInfo), "no bits beyond 7", "firmware says something of the platform that this verifier does not know")
}

// firmware must be the committed one, which the host cannot take back.
func (a *appraisal) firmware() {
	r := a.Report
	a.check("firmware-committed", r.Current == r.Committed, r.Current.String(), r.Committed.String(), "the firmware is provisional: the host can go back to the committed one")
	major, minor := max(uint8(r.Policy>>8), minMajor), uint8(minMinor)
	if uint8(r.Policy>>8) >= minMajor {
		minor = uint8(r.Policy)
		if major == minMajor {
			minor = max(minor, minMinor)
		}
	}
	a.check("firmware-abi", r.Committed.AtLeast(major, minor), r.Committed.String(), fmt.Sprintf("at least %d.%d", major, minor), "the firmware's interface is older than the guest or this verifier demands")
}

// minimum compares every TCB of the report with the policy's for the product line: the one that signed (reported), the
// one that runs (current), the one that the host could go back to (committed) and the one that the guest started under,
// which might have been bad enough to lose its secrets (launch).
func (a *appraisal) minimum() {
	least, ok := a.p.MinimumTCB[a.line.name]
	var lines []string
	for name := range a.p.MinimumTCB {
		lines = append(lines, name)
	}
	slices.Sort(lines)
	a.check("tcb-product", ok, a.line.name, "one of "+strings.Join(lines, ", "), "the policy has no minimum for this product line, and none means refused")
	for _, x := range []struct {
		name string
		tcb  snp.TCB
	}{
		{"tcb-reported", a.Report.ReportedTCB},
		{"tcb-current", a.Report.CurrentTCB},
		{"tcb-committed", a.Report.CommittedTCB},
		{"tcb-launch", a.Report.LaunchTCB},
	} {
		t, err := a.line.decodeTCB(x.tcb)
		want := "a minimum for " + a.line.name
		if ok {
			want = "at least " + tcbString(least, a.line)
		}
		a.check(x.name, ok && err == nil && atLeast(t, least), tcbString(t, a.line), want, "firmware or microcode with known holes")
	}
}

func atLeast(t, least attestation.SNPTCB) bool {
	return t.FMC >= least.FMC && t.BootLoader >= least.BootLoader && t.TEE >= least.TEE && t.SNP >= least.SNP && t.Microcode >= least.Microcode
}

func (a *appraisal) revoked() {
	switch {
	case a.crl != nil:
		a.check("revocation-list", true, "given", "given", "")
	case a.p.UnsafeWithoutCRL:
		a.out = append(a.out, attestation.Check{Step: attestation.StepAppraise, Name: "revocation-list", Outcome: attestation.NotApplicable, Note: "the policy accepts evidence without one"})
	default:
		a.check("revocation-list", false, "none", "given", "nobody knows whether AMD revoked the key that certified this chip's: fetch the list with glovebox operator endorsements fetch")
	}
}

// constant reports whether all bytes are 0, or all 0xff: how reports say "none".
func constant(b []byte) bool {
	return bytes.Equal(b, make([]byte, len(b))) || bytes.Equal(b, bytes.Repeat([]byte{0xff}, len(b)))
}

func agentString(allowed, bound bool) string {
	switch {
	case bound:
		return "bound"
	case allowed:
		return "allowed by the guest's policy"
	}
	return "none"
}

func unless(b bool) string {
	if b {
		return ", or what the policy accepts"
	}
	return ""
}

func allowed(b bool) string {
	if b {
		return "allowed"
	}
	return "not allowed"
}

func doneString(b bool) string {
	if b {
		return "complete"
	}
	return "not complete"
}

func vlekIf(b bool) string {
	if b {
		return string(vlek)
	}
	return ""
}
