// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
)

// qeIdentity is what Intel says of its Quoting Enclave (PCS v4, enclaveIdentity version 2).
type qeIdentity struct {
	ID             string    `json:"id"`
	Version        int       `json:"version"`
	IssueDate      time.Time `json:"issueDate"`
	NextUpdate     time.Time `json:"nextUpdate"`
	Evaluation     *int      `json:"tcbEvaluationDataNumber"`
	MiscSelect     string    `json:"miscselect"`
	MiscMask       string    `json:"miscselectMask"`
	Attributes     string    `json:"attributes"`
	AttributesMask string    `json:"attributesMask"`
	MRSigner       string    `json:"mrsigner"`
	ProductID      *uint16   `json:"isvprodid"`
	Levels         []svn     `json:"tcbLevels"`

	level *svn // that the QE is at
}

// svn is a level of an enclave or a TDX module: from this SVN on, it has this status.
type svn struct {
	TCB struct {
		SVN *uint16 `json:"isvsvn"`
	} `json:"tcb"`
	Date       string   `json:"tcbDate"`
	Status     string   `json:"tcbStatus"`
	Advisories []string `json:"advisoryIDs"`
}

// enclaveStatus lists what an enclave's or module's level may say.
func enclaveStatus(s string) bool {
	return s == attestation.UpToDate || s == attestation.OutOfDate || s == attestation.Revoked ||
		s == attestation.SWHardeningNeeded || s == attestation.ConfigurationNeeded || s == attestation.ConfigurationAndSWHardeningNeeded
}

// findSVN is the first level that n reaches: Intel lists the highest first.
func findSVN(levels []svn, n uint16, what string) (*svn, error) {
	if len(levels) > maxLevels {
		return nil, fmt.Errorf("%w: %s has %d levels", ErrMalformed, what, len(levels))
	}
	for i := range levels {
		l := &levels[i]
		if l.TCB.SVN == nil || !enclaveStatus(l.Status) {
			return nil, fmt.Errorf("%w: %s has a level without SVN, or of status %q", ErrMalformed, what, l.Status)
		}
		if n >= *l.TCB.SVN {
			return l, nil
		}
	}
	return nil, fmt.Errorf("%w: %s has no level for SVN %d", ErrTCB, what, n)
}

// unhex decodes a field of exactly size bytes, in either case, as Intel writes it.
func unhex(s string, size int) ([]byte, bool) {
	b, err := hex.DecodeString(s)
	return b, err == nil && len(b) == size
}

// masked reports whether got has the bits of want, where mask asks.
func masked(got []byte, want, mask string) bool {
	w, ok := unhex(want, len(got))
	m, ok2 := unhex(mask, len(got))
	if !ok || !ok2 {
		return false
	}
	for i := range got {
		if got[i]&m[i] != w[i]&m[i] {
			return false
		}
	}
	return true
}

// qeIdentity: the enclave that made the attestation key is Intel's, and how current it is.
func (v *verification) qeIdentity() error {
	const name = "qe-identity"
	id := &qeIdentity{}
	if err := v.open(v.col.qeIdentity, "QE identity", id); err != nil {
		return v.r.Fail(name, "", "signed by "+nameSigning, err)
	}
	want := fmt.Sprintf("%s version 2, current", v.q.TEE.identity())
	seen := fmt.Sprintf("%s version %d, %s to %s", id.ID, id.Version, day(id.IssueDate), day(id.NextUpdate))
	if id.ID != v.q.TEE.identity() || id.Version != 2 || id.Evaluation == nil || id.ProductID == nil {
		return v.r.Fail(name, seen, want, fmt.Errorf("%w: not the identity of %s's Quoting Enclave", ErrCollateral, v.q.TEE))
	}
	if err := v.window("QE identity", id.IssueDate, id.NextUpdate); err != nil {
		return v.r.Fail(name, seen, want, err)
	}
	v.collateral(name, id.IssueDate, id.NextUpdate, *id.Evaluation)
	v.r.Pass(name, seen, want)
	v.id = id
	return v.matchQE()
}

func (v *verification) matchQE() error {
	const name = "quoting-enclave"
	id, qe := v.id, v.qe
	seen := fmt.Sprintf("MRSIGNER %x, product %d, SVN %d, MISCSELECT %x, ATTRIBUTES %x", qe.MRSigner, qe.ProductID, qe.SVN, qe.MiscSelect, qe.Attributes)
	want := fmt.Sprintf("MRSIGNER %s, product %d, MISCSELECT %s/%s, ATTRIBUTES %s/%s", strings.ToLower(id.MRSigner), *id.ProductID, id.MiscSelect, id.MiscMask, id.Attributes, id.AttributesMask)
	fail := func(err error) error { return v.r.Fail(name, seen, want, err) }
	signer, ok := unhex(id.MRSigner, len(qe.MRSigner))
	// MISCSELECT is a number in the identity, most significant byte first, and little endian in a report.
	misc := []byte{qe.MiscSelect[3], qe.MiscSelect[2], qe.MiscSelect[1], qe.MiscSelect[0]}
	switch {
	case !ok || [32]byte(signer) != qe.MRSigner:
		return fail(fmt.Errorf("%w: signed by somebody else", ErrQE))
	case *id.ProductID != qe.ProductID:
		return fail(fmt.Errorf("%w: another product", ErrQE))
	case !masked(misc, id.MiscSelect, id.MiscMask):
		return fail(fmt.Errorf("%w: MISCSELECT", ErrQE))
	case !masked(qe.Attributes[:], id.Attributes, id.AttributesMask) || qe.Debug():
		return fail(fmt.Errorf("%w: ATTRIBUTES", ErrQE))
	}
	l, err := findSVN(id.Levels, qe.SVN, "QE identity")
	if err != nil {
		return fail(err)
	}
	id.level = l
	v.r.Fact(attestation.AboutSigner, "quoting enclave TCB", "%s since %s", l.Status, l.Date)
	v.r.Pass(name, seen, want)
	return nil
}
