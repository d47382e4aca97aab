// SPDX-License-Identifier: Apache-2.0

// Package verify authenticates AMD SEV-SNP attestation reports and appraises what they say of chip, firmware and guest.
//
// Trust domain: brokers, buyers and auditors; never the enclave. Its one job: say which guest an AMD chip vouches for, and
// how good chip and firmware are. AMD's roots are those that github.com/google/go-sev-guest embeds; its own verifier is
// what tests compare with, and not what decides, since it leaves chip id, TCB, debug mode and revocation unchecked, cannot
// read Turin's certificates, changes its options, may use the network and adds global flags. Offline, stateless.
// docs/spec/evidence.md and docs/spec/appraisal.md are the formats.
package verify

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/snp"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of authentication, besides [snp.ErrReport], [ErrKey], [ErrRevoked] and [ErrCRL].
var (
	ErrNoKey     = errors.New("snp: no certificate of the key that signed the report")
	ErrRoot      = errors.New("snp: certificate is not by a key of AMD's")
	ErrExpired   = errors.New("snp: certificate is not valid at this time")
	ErrMismatch  = errors.New("snp: report and certificate are not of the same chip, firmware or product line")
	ErrSignature = errors.New("snp: report is not signed by its key")
	ErrEnvelope  = errors.New("snp: something beside the report that SEV-SNP does not have")
	ErrUnsigned  = errors.New("snp: the host forbids the chip's key, so nobody signed the report")
)

// SignatureChecks says which bare signature verifications one authentication contains: the certificate of the VCEK or
// VLEK, RSA-4096-PSS, and the report, ECDSA-P384; and where AMD's revocation list is given, that of the list, RSA-4096-PSS.
// The signatures of AMD's own certificates were verified when the [Verifier] was made.
const SignatureChecks = "1 RSA-4096-PSS + 1 ECDSA-P384 (+ 1 RSA-4096-PSS with a CRL)"

// Verifier holds AMD's roots. Immutable.
type Verifier struct{ lines []*line }

// Format implements [attestation.Format] and [attestation.Appraiser]. Immutable.
type Format struct{ v *Verifier }

var (
	_ attestation.Format    = (*Format)(nil)
	_ attestation.Appraiser = (*Format)(nil)
)

// NewFormat trusts AMD's roots for Milan, Genoa and Turin, and nothing else.
func NewFormat() (attestation.Format, error) {
	v, err := NewVerifier()
	if err != nil {
		return nil, err
	}
	return &Format{v}, nil
}

// NewVerifier is for platforms whose evidence contains a report: see [Verifier.Authenticate].
func NewVerifier() (*Verifier, error) { return newVerifier(embedded()) }

func newVerifier(all []bundles) (*Verifier, error) {
	v := &Verifier{}
	for _, b := range all {
		l, err := newLine(b)
		if err != nil {
			return nil, err
		}
		v.lines = append(v.lines, l)
	}
	return v, nil
}

// Platform implements [attestation.Format].
func (f *Format) Platform() attestation.Platform { return attestation.PlatformSNP }

// Authenticate implements [attestation.Format].
func (f *Format) Authenticate(_ context.Context, e *attestation.Evidence, now int64) (*attestation.Report, error) {
	r := &attestation.Report{Platform: attestation.PlatformSNP}
	return r, f.v.authenticate(e.Evidence, e, now, r, (*authentication).strangers)
}

// CheckBound implements [attestation.Format].
func (f *Format) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if r == nil {
		return fmt.Errorf("%w: no report", attestation.ErrBind)
	}
	return attestation.CheckReportData(r.Bound, d)
}

// Appraise implements [attestation.Appraiser].
func (f *Format) Appraise(r *attestation.Report, p *attestation.Policy, now int64) []attestation.Check {
	return Appraise(r, p, now)
}

// Detail is what [Appraise] needs of an authentic report, in [attestation.Report.Detail]: as it is, or embedded in what
// another platform keeps there.
type Detail struct {
	Report *snp.Report
	line   *line
	key    *endorsementKey
	crl    *x509.RevocationList // nil: none was given
}

// SNP is d, also where d is embedded.
func (d *Detail) SNP() *Detail { return d }

// authentication is one report's, under way.
type authentication struct {
	*Detail
	out *attestation.Report
	e   *attestation.Evidence
	now int64
}

