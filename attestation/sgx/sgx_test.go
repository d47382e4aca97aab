// SPDX-License-Identifier: Apache-2.0

package sgx_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
	"github.com/glovebox-dev/glovebox/attestation/sgx"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

var (
	digest   = envelope.Sum([]byte("a binding"))
	errNone  = errors.New("OE_UNSUPPORTED")
	mrCorner = bytes.Repeat([]byte{7}, 32)
)

// fake is a platform that behaves as EGo's does inside an enclave.
type fake struct {
	t     testing.TB
	self  sgx.Self
	err   error
	key   []byte
	info  []byte
	keyer error
	edit  func(q []byte) []byte
	asked [][64]byte
}

func newFake(t testing.TB) *fake {
	return &fake{t: t, self: sgx.Self{MREnclave: mrCorner, MRSigner: mrCorner}, key: bytes.Repeat([]byte{9}, 16), info: make([]byte, 512)}
}

func (f *fake) Self() (sgx.Self, error)                 { return f.self, f.err }
func (f *fake) NewSealKey() (key, info []byte, _ error) { return bytes.Clone(f.key), f.info, f.keyer }
func (f *fake) SealKey([]byte) ([]byte, error)          { return bytes.Clone(f.key), f.keyer }

func (f *fake) Quote(data [64]byte) ([]byte, error) {
	f.asked = append(f.asked, data)
	if f.err != nil {
		return nil, f.err
	}
	v := dcaptest.New(dcap.SGX)
	copy(v.Body[320:], data[:])
	q := v.Quote(f.t)
	out := append(binary.LittleEndian.AppendUint64([]byte{1, 0, 0, 0, 2, 0, 0, 0}, uint64(len(q))), q...)
	if f.edit != nil {
		out = f.edit(out)
	}
	return out, nil
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *fake)
		want   error
	}{
		"outside an enclave": {func(f *fake) { f.err = errNone }, sgx.ErrOutside},
		"debug":              {func(f *fake) { f.self.Debug = true }, sgx.ErrDebug},
		"no MRENCLAVE":       {func(f *fake) { f.self.MREnclave = nil }, sgx.ErrOutside},
		"zero MRENCLAVE":     {func(f *fake) { f.self.MREnclave = make([]byte, 32) }, sgx.ErrOutside},
		"zero MRSIGNER":      {func(f *fake) { f.self.MRSigner = make([]byte, 32) }, sgx.ErrOutside},
	} {
		f := newFake(t)
		c.change(f)
		if got, err := sgx.Open(sgx.Config{}, f); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(f.asked) != 0 {
			t.Errorf("%s: asked for a quote", name)
		}
	}
	if _, err := sgx.Open(sgx.Config{}, nil); !errors.Is(err, sgx.ErrConfig) {
		t.Errorf("no runtime: %v", err)
	}
	if _, err := sgx.Open(sgx.Config{EndorsementsFile: "/nonexistent"}, newFake(t)); !errors.Is(err, sgx.ErrConfig) {
		t.Errorf("no endorsements: %v", err)
	}
}

// TestEGoReportDataAlways64Bytes: EGo panics on no report data and accepts fewer bytes; here there are 64, d and zeros.
func TestEGoReportDataAlways64Bytes(t *testing.T) {
	f := newFake(t)
	c, err := sgx.Open(sgx.Config{}, f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Collect(context.Background(), envelope.Digest{}); !errors.Is(err, attestation.ErrBinding) {
		t.Errorf("zero digest: %v", err)
	}
	e, err := c.Collect(context.Background(), digest)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][64]byte{attestation.ReportData(digest)}, f.asked); diff != "" {
		t.Error(diff)
	}
	if c.Platform() != attestation.PlatformSGX || e.Platform != attestation.PlatformSGX || e.Evidence[0] != 1 || e.Bound() {
		t.Errorf("platform %q, first byte %d: OpenEnclave's header is the verifier's to strip", e.Platform, e.Evidence[0])
	}
}

