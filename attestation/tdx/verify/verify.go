// SPDX-License-Identifier: Apache-2.0

// Package verify authenticates Intel TDX evidence: quotes of versions 4 and 5, with Intel's collateral and the event log
// of the boot.
//
// Trust domain: brokers, buyers and auditors; never the enclave. Its one job: say which trust domain a quote is of, on
// which platform at which patch level, and what its boot log adds. Signatures, chain, collateral and TCB levels are package
// dcap's, which SGX shares; this package knows what is particular to TDX. Offline, on the standard library.
// docs/spec/evidence.md is the format.
package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/tdx/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors. Those of packages quote, dcap and eventlog come through as they are.
var (
	ErrModule     = errors.New("tdx: not a TDX module of Intel's")
	ErrAttributes = errors.New("tdx: attributes that no accepted TD has")
	ErrEventLog   = errors.New("tdx: bad event log")
	ErrImport     = errors.New("tdx: cannot make evidence of these files")
)

// SignatureChecks is how many ECDSA P-256 verifications one accepted quote takes.
const SignatureChecks = dcap.SignatureChecks

// Format implements [attestation.Format] for TDX. Immutable.
type Format struct{ root [32]byte }

var (
	_ attestation.Format    = (*Format)(nil)
	_ attestation.Appraiser = (*Format)(nil)
)

// NewFormat pins Intel's root.
func NewFormat() (attestation.Format, error) { return &Format{dcap.IntelRoot()}, nil }

// Platform implements [attestation.Format].
func (f *Format) Platform() attestation.Platform { return attestation.PlatformTDX }

// Detail is what [Format.Appraise] reads in [attestation.Report.Detail].
type Detail struct {
	Attributes quote.Attributes
	EventLog   bool // there was a log, and it leads to the registers
}

// Authenticate implements [attestation.Format]: Intel's chain vouches for the quote at now, and the event log, where there
// is one, leads to the quoted registers.
func (f *Format) Authenticate(_ context.Context, e *attestation.Evidence, now int64) (*attestation.Report, error) {
	r := &attestation.Report{Platform: attestation.PlatformTDX}
	q, err := Quote(e.Evidence, e.Endorsements, f.root, now, r)
	if err != nil {
		return r, err
	}
	logged, err := checkLog(q, e.EventLogs, r)
	if err != nil {
		return r, err
	}
	r.Assurance = attestation.AssuranceTEE
	r.Detail = &Detail{q.TD.Attributes, logged}
	return r, nil
}

// Quote checks everything about a quote but its event log and what it is bound to, and fills r except for Assurance and
// Detail. Root is [dcap.IntelRoot]; only tests have another.
func Quote(raw []byte, ends []attestation.Endorsement, root [32]byte, now int64, r *attestation.Report) (*quote.Quote, error) {
	const format = "quote-format"
	q, err := quote.Parse(raw)
	if err != nil {
		return nil, r.Fail(format, fmt.Sprintf("%d bytes", len(raw)), "a TDX quote of version 4 or 5", err)
	}
	facts(q, r)
	s, err := dcap.ParseTDXSignature(q.AuthData)
	if err != nil {
		return nil, r.Fail(format, fmt.Sprintf("version %d", q.Version), "signature data of a TDX quote", err)
	}
	r.Pass(format, fmt.Sprintf("version %d, body type %d", q.Version, q.BodyType), "a TDX quote of version 4 or 5")
	if err := checkTD(&q.TD, r); err != nil {
		return nil, err
	}
	if err := dcap.Verify(&dcap.Quote{TEE: dcap.TDX, Signed: q.Signed, Signature: s, Module: module(&q.TD)}, ends, root, now, r); err != nil {
		return nil, err
	}
	r.Bound, r.Debug, r.Measurements = q.TD.ReportData, q.TD.Attributes.Debug(), measurements(&q.TD)
	return q, nil
}

// CheckBound implements [attestation.Format]: the report data is d, then zeros.
func (f *Format) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if r == nil {
		return fmt.Errorf("%w: no report", attestation.ErrBind)
	}
	return attestation.CheckReportData(r.Bound, d)
}

func module(td *quote.TD) *dcap.Module {
	m := &dcap.Module{TCBSVN: [16]byte(td.TCBSVN), MRSigner: [48]byte(td.MRSIGNERSEAM)}
	for i := range m.Attributes {
		m.Attributes[i] = byte(td.SEAMAttributes >> (8 * i))
	}
	if td.TCBSVN2 != nil {
		m.TCBSVN2 = (*[16]byte)(td.TCBSVN2)
	}
	return m
}

// checkTD refuses what no TD on an Intel module can be. What owners may choose is appraised later.
func checkTD(td *quote.TD, r *attestation.Report) error {
	seen := hex.EncodeToString(td.MRSIGNERSEAM)
	if !quote.Zero(td.MRSIGNERSEAM) {
		return r.Fail("tdx-module-signer", seen, "zeros: Intel", fmt.Errorf("%w: MRSIGNERSEAM is not zero", ErrModule))
	}
	r.Pass("tdx-module-signer", seen, "zeros: Intel")
	seen = fmt.Sprintf("%#x", td.SEAMAttributes)
	if td.SEAMAttributes != 0 {
		return r.Fail("tdx-module-attributes", seen, "0x0: a production module", fmt.Errorf("%w: SEAMATTRIBUTES are not zero", ErrModule))
	}
	r.Pass("tdx-module-attributes", seen, "0x0: a production module")
	if x := td.Attributes.Reserved(); x != 0 {
		return r.Fail("td-attributes", td.Attributes.String(), "no reserved bit", fmt.Errorf("%w: %#x are reserved", ErrAttributes, uint64(x)))
	}
	r.Pass("td-attributes", td.Attributes.String(), "no reserved bit")
	if err := quote.CheckXFAM(td.XFAM); err != nil {
		return r.Fail("xfam", fmt.Sprintf("%#x", td.XFAM), "features that a TD can have", fmt.Errorf("%w: %w", ErrAttributes, err))
	}
	r.Pass("xfam", fmt.Sprintf("%#x", td.XFAM), "features that a TD can have")
	return nil
}

