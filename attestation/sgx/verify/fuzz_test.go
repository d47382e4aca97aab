// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
	"github.com/glovebox-dev/glovebox/attestation/sgx/verify"
)

// seeds are evidence in the round and cut short; the first number says which part is replaced, 0 being the quote.
func seeds(e *attestation.Evidence) map[int][][]byte {
	q := e.Evidence
	out := map[int][][]byte{0: {
		q, wrap(q), q[:len(q)-1], q[:432], q[:436], q[:1046], append(bytes.Clone(q), 0),
		{},
		{3, 0, 2, 0},
		bytes.Repeat([]byte{0xff}, 5000),
		append(bytes.Clone(q[:432]), 0xff, 0xff, 0xff, 0xff), make([]byte, 436),
	}}
	for i, x := range e.Endorsements {
		out[i+1] = [][]byte{x.Body, x.Body[:len(x.Body)/2], append(bytes.Clone(x.Body), 0), bytes.Repeat([]byte("["), 4096)}
	}
	return out
}

// signedPart is what a signature of the vendor covers in a part; made anew, signatures differ and this does not.
func signedPart(typ string, b []byte) []byte {
	switch typ {
	case "":
		if len(b) >= 16 && b[0] == 1 {
			b = b[16:]
		}
		return b[:min(len(b), 432)]
	case attestation.ChainType:
		p, _ := pem.Decode(b)
		if c, err := x509.ParseCertificate(p.Bytes); err == nil {
			return c.RawTBSCertificate
		}
	case attestation.CRLType:
		if l, err := x509.ParseRevocationList(b); err == nil {
			return l.RawTBSRevocationList
		}
	}
	body, _, _ := bytes.Cut(b, []byte(`,"signature"`))
	return body
}

// FuzzAuthenticate: whatever replaces one part of good evidence is refused in good time, unless what the vendor signed in
// it stayed as it was.
func FuzzAuthenticate(f *testing.F) {
	v := dcaptest.New(dcap.SGX)
	good := evidence(f, v)
	n := 0
	for part, list := range seeds(good) {
		for _, b := range list {
			f.Add(uint8(part), b)
			n++
		}
	}
	if n != 12+4*5 {
		f.Fatalf("%d seeds", n)
	}
	format := verify.NewTestFormat(v.Pin())
	f.Fuzz(func(t *testing.T, part uint8, b []byte) {
		x := *good
		x.Endorsements = slices.Clone(good.Endorsements)
		typ, was := "", good.Evidence
		if i := int(part) - 1; i >= 0 && i < len(x.Endorsements) {
			typ, was = x.Endorsements[i].Type, x.Endorsements[i].Body
			x.Endorsements[i].Body = b
		} else {
			x.Evidence = b
		}
		start := time.Now()
		r, err := format.Authenticate(context.Background(), &x, v.Now.Unix())
		if d := time.Since(start); d > 30*time.Second {
			t.Fatalf("took %v", d)
		}
		if err != nil {
			if r == nil || len(outcomes(r, attestation.Fail)) != 1 || r.Assurance != "" {
				t.Fatalf("refused without saying which check: %v", err)
			}
			return
		}
		if !bytes.Equal(signedPart(typ, b), signedPart(typ, was)) {
			t.Fatal("a forgery is accepted")
		}
	})
}

// FuzzImport: files of any content make evidence or an error.
func FuzzImport(f *testing.F) {
	v := dcaptest.New(dcap.SGX)
	n := 0
	for _, raw := range forms(f, evidence(f, v)) {
		f.Add(raw.Report, raw.Collateral[0])
		n++
	}
	if n < 15 {
		f.Fatalf("%d seeds", n)
	}
	f.Fuzz(func(t *testing.T, report, collateral []byte) {
		start := time.Now()
		e, err := verify.Import(attestation.Raw{Report: report, Collateral: [][]byte{collateral}})
		if d := time.Since(start); d > 30*time.Second {
			t.Fatalf("took %v", d)
		}
		if err != nil {
			if !errors.Is(err, verify.ErrImport) {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		if len(e.Evidence) > len(report) || e.Platform != attestation.PlatformSGX || e.Bound() {
			t.Fatalf("%+v", e)
		}
	})
}
