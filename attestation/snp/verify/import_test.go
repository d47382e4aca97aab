// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/snp/snptest"
	"github.com/glovebox-dev/glovebox/attestation/snp/verify"
)

func hexOf(b []byte) string { return hex.EncodeToString(b) }

// table is a host's certificate table with a VCEK and an entry of another kind.
func table(vcek []byte) []byte {
	const list = 3 * 24
	b := make([]byte, list, list+len(vcek)+4)
	copy(b, "\x63\xda\x75\x8d\xe6\x64\x45\x64\xad\xc5\xf4\xb9\x3b\xe8\xac\xcd")
	binary.LittleEndian.PutUint32(b[16:], list)
	binary.LittleEndian.PutUint32(b[20:], uint32(len(vcek)))
	copy(b[24:], "another kind of thing")
	binary.LittleEndian.PutUint32(b[40:], uint32(list+len(vcek)))
	binary.LittleEndian.PutUint32(b[44:], 4)
	return append(append(b, vcek...), "what"...)
}

func pemOf(typ string, ders ...[]byte) (out []byte) {
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})...)
	}
	return out
}

// TestImport reads every form, and what it makes verifies.
func TestImport(t *testing.T) {
	w := newWorld(t, "Milan")
	report, vcek, crl := w.report(t, nil), w.vcek.Cert.Raw, w.line.CRL(t, nil)
	message, err := proto.Marshal(library(t, report, vcek))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Join(slices.Collect(slices.Values([]string{hexOf(report)[:1000], hexOf(report)[1000:]})), "\n") + "\n"
	for name, raw := range map[string]attestation.Raw{
		"binary, DER":          {Report: report, Certs: [][]byte{vcek}},
		"hex, PEM":             {Report: []byte(lines), Certs: [][]byte{pemOf("CERTIFICATE", w.line.ASK.Raw, vcek, w.line.ARK.Raw)}},
		"upper-case hex":       {Report: []byte(strings.ToUpper(hexOf(report))), Certs: [][]byte{vcek}},
		"base64":               {Report: []byte(base64.StdEncoding.EncodeToString(report)), Certs: [][]byte{[]byte(base64.StdEncoding.EncodeToString(vcek))}},
		"base64url":            {Report: []byte(base64.RawURLEncoding.EncodeToString(report)), Certs: [][]byte{[]byte(hexOf(vcek))}},
		"any number and order": {Report: report, Certs: [][]byte{w.line.ARK.Raw, w.line.ASVK.Raw, vcek, w.line.ASK.Raw}},
		"extended report":      {Report: append(bytes.Clone(report), table(vcek)...)},
		"zeros after it":       {Report: append(bytes.Clone(report), make([]byte, 2784)...), Certs: [][]byte{vcek}},
		"certificate table":    {Report: report, Certs: [][]byte{table(vcek)}},
		"several DER":          {Report: report, Certs: [][]byte{append(bytes.Clone(w.line.ASK.Raw), vcek...)}},
		"go-sev-guest":         {Report: message},
		"CRL, DER":             {Report: report, Certs: [][]byte{vcek}, Collateral: [][]byte{crl}},
		"CRL, PEM":             {Report: report, Certs: [][]byte{vcek}, Collateral: [][]byte{pemOf("X509 CRL", crl)}},
		"dstack":               {Report: append(append([]byte{0, 3, 0x81, 0x12}, report...), append([]byte("mr_config"), pemOf("CERTIFICATE", w.line.ASK.Raw, vcek)...)...)},
		"dstack, JSON":         {Report: []byte(`{"attestation":"00038112` + hexOf(report) + hexOf(pemOf("CERTIFICATE", vcek)) + `"}`)},
	} {
		e, err := verify.Import(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if e.Bound() || e.Version != 1 || e.Platform != attestation.PlatformSNP || !bytes.Equal(e.Evidence, report) {
			t.Errorf("%s: %+v", name, e)
		}
		r, err := w.format.Authenticate(t.Context(), e, now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := strings.HasPrefix(name, "CRL"); (outcome(r.Checks, "crl") == attestation.Pass) != want {
			t.Errorf("%s: crl", name)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	w := newWorld(t, "Milan")
	report, vcek := w.report(t, nil), w.vcek.Cert.Raw
	overflow := table(vcek)
	binary.LittleEndian.PutUint32(overflow[20:], 0xffffffff)
	for name, c := range map[string]struct {
		raw  attestation.Raw
		hint string
	}{
		"nothing":             {attestation.Raw{}, "0 bytes"},
		"too large":           {attestation.Raw{Report: make([]byte, 1<<20)}, "want 1 to"},
		"too short":           {attestation.Raw{Report: report[:1000]}, "1184"},
		"zeros":               {attestation.Raw{Report: make([]byte, 1184)}, "version 0"},
		"text":                {attestation.Raw{Report: []byte(strings.Repeat("no report ", 200))}, "version"},
		"garbage after it":    {attestation.Raw{Report: append(bytes.Clone(report), "xyz"...)}, "table"},
		"table that lies":     {attestation.Raw{Report: append(bytes.Clone(report), overflow...)}, "table"},
		"no certificate":      {attestation.Raw{Report: report, Certs: [][]byte{[]byte("x")}}, "neither DER"},
		"empty certificate":   {attestation.Raw{Report: report, Certs: [][]byte{{}}}, "0 bytes"},
		"a private key":       {attestation.Raw{Report: report, Certs: [][]byte{pemOf("PRIVATE KEY", vcek)}}, "PRIVATE KEY"},
		"PEM of garbage":      {attestation.Raw{Report: report, Certs: [][]byte{pemOf("CERTIFICATE", []byte("x"))}}, "certificate"},
		"PEM cut":             {attestation.Raw{Report: report, Certs: [][]byte{pemOf("CERTIFICATE", vcek)[:100]}}, "without"},
		"certificate for CRL": {attestation.Raw{Report: report, Collateral: [][]byte{vcek}}, "revocation list"},
		"empty CRL":           {attestation.Raw{Report: report, Collateral: [][]byte{{}}}, "0 bytes"},
		"CRL of garbage":      {attestation.Raw{Report: report, Collateral: [][]byte{pemOf("X509 CRL", []byte("x"))}}, "revocation list"},
		"dstack, cut":         {attestation.Raw{Report: append([]byte{0, 3, 0x81, 0x12}, report[:1183]...)}, "version"},
		"dstack, no hex":      {attestation.Raw{Report: []byte(`{"attestation":"` + strings.Repeat("xy", 1200) + `"}`)}, "version"},
		"event log":           {attestation.Raw{Report: report, EventLogs: [][]byte{{1}}}, "event log"},
	} {
		_, err := verify.Import(c.raw)
		if !errors.Is(err, verify.ErrImport) || !strings.Contains(err.Error(), c.hint) {
			t.Errorf("%s: %v, want a word of %q", name, err, c.hint)
		}
	}
}

// TestImportOfLibraryMessageWithVLEK keeps the cloud's certificate.
func TestImportOfLibraryMessageWithVLEK(t *testing.T) {
	w := newWorld(t, "Genoa")
	k := w.line.VLEK(t, w.line.TCB(), nil)
	b := w.line.Report([64]byte{})
	b[0x48] = 1 << 2
	message, err := proto.Marshal(library(t, k.Sign(t, b), k.Cert.Raw))
	if err != nil {
		t.Fatal(err)
	}
	e, err := verify.Import(attestation.Raw{Report: message})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.format.Authenticate(t.Context(), e, snptest.Now.Unix()); err != nil {
		t.Error(err)
	}
}
