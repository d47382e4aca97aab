// SPDX-License-Identifier: Apache-2.0

// Package verify authenticates evidence of confidential VMs on Azure: a virtual TPM under an SEV-SNP report or a TDX quote.
//
// Trust domain: brokers, buyers and auditors; never the enclave. Its one job: follow the vouching down, and stop where a
// link is missing: the vendor's chain vouches for the hardware's report; its report data is the SHA-256 of the paravisor's
// runtime data; that names the TPM's attestation key; the key signed the quote; the quote is over the registers. The
// hardware is judged by the verifiers of platforms snp and tdx, with all their demands. Offline.
// docs/spec/evidence.md is the format.
package verify

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/azure/hcl"
	snp "github.com/glovebox-dev/glovebox/attestation/snp/verify"
	tdx "github.com/glovebox-dev/glovebox/attestation/tdx/verify"
	"github.com/glovebox-dev/glovebox/attestation/tpm/boot"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors. Those of the hardware's verifier and of packages hcl, quote and boot come through as they are.
var (
	ErrConfig     = errors.New("azure: bad verifier configuration")
	ErrHardware   = errors.New("azure: the hardware's report is not of this platform")
	ErrRuntime    = errors.New("azure: the hardware does not vouch for the runtime data")
	ErrUnmeasured = errors.New("azure: registers that firmware never extended")
)

// Format implements [attestation.Format] for one of the two platforms. Immutable.
type Format struct {
	platform attestation.Platform
	hardware attestation.Format // of platform snp or tdx
}

var (
	_ attestation.Format    = (*Format)(nil)
	_ attestation.Appraiser = (*Format)(nil)
)

// NewSNPFormat is for platform azure-snp.
func NewSNPFormat() (attestation.Format, error) {
	hw, err := snp.NewFormat()
	if err != nil {
		return nil, err
	}
	return newFormat(attestation.PlatformAzureSNP, hw)
}

// NewTDXFormat is for platform azure-tdx.
func NewTDXFormat() (attestation.Format, error) {
	hw, err := tdx.NewFormat()
	if err != nil {
		return nil, err
	}
	return newFormat(attestation.PlatformAzureTDX, hw)
}

func newFormat(p attestation.Platform, hw attestation.Format) (attestation.Format, error) {
	want := map[attestation.Platform]attestation.Platform{
		attestation.PlatformAzureSNP: attestation.PlatformSNP, attestation.PlatformAzureTDX: attestation.PlatformTDX,
	}[p]
	if _, ok := hw.(attestation.Appraiser); !ok || want == "" || hw.Platform() != want {
		return nil, fmt.Errorf("%w: platform %s", ErrConfig, p)
	}
	return &Format{p, hw}, nil
}

// Platform implements [attestation.Format].
func (f *Format) Platform() attestation.Platform { return f.platform }

// Authenticate implements [attestation.Format].
func (f *Format) Authenticate(ctx context.Context, e *attestation.Evidence, now int64) (*attestation.Report, error) {
	r := &attestation.Report{Platform: f.platform, Measurements: map[string]string{}}
	const want = "an HCL report, and a TPM's quote"
	x, err := hcl.ParseEvidence(e.Evidence)
	if err != nil {
		return r, r.Fail("format", fmt.Sprintf("%d bytes", len(e.Evidence)), want, err)
	}
	h, err := hcl.Parse(x.HCLReport)
	if err != nil {
		explainQuote(r, x)
		return r, r.Fail("hcl-report", fmt.Sprintf("%d bytes", len(x.HCLReport)), want, err)
	}
	r.Pass("hcl-report", fmt.Sprintf("version %d, runtime data of %d bytes", h.Version, len(h.Runtime)), want)
	explain(r, x, h)
	hw, err := f.authenticateHardware(ctx, r, x, h, e.Endorsements, now)
	if err != nil {
		return r, err
	}
	a, pcrs, err := authenticateQuote(r, x, h)
	if err != nil {
		return r, err
	}
	log, err := boot.Check(r, pcrs, e.EventLogs, boot.Optional)
	if err != nil {
		return r, err
	}
	for name, v := range x.PCRs {
		r.Measurements[name] = v
	}
	if d := boot.Enclave(log, pcrs); d != "" {
		r.Measurements["enclave"] = d
	}
	r.Assurance, r.Bound, r.Detail = attestation.AssuranceTEE, bytes.Clone(a.Qualifying), hw
	return r, nil
}

// CheckBound implements [attestation.Format]: d is the whole qualifying data of the TPM's quote. The hardware's report data
// was fixed when the VM started.
func (f *Format) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if r == nil || d.IsZero() || !bytes.Equal(r.Bound, d[:]) {
		return fmt.Errorf("%w: qualifying data of the quote is not this binding's digest", attestation.ErrBind)
	}
	return nil
}

// Appraise implements [attestation.Appraiser]: everything that the hardware's own platform demands.
func (f *Format) Appraise(r *attestation.Report, p *attestation.Policy, now int64) []attestation.Check {
	hw, _ := r.Detail.(*attestation.Report)
	if hw == nil {
		return []attestation.Check{{
			Step: attestation.StepAppraise, Name: "hardware", Outcome: attestation.Fail, Want: "a report of the hardware", Note: "there is nothing to appraise",
		}}
	}
	return f.hardware.(attestation.Appraiser).Appraise(hw, p, now) //nolint:errcheck // newFormat saw that it is one
}

