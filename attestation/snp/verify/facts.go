// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/snp"
)

// Bits of the guest policy that nothing but facts go by.
const (
	policySingleSocket = 1 << 20
	policyCXL          = 1 << 21
	policyXTS          = 1 << 22
	policyNoSwap       = 1 << 25
)

// factsOfReport are for people, and are there before anything was believed.
func (a *authentication) factsOfReport() {
	r, o := a.Report, a.out
	o.Fact(attestation.AboutRunning, "measurement", "%x", r.Measurement)
	o.Fact(attestation.AboutRunning, "host data", "%x", r.HostData)
	o.Fact(attestation.AboutRunning, "report data", "%x", r.ReportData)
	o.Fact(attestation.AboutRunning, "guest policy", "%s", policyString(r))
	o.Fact(attestation.AboutRunning, "guest svn", "%d", r.GuestSVN)
	o.Fact(attestation.AboutRunning, "vmpl", "%d", r.VMPL)
	o.Fact(attestation.AboutRunning, "family and image id", "%x %x", r.FamilyID, r.ImageID)
	o.Fact(attestation.AboutRunning, "id key digest", "%x", r.IDKeyDigest)
	o.Fact(attestation.AboutRunning, "author key digest", "%x", r.AuthorKeyDigest)
	o.Fact(attestation.AboutRunning, "report id", "%x", r.ReportID)
	o.Fact(attestation.AboutRunning, "firmware", "current %s, committed %s", r.Current, r.Committed)
	o.Fact(attestation.AboutRunning, "platform", "%s", platformString(r))
	if r.Version >= 3 {
		o.Fact(attestation.AboutSigner, "processor", "family %#x, model %#x, stepping %d", r.Family, r.Model, r.Stepping)
	}
	if r.Version >= 5 {
		o.Fact(attestation.AboutRunning, "mitigations", "launch %#x, current %#x", r.LaunchFixes, r.CurrentFixes)
	}
	if r.ChipID == [64]byte{} {
		o.Fact(attestation.AboutWeakness, "chip", "the host hides which chip this is")
	} else {
		o.Fact(attestation.AboutSigner, "chip", "%x", r.ChipID)
	}
	a.weaknesses()
}

// weaknesses are what a report shows to be less than it might be.
func (a *authentication) weaknesses() {
	r := a.Report
	weak := func(is bool, name, text string) {
		if is {
			a.out.Fact(attestation.AboutWeakness, name, "%s", text)
		}
	}
	weak(r.Policy&snp.PolicyDebug != 0, "debug", "the host can read and write the guest's memory")
	weak(r.Policy&snp.PolicyMigrate != 0, "migration agent", "a migration agent can read the guest's memory")
	weak(r.Policy&snp.PolicySMT != 0 && r.PlatformInfo&snp.PlatformSMT != 0, "smt", "the guest may share a core with a thread of the host")
	weak(r.PlatformInfo&snp.PlatformAliasCheck == 0, "alias check", "memory was not checked for aliases (BadRAM)")
	weak(r.PlatformInfo&snp.PlatformRAPLOff == 0, "power", "the host can measure the power that the guest draws")
	weak(r.PlatformInfo&snp.PlatformHiding == 0, "ciphertext", "the host can read the guest's encrypted memory, and see when it repeats")
	weak(r.PlatformInfo&snp.PlatformECC == 0, "ecc", "memory does not correct errors, which whoever shares it may provoke (Rowhammer)")
	weak(r.PlatformInfo&snp.PlatformTIO != 0, "sev-tio", "devices can be let into the memory of guests")
	weak(r.Policy&policySingleSocket == 0, "sockets", "the guest's policy lets the host run it on several sockets")
	weak(r.Policy&policyCXL != 0, "cxl", "the guest's policy lets the host use CXL memory and devices")
	weak(r.Policy&policyXTS == 0, "memory cipher", "the guest's policy does not demand AES-256-XTS: memory may be encrypted with AES-128")
	weak(r.Policy&policyNoSwap == 0, "page swap", "the guest's policy lets the host move the guest's pages and swap them out")
	weak(true, "boot", "measurement covers firmware and initial CPU state; kernel and disk only where the firmware measures them (kernel hashes, measured direct boot)")
	weak(r.VMPL != 0, "vmpl", "more privileged software in the guest can impersonate what asked for this report")
	weak(r.Current != r.Committed, "firmware", "the firmware is provisional")
	weak(r.SigningKey == snp.SignedByVLEK, "vlek", "the cloud's key signed, which names no chip")
	weak(r.Version < 3, "version", "a report of version 2 does not say which processor made it")
	weak(r.HostData == [32]byte{}, "host data", "nothing was bound to the guest at launch besides its measurement")
}

// factsOfChain need the product line.
func (a *authentication) factsOfChain() {
	o := a.out
	o.Fact(attestation.AboutSigner, "key", "%s for %s, certified by AMD under %s", a.key.kind, a.key.product, a.line.ark.Subject.CommonName)
	if a.key.csp != "" {
		o.Fact(attestation.AboutSigner, "cloud", "%s", a.key.csp)
	}
	for _, x := range []struct {
		name string
		tcb  snp.TCB
	}{
		{"reported", a.Report.ReportedTCB},
		{"current", a.Report.CurrentTCB},
		{"committed", a.Report.CommittedTCB},
		{"launch", a.Report.LaunchTCB},
	} {
		if t, err := a.line.decodeTCB(x.tcb); err == nil {
			o.Fact(attestation.AboutRunning, x.name+" tcb", "%s", tcbString(t, a.line))
		}
	}
	if a.line.name == "Milan" {
		o.Fact(attestation.AboutWeakness, "milan", "a published attack on Milan's first firmware reads the seed of all keys of a chip (arXiv 2605.12990): a host that ran it can forge reports of any firmware")
	}
	if a.crl == nil {
		o.Fact(attestation.AboutWeakness, "crl", "no revocation list of AMD's was given: a revoked key would not be noticed")
	}
}

func policyString(r *snp.Report) string {
	words := []string{fmt.Sprintf("%#x", r.Policy), fmt.Sprintf("interface at least %d.%d", uint8(r.Policy>>8), uint8(r.Policy))}
	for _, x := range []struct {
		bit  int
		text string
	}{
		{16, "SMT allowed"},
		{18, "migration agent allowed"},
		{19, "debug allowed"},
		{20, "one socket only"},
		{21, "CXL allowed"},
		{22, "AES-256-XTS required"},
		{23, "RAPL off required"},
		{24, "ciphertext hiding required"},
		{25, "page swap disabled"},
	} {
		if r.Policy>>x.bit&1 != 0 {
			words = append(words, x.text)
		}
	}
	return strings.Join(words, ", ")
}

func platformString(r *snp.Report) string {
	words := []string{fmt.Sprintf("%#x", r.PlatformInfo)}
	for _, x := range []struct {
		bit  uint64
		text string
	}{
		{snp.PlatformSMT, "SMT on"},
		{snp.PlatformTSME, "TSME on"},
		{snp.PlatformECC, "ECC memory"},
		{snp.PlatformRAPLOff, "RAPL off"},
		{snp.PlatformHiding, "ciphertext hiding on"},
		{snp.PlatformAliasCheck, "alias check complete"},
		{snp.PlatformTIO, "SEV-TIO on"},
	} {
		if r.PlatformInfo&x.bit != 0 {
			words = append(words, x.text)
		}
	}
	return strings.Join(words, ", ")
}
