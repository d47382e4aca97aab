// SPDX-License-Identifier: Apache-2.0

// Package dcap verifies what Intel's quotes share: SGX (v3) and TDX (v4, v5) quotes are signed by a Quoting Enclave whose key
// a platform's PCK certificate vouches for, and Intel publishes signed statements (collateral) on what each platform is worth.
//
// Trust domain: brokers, buyers and auditors; never the enclave. Its one job: say who signed a quote, whether Intel stands by
// that platform, and at which patch level it is. Pure: standard library, no files, no network, no state. What a status is
// worth is policy, and not decided here. docs/spec/evidence.md says which endorsements a quote needs.
//
// One call of [Verify] makes [SignatureChecks] ECDSA P-256 verifications, none twice and none remembered.
package dcap

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
)

// Errors.
var (
	ErrMalformed  = errors.New("dcap: malformed")
	ErrChain      = errors.New("dcap: PCK certificate does not lead to Intel's root")
	ErrSignature  = errors.New("dcap: bad signature")
	ErrMissing    = errors.New("dcap: collateral is missing")
	ErrCollateral = errors.New("dcap: collateral refused")
	ErrExpired    = errors.New("dcap: not valid at this time")
	ErrRevoked    = errors.New("dcap: revoked")
	ErrQE         = errors.New("dcap: not Intel's Quoting Enclave")
	ErrTCB        = errors.New("dcap: TCB not covered by the TCB info")
)

// fetchHint says where collateral comes from.
const fetchHint = "fetch it with glovebox operator endorsements fetch"

// SignatureChecks is how many ECDSA P-256 verifications one accepted quote takes: the quote, the QE report, PCK certificate,
// PCK CA and root certificate, TCB signing certificate, TCB info, QE identity, root CRL and PCK CRL. A second certificate
// among the endorsements that the quote does not hold costs one more each, at most six.
const SignatureChecks = 10

// intelRoot is the SHA-256 of the SubjectPublicKeyInfo of "Intel SGX Root CA".
const intelRoot = "\xa0\xaf\x03\x12\x89\xf5\xd5\xd4\x13\x2f\x91\x86\x06\x8a\x7f\xc1\x36\x28\x63\x3b\xa2\x35\x77\x74\x72\xe2\x9b\x6b\x6c\x67\xa4\x9e"

// IntelRoot is what [Verify] is to be called with: the SHA-256 of the SubjectPublicKeyInfo of Intel SGX Root CA. Only tests
// pin anything else.
func IntelRoot() [32]byte { return [32]byte([]byte(intelRoot)) }

// TEE is the kind of thing that was quoted.
type TEE int

// Kinds of TEE.
const (
	SGX TEE = iota + 1
	TDX
)

func (t TEE) String() string {
	switch t {
	case SGX:
		return "SGX"
	case TDX:
		return "TDX"
	}
	return fmt.Sprintf("TEE(%d)", int(t))
}

// identity is the "id" of the QE identity that speaks of t's Quoting Enclave.
func (t TEE) identity() string {
	switch t {
	case SGX:
		return "QE"
	case TDX:
		return "TD_QE"
	}
	return ""
}

// Quote is a quote taken apart: the caller knows header and body, this package the rest.
type Quote struct {
	TEE       TEE
	Signed    []byte     // header ‖ body, which the attestation key signed
	Signature *Signature // from [ParseSGXSignature] or [ParseTDXSignature]
	Module    *Module    // of a TDX quote; nil for SGX
}

// Module is what a TD report says of the TDX module that ran it.
type Module struct {
	TCBSVN     [16]byte  // TEE_TCB_SVN
	TCBSVN2    *[16]byte // TEE_TCB_SVN_2 of a TD report 1.5: the module that runs now; nil for 1.0
	MRSigner   [48]byte  // MRSIGNERSEAM
	Attributes [8]byte   // SEAMATTRIBUTES
}