// Authenticate checks that an AMD chip signed the raw report, with the certificates and revocation lists among e's
// endorsements, as of now. It fills out's checks and facts, and if there is no error also assurance, bound bytes (report
// data), measurements, root, debug mode, chip, collateral and detail. The platform of out is the caller's.
func (v *Verifier) Authenticate(report []byte, e *attestation.Evidence, now int64, out *attestation.Report) error {
	return v.authenticate(report, e, now, out, func(*authentication) error { return nil })
}

// authenticate has a first step for what else the envelope may hold.
func (v *Verifier) authenticate(
	report []byte, e *attestation.Evidence, now int64, out *attestation.Report, rest func(*authentication) error,
) error {
	r, err := snp.ParseReport(report)
	if err != nil {
		return out.Fail("report-format", fmt.Sprintf("%d bytes", len(report)), fmt.Sprintf("%d bytes of version 2 to 5", snp.ReportSize), err)
	}
	out.Pass("report-format", fmt.Sprintf("version %d", r.Version), "version 2 to 5")
	a := &authentication{&Detail{Report: r}, out, e, now}
	a.factsOfReport()
	for _, step := range []func() error{
		func() error { return rest(a) }, a.signingKey, func() error { return a.findKey(v.lines) }, a.chain, a.validity, a.productLine, a.chip, a.tcb, a.signature, a.revocation,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	a.factsOfChain()
	a.fill()
	return nil
}

// strangers refuses what has no part in this platform's evidence, so that no byte of an envelope goes unread.
func (a *authentication) strangers() error {
	const name, want = "envelope", "certificates and revocation lists beside the report"
	if n := len(a.e.EventLogs); n != 0 {
		return a.out.Fail(name, fmt.Sprintf("%d event logs", n), want, fmt.Errorf("%w: SEV-SNP has no event log", ErrEnvelope))
	}
	for _, x := range a.e.Endorsements {
		switch x.Type {
		case attestation.CertificateType, attestation.ChainType, attestation.CRLType:
		default:
			return a.out.Fail(name, fmt.Sprintf("%.64q", x.Type), want, fmt.Errorf("%w: endorsement of a type that is not for this platform", ErrEnvelope))
		}
	}
	a.out.Pass(name, fmt.Sprintf("%d endorsements", len(a.e.Endorsements)), want)
	return nil
}

// signingKey refuses a report that nobody signed.
func (a *authentication) signingKey() error {
	seen := map[uint8]string{snp.SignedByVCEK: string(vcek), snp.SignedByVLEK: string(vlek)}[a.Report.SigningKey]
	if a.Report.MaskedKey || seen == "" {
		return a.out.Fail("signing-key", "none", "VCEK or VLEK", ErrUnsigned)
	}
	a.out.Pass("signing-key", seen, "VCEK or VLEK")
	return nil
}

func (a *authentication) kind() kind {
	if a.Report.SigningKey == snp.SignedByVLEK {
		return vlek
	}
	return vcek
}

// findKey looks for the certificate of the key that the report says signed it. Of several, the one for this report's chip
// and TCB is taken, or else the first, to say what is wrong with it.
func (a *authentication) findKey(lines []*line) error {
	const name = "certificate"
	want := "of the " + string(a.kind()) + " that signed"
	ders, err := certificates(a.e)
	if err != nil {
		return a.out.Fail(name, "", want, err)
	}
	fault := fmt.Errorf("%w: fetch it with glovebox operator endorsements fetch", ErrNoKey)
	for _, der := range ders {
		if slices.ContainsFunc(lines, func(l *line) bool { return l.own(der) }) {
			continue
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return a.out.Fail(name, "", want, fmt.Errorf("%w: %w", ErrKey, err))
		}
		if c.Subject.CommonName != "SEV-"+string(a.kind()) {
			continue
		}
		k, err := parseKey(a.kind(), c)
		if err != nil {
			fault = err
			continue
		}
		l := issuerOf(lines, k)
		if a.key == nil || (l != nil && a.fits(l, k) && !a.fits(a.line, a.key)) {
			a.key, a.line = k, l
		}
	}
	if a.key == nil {
		return a.out.Fail(name, fmt.Sprintf("none of %d", len(ders)), want, fault)
	}
	a.out.Fact(attestation.AboutSigner, "certificate", "%s by %s, valid %s to %s", a.key.cert.Subject.CommonName,
		a.key.cert.Issuer.CommonName, day(a.key.cert.NotBefore), day(a.key.cert.NotAfter))
	a.out.Pass(name, a.key.cert.Subject.CommonName+" for "+a.key.product, want)
	return nil
}

// fits reports whether k is for the chip and the TCB of the report.
func (a *authentication) fits(l *line, k *endorsementKey) bool {
	if l == nil || (k.kind == vcek && !k.ofChip(l, a.Report.ChipID)) {
		return false
	}
	t, err := l.decodeTCB(a.Report.ReportedTCB)
	return err == nil && t == k.tcb
}

// issuerOf is the line whose intermediate is named as the issuer; nil if there is none.
func issuerOf(lines []*line, k *endorsementKey) *line {
	for _, l := range lines {
		if string(k.cert.RawIssuer) == string(l.issuer(k.kind).RawSubject) {
			return l
		}
	}
	return nil
}

// chain: the key's certificate is by AMD's intermediate for its kind and product line. That intermediate is by the root.
func (a *authentication) chain() error {
	name, issuer := strings.ToLower(string(a.key.kind))+"-chain", a.key.cert.Issuer.CommonName
	if a.line == nil {
		return a.out.Fail(name, issuer, "an intermediate of AMD's for Milan, Genoa or Turin", ErrRoot)
	}
	want := a.line.issuer(a.key.kind).Subject.CommonName + " by " + a.line.ark.Subject.CommonName
	if err := a.key.cert.CheckSignatureFrom(a.line.issuer(a.key.kind)); err != nil {
		return a.out.Fail(name, issuer, want, fmt.Errorf("%w: %w", ErrRoot, err))
	}
	a.out.Pass(name, issuer, want)
	a.out.Pass("root", a.line.ark.Subject.CommonName+" "+a.line.spki, "a pinned root of AMD's")
	return nil
}

func (a *authentication) validity() error {
	for _, c := range []*x509.Certificate{a.key.cert, a.line.issuer(a.key.kind), a.line.ark} {
		seen := fmt.Sprintf("%s %s to %s", c.Subject.CommonName, day(c.NotBefore), day(c.NotAfter))
		if a.now < c.NotBefore.Unix() || a.now > c.NotAfter.Unix() {
			return a.out.Fail("validity", seen, "valid at "+day(time.Unix(a.now, 0)), ErrExpired)
		}
	}
	a.out.Pass("validity", day(a.key.cert.NotBefore)+" to "+day(a.key.cert.NotAfter), "valid at "+day(time.Unix(a.now, 0)))
	return nil
}

// productLine: who certified the key decides; what report and certificate say of the processor must agree.
func (a *authentication) productLine() error {
	const name = "product-line"
	product, _, _ := strings.Cut(a.key.product, "-")
	switch product {
	case "Milan", "Genoa", "Turin":
		if product != a.line.name {
			return a.out.Fail(name, a.key.product, a.line.name, ErrMismatch)
		}
	}
	if a.Report.Version < 3 {
		a.out.Pass(name, a.key.product+" (the report does not say)", a.line.name)
		return nil
	}
	seen := fmt.Sprintf("family %#x, model %#x, stepping %d", a.Report.Family, a.Report.Model, a.Report.Stepping)
	if !a.line.covers(a.Report) {
		return a.out.Fail(name, seen, a.line.name, ErrMismatch)
	}
	a.out.Pass(name, seen, a.line.name)
	return nil
}

// chip: a VCEK is one chip's. A VLEK is a cloud's, and whether the report names the chip is the host's choice.
func (a *authentication) chip() error {
	seen := hex.EncodeToString(a.Report.ChipID[:])
	if a.key.kind == vlek {
		a.out.NotApplicable("chip-id", "a VLEK names a cloud ("+a.key.csp+") and no chip")
		return nil
	}
	want := hex.EncodeToString(a.key.hwid)
	if !a.key.ofChip(a.line, a.Report.ChipID) {
		err := ErrMismatch
		if a.Report.ChipID == [64]byte{} {
			err = fmt.Errorf("%w: the host masks the chip id", ErrMismatch)
		}
		return a.out.Fail("chip-id", seen, want, err)
	}
	a.out.Pass("chip-id", seen, want)
	return nil
}

// tcb: the key was derived for the TCB that the report says it was.
func (a *authentication) tcb() error {
	const name = "reported-tcb"
	want := tcbString(a.key.tcb, a.line)
	for _, t := range []snp.TCB{a.Report.CurrentTCB, a.Report.CommittedTCB, a.Report.LaunchTCB} {
		if _, err := a.line.decodeTCB(t); err != nil {
			return a.out.Fail(name, hex.EncodeToString(t[:]), "a TCB of "+a.line.name, err)
		}
	}
	t, err := a.line.decodeTCB(a.Report.ReportedTCB)
	if err == nil && (t != a.key.tcb || a.key.hasFMC != (a.line.name == "Turin")) {
		err = ErrMismatch
	}
	if err != nil {
		return a.out.Fail(name, tcbString(t, a.line), want, err)
	}
	a.out.Pass(name, tcbString(t, a.line), want)
	return nil
}

func (a *authentication) signature() error {
	sum := sha512.Sum384(a.Report.Signed)
	r, s := new(big.Int).SetBytes(a.Report.R), new(big.Int).SetBytes(a.Report.S)
	if !ecdsa.Verify(a.key.public, sum[:], r, s) {
		return a.out.Fail("report-signature", "not by this "+string(a.key.kind), "ECDSA-P384 by the "+string(a.key.kind), ErrSignature)
	}
	a.out.Pass("report-signature", "ECDSA-P384", "ECDSA-P384 by the "+string(a.key.kind))
	return nil
}

// revocation: a list that is given must be good. Whether there must be one is policy; see [Appraise].
func (a *authentication) revocation() error {
	const name, want = "crl", "signed by AMD's root, holds, and names no key of this chain"
	c, err := a.line.findCRL(a.e)
	if err != nil {
		return a.out.Fail(name, "", want, err)
	}
	if c == nil {
		a.out.NotApplicable(name, "no revocation list of "+a.line.ark.Subject.CommonName+" was given")
		return nil
	}
	seen := fmt.Sprintf("%d entries, %s to %s", len(c.RevokedCertificateEntries), day(c.ThisUpdate), day(c.NextUpdate))
	if err := a.line.checkCRL(c, a.key, a.now); err != nil {
		return a.out.Fail(name, seen, want, err)
	}
	a.crl = c
	a.out.Pass(name, seen, want)
	return nil
}

// fill gives out what authentic reports have.
func (a *authentication) fill() {
	r, o := a.Report, a.out
	o.Assurance, o.Bound = attestation.AssuranceTEE, append([]byte(nil), r.ReportData[:]...)
	o.Measurements = map[string]string{
		"measurement": hex.EncodeToString(r.Measurement[:]), "hostdata": hex.EncodeToString(r.HostData[:]),
		"idkeydigest": hex.EncodeToString(r.IDKeyDigest[:]), "authorkeydigest": hex.EncodeToString(r.AuthorKeyDigest[:]),
	}
	o.Root = fmt.Sprintf("AMD %s, key %s", a.line.ark.Subject.CommonName, a.line.spki)
	o.Debug = r.Policy&snp.PolicyDebug != 0
	if r.ChipID != [64]byte{} {
		o.Chip = hex.EncodeToString(r.ChipID[:])
	}
	key, ask := a.key.cert, a.line.issuer(a.key.kind)
	o.Collateral = []attestation.Collateral{
		{Name: strings.ToLower(string(a.key.kind)), Issued: key.NotBefore.Unix(), Expires: key.NotAfter.Unix()},
		{Name: "ask", Issued: ask.NotBefore.Unix(), Expires: ask.NotAfter.Unix()},
	}
	if a.crl != nil {
		o.Collateral = append(o.Collateral, attestation.Collateral{Name: "crl", Issued: a.crl.ThisUpdate.Unix(), Expires: a.crl.NextUpdate.Unix()})
	}
	o.Detail = a.Detail
}

// certificates are those among e's endorsements, DER, within bounds.
func certificates(e *attestation.Evidence) ([][]byte, error) {
	out := e.Find(attestation.CertificateType)
	for _, chain := range e.Find(attestation.ChainType) {
		if len(chain) > maxChain {
			return nil, fmt.Errorf("%w: %d bytes of PEM, at most %d", ErrKey, len(chain), maxChain)
		}
		for len(out) <= maxCertificates {
			var block *pem.Block
			if block, chain = pem.Decode(chain); block == nil {
				break
			}
			out = append(out, block.Bytes)
		}
	}
	if len(out) > maxCertificates {
		return nil, fmt.Errorf("%w: %d certificates, at most %d", ErrKey, len(out), maxCertificates)
	}
	for _, der := range out {
		if len(der) > maxCertificate {
			return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrKey, len(der), maxCertificate)
		}
	}
	return out, nil
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }
