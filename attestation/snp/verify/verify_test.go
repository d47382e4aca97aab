// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/snp"
	"github.com/glovebox-dev/glovebox/attestation/snp/snptest"
	"github.com/glovebox-dev/glovebox/attestation/snp/verify"
)

// TestEveryLineIsAccepted: with the default policy, from report to claims.
func TestEveryLineIsAccepted(t *testing.T) {
	for _, name := range []string{"Milan", "Genoa", "Turin"} {
		w := newWorld(t, name)
		e := w.evidence(t, w.report(t, nil))
		r, err := w.format.Authenticate(t.Context(), e, now)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		chip := w.line.Chip()
		if r.Chip != hex.EncodeToString(chip[:]) || r.Debug || r.TCB != nil || len(r.Collateral) != 3 || r.Assurance != attestation.AssuranceTEE {
			t.Errorf("%s: %+v", name, r)
		}
		if f := failed(appraise(w.format, r, attestation.DefaultPolicy())); f != "" {
			t.Errorf("%s: fails %s", name, f)
		}
		c, err := w.verify(t, e, nil)
		if err != nil || c.Platform() != attestation.PlatformSNP || c.Bound() != w.digest {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestVersions: 2 to 5 are read, each with its own reserved bytes, others refused.
func TestVersions(t *testing.T) {
	w := newWorld(t, "Genoa")
	for v := range uint32(8) {
		raw := w.report(t, func(b []byte) {
			binary.LittleEndian.PutUint32(b, v)
			if v == 2 {
				clear(b[0x188:0x18b])
			}
			if v == 5 {
				b[0x1f8], b[0x200] = 0x0f, 0x1f
			}
		})
		_, err := w.format.Authenticate(t.Context(), w.evidence(t, raw), now)
		if want := v >= 2 && v <= 5; (err == nil) != want {
			t.Errorf("version %d: %v", v, err)
		}
	}
}

// TestRefused: properly signed evidence with one thing wrong each, and the check that says so.
func TestRefused(t *testing.T) {
	w := newWorld(t, "Milan")
	good := w.report(t, nil)
	crl := w.line.CRL(t, nil)
	with := func(change func(*x509.Certificate)) *attestation.Evidence {
		k := w.line.VCEK(t, w.line.TCB(), change)
		return evidence(k.Sign(t, w.line.Report(attestation.ReportData(w.digest))), k.Cert.Raw, crl)
	}
	reported := func(at int, v byte) *attestation.Evidence {
		return w.evidence(t, w.report(t, func(b []byte) { b[at] = v }))
	}
	other := snptest.New(t, "Milan") // same names, another root: the intermediates' certificates differ, their keys do not
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	strip := func(c *x509.Certificate, id string) {
		kept := c.ExtraExtensions[:0]
		for _, x := range c.ExtraExtensions {
			if x.Id.String() != "1.3.6.1.4.1.3704.1."+id {
				kept = append(kept, x)
			}
		}
		c.ExtraExtensions = kept
	}
	for name, c := range map[string]struct {
		e     *attestation.Evidence
		check string
		want  error
	}{
		"empty":                          {evidence(nil, w.vcek.Cert.Raw, crl), "report-format", snp.ErrReport},
		"truncated":                      {evidence(good[:1183], w.vcek.Cert.Raw, crl), "report-format", snp.ErrReport},
		"trailing byte":                  {evidence(append(append([]byte{}, good...), 0), w.vcek.Cert.Raw, crl), "report-format", snp.ErrReport},
		"extended report in an envelope": {evidence(append(append([]byte{}, good...), make([]byte, 24)...), w.vcek.Cert.Raw, crl), "report-format", snp.ErrReport},
		"oversized":                      {evidence(make([]byte, attestation.MaxEvidence), w.vcek.Cert.Raw, crl), "report-format", snp.ErrReport},
		"signed by nobody":               {reported(0x48, 7<<2), "signing-key", verify.ErrUnsigned},
		"chip's key masked":              {reported(0x48, 2), "signing-key", verify.ErrUnsigned},
		"says VLEK, has VCEK":            {reported(0x48, 1<<2), "certificate", verify.ErrNoKey},
		"reserved key":                   {reported(0x48, 3<<2), "report-format", snp.ErrReport},
		"reserved byte":                  {reported(0x4c, 1), "report-format", snp.ErrReport},
		"reserved policy bit":            {reported(0x0b, 0x04), "report-format", snp.ErrReport},
		"RSA signature algorithm":        {reported(0x34, 2), "report-format", snp.ErrReport},
		"reserved TCB byte":              {reported(0x182, 1), "reported-tcb", snp.ErrReport},
		"reserved current TCB byte":      {reported(0x3a, 1), "reported-tcb", snp.ErrReport},
		"no certificate":                 {evidence(good, nil, crl), "certificate", verify.ErrNoKey},
		"certificate is the ASK":         {evidence(good, w.line.ASK.Raw, crl), "certificate", verify.ErrNoKey},
		"certificate is garbage":         {evidence(good, []byte("x"), crl), "certificate", verify.ErrKey},
		"another chip's certificate": {with(func(c *x509.Certificate) {
			strip(c, "4")
			c.ExtraExtensions = append(c.ExtraExtensions, snptest.Extension(t, "4", make([]byte, 64)))
		}), "chip-id", verify.ErrMismatch},
		"chip id of 8 bytes on Milan": {with(func(c *x509.Certificate) {
			strip(c, "4")
			c.ExtraExtensions = append(c.ExtraExtensions, snptest.Extension(t, "4", snptest.Bare([]byte{1, 2, 3, 4, 5, 6, 7, 8})))
		}), "chip-id", verify.ErrMismatch},
		"chip id of 9 bytes": {with(func(c *x509.Certificate) {
			strip(c, "4")
			c.ExtraExtensions = append(c.ExtraExtensions, snptest.Extension(t, "4", make([]byte, 9)))
		}), "certificate", verify.ErrKey},
		"no chip in the certificate": {with(func(c *x509.Certificate) { strip(c, "4") }), "certificate", verify.ErrKey},
		"no microcode level":         {with(func(c *x509.Certificate) { strip(c, "3.8") }), "certificate", verify.ErrKey},
		"no product":                 {with(func(c *x509.Certificate) { strip(c, "2") }), "certificate", verify.ErrKey},
		"reserved level": {with(func(c *x509.Certificate) {
			strip(c, "3.5")
			c.ExtraExtensions = append(c.ExtraExtensions, snptest.Extension(t, "3.5", 1))
		}), "certificate", verify.ErrKey},
		"level of 256": {with(func(c *x509.Certificate) {
			strip(c, "3.8")
			c.ExtraExtensions = append(c.ExtraExtensions, snptest.Extension(t, "3.8", 256))
		}), "certificate", verify.ErrKey},
		"chip and cloud": {with(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, snptest.Extension(t, "5", snptest.IA5("CN=x")))
		}), "certificate", verify.ErrKey},
		"FMC on Milan": {with(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, snptest.Extension(t, "3.9", 0))
		}), "reported-tcb", verify.ErrMismatch},
		"Genoa's product name": {with(func(c *x509.Certificate) {
			strip(c, "2")
			c.ExtraExtensions = append(c.ExtraExtensions, snptest.Extension(t, "2", snptest.IA5("Genoa-B1")))
		}), "product-line", verify.ErrMismatch},
		"certificate is a CA's": {with(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), "certificate", verify.ErrKey},
		"critical extension": {with(func(c *x509.Certificate) {
			x := snptest.Extension(t, "99", 1)
			x.Critical = true
			c.ExtraExtensions = append(c.ExtraExtensions, x)
		}), "certificate", verify.ErrKey},
		"critical extension that x509 understands": {with(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: []int{2, 5, 29, 37}, Critical: true, Value: []byte{0x30, 6, 6, 4, 0x55, 0x1d, 0x25, 0}})
		}), "certificate", verify.ErrKey},
		"key on P-256":              {with(func(c *x509.Certificate) { c.PublicKey = p256.Public() }), "certificate", verify.ErrKey},
		"PKCS #1 v1.5":              {with(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA384WithRSA }), "certificate", verify.ErrKey},
		"expired":                   {with(func(c *x509.Certificate) { c.NotAfter = snptest.Now.AddDate(0, 0, -1) }), "validity", verify.ErrExpired},
		"not yet valid":             {with(func(c *x509.Certificate) { c.NotBefore = snptest.Now.AddDate(0, 0, 1) }), "validity", verify.ErrExpired},
		"another line's processor":  {reported(0x189, 0x11), "product-line", verify.ErrMismatch},
		"no processor in version 3": {reported(0x188, 0), "product-line", verify.ErrMismatch},
		"another chip's report":     {reported(0x1a0, 0xee), "chip-id", verify.ErrMismatch},
		"chip id masked":            {w.evidence(t, w.report(t, func(b []byte) { clear(b[0x1a0:0x1e0]) })), "chip-id", verify.ErrMismatch},
		"TCB older than the key":    {reported(0x186, 28), "reported-tcb", verify.ErrMismatch},
		"TCB newer than the key":    {reported(0x187, 223), "reported-tcb", verify.ErrMismatch},
		"another key's certificate": {evidence(good, w.line.VCEK(t, w.line.TCB(), nil).Cert.Raw, crl), "report-signature", verify.ErrSignature},
		"other roots' certificate":  {evidence(good, snptest.New(t, "Genoa").VCEK(t, w.line.TCB(), nil).Cert.Raw, crl), "vcek-chain", verify.ErrRoot},
		"revoked ASK":               {evidence(good, w.vcek.Cert.Raw, w.line.CRL(t, nil, 0x10000)), "crl", verify.ErrRevoked},
		"revoked root":              {evidence(good, w.vcek.Cert.Raw, w.line.CRL(t, nil, 1)), "crl", verify.ErrRevoked},
		"CRL is garbage":            {evidence(good, w.vcek.Cert.Raw, []byte("x")), "crl", verify.ErrCRL},
		"CRL is over":               {evidence(good, w.vcek.Cert.Raw, w.line.CRL(t, func(c *x509.RevocationList) { c.NextUpdate = snptest.Now.AddDate(0, 0, -1).Add(1e9) })), "crl", verify.ErrCRL},
		"CRL of tomorrow":           {evidence(good, w.vcek.Cert.Raw, w.line.CRL(t, func(c *x509.RevocationList) { c.ThisUpdate = snptest.Now.AddDate(0, 0, 1) })), "crl", verify.ErrCRL},
		"CRL of the same name":      {evidence(good, w.vcek.Cert.Raw, flip(other.CRL(t, nil))), "crl", verify.ErrCRL},
	} {
		r, err := w.format.Authenticate(t.Context(), c.e, now)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		if got := failed(r.Checks); got != c.check || r.Checks[len(r.Checks)-1].Name != c.check {
			t.Errorf("%s: failed %q, want %q", name, got, c.check)
		}
		if r.Assurance != "" || r.Measurements != nil || r.Bound != nil || r.Chip != "" || r.Detail != nil {
			t.Errorf("%s: a refused report says something", name)
		}
	}
}

