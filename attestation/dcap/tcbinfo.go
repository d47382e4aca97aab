// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// tcbInfo is what Intel says of one family of platforms (PCS v4, tcbInfo version 3).
type tcbInfo struct {
	ID         string           `json:"id"`
	Version    int              `json:"version"`
	IssueDate  time.Time        `json:"issueDate"`
	NextUpdate time.Time        `json:"nextUpdate"`
	FMSPC      string           `json:"fmspc"`
	PCEID      string           `json:"pceId"`
	Type       *int             `json:"tcbType"` // 0: compare component by component
	Evaluation *int             `json:"tcbEvaluationDataNumber"`
	Module     *moduleIdentity  `json:"tdxModule"`           // TDX 1.0
	Modules    []moduleIdentity `json:"tdxModuleIdentities"` // later ones, by version
	Levels     []level          `json:"tcbLevels"`
}

// level is a patch level of a platform.
type level struct {
	TCB struct {
		SGX    components `json:"sgxtcbcomponents"`
		TDX    components `json:"tdxtcbcomponents"`
		PCESVN *uint16    `json:"pcesvn"`
	} `json:"tcb"`
	Date       string   `json:"tcbDate"`
	Status     string   `json:"tcbStatus"`
	Advisories []string `json:"advisoryIDs"`
}

// tcbInfo: Intel's statement is of this platform's family and of this kind of TEE.
func (v *verification) tcbInfo() error {
	const name = "tcb-info"
	t := &tcbInfo{}
	if err := v.open(v.col.tcbInfo, "TCB info", t); err != nil {
		return v.r.Fail(name, "", "signed by "+nameSigning, err)
	}
	e := v.chain.ext
	seen := fmt.Sprintf("%s version %d, FMSPC %s, PCE-ID %s, %s to %s", t.ID, t.Version, t.FMSPC, t.PCEID, day(t.IssueDate), day(t.NextUpdate))
	want := fmt.Sprintf("%s version 3, FMSPC %X, PCE-ID %X, current", v.q.TEE, e.fmspc, e.pceid)
	fail := func(err error) error { return v.r.Fail(name, seen, want, err) }
	switch {
	case t.ID != v.q.TEE.String() || t.Version != 3 || t.Evaluation == nil || t.Type == nil || *t.Type != 0:
		return fail(fmt.Errorf("%w: not a TCB info for %s that can be read here", ErrCollateral, v.q.TEE))
	case !strings.EqualFold(t.FMSPC, hex.EncodeToString(e.fmspc)) || !strings.EqualFold(t.PCEID, hex.EncodeToString(e.pceid)):
		return fail(fmt.Errorf("%w: TCB info is of another family of platforms", ErrCollateral))
	}
	if err := v.window("TCB info", t.IssueDate, t.NextUpdate); err != nil {
		return fail(err)
	}
	if err := t.check(v.q.TEE); err != nil {
		return fail(err)
	}
	v.collateral(name, t.IssueDate, t.NextUpdate, *t.Evaluation)
	v.r.Pass(name, seen, want)
	v.tcb = t
	return nil
}

// check refuses levels that say less than everything.
func (t *tcbInfo) check(tee TEE) error {
	if len(t.Levels) == 0 || len(t.Levels) > maxLevels || len(t.Modules) > maxIdentities {
		return fmt.Errorf("%w: %d TCB levels, %d TDX modules", ErrMalformed, len(t.Levels), len(t.Modules))
	}
	for i := range t.Levels {
		l := &t.Levels[i]
		ok := whole(l.TCB.SGX) && l.TCB.PCESVN != nil && platformStatus(l.Status)
		if tee == TDX {
			ok = ok && whole(l.TCB.TDX)
		}
		if _, err := time.Parse(time.RFC3339, l.Date); err != nil || !ok {
			return fmt.Errorf("%w: TCB level %d is incomplete or of status %q", ErrMalformed, i, l.Status)
		}
	}
	return nil
}

func whole(c components) bool { return len(c) == 16 && !slices.Contains(c, -1) }

// match finds the levels that the platform reaches: for its SGX components alone, and for the TDX ones too. Intel lists the
// highest level first.
func (t *tcbInfo) match(e *extension, m *Module) (sgx, tdx *level) {
	for i := range t.Levels {
		l := &t.Levels[i]
		if e.pcesvn < int(*l.TCB.PCESVN) || !reaches(e.components, l.TCB.SGX, 0) {
			continue
		}
		if sgx == nil {
			sgx = l
		}
		if m == nil {
			return sgx, nil
		}
		if reaches(m.TCBSVN, l.TCB.TDX, m.first()) {
			return sgx, l
		}
	}
	return sgx, nil
}

func reaches(have [16]byte, want components, from int) bool {
	for i := from; i < len(have); i++ {
		if int16(have[i]) < want[i] {
			return false
		}
	}
	return true
}
