// SPDX-License-Identifier: Apache-2.0

package dcap_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
)

// parse takes the fake vendor's quote apart.
func parse(t testing.TB, v *dcaptest.Vendor) *dcap.Quote {
	t.Helper()
	q := v.Quote(t)
	n := len(v.Signed())
	data := q[n+4:]
	if int(binary.LittleEndian.Uint32(q[n:])) != len(data) {
		t.Fatal("the fake quote's length is wrong")
	}
	out := &dcap.Quote{TEE: v.TEE, Signed: q[:n]}
	read := dcap.ParseSGXSignature
	if v.TEE == dcap.TDX {
		read = dcap.ParseTDXSignature
		b := v.Body
		out.Module = &dcap.Module{TCBSVN: [16]byte(b), MRSigner: [48]byte(b[64:]), Attributes: [8]byte(b[112:])}
		if len(b) == 648 {
			out.Module.TCBSVN2 = (*[16]byte)(b[584:])
		}
	}
	var err error
	if out.Signature, err = read(data); err != nil {
		t.Fatal(err)
	}
	return out
}

func run(t testing.TB, v *dcaptest.Vendor) (*attestation.Report, error) {
	t.Helper()
	r := &attestation.Report{}
	return r, dcap.Verify(parse(t, v), v.Endorsements(t), v.Pin(), v.Now.Unix(), r)
}

func failed(r *attestation.Report) []string {
	var out []string
	for _, c := range r.Checks {
		if c.Outcome == attestation.Fail {
			out = append(out, c.Name)
		}
	}
	return out
}

func only(r *attestation.Report, name string) bool {
	return slices.Equal(failed(r), []string{name}) && r.Checks[len(r.Checks)-1].Name == name
}