// flip breaks a signature at the end.
func flip(b []byte) []byte {
	b[len(b)-1] ^= 1
	return b
}

// TestAppraised: authentic reports with one thing that a policy must be asked about.
func TestAppraised(t *testing.T) {
	w := newWorld(t, "Milan")
	for name, c := range map[string]struct {
		change func(b []byte)
		fails  string
		allow  func(p *attestation.SNPPolicy) // makes it pass; nil: nothing does
	}{
		"good":                       {func([]byte) {}, "", nil},
		"VMPL 1":                     {func(b []byte) { b[0x30] = 1 }, "vmpl", nil},
		"VMPL of the host":           {func(b []byte) { copy(b[0x30:], "\xff\xff\xff\xff") }, "vmpl", nil},
		"migration agent allowed":    {func(b []byte) { b[0x0a] |= 4 }, "migration-agent", func(p *attestation.SNPPolicy) { p.UnsafeMigrationAgent = true }},
		"migration agent bound":      {func(b []byte) { b[0x160] = 1 }, "migration-agent", nil},
		"SMT":                        {func([]byte) {}, "smt", func(p *attestation.SNPPolicy) { p.AllowSMT = true }},
		"author key without digest":  {func(b []byte) { b[0x48] = 1 }, "author-key", nil},
		"digest without author key":  {func(b []byte) { b[0x110] = 1 }, "author-key", nil},
		"BadRAM":                     {func(b []byte) { b[0x40] &^= 1 << 5 }, "alias-check", func(p *attestation.SNPPolicy) { p.UnsafeWithoutAliasCheck = true }},
		"unknown platform bit":       {func(b []byte) { b[0x41] = 1 }, "platform-info", nil},
		"provisional build":          {func(b []byte) { b[0x1e8]++ }, "firmware-committed", nil},
		"provisional minor":          {func(b []byte) { b[0x1e9]++ }, "firmware-committed", nil},
		"interface 1.50":             {func(b []byte) { b[0x08], b[0x1e9], b[0x1ed] = 0, 50, 50 }, "firmware-abi", nil},
		"guest wants 1.56":           {func(b []byte) { b[0x08] = 56 }, "firmware-abi", nil},
		"guest wants 2.0":            {func(b []byte) { b[0x08], b[0x09] = 0, 2 }, "firmware-abi", nil},
		"old current microcode":      {func(b []byte) { b[0x3f] = 218 }, "tcb-current", lower(func(m *attestation.SNPTCB) { m.Microcode = 218 })},
		"old committed SNP":          {func(b []byte) { b[0x1e6] = 28 }, "tcb-committed", lower(func(m *attestation.SNPTCB) { m.SNP = 28 })},
		"launched under old SNP":     {func(b []byte) { b[0x1f6] = 28 }, "tcb-launch", lower(func(m *attestation.SNPTCB) { m.SNP = 28 })},
		"launched with old boot":     {func(b []byte) { b[0x1f0] = 3 }, "tcb-launch", lower(func(m *attestation.SNPTCB) { m.BootLoader = 3 })},
		"two things are both listed": {func(b []byte) { b[0x30], b[0x40] = 1, 1 }, "vmpl alias-check", nil},
	} {
		r, err := w.format.Authenticate(t.Context(), w.evidence(t, w.report(t, c.change)), now)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p := attestation.DefaultPolicy()
		if name == "SMT" {
			p.SNP.AllowSMT = false
		}
		if got := failed(appraise(w.format, r, p)); got != c.fails {
			t.Errorf("%s: fails %q, want %q", name, got, c.fails)
		}
		if c.allow == nil {
			continue
		}
		if got := failed(appraise(w.format, r, policy(c.allow))); got != "" {
			t.Errorf("%s: allowed, and still fails %q", name, got)
		}
	}
}

