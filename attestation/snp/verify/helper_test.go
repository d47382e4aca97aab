// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/snp/snptest"
	"github.com/glovebox-dev/glovebox/attestation/snp/verify"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const sevGuest = "github.com/google/go-sev-guest@v0.15.0"

var now = snptest.Now.Unix()

// world is AMD for one test: a line, a verifier that trusts it, and a chip's key.
type world struct {
	line    *snptest.Line
	format  attestation.Format
	vcek    *snptest.Key
	binding attestation.Binding
	digest  envelope.Digest
}

func trusting(t testing.TB, lines ...*snptest.Line) attestation.Format {
	t.Helper()
	var all []verify.Bundle
	for _, l := range lines {
		vcek, vlek := l.Bundles()
		all = append(all, verify.Bundle{Name: l.Name, VCEK: vcek, VLEK: vlek})
	}
	f, err := verify.FormatTrusting(all...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newWorld(t testing.TB, name string) *world {
	t.Helper()
	l := snptest.New(t, name)
	b := attestationtest.Binding(t, "snp")
	d, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return &world{l, trusting(t, l), l.VCEK(t, l.TCB(), nil), b, d}
}

// report is signed by the chip after change.
func (w *world) report(t testing.TB, change func(b []byte)) []byte {
	t.Helper()
	b := w.line.Report(attestation.ReportData(w.digest))
	if change != nil {
		change(b)
	}
	return w.vcek.Sign(t, b)
}

// evidence has the chip's certificate and a revocation list.
func (w *world) evidence(t testing.TB, report []byte) *attestation.Evidence {
	t.Helper()
	return evidence(report, w.vcek.Cert.Raw, w.line.CRL(t, nil))
}

func evidence(report, cert, crl []byte) *attestation.Evidence {
	e := &attestation.Evidence{Version: 1, Platform: attestation.PlatformSNP, Evidence: report}
	if cert != nil {
		e.Endorsements = append(e.Endorsements, attestation.Endorsement{Type: attestation.CertificateType, Body: cert})
	}
	if crl != nil {
		e.Endorsements = append(e.Endorsements, attestation.Endorsement{Type: attestation.CRLType, Body: crl})
	}
	return e
}

// reference accepts the reports of package snptest.
func (w *world) reference(t testing.TB, p *attestation.Policy) *attestation.Reference {
	t.Helper()
	r, err := w.format.Authenticate(t.Context(), w.evidence(t, w.report(t, nil)), now)
	if err != nil {
		t.Fatal(err)
	}
	return &attestation.Reference{Version: 1, NotAfter: now + 1, Policy: p, Values: []attestation.ReferenceValue{{
		Name: "guest", Platform: attestation.PlatformSNP,
		Measurements: map[string]string{"measurement": r.Measurements["measurement"], "hostdata": r.Measurements["hostdata"]},
	}}}
}

// verify runs everything that a broker runs.
func (w *world) verify(t testing.TB, e *attestation.Evidence, p *attestation.Policy) (*attestation.Claims, error) {
	t.Helper()
	v, err := attestation.NewVerifier(w.reference(t, p), w.format)
	if err != nil {
		t.Fatal(err)
	}
	c := *e
	c.Claims = w.binding
	raw, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(t.Context(), raw, now)
}

// policy is the default one, changed.
func policy(change func(p *attestation.SNPPolicy)) *attestation.Policy {
	p := attestation.DefaultPolicy()
	change(&p.SNP)
	return p
}

// failed lists the checks that did not pass, by name.
func failed(checks []attestation.Check) string {
	var out []string
	for _, c := range checks {
		if c.Outcome != attestation.Pass && c.Outcome != attestation.NotApplicable {
			out = append(out, c.Name)
		}
	}
	return strings.Join(out, " ")
}

// appraise is the format's own checks.
func appraise(f attestation.Format, r *attestation.Report, p *attestation.Policy) []attestation.Check {
	return f.(attestation.Appraiser).Appraise(r, p, now)
}

func outcome(checks []attestation.Check, name string) attestation.Outcome {
	i := slices.IndexFunc(checks, func(c attestation.Check) bool { return c.Name == name })
	if i < 0 {
		return ""
	}
	return checks[i].Outcome
}

func hasFact(r *attestation.Report, about, name string) bool {
	return slices.ContainsFunc(r.Facts, func(f attestation.Fact) bool { return f.About == about && f.Name == name })
}

// checksJSON is for messages of tests.
func checksJSON(t testing.TB, checks []attestation.Check) string {
	t.Helper()
	b, err := json.MarshalIndent(checks, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
