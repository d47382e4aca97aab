// SPDX-License-Identifier: Apache-2.0

package quote_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tdx/quote"
	"github.com/glovebox-dev/glovebox/attestation/tdx/tdxtest"
)

const (
	goTDXGuest = "github.com/google/go-tdx-guest@v0.3.2-0.20250814004405-ffb0869e6f4d"
	oasis      = "github.com/oasisprotocol/oasis-core/go@v0.2601.0"
)

var shapes = [][2]int{{4, 2}, {5, 2}, {5, 3}}

func TestParse(t *testing.T) {
	for _, s := range shapes {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			td := tdxtest.New(s[0], s[1], [64]byte{1, 2, 3})
			td.MRSERVICETD[0], td.SEAMAttributes = 7, 1<<63
			raw := tdxtest.Quote(td.Signed(), []byte("auth"))
			q, err := quote.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			got := q.TD
			if q.Version != s[0] || q.BodyType != s[1] || string(q.AuthData) != "auth" || !bytes.Equal(q.Signed, td.Signed()) {
				t.Errorf("%+v", q)
			}
			if !bytes.Equal(got.MRTD, td.MRTD[:]) || !bytes.Equal(got.RTMR[2], td.RTMR[2][:]) || !bytes.Equal(got.ReportData, td.ReportData[:]) ||
				uint64(got.Attributes) != td.Attributes || got.XFAM != td.XFAM || got.SEAMAttributes != td.SEAMAttributes || !bytes.Equal(got.MRSEAM, td.MRSEAM[:]) {
				t.Errorf("%+v", got)
			}
			if (s[1] == 3) != bytes.Equal(got.MRSERVICETD, td.MRSERVICETD[:]) || (s[1] == 3) != (got.TCBSVN2 != nil) {
				t.Errorf("TD report 1.5: %x %x", got.MRSERVICETD, got.TCBSVN2)
			}
			for _, tail := range [][]byte{{0}, make([]byte, 3000), []byte("text")} {
				long := append(bytes.Clone(raw), tail...)
				if _, err := quote.Parse(long); !errors.Is(err, quote.ErrTrailing) {
					t.Errorf("tail of %d: %v", len(tail), err)
				}
				if cut, err := quote.Cut(long); err != nil || !bytes.Equal(cut, raw) {
					t.Errorf("cut: %v", err)
				}
			}
			for n := range raw {
				if _, err := quote.Parse(raw[:n]); !errors.Is(err, quote.ErrQuote) {
					t.Fatalf("truncated to %d: %v", n, err)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	v5 := func(typ uint16, n uint32) func(*tdxtest.TD, []byte) {
		return func(_ *tdxtest.TD, b []byte) {
			binary.LittleEndian.PutUint16(b[48:], typ)
			binary.LittleEndian.PutUint32(b[50:], n)
		}
	}
	set := func(at int, v byte) func(*tdxtest.TD, []byte) { return func(_ *tdxtest.TD, b []byte) { b[at] = v } }
	for name, c := range map[string]struct {
		version int
		change  func(*tdxtest.TD, []byte)
		want    string
	}{
		"SGX quote v3":             {4, set(0, 3), "version 3"},
		"version 6":                {4, set(0, 6), "version 6"},
		"SGX in v4":                {4, set(4, 0), "TEE type 0x0"},
		"P-384 key":                {4, set(2, 3), "key of type 3"},
		"another vendor":           {4, set(12, 0), "vendor"},
		"SGX body in v5":           {5, v5(1, 384), "body of type 1"},
		"body type 4":              {5, v5(4, 648), "body of type 4"},
		"1.5 body as 1.0":          {5, v5(2, 648), "with 648 bytes"},
		"body as long as it likes": {5, v5(3, 0xffffffff), "with 4294967295 bytes"},
		"v5 as v4":                 {5, set(0, 4), ""},
		"v4 as v5":                 {4, set(0, 5), ""},
	} {
		td := tdxtest.New(c.version, 3, [64]byte{})
		raw := tdxtest.Quote(td.Signed(), make([]byte, 600))
		c.change(td, raw)
		if _, err := quote.Parse(raw); !errors.Is(err, quote.ErrQuote) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := tdxtest.Quote(tdxtest.New(4, 2, [64]byte{}).Signed(), make([]byte, quote.MaxQuote))
	if _, err := quote.Parse(long); !errors.Is(err, quote.ErrQuote) {
		t.Errorf("too long: %v", err)
	}
	if _, err := quote.Parse(nil); !errors.Is(err, quote.ErrQuote) {
		t.Errorf("empty: %v", err)
	}
}

func TestAttributes(t *testing.T) {
	for bit := range 64 {
		a := quote.Attributes(1) << bit
		known := strings.Contains(",4,5,6,0,27,28,29,30,31,63,", fmt.Sprintf(",%d,", bit))
		if a.Debug() != (bit < 8) || (a.Reserved() != 0) != (!known && bit >= 8) {
			t.Errorf("bit %d: debug %v, reserved %#x", bit, a.Debug(), uint64(a.Reserved()))
		}
	}
	if got := quote.Attributes(1<<28 | 1 | 1<<40).String(); got != "0x0000010010000001 DEBUG SEPT_VE_DISABLE bit 40" {
		t.Errorf("%q", got)
	}
}

func TestXFAM(t *testing.T) {
	for x, ok := range map[uint64]bool{3: true, 0x61ae7: true, 0x642e7: true, 0: false, 1: false, 2: false, 1<<63 | 3: false, 1<<19 | 3: false} {
		if err := quote.CheckXFAM(x); (err == nil) != ok || err != nil && !errors.Is(err, quote.ErrQuote) {
			t.Errorf("%#x: %v", x, err)
		}
	}
}

func TestRealQuotes(t *testing.T) {
	for _, b := range [][]byte{
		attestationtest.ModuleFile(t, goTDXGuest, "testing/testdata/tdx_prod_quote_SPR_E4.dat"),
		attestationtest.ModuleFile(t, oasis, "common/sgx/pcs/testdata/quote_v4_tdx_ecdsa_p256_trailing.bin"),
	} {
		cut, err := quote.Cut(b)
		if err != nil {
			t.Fatal(err)
		}
		q, err := quote.Parse(cut)
		if err != nil || quote.Zero(q.TD.RTMR[1]) || len(cut) == len(b) {
			t.Errorf("%v", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range shapes {
		f.Add(tdxtest.Quote(tdxtest.New(s[0], s[1], [64]byte{1}).Signed(), []byte("auth")))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := quote.Parse(b)
		if err != nil {
			if !errors.Is(err, quote.ErrQuote) {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		// Property: nothing is left over, and nothing is read twice.
		if !bytes.Equal(tdxtest.Quote(q.Signed, q.AuthData), b) {
			t.Fatal("parts do not make the quote")
		}
	})
}
