// SPDX-License-Identifier: Apache-2.0

// Package verify authenticates attestation documents of AWS Nitro Enclaves.
//
// Trust domain: brokers, buyers and auditors; never the enclave. Its one job: say which image the Nitro hypervisor vouches
// for, after checking a COSE_Sign1 with ES384 and the certificates in it up to AWS's root, which is pinned. The document
// brings all that is needed, so verification is offline. docs/spec/evidence.md is the format.
package verify

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors.
var (
	ErrDocument  = errors.New("nitro: malformed document")
	ErrChain     = errors.New("nitro: certificate chain refused")
	ErrRoot      = errors.New("nitro: another root than AWS's")
	ErrSignature = errors.New("nitro: bad signature")
	ErrTime      = errors.New("nitro: bad time")
	ErrRevoked   = errors.New("nitro: revocation list refuses a certificate, or is refused itself")
	ErrImport    = errors.New("nitro: cannot be imported")
)

// rootG1 is the SHA-256 of AWS_NitroEnclaves_Root-G1, DER, as AWS publishes it with its documentation ("Verifying the root
// of trust"): CN=aws.nitro-enclaves, valid until 2049-10-28.
const rootG1 = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"

// SignatureChecks counts the ECDSA P-384 verifications of one document as AWS makes them: its own, and four certificates
// under the root.
const SignatureChecks = 5

// Format implements [attestation.Format] for Nitro Enclaves. Immutable.
type Format struct{ root [32]byte }

var _ attestation.Format = (*Format)(nil)

// NewFormat accepts AWS's root and no other. The partitions of China and GovCloud have roots of their own.
func NewFormat() (attestation.Format, error) {
	b, err := hex.DecodeString(rootG1)
	if err != nil || len(b) != 32 {
		return nil, fmt.Errorf("%w: its pin is no digest", ErrRoot)
	}
	return &Format{[32]byte(b)}, nil
}

// Platform implements [attestation.Format].
func (f *Format) Platform() attestation.Platform { return attestation.PlatformNitro }

// Authenticate implements [attestation.Format]. The certificates must hold at the document's own time; whether they still
// hold at now is collateral, for appraisal.
func (f *Format) Authenticate(_ context.Context, e *attestation.Evidence, now int64) (*attestation.Report, error) {
	r := &attestation.Report{Platform: attestation.PlatformNitro}
	if e == nil || now <= 0 {
		return nil, fmt.Errorf("%w: no evidence or no time", ErrDocument)
	}
	m, d, err := parse(e.Evidence)
	if err != nil {
		return r, r.Fail("cose-sign1", strconv.Itoa(len(e.Evidence))+" bytes", "a COSE_Sign1 with ES384 of a Nitro document", err)
	}
	r.Pass("cose-sign1", "ES384, "+strconv.Itoa(len(m.Payload))+" bytes", "a COSE_Sign1 with ES384 of a Nitro document")
	if len(e.EventLogs) > 0 {
		return r, r.Fail("event-log", strconv.Itoa(len(e.EventLogs)), "none", fmt.Errorf("%w: Nitro documents have no event logs", ErrDocument))
	}
	describe(r, d)
	c, err := parseChain(d)
	if err != nil {
		return r, r.Fail("certificates", strconv.Itoa(1+len(d.CABundle)), "X.509 with P-384 keys", err)
	}
	r.Pass("certificates", strconv.Itoa(len(c)), "X.509 with P-384 keys")
	c.describe(r)
	if err := f.authenticate(r, m, d, c, e, now); err != nil {
		return r, err
	}
	f.fill(r, d, c)
	return r, nil
}

// authenticate checks from the document's signature outwards to the root, so that a document that was touched costs one
// signature check. Nothing passes before all have.
func (f *Format) authenticate(r *attestation.Report, m *message, d *document, c chain, e *attestation.Evidence, now int64) error {
	root := hex.EncodeToString(f.root[:])
	for _, s := range []struct {
		name, seen, want string
		check            func() error
	}{
		{"root", printable(c[0].Subject.String()), root, func() error { return c.checkRoot(f.root) }},
		{"document-signature", printable(c.leaf().Subject.CommonName), "signed by the leaf's key", func() error { return m.verify(c.key()) }},
		{"certificate-chain", strconv.Itoa(len(c)) + " certificates", "each signed by the one above it", c.verify},
		{"certificate-validity", when(d.time()), "every certificate holds at the document's time", func() error { return c.valid(d.time()) }},
		{"document-time", when(d.time()), "not after " + when(time.Unix(now, 0).Add(maxSkew)), func() error { return checkTime(d, now) }},
	} {
		if err := s.check(); err != nil {
			return r.Fail(s.name, s.seen, s.want, err)
		}
		r.Pass(s.name, s.seen, s.want)
	}
	r.Collateral = c.collateral(now)
	crls := e.Find(attestation.CRLType)
	if len(crls) == 0 {
		r.NotApplicable("revocation", "AWS tells verifiers to check no CRL, and none came along; the leaf lives for hours")
		return nil
	}
	used, err := c.checkCRLs(crls)
	if err != nil {
		return r.Fail("revocation", strconv.Itoa(len(crls))+" CRLs", "of this chain, and naming none of it", err)
	}
	r.Pass("revocation", strconv.Itoa(len(used))+" CRLs", "of this chain, and naming none of it")
	r.Collateral = append(r.Collateral, used...)
	return nil
}

func checkTime(d *document, now int64) error {
	if limit := time.Unix(now, 0).Add(maxSkew); d.time().After(limit) {
		return fmt.Errorf("%w: the document is of %s, which is in the future", ErrTime, when(d.time()))
	}
	return nil
}

// detail is what CheckBound reads beside the report.
type detail struct{ nonce []byte }

func (f *Format) fill(r *attestation.Report, d *document, c chain) {
	r.Assurance = attestation.AssuranceTEE
	r.Bound = bytes.Clone(d.UserData)
	r.Root = printable(c[0].Subject.CommonName) + " sha256:" + hex.EncodeToString(f.root[:])
	r.Debug = d.debug()
	r.Measurements = map[string]string{}
	for i, v := range d.PCRs {
		r.Measurements[pcrName(i)] = hex.EncodeToString(v)
	}
	r.Detail = detail{bytes.Clone(d.Nonce)}
}

// CheckBound implements [attestation.Format]: d is the whole user data, and the nonce, which our collector leaves out, is
// nothing else either.
func (f *Format) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if r == nil || d.IsZero() || !bytes.Equal(r.Bound, d[:]) {
		return fmt.Errorf("%w: user data of the document is not this binding's digest", attestation.ErrBind)
	}
	x, ok := r.Detail.(detail)
	if !ok || len(x.nonce) > 0 && !bytes.Equal(x.nonce, d[:]) {
		return fmt.Errorf("%w: nonce of the document is another than this binding's digest", attestation.ErrBind)
	}
	return nil
}

func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// printable is a stranger's text for somebody's terminal.
func printable(s string) string {
	q := strconv.QuoteToASCII(s[:min(len(s), maxShown)])
	return q[1 : len(q)-1]
}
