// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strconv"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/azure/hcl"
	"github.com/glovebox-dev/glovebox/attestation/snp"
	tdxquote "github.com/glovebox-dev/glovebox/attestation/tdx/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/boot"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
)

// Offsets of a TD's report in a quote, which package tdx/quote leaves whole in Signed.
const (
	bodyV4 = 48
	bodyV5 = 54
)

// checkVMPL: the paravisor asks at the most privileged level. A report of a lower one was asked for by the system that it
// runs, which writes its own runtime data, and a key of its own into it.
func checkVMPL(r *attestation.Report, report []byte) error {
	p, err := snp.ParseReport(report)
	if err != nil {
		return r.Fail("vmpl", "unreadable", "0: the paravisor's", fmt.Errorf("%w: %w", ErrHardware, err))
	}
	if p.VMPL != 0 {
		return r.Fail("vmpl", strconv.Itoa(int(p.VMPL)), "0: the paravisor's", fmt.Errorf("%w: asked for at VMPL %d", ErrHardware, p.VMPL))
	}
	r.Pass("vmpl", "0", "0: the paravisor's")
	return nil
}

// checkTDReport: the quote is of the TD report that the paravisor wrote.
func checkTDReport(r *attestation.Report, raw, report []byte) error {
	const want = "the TD report inside and the TD quote beside it say the same"
	q, err := tdxquote.Parse(raw)
	if err != nil {
		return r.Fail("td-report", "a quote that cannot be read", want, err)
	}
	start := bodyV4
	if q.Version != 4 {
		start = bodyV5
	}
	if err := hcl.CheckTDReport(report, q.Signed[start:]); err != nil {
		return r.Fail("td-report", "they differ", want, err)
	}
	r.Pass("td-report", "the same", want)
	return nil
}

// explain writes what the evidence says, before anything in it is believed.
func explain(r *attestation.Report, x *hcl.Evidence, h *hcl.Report) {
	signer := func(name, format string, args ...any) { r.Fact(attestation.AboutSigner, name, format, args...) }
	weak := func(name, format string, args ...any) { r.Fact(attestation.AboutWeakness, name, format, args...) }
	signer("attestation-key", "RSA-2048 HCLAkPub, SHA-256 of its modulus %x", sha256.Sum256(h.AK.N.Bytes()))
	signer("virtual-machine", "%q", h.Machine.ID)
	m := h.Machine
	for _, x := range []struct {
		name  string
		value *bool
	}{{"secure-boot", m.SecureBoot}, {"console-enabled", m.Console}, {"tpm-enabled", m.TPM}, {"tpm-persisted", m.TPMPersisted}} {
		if x.value != nil {
			r.Fact(attestation.AboutRunning, x.name, "%t", *x.value)
		}
	}
	if m.SecureBoot == nil || !*m.SecureBoot {
		weak("secure-boot", "not on: whatever was on the disk was booted, and only its measurements say what")
	}
	if m.Console == nil || *m.Console {
		weak("console", "on: whoever administers the VM on Azure reaches its console")
	}
	weak("paravisor", "Microsoft's paravisor, which the hardware measured, is the TPM and vouches for its key: the key's attributes and hierarchy are not shown, "+
		"so that the quote's qualified signer cannot be recomputed")
	if data := bytes.Trim([]byte(h.UserData), "0"); len(data) != 0 {
		r.Fact(attestation.AboutRunning, "user-data", "%.256s (nothing rests on it)", h.UserData)
	}
	explainQuote(r, x)
}

func explainQuote(r *attestation.Report, x *hcl.Evidence) {
	if a, err := quote.ParseAttest(x.Quote); err == nil {
		boot.Explain(r, a)
	}
	for i := range quote.PCRCount {
		if v, ok := x.PCRs[quote.Name(i)]; ok {
			r.Fact(attestation.AboutRunning, quote.Name(i), "%s", v)
		}
	}
}
