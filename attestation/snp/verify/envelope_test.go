// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/snp/snptest"
	"github.com/glovebox-dev/glovebox/attestation/snp/verify"
)

// TestNothingUnreadInTheEnvelope: bytes behind a list, endorsements of other platforms and event logs are refused by name.
func TestNothingUnreadInTheEnvelope(t *testing.T) {
	w := newWorld(t, "Milan")
	endorse := func(typ string, body []byte, times int) func(e *attestation.Evidence) {
		return func(e *attestation.Evidence) {
			for range times {
				e.Endorsements = append(e.Endorsements, attestation.Endorsement{Type: typ, Body: body})
			}
		}
	}
	crl := w.line.CRL(t, nil)
	for name, c := range map[string]struct {
		change func(e *attestation.Evidence)
		check  string
		want   error
	}{
		"three lists":        {endorse(attestation.CRLType, crl, 2), "", nil},
		"four lists":         {endorse(attestation.CRLType, crl, 3), "crl", verify.ErrCRL},
		"bytes behind a CRL": {endorse(attestation.CRLType, append(slices.Clone(crl), "anything at all"...), 1), "crl", verify.ErrCRL},
		"zero behind a CRL":  {endorse(attestation.CRLType, append(slices.Clone(crl), 0), 1), "crl", verify.ErrCRL},
		"unknown type":       {endorse("whatever", []byte("x"), 1), "envelope", verify.ErrEnvelope},
		"Intel's statement":  {endorse(attestation.TCBInfoType, []byte("{}"), 1), "envelope", verify.ErrEnvelope},
		"OCSP":               {endorse(attestation.OCSPType, []byte{0}, 1), "envelope", verify.ErrEnvelope},
		"a TPM's event log": {func(e *attestation.Evidence) {
			e.EventLogs = []attestation.EventLog{{Type: attestation.TCG2Log, Body: []byte("no log")}}
		}, "envelope", verify.ErrEnvelope},
	} {
		e := w.evidence(t, w.report(t, nil))
		c.change(e)
		r, err := w.format.Authenticate(t.Context(), e, now)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || failed(r.Checks) != c.check {
			t.Errorf("%s: %v, failed %q", name, err, failed(r.Checks))
		}
		if err != nil && (r.Assurance != "" || !hasFact(r, attestation.AboutRunning, "measurement")) {
			t.Errorf("%s: the refused report says too much, or nothing of what it is", name)
		}
	}
	if _, err := verify.Import(attestation.Raw{Report: w.report(t, nil), Collateral: [][]byte{append(slices.Clone(crl), 0)}}); !errors.Is(err, verify.ErrImport) {
		t.Errorf("import of a list with a byte behind it: %v", err)
	}
}

func weaknesses(r *attestation.Report) (out []string) {
	for _, f := range r.Facts {
		if f.About == attestation.AboutWeakness {
			out = append(out, f.Name)
		}
	}
	return out
}

