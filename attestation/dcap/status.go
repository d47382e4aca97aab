// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
)

// platformStatus lists what a TCB level may say. The two of relaunch are never said, but concluded.
func platformStatus(s string) bool {
	return enclaveStatus(s) || s == attestation.OutOfDateConfigurationNeeded
}

// status finds the platform's, the QE's and the module's levels and makes one of them: the worst, as Intel's own library
// converges them, with the advisories of all.
func (v *verification) status() error {
	const name = "tcb-level"
	e := v.chain.ext
	seen := fmt.Sprintf("SGX %d, PCE SVN %d", e.components, e.pcesvn)
	if m := v.q.Module; m != nil {
		seen += fmt.Sprintf(", TDX %d", m.TCBSVN)
	}
	want := fmt.Sprintf("at least one of %d levels", len(v.tcb.Levels))
	fail := func(err error) error { return v.r.Fail(name, seen, want, err) }
	sgx, at := v.tcb.match(e, v.q.Module)
	if v.q.TEE == SGX {
		at = sgx
	}
	if at == nil {
		return fail(fmt.Errorf("%w: no level is as low as this platform", ErrTCB))
	}
	advisories := slices.Concat(at.Advisories, v.id.level.Advisories)
	status := at.Status
	if v.q.TEE == TDX {
		m, err := v.module(sgx, at)
		if err != nil {
			return err
		}
		status, advisories = m.status, append(advisories, m.advisories...)
	}
	status = converge(status, v.id.level.Status)
	if sgx.Status == attestation.Revoked {
		status = attestation.Revoked
	}
	slices.Sort(advisories)
	v.r.TCB = &attestation.TCB{Status: status, Date: at.Date, Advisories: slices.Compact(advisories)}
	v.r.Fact(attestation.AboutSigner, "platform TCB status", "%s since %s, advisories: %s", status, at.Date, strings.Join(v.r.TCB.Advisories, " "))
	if status != attestation.UpToDate {
		v.r.Fact(attestation.AboutWeakness, "patches", "Intel calls this platform %s", status)
	}
	v.r.Pass(name, seen+": "+at.Status+", quoting enclave "+v.id.level.Status, want)
	return nil
}

// converge lowers status by that of a part: the QE or the TDX module.
func converge(status, part string) string {
	configure := status == attestation.ConfigurationNeeded || status == attestation.ConfigurationAndSWHardeningNeeded ||
		status == attestation.OutOfDateConfigurationNeeded || status == attestation.TDRelaunchAdvisedConfiguration
	switch {
	case status == attestation.Revoked || part == attestation.Revoked:
		return attestation.Revoked
	case part == attestation.OutOfDate && configure:
		return attestation.OutOfDateConfigurationNeeded
	case part == attestation.OutOfDate:
		return attestation.OutOfDate
	case part == attestation.UpToDate || status == attestation.OutOfDate || status == attestation.OutOfDateConfigurationNeeded:
		return status
	case status == attestation.UpToDate:
		return part
	case part != status && (part == attestation.ConfigurationAndSWHardeningNeeded || status == attestation.SWHardeningNeeded || status == attestation.ConfigurationNeeded):
		return attestation.ConfigurationAndSWHardeningNeeded
	}
	return status
}