func lower(change func(*attestation.SNPTCB)) func(*attestation.SNPPolicy) {
	return func(p *attestation.SNPPolicy) {
		m := p.MinimumTCB["Milan"]
		change(&m)
		p.MinimumTCB["Milan"] = m
	}
}

// TestDowngradedTCB: an older key of the same chip, with a certificate that is as old, is authentic and refused.
func TestDowngradedTCB(t *testing.T) {
	for _, name := range []string{"Milan", "Genoa", "Turin"} {
		w := newWorld(t, name)
		old := w.line.TCB()
		old.Microcode = 1
		enc := w.line.Encode(old)
		k := w.line.VCEK(t, old, nil)
		b := w.line.Report(attestation.ReportData(w.digest))
		copy(b[0x180:], enc[:])
		e := evidence(k.Sign(t, b), k.Cert.Raw, w.line.CRL(t, nil))
		r, err := w.format.Authenticate(t.Context(), e, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := failed(appraise(w.format, r, attestation.DefaultPolicy())); got != "tcb-reported" {
			t.Errorf("%s: fails %q", name, got)
		}
		if _, err := w.verify(t, e, nil); !errors.Is(err, attestation.ErrAppraise) || !strings.Contains(err.Error(), "tcb-reported") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEmptyPolicyDenies: the zero policy accepts no product line, no SMT, no VLEK.
func TestEmptyPolicyDenies(t *testing.T) {
	w := newWorld(t, "Genoa")
	r, err := w.format.Authenticate(t.Context(), w.evidence(t, w.report(t, nil)), now)
	if err != nil {
		t.Fatal(err)
	}
	want := "smt tcb-product tcb-reported tcb-current tcb-committed tcb-launch"
	if got := failed(appraise(w.format, r, &attestation.Policy{Version: 1})); got != want {
		t.Errorf("fails %q, want %q", got, want)
	}
	if got := failed(appraise(w.format, r, nil)); got != "snp" {
		t.Errorf("no policy: fails %q", got)
	}
	if got := failed(appraise(w.format, &attestation.Report{}, attestation.DefaultPolicy())); got != "snp" {
		t.Errorf("no report: fails %q", got)
	}
	p := attestation.DefaultPolicy()
	delete(p.SNP.MinimumTCB, "Genoa")
	if got := failed(appraise(w.format, r, p)); got != "tcb-product tcb-reported tcb-current tcb-committed tcb-launch" {
		t.Errorf("no minimum: fails %q", got)
	}
}

// TestMissingCRL is visible, and refused unless the policy says otherwise.
func TestMissingCRL(t *testing.T) {
	w := newWorld(t, "Genoa")
	genoas := w.line.CRL(t, nil)
	milans := snptest.New(t, "Milan").CRL(t, nil) // another line's list is none
	for name, crl := range map[string][]byte{"none": nil, "another line's": milans} {
		r, err := w.format.Authenticate(t.Context(), evidence(w.report(t, nil), w.vcek.Cert.Raw, crl), now)
		if err != nil {
			t.Fatal(err)
		}
		if !hasFact(r, attestation.AboutWeakness, "crl") || outcome(r.Checks, "crl") != attestation.NotApplicable {
			t.Errorf("%s: not visible", name)
		}
		if got := failed(appraise(w.format, r, attestation.DefaultPolicy())); got != "revocation-list" {
			t.Errorf("%s: fails %q", name, got)
		}
		checks := appraise(w.format, r, policy(func(p *attestation.SNPPolicy) { p.UnsafeWithoutCRL = true }))
		if failed(checks) != "" || outcome(checks, "revocation-list") != attestation.NotApplicable {
			t.Errorf("%s: %s", name, checksJSON(t, checks))
		}
	}
	// Of several the newest counts, so that an old one hides nothing.
	revoked := w.line.CRL(t, func(c *x509.RevocationList) { c.ThisUpdate = snptest.Now.Add(-1) }, 0x10000)
	for _, order := range [][][]byte{{genoas, revoked}, {revoked, genoas}} {
		e := evidence(w.report(t, nil), w.vcek.Cert.Raw, order[0])
		e.Endorsements = append(e.Endorsements, attestation.Endorsement{Type: attestation.CRLType, Body: order[1]})
		if _, err := w.format.Authenticate(t.Context(), e, now); !errors.Is(err, verify.ErrRevoked) {
			t.Errorf("got %v", err)
		}
	}
}

// TestVLEK: a cloud's key, allowed by policy only, with and without a chip id.
func TestVLEK(t *testing.T) {
	for _, name := range []string{"Milan", "Genoa", "Turin"} {
		w := newWorld(t, name)
		k := w.line.VLEK(t, w.line.TCB(), nil)
		for _, masked := range []bool{true, false} {
			b := w.line.Report(attestation.ReportData(w.digest))
			b[0x48] = 1 << 2
			if masked {
				clear(b[0x1a0:0x1e0])
			}
			e := evidence(k.Sign(t, b), k.Cert.Raw, w.line.CRL(t, nil))
			r, err := w.format.Authenticate(t.Context(), e, now)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if masked != (r.Chip == "") || outcome(r.Checks, "chip-id") != attestation.NotApplicable || r.Collateral[0].Name != "vlek" {
				t.Errorf("%s: chip %q", name, r.Chip)
			}
			if got := failed(appraise(w.format, r, attestation.DefaultPolicy())); got != "key-kind" {
				t.Errorf("%s: fails %q", name, got)
			}
			if _, err := w.verify(t, e, policy(func(p *attestation.SNPPolicy) { p.AllowVLEK = true })); err != nil {
				t.Errorf("%s: allowed: %v", name, err)
			}
		}
	}
}

// TestVLEKRefused: what a VLEK's own chain can have wrong.
func TestVLEKRefused(t *testing.T) {
	w := newWorld(t, "Milan")
	signed := func(k *snptest.Key) []byte {
		b := w.line.Report(attestation.ReportData(w.digest))
		b[0x48] = 1 << 2
		return k.Sign(t, b)
	}
	good := w.line.VLEK(t, w.line.TCB(), nil)
	noCloud := w.line.VLEK(t, w.line.TCB(), func(c *x509.Certificate) { c.ExtraExtensions = c.ExtraExtensions[:len(c.ExtraExtensions)-2] })
	asVCEK := w.line.VCEK(t, w.line.TCB(), func(c *x509.Certificate) { c.Subject.CommonName = "SEV-VLEK" }) // by the ASK
	for name, c := range map[string]struct {
		e    *attestation.Evidence
		want error
	}{
		"revoked VLEK":          {evidence(signed(good), good.Cert.Raw, w.line.CRL(t, nil, 7)), verify.ErrRevoked},
		"revoked ASVK":          {evidence(signed(good), good.Cert.Raw, w.line.CRL(t, nil, 0x10001)), verify.ErrRevoked},
		"no cloud":              {evidence(signed(noCloud), noCloud.Cert.Raw, nil), verify.ErrKey},
		"a chip's, by the ASK":  {evidence(signed(asVCEK), asVCEK.Cert.Raw, nil), verify.ErrKey},
		"another VLEK":          {evidence(signed(good), w.line.VLEK(t, w.line.TCB(), nil).Cert.Raw, nil), verify.ErrSignature},
		"report says VCEK":      {evidence(good.Sign(t, w.line.Report([64]byte{})), good.Cert.Raw, nil), verify.ErrNoKey},
		"report by the chip":    {evidence(w.vcek.Sign(t, signed(good)), good.Cert.Raw, nil), verify.ErrSignature},
		"VLEK of another level": {evidence(signed(good), w.line.VLEK(t, attestation.SNPTCB{SNP: 29}, nil).Cert.Raw, nil), verify.ErrMismatch},
	} {
		if _, err := w.format.Authenticate(t.Context(), c.e, now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCertificatesInAnyOrder: also PEM, other chips', other levels', and AMD's own.
func TestCertificatesInAnyOrder(t *testing.T) {
	w := newWorld(t, "Turin")
	old := w.line.TCB()
	old.SNP--
	vcek, vlek := w.line.Bundles()
	e := &attestation.Evidence{Version: 1, Platform: attestation.PlatformSNP, Evidence: w.report(t, nil), Endorsements: []attestation.Endorsement{
		{Type: attestation.ChainType, Body: append(vcek, vlek...)},
		{Type: attestation.CertificateType, Body: w.line.VLEK(t, w.line.TCB(), nil).Cert.Raw},
		{Type: attestation.CertificateType, Body: w.line.VCEK(t, old, nil).Cert.Raw},
		{Type: attestation.CertificateType, Body: snptest.New(t, "Milan").VCEK(t, old, nil).Cert.Raw},
		{Type: attestation.CertificateType, Body: w.vcek.Cert.Raw},
		{Type: attestation.CertificateType, Body: w.line.ARK.Raw},
	}}
	if _, err := w.format.Authenticate(t.Context(), e, now); err != nil {
		t.Error(err)
	}
	for range 16 {
		e.Endorsements = append(e.Endorsements, e.Endorsements[1])
	}
	if _, err := w.format.Authenticate(t.Context(), e, now); !errors.Is(err, verify.ErrKey) {
		t.Errorf("too many: %v", err)
	}
}

// TestBrokerRefuses: authentic reports that are debugged, of another guest, bound to something else, or of another chip.
func TestBrokerRefuses(t *testing.T) {
	w := newWorld(t, "Genoa")
	another := attestationtest.Binding(t, "another exchange")
	d, err := another.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(b []byte)
		want   error
	}{
		"debug":                   {func(b []byte) { b[0x0a] |= 1 << 3 }, attestation.ErrAppraise},
		"zeroed measurement":      {func(b []byte) { clear(b[0x90:0xc0]) }, attestation.ErrAppraise},
		"other host data":         {func(b []byte) { b[0xc0] ^= 1 }, attestation.ErrAppraise},
		"zeroed host data":        {func(b []byte) { clear(b[0xc0:0xe0]) }, attestation.ErrAppraise},
		"non-zero report tail":    {func(b []byte) { b[0x8f] = 1 }, attestation.ErrBind},
		"replayed nonce":          {func(b []byte) { copy(b[0x50:], d[:]) }, attestation.ErrBind},
		"evidence for nobody":     {func(b []byte) { clear(b[0x50:0x90]) }, attestation.ErrBind},
		"digest in the tail half": {func(b []byte) { copy(b[0x70:], b[0x50:0x70]); clear(b[0x50:0x70]) }, attestation.ErrBind},
	} {
		if _, err := w.verify(t, w.evidence(t, w.report(t, c.change)), nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	chips := attestation.DefaultPolicy()
	chips.Chips = []string{strings.Repeat("ab", 64)}
	if _, err := w.verify(t, w.evidence(t, w.report(t, nil)), chips); !errors.Is(err, attestation.ErrAppraise) {
		t.Errorf("chip off the list: %v", err)
	}
	id := w.line.Chip()
	chips.Chips = append(chips.Chips, hex.EncodeToString(id[:]))
	if _, err := w.verify(t, w.evidence(t, w.report(t, nil)), chips); err != nil {
		t.Errorf("chip on the list: %v", err)
	}
}

// TestRoots: a bundle with something wrong makes no verifier.
func TestRoots(t *testing.T) {
	l, other := snptest.New(t, "Milan"), snptest.New(t, "Genoa")
	vcek, vlek := l.Bundles()
	vcek2, vlek2 := other.Bundles()
	for name, b := range map[string]verify.Bundle{
		"empty":        {Name: "Milan"},
		"two roots":    {Name: "Milan", VCEK: vcek, VLEK: vlek2},
		"other line":   {Name: "Milan", VCEK: vcek2, VLEK: vlek2},
		"swapped":      {Name: "Milan", VCEK: vlek, VLEK: vcek},
		"one more":     {Name: "Milan", VCEK: append(append([]byte{}, vcek...), vcek...), VLEK: vlek},
		"trailing":     {Name: "Milan", VCEK: append(append([]byte{}, vcek...), "x"...), VLEK: vlek},
		"unknown line": {Name: "Venice", VCEK: vcek, VLEK: vlek},
	} {
		if _, err := verify.FormatTrusting(b); !errors.Is(err, verify.ErrRoots) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "Milan") // names like AMD's, and not AMD
	if _, err := f.Authenticate(t.Context(), w.evidence(t, w.report(t, nil)), now); !errors.Is(err, verify.ErrRoot) {
		t.Errorf("a fake AMD: %v", err)
	}
}

// TestManyAtOnce: one format, good and bad evidence mixed.
func TestManyAtOnce(t *testing.T) {
	m, g := newWorld(t, "Milan"), newWorld(t, "Genoa")
	f := trusting(t, m.line, g.line)
	cases := []struct {
		e    *attestation.Evidence
		want error
	}{
		{m.evidence(t, m.report(t, nil)), nil},
		{g.evidence(t, g.report(t, nil)), nil},
		{m.evidence(t, g.report(t, nil)), verify.ErrMismatch},
		{g.evidence(t, g.report(t, func(b []byte) { b[0x1a0] ^= 1 })), verify.ErrMismatch},
		{evidence(flip2(m.report(t, nil)), m.vcek.Cert.Raw, nil), verify.ErrSignature},
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 40 {
				c := cases[i%len(cases)]
				if _, err := f.Authenticate(context.Background(), c.e, now); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("case %d: %v", i%len(cases), err)
				}
			}
		})
	}
	wg.Wait()
}

// flip2 changes the guest's SVN, which only the signature protects.
func flip2(b []byte) []byte {
	b[4] ^= 1
	return b
}