func measurements(td *quote.TD) map[string]string {
	out := map[string]string{}
	put := func(name string, b []byte) { out[name] = hex.EncodeToString(b) }
	put("mrtd", td.MRTD)
	for i, b := range td.RTMR {
		put(fmt.Sprintf("rtmr%d", i), b)
	}
	put("mrconfigid", td.MRCONFIGID)
	put("mrowner", td.MROWNER)
	put("mrownerconfig", td.MROWNERCONFIG)
	if td.MRSERVICETD != nil {
		put("mrservicetd", td.MRSERVICETD)
	}
	return out
}

// facts say what the quote says, before anything is believed.
func facts(q *quote.Quote, r *attestation.Report) {
	td := &q.TD
	run := func(name, format string, args ...any) { r.Fact(attestation.AboutRunning, name, format, args...) }
	weak := func(name, text string) { r.Fact(attestation.AboutWeakness, name, "%s", text) }
	run("quote", "version %d, TD report %s", q.Version, map[int]string{quote.BodyTD10: "1.0", quote.BodyTD15: "1.5"}[q.BodyType])
	run("TDX module", "MRSEAM %x, TEE TCB SVN %x", td.MRSEAM, td.TCBSVN)
	if td.TCBSVN2 != nil {
		run("TDX module now", "TEE TCB SVN %x", td.TCBSVN2)
	}
	run("MRTD", "%x (the first memory: firmware)", td.MRTD)
	for i, meaning := range []string{"firmware's configuration", "boot loader, kernel", "command line, initial disk, applications", "run time"} {
		run(fmt.Sprintf("RTMR%d", i), "%x (%s)", td.RTMR[i], meaning)
	}
	for i, b := range [][]byte{td.MRCONFIGID, td.MROWNER, td.MROWNERCONFIG} {
		if !quote.Zero(b) {
			run([]string{"MRCONFIGID", "MROWNER", "MROWNERCONFIG"}[i], "%x (set by the host)", b)
		}
	}
	run("attributes", "%s", td.Attributes)
	run("report data", "%x", td.ReportData)
	if td.Attributes.Debug() {
		weak("debug", "the host can read the memory of this trust domain: it protects nothing")
	}
	if td.Attributes&quote.AttributeSEPTVEDisable == 0 {
		weak("SEPT_VE_DISABLE", "off: the host can unmap pages while they are used, and the guest may not notice")
	}
	if td.Attributes&quote.AttributeMigratable != 0 {
		weak("MIGRATABLE", "a service TD can move this trust domain to a machine of its choice")
	}
	if !quote.Zero(td.MRSERVICETD) {
		weak("MRSERVICETD", fmt.Sprintf("%x: a service TD is bound; what it may do, MIGRATABLE says", td.MRSERVICETD))
	}
	if quote.Zero(td.RTMR[1]) || quote.Zero(td.RTMR[2]) {
		weak("RTMR1, RTMR2", "zero: nothing behind the firmware was measured, so anything may run")
	}
}

// checkLog replays the log, if there is one, against the four registers.
func checkLog(q *quote.Quote, logs []attestation.EventLog, r *attestation.Report) (bool, error) {
	const name, want = "event-log", "leads to RTMR0 to RTMR3"
	if len(logs) == 0 {
		r.NotApplicable(name, "there is none: the registers are what was measured, and nothing says how")
		r.Fact(attestation.AboutWeakness, "event log", "none: what was measured into the registers is not explained")
		return false, nil
	}
	if len(logs) != 1 || logs[0].Type != attestation.CCELLog {
		seen := fmt.Sprintf("%d, the first of type %q", len(logs), logs[0].Type)
		return false, r.Fail(name, seen, "one of type "+attestation.CCELLog, fmt.Errorf("%w: %s", ErrEventLog, seen))
	}
	l, err := eventlog.ParseCC(logs[0].Body)
	if err != nil {
		return false, r.Fail(name, fmt.Sprintf("%d bytes", len(logs[0].Body)), want, fmt.Errorf("%w: %w", ErrEventLog, err))
	}
	b := l.Boot()
	seen := fmt.Sprintf("%d events", b.Events)
	if err := l.Replay(q.TD.RTMR); err != nil {
		return false, r.Fail(name, seen, want, fmt.Errorf("%w: %w", ErrEventLog, err))
	}
	r.Pass(name, seen, want)
	r.Fact(attestation.AboutRunning, "event log", "%s", seen)
	describe(&b, r)
	return true, nil
}

// describe is for people: what a log explains of the registers that it leads to.
func describe(b *eventlog.Boot, r *attestation.Report) {
	const line, secure = "kernel command line", "Secure Boot"
	switch {
	case b.CommandLines > 1:
		r.Fact(attestation.AboutWeakness, line, "two command lines, or more: the log does not say which one was used")
	case b.CommandLines == 1:
		r.Fact(attestation.AboutRunning, line, "%q", b.CommandLine)
	}
	switch b.SecureBoot {
	case "":
		r.Fact(attestation.AboutWeakness, secure, "the log does not say")
	case "off":
		r.Fact(attestation.AboutRunning, secure, "off")
		r.Fact(attestation.AboutWeakness, secure, "off: only the pinned registers say which code was booted")
	default:
		r.Fact(attestation.AboutRunning, secure, "%s", b.SecureBoot)
	}
}