// verification is one call of Verify.
type verification struct {
	q    *Quote
	ends []attestation.Endorsement
	root [32]byte
	now  time.Time
	r    *attestation.Report

	chain   *chain
	key     *ecdsa.PublicKey // the attestation key
	qe      *EnclaveReport
	col     *collateral
	signers []*signer // TCB signing certificates, verified
	tcb     *tcbInfo
	id      *qeIdentity
}

// Verify checks everything about a quote that SGX and TDX share, in a fixed order, and records each check, and what it
// learned, in r: TCB, Collateral, Chip, Root, Checks and Facts. Root is [IntelRoot]. Chip is the PPID in the PCK certificate:
// Intel's name for the platform, which outlives re-registration (the platform instance ID does not and is a fact only).
// An error has been recorded as a failed check; errors are those of this package.
func Verify(q *Quote, ends []attestation.Endorsement, root [32]byte, now int64, r *attestation.Report) error {
	v := &verification{q: q, ends: ends, root: root, now: time.Unix(now, 0).UTC(), r: r}
	for _, step := range []func() error{
		v.parse, v.pckChain, v.pckExtension, v.qeSignature, v.attestationKey, v.quoteSignature,
		v.findCollateral, v.tcbSigners, v.tcbInfo, v.qeIdentity, v.status, v.rootCRL, v.pckCRL,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// parse reads what the quote itself holds and says so in facts, before anything is believed.
func (v *verification) parse() error {
	const name = "certification-data"
	q := v.q
	if q == nil || q.Signature == nil || len(q.Signed) == 0 || q.TEE.identity() == "" || (q.TEE == TDX) != (q.Module != nil) || v.root == [32]byte{} {
		return v.r.Fail(name, "", "a parsed quote and a pinned root", fmt.Errorf("%w: nothing to verify", ErrMalformed))
	}
	c, err := parseChain(q.Signature.Chain)
	if err != nil {
		return v.r.Fail(name, "", "PCK certificate, PCK CA, root", err)
	}
	if v.qe, err = ParseEnclaveReport(q.Signature.QEReport); err != nil {
		return v.r.Fail(name, "", "a QE report", err)
	}
	v.chain = c
	v.facts()
	v.r.Pass(name, "PEM chain of 3 certificates", "PCK certificate, PCK CA, root")
	return nil
}

func (v *verification) facts() {
	c, r := v.chain, v.r
	for _, x := range []*link{&c.pck, &c.ca, &c.root} {
		r.Fact(attestation.AboutSigner, "certificate", "%s, serial %X, %s to %s", x.cert.Subject.CommonName, x.cert.SerialNumber, day(x.cert.NotBefore), day(x.cert.NotAfter))
	}
	r.Fact(attestation.AboutSigner, "root key", "SHA-256 %x", c.root.spki)
	if e := c.ext; e != nil {
		r.Fact(attestation.AboutSigner, "platform", "PPID %x, FMSPC %X, PCE-ID %X", e.ppid, e.fmspc, e.pceid)
		if len(e.instance) != 0 {
			r.Fact(attestation.AboutSigner, "platform instance", "%x", e.instance)
		}
		r.Fact(attestation.AboutSigner, "platform TCB", "components %d, PCE SVN %d", e.components, e.pcesvn)
		if e.sgxType == sgxScalable {
			r.Fact(attestation.AboutWeakness, "memory", "scalable SGX: memory is encrypted, but not protected against replay by someone at the bus")
		}
	}
	r.Fact(attestation.AboutSigner, "quoting enclave", "MRSIGNER %x, product %d, SVN %d", v.qe.MRSigner, v.qe.ProductID, v.qe.SVN)
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (v *verification) holds(from, to time.Time) bool { return !v.now.Before(from) && !v.now.After(to) }

func (v *verification) collateral(name string, from, to time.Time, evaluation int) {
	v.r.Collateral = append(v.r.Collateral, attestation.Collateral{Name: name, Issued: from.Unix(), Expires: to.Unix(), Evaluation: evaluation})
}