// TestHostChosenRelaxations: each has a weakness of its own.
func TestHostChosenRelaxations(t *testing.T) {
	w := newWorld(t, "Turin")
	bits := func(at int, on, off uint64) func(b []byte) {
		return func(b []byte) {
			binary.LittleEndian.PutUint64(b[at:], binary.LittleEndian.Uint64(b[at:])&^off|on)
		}
	}
	strict := func(b []byte) {
		bits(8, 1<<20|1<<22|1<<25, 1<<16|1<<21)(b) // one socket, AES-256-XTS, no page swap; no SMT, no CXL
		bits(0x40, 1<<2|1<<3|1<<4|1<<5, 1<<7)(b)   // ECC, RAPL off, ciphertext hiding, alias check; no SEV-TIO
	}
	always := []string{"boot"}
	for name, c := range map[string]struct {
		change func(b []byte)
		want   string
	}{
		"none":              {bits(8, 0, 0), ""},
		"SMT":               {bits(8, 1<<16, 0), "smt"},
		"migration":         {bits(8, 1<<18, 0), "migration agent"},
		"debug":             {bits(8, 1<<19, 0), "debug"},
		"several sockets":   {bits(8, 0, 1<<20), "sockets"},
		"CXL":               {bits(8, 1<<21, 0), "cxl"},
		"AES-128":           {bits(8, 0, 1<<22), "memory cipher"},
		"page swap":         {bits(8, 0, 1<<25), "page swap"},
		"no ECC":            {bits(0x40, 0, 1<<2), "ecc"},
		"RAPL":              {bits(0x40, 0, 1<<3), "power"},
		"ciphertext":        {bits(0x40, 0, 1<<4), "ciphertext"},
		"no alias check":    {bits(0x40, 0, 1<<5), "alias check"},
		"SEV-TIO":           {bits(0x40, 1<<7, 0), "sev-tio"},
		"lower privilege":   {func(b []byte) { b[0x30] = 1 }, "vmpl"},
		"empty host data":   {func(b []byte) { clear(b[0xc0:0xe0]) }, "host data"},
		"firmware not kept": {func(b []byte) { b[0x1e8]++ }, "firmware"},
	} {
		r, err := w.format.Authenticate(t.Context(), w.evidence(t, w.report(t, func(b []byte) { strict(b); c.change(b) })), now)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(always)
		if c.want != "" {
			want = append(want, c.want)
		}
		got := weaknesses(r)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestMeasurementIsNotTheKernel: every verdict says what the measurement does not cover.
func TestMeasurementIsNotTheKernel(t *testing.T) {
	for _, name := range []string{"Milan", "Genoa", "Turin"} {
		w := newWorld(t, name)
		c, err := w.verify(t, w.evidence(t, w.report(t, nil)), nil)
		if err != nil || !c.Valid() {
			t.Fatal(err)
		}
		r, err := w.format.Authenticate(t.Context(), w.evidence(t, w.report(t, nil)), now)
		if err != nil || !slices.ContainsFunc(r.Facts, func(f attestation.Fact) bool {
			return f.About == attestation.AboutWeakness && f.Name == "boot" && strings.HasPrefix(f.Value, "measurement covers firmware and initial CPU state; kernel and disk only where")
		}) {
			t.Errorf("%s: %+v, %v", name, r.Facts, err)
		}
	}
}

// authority is a certificate of AMD's place with an end of its own.
func authority(t *testing.T, like, parent *x509.Certificate, by crypto.Signer, end time.Time) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: like.SerialNumber, Subject: like.Subject, NotBefore: like.NotBefore, NotAfter: end, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SignatureAlgorithm: x509.SHA384WithRSAPSS, SubjectKeyId: []byte(like.Subject.CommonName),
	}
	if parent == nil {
		parent, by = c, k
	}
	return reissued(t, c, parent, k.Public(), by), k
}

func reissued(t *testing.T, c, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestExpiredAuthorities: the intermediate's and the root's own dates count too, whatever those of the chip's key say.
func TestExpiredAuthorities(t *testing.T) {
	w := newWorld(t, "Milan")
	report := w.report(t, nil)
	before, after := snptest.Now.Add(-time.Second), snptest.Now.Add(time.Hour)
	for name, c := range map[string]struct {
		root, issuer time.Time
		want         string
	}{
		"all hold":             {after, after, ""},
		"intermediate expired": {after, before, "validity"},
		"root expired":         {before, after, "validity"},
	} {
		ark, arkKey := authority(t, w.line.ARK, nil, nil, c.root)
		ask, askKey := authority(t, w.line.ASK, ark, arkKey, c.issuer)
		asvk, _ := authority(t, w.line.ASVK, ark, arkKey, c.issuer)
		f, err := verify.FormatTrusting(verify.Bundle{Name: "Milan", VCEK: pemOf("CERTIFICATE", ask.Raw, ark.Raw), VLEK: pemOf("CERTIFICATE", asvk.Raw, ark.Raw)})
		if err != nil {
			t.Fatal(err)
		}
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(0), Subject: w.vcek.Cert.Subject, NotBefore: w.vcek.Cert.NotBefore, NotAfter: w.vcek.Cert.NotAfter, SignatureAlgorithm: x509.SHA384WithRSAPSS,
		}
		for _, x := range w.vcek.Cert.Extensions {
			if strings.HasPrefix(x.Id.String(), "1.3.6.1.4.1.3704.") {
				leaf.ExtraExtensions = append(leaf.ExtraExtensions, x)
			}
		}
		cert := reissued(t, leaf, ask, w.vcek.Cert.PublicKey, askKey)
		r, err := f.Authenticate(t.Context(), evidence(report, cert.Raw, nil), now)
		if got := failed(r.Checks); got != c.want || (c.want != "" && !errors.Is(err, verify.ErrExpired)) {
			t.Errorf("%s: failed %q, %v", name, got, err)
		}
	}
}