// authenticateHardware has the hardware's report judged by its own platform's verifier and demands that it vouches for the
// runtime data. What that verifier found becomes r's.
func (f *Format) authenticateHardware(
	ctx context.Context, r *attestation.Report, x *hcl.Evidence, h *hcl.Report, ends []attestation.Endorsement, now int64,
) (*attestation.Report, error) {
	raw, err := f.hardwareEvidence(r, x, h)
	if err != nil {
		return nil, err
	}
	hw, err := f.hardware.Authenticate(ctx, &attestation.Evidence{
		Version: 1, Platform: f.hardware.Platform(), Evidence: raw, Endorsements: ends,
	}, now)
	if hw != nil {
		adopt(r, hw)
	}
	switch {
	case err != nil:
		if n := len(r.Checks); n == 0 || r.Checks[n-1].Outcome != attestation.Fail {
			return nil, r.Fail("hardware", "refused", "an authentic report of "+string(f.hardware.Platform()), err)
		}
		return nil, err
	case hw == nil || hw.Platform != f.hardware.Platform() || hw.Assurance != attestation.AssuranceTEE:
		return nil, r.Fail("hardware", "none", "an authentic report of "+string(f.hardware.Platform()), ErrHardware)
	}
	want := h.ReportData()
	if !bytes.Equal(hw.Bound, want[:]) {
		return nil, r.Fail("runtime-data", hex.EncodeToString(hw.Bound), hex.EncodeToString(want[:]), ErrRuntime)
	}
	r.Pass("runtime-data", hex.EncodeToString(hw.Bound), hex.EncodeToString(want[:]))
	r.Root, r.Debug, r.TCB, r.Collateral, r.Chip = hw.Root, hw.Debug, hw.TCB, hw.Collateral, hw.Chip
	for name, v := range hw.Measurements {
		r.Measurements[name] = v
	}
	return hw, nil
}

// adopt takes over what the hardware's verifier says, but for the log of the boot: on Azure that is the TPM's, and RTMRs
// stay zero.
func adopt(r, hw *attestation.Report) {
	for _, c := range hw.Checks {
		if c.Name != "event-log" {
			r.Checks = append(r.Checks, c)
		}
	}
	for _, x := range hw.Facts {
		if x.About != attestation.AboutWeakness || (x.Name != "event log" && x.Name != "RTMR1, RTMR2") {
			r.Facts = append(r.Facts, x)
		}
	}
}

// hardwareEvidence is the SNP report inside the HCL report, or the TD quote beside it, which must be of the TD report inside.
func (f *Format) hardwareEvidence(r *attestation.Report, x *hcl.Evidence, h *hcl.Report) ([]byte, error) {
	if f.platform == attestation.PlatformAzureSNP {
		if h.Kind != hcl.SNP || len(x.TDQuote) != 0 {
			return nil, r.Fail("hardware-type", h.Kind.String(), hcl.SNP.String()+", and no TD quote", ErrHardware)
		}
		r.Pass("hardware-type", h.Kind.String(), hcl.SNP.String())
		return h.Hardware, checkVMPL(r, h.Hardware)
	}
	if h.Kind != hcl.TDX || len(x.TDQuote) == 0 {
		return nil, r.Fail("hardware-type", h.Kind.String(), hcl.TDX.String()+", and a TD quote", ErrHardware)
	}
	r.Pass("hardware-type", h.Kind.String(), hcl.TDX.String())
	return x.TDQuote, checkTDReport(r, x.TDQuote, h.Hardware)
}

// authenticateQuote: the key that the runtime data names signed this quote, over these values.
func authenticateQuote(r *attestation.Report, x *hcl.Evidence, h *hcl.Report) (*quote.Attest, map[int][]byte, error) {
	const signed, values = "by the key in the runtime data", "exactly the quoted registers, hashing to the quoted digest"
	if err := quote.CheckSignature(h.AK, x.Quote, x.Signature); err != nil {
		return nil, nil, r.Fail("tpm-quote-signature", "not by this key", signed, err)
	}
	r.Pass("tpm-quote-signature", signed, signed)
	a, err := quote.ParseAttest(x.Quote)
	if err != nil {
		return nil, nil, r.Fail("tpm-quote", fmt.Sprintf("%d bytes", len(x.Quote)), "a TPM's quote of the SHA-256 bank", err)
	}
	r.Pass("tpm-quote", fmt.Sprintf("PCRs %v", a.PCRs), "a TPM's quote of the SHA-256 bank")
	pcrs, err := a.CheckValues(x.PCRs)
	if err != nil {
		return nil, nil, r.Fail("pcr-values", fmt.Sprintf("%d registers", len(x.PCRs)), values, err)
	}
	r.Pass("pcr-values", fmt.Sprintf("%d registers", len(pcrs)), values)
	const extended = "PCRs 0 to 7 quoted and extended"
	for i := range 8 {
		if v := pcrs[i]; len(v) == 0 || bytes.Equal(v, make([]byte, len(v))) {
			return nil, nil, r.Fail("pcr-extended", quote.Name(i)+" is zero or not quoted", extended, fmt.Errorf("%w: %s", ErrUnmeasured, quote.Name(i)))
		}
	}
	r.Pass("pcr-extended", "PCRs 0 to 7", extended)
	return a, pcrs, nil
}
