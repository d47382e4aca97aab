// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/snp/verify"
)

// eachReal runs f on every authentic vector once, and with -short on the first.
func eachReal(t *testing.T, f func(t *testing.T, e *attestation.Evidence, at int64)) {
	t.Helper()
	seen := map[string]bool{}
	for _, v := range vectors() {
		if v.want != nil || testing.Short() && len(seen) > 0 {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			e, at := v.evidence(t)
			if seen[string(e.Evidence)] {
				t.Skip("the same report as another's")
			}
			seen[string(e.Evidence)] = true
			f(t, e, at)
		})
	}
}

// TestEveryBitOfTheReport: all 1184 bytes are signed, the signature, or reserved to be zero. Nothing is outside.
func TestEveryBitOfTheReport(t *testing.T) {
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	eachReal(t, func(t *testing.T, e *attestation.Evidence, at int64) { n += flipEveryBit(t, f, e, e.Evidence, at) })
	t.Logf("%d flipped bits of reports refused", n)
}

// TestEveryBitOfTheCertificate: everything that AMD's intermediate signed, and its signature. Outside of both is nothing
// but DER, in which only one encoding is accepted.
func TestEveryBitOfTheCertificate(t *testing.T) {
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	eachReal(t, func(t *testing.T, e *attestation.Evidence, at int64) {
		i := slices.IndexFunc(e.Endorsements, func(x attestation.Endorsement) bool {
			return bytes.Contains(x.Body, []byte("SEV-V")) && !bytes.Contains(x.Body, []byte("ARK-"))
		})
		n += flipEveryBit(t, f, e, e.Endorsements[i].Body, at)
	})
	t.Logf("%d flipped bits of VCEKs and VLEKs refused", n)
}

// TestEveryBitOfTheCRL: a list that was changed is no list of AMD's. If it no longer names AMD's root, it counts as none
// given, which the default policy refuses; those bits are counted apart.
func TestEveryBitOfTheCRL(t *testing.T) {
	w := newWorld(t, "Milan")
	e := w.evidence(t, w.report(t, nil))
	body := e.Endorsements[1].Body
	refused, none := 0, 0
	step := 1
	if testing.Short() {
		step = 7 // every byte, another bit each time
	}
	tried := 0
	for i := 0; i < len(body)*8; i += step {
		tried++
		body[i/8] ^= 1 << (i % 8)
		r, err := w.format.Authenticate(t.Context(), e, now)
		switch {
		case err != nil:
			refused++
		case failed(appraise(w.format, r, attestation.DefaultPolicy())) == "revocation-list":
			none++
		default:
			t.Errorf("byte %d, bit %d accepted", i/8, i%8)
		}
		body[i/8] ^= 1 << (i % 8)
	}
	t.Logf("%d flipped bits of a revocation list: %d refused, %d make it none, which the default policy refuses", tried, refused, none)
}

// flipEveryBit of b, which is part of e.
func flipEveryBit(t *testing.T, f attestation.Format, e *attestation.Evidence, b []byte, at int64) int {
	t.Helper()
	if _, err := f.Authenticate(t.Context(), e, at); err != nil {
		t.Fatal(err)
	}
	n, step := 0, 1
	if testing.Short() {
		step = 7 // every byte, another bit each time
	}
	for i := 0; i < len(b)*8; i += step {
		n++
		b[i/8] ^= 1 << (i % 8)
		if r, err := f.Authenticate(t.Context(), e, at); err == nil {
			t.Errorf("byte %#x, bit %d accepted", i/8, i%8)
		} else if r.Assurance != "" {
			t.Errorf("byte %#x, bit %d: refused, with an assurance", i/8, i%8)
		}
		b[i/8] ^= 1 << (i % 8)
	}
	return n
}

// TestEveryTruncation of report and certificate.
func TestEveryTruncation(t *testing.T) {
	w := newWorld(t, "Turin")
	good := w.evidence(t, w.report(t, nil))
	cert := good.Endorsements[0].Body
	for i := range good.Evidence {
		if _, err := w.format.Authenticate(t.Context(), &attestation.Evidence{Evidence: good.Evidence[:i], Endorsements: good.Endorsements}, now); err == nil {
			t.Errorf("report of %d bytes accepted", i)
		}
	}
	for i := range cert {
		if _, err := w.format.Authenticate(t.Context(), evidence(good.Evidence, cert[:i], nil), now); err == nil {
			t.Errorf("certificate of %d bytes accepted", i)
		}
	}
	t.Logf("%d truncations refused", len(good.Evidence)+len(cert))
}

// fuzzLimit is the time that no input may take longer than.
const fuzzLimit = 5 * time.Second

// FuzzAuthenticate: whatever the bytes, no panic, no long work, and nothing is authentic whose signed parts are not AMD's.
func FuzzAuthenticate(f *testing.F) {
	worlds := []*world{newWorld(f, "Milan"), newWorld(f, "Turin")}
	format := trusting(f, worlds[0].line, worlds[1].line)
	var reports, certs [][]byte
	seeds := 0
	for _, w := range worlds {
		report, cert, crl := w.report(f, nil), w.vcek.Cert.Raw, w.line.CRL(f, nil)
		reports, certs = append(reports, report[:0x2a0]), append(certs, w.vcek.Cert.RawTBSCertificate)
		for _, seed := range [][3][]byte{{report, cert, crl}, {report, cert, nil}, {report, nil, crl}, {nil, cert, crl}, {cert, report, crl}} {
			f.Add(seed[0], seed[1], seed[2])
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, report, cert, crl []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), fuzzLimit)
		defer cancel()
		e := &attestation.Evidence{Version: 1, Platform: attestation.PlatformSNP, Evidence: report, Endorsements: []attestation.Endorsement{
			{Type: attestation.CertificateType, Body: cert}, {Type: attestation.ChainType, Body: cert}, {Type: attestation.CRLType, Body: crl},
		}}
		r, err := format.Authenticate(ctx, e, now)
		if ctx.Err() != nil {
			t.Fatal("took too long")
		}
		if err != nil {
			return
		}
		if !slices.ContainsFunc(reports, func(b []byte) bool { return bytes.Equal(b, report[:0x2a0]) }) ||
			!slices.ContainsFunc(certs, func(b []byte) bool { return bytes.Contains(cert, b) }) {
			t.Fatal("a forgery is authentic")
		}
		appraise(format, r, attestation.DefaultPolicy())
	})
}

// FuzzImport: whatever the files, no panic, and what comes out is an envelope that can be encoded and read again.
func FuzzImport(f *testing.F) {
	w := newWorld(f, "Milan")
	report := w.report(f, nil)
	f.Add(report, w.vcek.Cert.Raw, w.line.CRL(f, nil))
	f.Add([]byte(hexOf(report)), []byte(hexOf(w.vcek.Cert.Raw)), []byte{})
	f.Add(append(bytes.Clone(report), table(w.vcek.Cert.Raw)...), []byte("-----BEGIN CERTIFICATE-----"), []byte("-----BEGIN X509 CRL-----"))
	f.Fuzz(func(t *testing.T, report, cert, crl []byte) {
		start := time.Now()
		raw := attestation.Raw{Report: report, Certs: [][]byte{cert}, Collateral: [][]byte{crl}}
		if len(crl) == 0 {
			raw.Collateral = nil
		}
		e, err := verify.Import(raw)
		if time.Since(start) > fuzzLimit {
			t.Fatal("took too long")
		}
		if err != nil {
			return
		}
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := attestation.ParseImported(b); err != nil && !strings.Contains(err.Error(), "too many parts") {
			t.Fatal(err)
		}
	})
}