func TestCollectRefusesOtherQuotes(t *testing.T) {
	for name, edit := range map[string]func([]byte) []byte{
		"nothing":        func([]byte) []byte { return nil },
		"truncated":      func(q []byte) []byte { return q[:len(q)-1] },
		"oversized":      func(q []byte) []byte { return append(q, make([]byte, 1<<20)...) },
		"no header":      func(q []byte) []byte { return q[16:] },
		"other data":     func(q []byte) []byte { q[16+48+320] ^= 1; return q },
		"non-zero tail":  func(q []byte) []byte { q[16+48+320+63] = 1; return q },
		"header's width": func(q []byte) []byte { q[8]++; return q },
	} {
		f := newFake(t)
		f.edit = edit
		c, err := sgx.Open(sgx.Config{}, f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Collect(context.Background(), digest); !errors.Is(err, sgx.ErrDevice) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := newFake(t)
	c, err := sgx.Open(sgx.Config{}, f)
	if err != nil {
		t.Fatal(err)
	}
	f.err = errNone
	if _, err := c.Collect(context.Background(), digest); !errors.Is(err, sgx.ErrDevice) {
		t.Errorf("platform fails: %v", err)
	}
	var none *sgx.Collector
	if _, err := none.Collect(context.Background(), digest); !errors.Is(err, sgx.ErrOutside) {
		t.Errorf("never opened: %v", err)
	}
}

func TestEndorsementsGoAlong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "endorsements.json")
	want := dcaptest.New(dcap.SGX).Endorsements(t)
	write := func(list []attestation.Endorsement) {
		b, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(want)
	c, err := sgx.Open(sgx.Config{EndorsementsFile: file}, newFake(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]attestation.Endorsement{want, want[1:]} {
		write(want)
		e, err := c.Collect(context.Background(), digest)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, e.Endorsements); diff != "" {
			t.Error(diff)
		}
	}
	if err := os.WriteFile(file, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Collect(context.Background(), digest); !errors.Is(err, sgx.ErrConfig) {
		t.Errorf("empty list: %v", err)
	}
}

// TestEGoNeverSealsBeforeSelfReport: no key without a collector, and no collector without a self report with debug off.
func TestEGoNeverSealsBeforeSelfReport(t *testing.T) {
	for name, c := range map[string]*sgx.Collector{"nil": nil, "never opened": {}} {
		if _, _, err := c.NewSealKey(); !errors.Is(err, sgx.ErrSealKey) || !errors.Is(err, sgx.ErrOutside) {
			t.Errorf("%s: new: %v", name, err)
		}
		if _, err := c.SealKey([]byte{1}); !errors.Is(err, sgx.ErrSealKey) || !errors.Is(err, sgx.ErrOutside) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEGoAllZeroSealKeyRefused: outside an enclave EGo gives 16 zero bytes out, and a nil error.
func TestEGoAllZeroSealKeyRefused(t *testing.T) {
	for name, change := range map[string]func(f *fake){
		"zeros":         func(f *fake) { clear(f.key) },
		"none":          func(f *fake) { f.key = nil },
		"15 bytes":      func(f *fake) { f.key = f.key[:15] },
		"32 zeros":      func(f *fake) { f.key = make([]byte, 32) },
		"with an error": func(f *fake) { f.keyer = errNone },
	} {
		f := newFake(t)
		change(f)
		c, err := sgx.Open(sgx.Config{}, f)
		if err != nil {
			t.Fatal(err)
		}
		if key, info, err := c.NewSealKey(); !errors.Is(err, sgx.ErrSealKey) || key != nil || info != nil {
			t.Errorf("%s: new: %x %v", name, key, err)
		}
		if key, err := c.SealKey([]byte{1}); !errors.Is(err, sgx.ErrSealKey) || key != nil {
			t.Errorf("%s: %x %v", name, key, err)
		}
	}
	f := newFake(t)
	c, err := sgx.Open(sgx.Config{}, f)
	if err != nil {
		t.Fatal(err)
	}
	key, info, err := c.NewSealKey()
	if err != nil || !bytes.Equal(key, f.key) || !bytes.Equal(info, f.info) {
		t.Errorf("a good key: %x %v", key, err)
	}
	if key, err = c.SealKey(info); err != nil || !bytes.Equal(key, f.key) {
		t.Errorf("again: %x %v", key, err)
	}
	for _, info := range [][]byte{nil, make([]byte, 1<<20)} {
		if _, err := c.SealKey(info); !errors.Is(err, sgx.ErrSealKey) {
			t.Errorf("%d bytes of key information: %v", len(info), err)
		}
	}
	f.info = nil
	if _, _, err := c.NewSealKey(); !errors.Is(err, sgx.ErrSealKey) {
		t.Errorf("no key information: %v", err)
	}
}
