// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
)

// moduleIdentity is what Intel says of a TDX module.
type moduleIdentity struct {
	ID             string `json:"id"`
	MRSigner       string `json:"mrsigner"`
	Attributes     string `json:"attributes"`
	AttributesMask string `json:"attributesMask"`
	Levels         []svn  `json:"tcbLevels"`
}

// first is the index from which TEE_TCB_SVN is compared with a level's TDX components: from module version 1 on, the first
// two bytes are the module's own SVN and version, which its identity judges.
func (m *Module) first() int {
	if m.TCBSVN[1] > 0 {
		return 2
	}
	return 0
}

// moduleStatus is the converged status of platform and module.
type moduleStatus struct {
	status     string
	advisories []string
}

// identity finds Intel's word on the module of a version; version 0 is TDX 1.0, which has no levels of its own.
func (t *tcbInfo) identity(version byte) (*moduleIdentity, error) {
	if version == 0 {
		if t.Module == nil {
			return nil, fmt.Errorf("%w: TCB info names no TDX module", ErrMalformed)
		}
		return t.Module, nil
	}
	want := fmt.Sprintf("TDX_%02X", version)
	for i := range t.Modules {
		if strings.EqualFold(t.Modules[i].ID, want) {
			return &t.Modules[i], nil
		}
	}
	return nil, fmt.Errorf("%w: TDX module %s is not in the TCB info", ErrTCB, want)
}

// module: the TDX module is Intel's, and how current it is.
func (v *verification) module(sgx, at *level) (*moduleStatus, error) {
	const name = "tdx-module"
	m := v.q.Module
	seen := fmt.Sprintf("MRSIGNERSEAM %x, SEAMATTRIBUTES %x, version %d, SVN %d", m.MRSigner, m.Attributes, m.TCBSVN[1], m.TCBSVN[0])
	id, err := v.tcb.identity(m.TCBSVN[1])
	if err != nil {
		return nil, v.r.Fail(name, seen, "a module that Intel lists", err)
	}
	want := fmt.Sprintf("MRSIGNERSEAM %s, SEAMATTRIBUTES %s/%s", strings.ToLower(id.MRSigner), id.Attributes, id.AttributesMask)
	signer, ok := unhex(id.MRSigner, len(m.MRSigner))
	switch {
	case !ok || [48]byte(signer) != m.MRSigner:
		return nil, v.r.Fail(name, seen, want, fmt.Errorf("%w: TDX module signed by somebody else", ErrTCB))
	case !masked(m.Attributes[:], id.Attributes, id.AttributesMask) || !zero(m.Attributes[:]):
		return nil, v.r.Fail(name, seen, want, fmt.Errorf("%w: attributes of the TDX module", ErrTCB))
	}
	out := &moduleStatus{status: at.Status}
	part := attestation.UpToDate
	if m.TCBSVN[1] > 0 {
		l, err := findSVN(id.Levels, uint16(m.TCBSVN[0]), "TDX module "+id.ID)
		if err != nil {
			return nil, v.r.Fail(name, seen, want, err)
		}
		part, out.advisories = l.Status, l.Advisories
		v.r.Fact(attestation.AboutSigner, "TDX module TCB", "%s: %s since %s", id.ID, l.Status, l.Date)
	}
	out.status = converge(at.Status, part)
	if err := v.relaunch(sgx, part, out); err != nil {
		return nil, v.r.Fail(name, seen, want, err)
	}
	v.r.Pass(name, seen, want)
	return out, nil
}

// relaunch: a TD that was started under an out-of-date module, on a platform that has since loaded a current one under it,
// needs to be started again, no more. Only a TD report 1.5 can say so, and only while platform and QE are not out of date.
func (v *verification) relaunch(sgx *level, part string, out *moduleStatus) error {
	now := v.q.Module.TCBSVN2
	behind := out.status == attestation.OutOfDate || out.status == attestation.OutOfDateConfigurationNeeded
	stale := sgx.Status == attestation.OutOfDate || sgx.Status == attestation.OutOfDateConfigurationNeeded || sgx.Status == attestation.Revoked
	qe := v.id.level.Status
	if now == nil || !behind || stale || part != attestation.OutOfDate || qe == attestation.OutOfDate || qe == attestation.Revoked {
		return nil
	}
	latest := v.tcb.Levels[0].TCB.TDX
	least := uint16(latest[0])
	if now[1] > 0 {
		id, err := v.tcb.identity(now[1])
		if err != nil {
			return err
		}
		if len(id.Levels) == 0 || id.Levels[0].TCB.SVN == nil {
			return fmt.Errorf("%w: TDX module %s has no levels", ErrMalformed, id.ID)
		}
		least = *id.Levels[0].TCB.SVN
	}
	if uint16(now[0]) < least || int16(now[2]) < latest[2] {
		return nil
	}
	configure := sgx.Status == attestation.ConfigurationNeeded || sgx.Status == attestation.ConfigurationAndSWHardeningNeeded ||
		out.status == attestation.OutOfDateConfigurationNeeded
	out.status = attestation.TDRelaunchAdvised
	if configure {
		out.status = attestation.TDRelaunchAdvisedConfiguration
	}
	return nil
}
