// SPDX-License-Identifier: Apache-2.0

// Package verify authenticates Intel SGX evidence: DCAP quotes of version 3 with an ECDSA-P256 key, with Intel's collateral.
//
// Trust domain: brokers, buyers and auditors; never the enclave. Its one job: say which enclave a quote is of, on which
// platform at which patch level. Signatures, chain, collateral and TCB levels are package dcap's, which TDX shares; this
// package knows what is particular to SGX. Offline, on the standard library. docs/spec/evidence.md is the format.
package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors. Those of package dcap come through as they are.
var (
	ErrQuote      = errors.New("sgx: not a quote that can be read here")
	ErrAttributes = errors.New("sgx: attributes that no accepted enclave has")
	ErrImport     = errors.New("sgx: cannot make evidence of these files")
)

// SignatureChecks is how many ECDSA P-256 verifications one accepted quote takes.
const SignatureChecks = dcap.SignatureChecks

// Format implements [attestation.Format] for SGX. Immutable.
type Format struct{ root [32]byte }

var (
	_ attestation.Format    = (*Format)(nil)
	_ attestation.Appraiser = (*Format)(nil)
)

// NewFormat pins Intel's root.
func NewFormat() (attestation.Format, error) { return &Format{dcap.IntelRoot()}, nil }

// Platform implements [attestation.Format].
func (f *Format) Platform() attestation.Platform { return attestation.PlatformSGX }

// Detail is what [Format.Appraise] reads in [attestation.Report.Detail].
type Detail struct{ SVN, ProductID uint16 }

// Authenticate implements [attestation.Format]: Intel's chain vouches at now for the quote and its platform. Whether the
// enclave is in debug mode is for appraisal to judge; one that was never initialised, or is not 64-bit, is none.
func (f *Format) Authenticate(_ context.Context, e *attestation.Evidence, now int64) (*attestation.Report, error) {
	r := &attestation.Report{Platform: attestation.PlatformSGX}
	const name, want = "quote-format", "an SGX quote of version 3, ECDSA-P256"
	q, err := parse(e.Evidence)
	if err != nil {
		return r, r.Fail(name, fmt.Sprintf("%d bytes", len(e.Evidence)), want, err)
	}
	facts(q, r)
	if q.Signature, err = dcap.ParseSGXSignature(q.sigData); err != nil {
		return r, r.Fail(name, "signature data", want, err)
	}
	r.Pass(name, fmt.Sprintf("%d bytes, header of EGo: %t", len(e.Evidence), q.wrapped), want)
	if len(e.EventLogs) != 0 {
		return r, r.Fail("event-log", fmt.Sprintf("%d", len(e.EventLogs)), "none", fmt.Errorf("%w: SGX has no event log", ErrQuote))
	}
	if err := checkReport(q.report, r); err != nil {
		return r, err
	}
	if err := dcap.Verify(&q.Quote, e.Endorsements, f.root, now, r); err != nil {
		return r, err
	}
	x := q.report
	r.Assurance = attestation.AssuranceTEE
	r.Bound, r.Debug = x.ReportData[:], x.Debug()
	r.Measurements = map[string]string{"mrenclave": hex.EncodeToString(x.MREnclave[:]), "mrsigner": hex.EncodeToString(x.MRSigner[:])}
	r.Detail = &Detail{x.SVN, x.ProductID}
	return r, nil
}

// CheckBound implements [attestation.Format]: the report data is d, then zeros.
func (f *Format) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if r == nil {
		return fmt.Errorf("%w: no report", attestation.ErrBind)
	}
	return attestation.CheckReportData(r.Bound, d)
}

// Appraise implements [attestation.Appraiser].
func (f *Format) Appraise(r *attestation.Report, p *attestation.Policy, _ int64) []attestation.Check {
	const name = "isv-svn"
	c := attestation.Check{Step: attestation.StepAppraise, Name: name, Outcome: attestation.Fail}
	d, ok := r.Detail.(*Detail)
	switch {
	case !ok || d == nil || p == nil:
		c.Note = "there is nothing to appraise"
	case p.SGX.MinimumSVN == nil:
		c.Outcome, c.Note = attestation.NotApplicable, "the policy asks for none: MRENCLAVE says the version"
	default:
		c.Seen, c.Want = strconv.Itoa(int(d.SVN)), "at least "+strconv.Itoa(*p.SGX.MinimumSVN)
		c.Outcome = attestation.Pass
		if int(d.SVN) < *p.SGX.MinimumSVN {
			c.Outcome, c.Note = attestation.Fail, "the enclave is older than the policy allows"
		}
	}
	return []attestation.Check{c}
}

// checkReport refuses what is no finished 64-bit enclave, and bits whose meaning nobody here knows.
func checkReport(x *dcap.EnclaveReport, r *attestation.Report) error {
	const name, want = "enclave-attributes", "initialised, 64-bit, measured, nothing reserved"
	seen := fmt.Sprintf("flags %x, XFRM %x", x.Attributes[:8], x.Attributes[8:])
	fail := func(what string) error { return r.Fail(name, seen, want, fmt.Errorf("%w: %s", ErrAttributes, what)) }
	switch {
	case x.Attributes[0]&dcap.FlagInit == 0:
		return fail("not initialised")
	case x.Attributes[0]&dcap.FlagMode64 == 0:
		return fail("not a 64-bit enclave")
	case x.Attributes[0]&reservedFlag != 0 || x.Reserved():
		return fail("a reserved bit is set")
	case x.MREnclave == [32]byte{} || x.MRSigner == [32]byte{}:
		return fail("MRENCLAVE or MRSIGNER is zero")
	}
	r.Pass(name, seen, want)
	return nil
}
