// SPDX-License-Identifier: Apache-2.0

package rawfile_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/snp/snptest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/rawfile"
)

func TestBinary(t *testing.T) {
	b := []byte{0xff, 0xfe, 0, 1, 2, 0xfb, 0xf0}
	for name, f := range map[string][]byte{
		"binary": b, "hex": []byte(hex.EncodeToString(b) + "\n"), "0x": []byte("0x" + hex.EncodeToString(b)),
		"base64": []byte(base64.StdEncoding.EncodeToString(b)), "base64url": []byte(base64.RawURLEncoding.EncodeToString(b)),
		"lines": []byte(hex.EncodeToString(b[:3]) + "\n" + hex.EncodeToString(b[3:])),
	} {
		if got := rawfile.Binary(f); !bytes.Equal(got, b) {
			t.Errorf("%s: %x", name, got)
		}
	}
	if got := rawfile.Binary(nil); got != nil {
		t.Errorf("nothing: %x", got)
	}
}

// TestEndorsements: one certificate in every form, a revocation list, and a list as the fetcher writes it.
func TestEndorsements(t *testing.T) {
	l := snptest.New(t, "Milan")
	ark, ask := l.ARK.Raw, l.ASK.Raw
	block := func(typ string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}) }
	both := slices.Concat(block("CERTIFICATE", ark), block("CERTIFICATE", ask))
	got, err := rawfile.CertificateEndorsements([][]byte{ark, both, []byte(base64.StdEncoding.EncodeToString(ask)), slices.Concat(ark, ask)})
	if err != nil || len(got) != 2 || !bytes.Equal(got[0].Body, ark) || !bytes.Equal(got[1].Body, ask) {
		t.Errorf("%d certificates, %v", len(got), err)
	}
	crl := l.CRL(t, nil)
	list, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	more, err := rawfile.CRLEndorsements([][]byte{crl, block("X509 CRL", crl), list})
	if err != nil || len(more) != 3 || more[0].Type != attestation.CRLType {
		t.Errorf("%d endorsements, %v", len(more), err)
	}
	for name, f := range map[string]func() error{
		"no certificate": func() error { _, err := rawfile.CertificateEndorsements([][]byte{[]byte("x")}); return err },
		"empty file":     func() error { _, err := rawfile.CertificateEndorsements([][]byte{nil}); return err },
		"no list":        func() error { _, err := rawfile.CRLEndorsements([][]byte{ark}); return err },
		"bad list":       func() error { _, err := rawfile.CRLEndorsements([][]byte{[]byte("[1]")}); return err },
		"empty log":      func() error { _, err := rawfile.EventLogs([][]byte{nil}); return err },
		"two logs":       func() error { _, err := rawfile.EventLogs([][]byte{{1}, {2}}); return err },
	} {
		if err := f(); !errors.Is(err, rawfile.ErrFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
