// SPDX-License-Identifier: Apache-2.0

package dcap_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
)

// TestSignatureData cuts signature data at every byte, adds one, and changes each length and type.
func TestSignatureData(t *testing.T) {
	for tee, read := range map[dcap.TEE]func([]byte) (*dcap.Signature, error){dcap.SGX: dcap.ParseSGXSignature, dcap.TDX: dcap.ParseTDXSignature} {
		v := dcaptest.New(tee)
		good := v.Signature(t, v.Signed())
		if _, err := read(good); err != nil {
			t.Fatal(err)
		}
		bad := map[string][]byte{"a byte more": append(bytes.Clone(good), 0), "oversized": make([]byte, dcap.MaxSignatureData+1), "nothing": nil}
		nested := 128 // where the QE report is
		if tee == dcap.TDX {
			nested += 6
			outer := append(bytes.Clone(good), 0) // inside the outer data, behind the inner
			binary.LittleEndian.PutUint32(outer[130:], binary.LittleEndian.Uint32(outer[130:])+1)
			bad["a byte more inside"] = outer
			bad["outer type"] = set16(good, 128, 5)
			bad["outer length"] = set16(good, 130, 1)
		}
		kind := nested + 384 + 64 + 2 + len(v.Auth)
		for _, n := range []int{0, 1, 2, 3, 4, 6, 7, 9} {
			bad["type"] = set16(good, kind, n)
			if _, err := read(bad["type"]); !errors.Is(err, dcap.ErrMalformed) {
				t.Errorf("%v: type %d: %v", tee, n, err)
			}
		}
		bad["chain length"] = set16(good, kind+2, 1)
		bad["length of authentication data"] = set16(good, nested+384+64, 0xffff)
		for name, b := range bad {
			if _, err := read(b); !errors.Is(err, dcap.ErrMalformed) {
				t.Errorf("%v: %s: %v", tee, name, err)
			}
		}
		for n := range good {
			if _, err := read(good[:n]); !errors.Is(err, dcap.ErrMalformed) {
				t.Fatalf("%v: cut to %d bytes: %v", tee, n, err)
			}
		}
	}
}

func set16(b []byte, at, n int) []byte {
	out := bytes.Clone(b)
	binary.LittleEndian.PutUint16(out[at:], uint16(n))
	return out
}

// TestStatementsAsTheyCome: the wrapper around a signed statement has one spelling.
func TestStatementsAsTheyCome(t *testing.T) {
	v := dcaptest.New(dcap.SGX)
	q, good := parse(t, v), v.Endorsements(t)
	for name, change := range map[string]func(b []byte) []byte{
		"newline":         func(b []byte) []byte { return append(b, '\n') },
		"space":           func(b []byte) []byte { return bytes.Replace(b, []byte(`,"signature"`), []byte(`, "signature"`), 1) },
		"other name":      func(b []byte) []byte { return bytes.Replace(b, []byte(`"signature":`), []byte(`"Signature":`), 1) },
		"upper-case hex":  func(b []byte) []byte { n := len(b) - 130; return append(b[:n:n], bytes.ToUpper(b[n:])...) },
		"shorter":         func(b []byte) []byte { return append(b[:len(b)-3:len(b)-3], `"}`...) },
		"body only":       func(b []byte) []byte { return b[len(`{"tcbInfo":`) : len(b)-len(`,"signature":""}`)-128] },
		"other member":    func(b []byte) []byte { return bytes.Replace(b, []byte("tcbInfo"), []byte("enclaveIdentity"), 1) },
		"bare minimum":    func([]byte) []byte { return []byte(`{"tcbInfo":`) },
		"over the limit":  func(b []byte) []byte { return append(b, make([]byte, dcap.MaxStatement)...) },
		"empty":           func([]byte) []byte { return nil },
		"member in front": func(b []byte) []byte { return append([]byte(`{"x":1,`), b[1:]...) },
	} {
		ends := slices.Clone(good)
		i := slices.IndexFunc(ends, func(e attestation.Endorsement) bool { return e.Type == attestation.TCBInfoType })
		ends[i].Body = change(bytes.Clone(ends[i].Body))
		r := &attestation.Report{}
		if err := dcap.Verify(q, ends, v.Pin(), v.Now.Unix(), r); !errors.Is(err, dcap.ErrMalformed) || !only(r, "collateral") {
			t.Errorf("%s: %v, failed %q", name, err, failed(r))
		}
	}
}

// TestTrailingBytesOfCRL: crypto/x509 reads a CRL and leaves what follows unread; here that is refused.
func TestTrailingBytesOfCRL(t *testing.T) {
	v := dcaptest.New(dcap.SGX)
	q, ends := parse(t, v), v.Endorsements(t)
	for i := range ends {
		if ends[i].Type != attestation.CRLType {
			continue
		}
		changed := slices.Clone(ends)
		changed[i].Body = append(bytes.Clone(ends[i].Body), 0)
		r := &attestation.Report{}
		if err := dcap.Verify(q, changed, v.Pin(), v.Now.Unix(), r); !errors.Is(err, dcap.ErrMalformed) || !only(r, "collateral") {
			t.Errorf("%d: %v", i, err)
		}
	}
}
