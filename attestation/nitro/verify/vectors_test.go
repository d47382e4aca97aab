// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/nitro/verify"
)

// vector is a real document, made in us-east-1 by somebody else's enclave and kept in dstack's framing.
type vector struct {
	name  string
	read  func(testing.TB) []byte
	at    time.Time // the document's own time
	debug bool
	pcr0  string // its first bytes
}

func vectors() []vector {
	shared := func(name string) func(testing.TB) []byte {
		return func(t testing.TB) []byte { return attestationtest.Shared(t, name) }
	}
	peer := func(name string) func(testing.TB) []byte {
		return func(t testing.TB) []byte { return attestationtest.Peer(t, "dstack", name) }
	}
	day := func(h, m, s, ms int) time.Time { return time.Date(2025, 12, 25, h, m, s, ms*1e6, time.UTC) }
	return []vector{
		{"dstack-attest", shared("dstack_dstack-attest_tests_nitro_attestation.bin"), day(16, 4, 19, 346), false, "eb7d0dab"},
		{"dstack-attest, debug", shared("dstack_dstack-attest_tests_nitro_attestation_dbg.bin"), day(8, 20, 46, 577), true, "00000000"},
		{"dstack-attest of the peer", peer("dstack_dstack-attest_tests_nitro_attestation.bin"), day(16, 4, 19, 346), false, "eb7d0dab"},
		{"dstack-attest of the peer, debug", peer("dstack_dstack-attest_tests_nitro_attestation_dbg.bin"), day(8, 20, 46, 577), true, "00000000"},
		{"nsm-qvl", peer("dstack_nsm-qvl_tests_nitro_attestation.bin"), day(13, 15, 37, 578), false, "5cb70295"},
		{"nsm-attest", peer("dstack_nsm-attest_tests_nitro_attestation.bin"), day(13, 15, 37, 578), false, "5cb70295"},
	}
}

// load imports a vector under the format that everybody gets.
func load(t testing.TB, v vector) (*attestation.Evidence, attestation.Format) {
	t.Helper()
	e, err := verify.Import(attestation.Raw{Report: v.read(t)})
	if err != nil {
		t.Fatal(err)
	}
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	return e, f
}

func TestRealDocuments(t *testing.T) {
	verified := 0
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			e, f := load(t, v)
			r, err := f.Authenticate(t.Context(), e, v.at.Unix())
			if err != nil {
				t.Fatal(err)
			}
			if r.Assurance != attestation.AssuranceTEE || r.Debug != v.debug || len(r.Measurements) != 16 || !strings.HasPrefix(r.Measurements["pcr0"], v.pcr0) || len(r.Bound) != 64 {
				t.Errorf("%+v", r)
			}
			if len(r.Facts) < 15 || len(r.Checks) != 8 || len(r.Collateral) != 5 {
				t.Errorf("%d facts, %d checks, %d statements of AWS", len(r.Facts), len(r.Checks), len(r.Collateral))
			}
			verified++
		})
	}
	t.Logf("verified %d real documents", verified)
}

// TestRealDocumentWhole puts one to the inspector that auditors use: good at its time, stale when its leaf is, early before.
func TestRealDocumentWhole(t *testing.T) {
	for _, v := range vectors()[:2] {
		e, f := load(t, v)
		r, err := f.Authenticate(t.Context(), e, v.at.Unix())
		if err != nil {
			t.Fatal(err)
		}
		measured := references(r.Measurements)
		if v.debug { // zeros cannot be pinned, so nothing could make a debug document pass
			if err := measured.Validate(); !errors.Is(err, attestation.ErrReference) {
				t.Error(err)
			}
			measured = fakeReferences()
		}
		in, err := attestation.NewInspector(measured, nil, f)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			after time.Duration
			want  bool
		}{{0, !v.debug}, {-time.Minute, !v.debug}, {-10 * time.Minute, false}, {2*time.Hour + 59*time.Minute, !v.debug}, {4 * time.Hour, false}, {1e4 * time.Hour, false}} {
			got, err := in.Inspect(t.Context(), raw, v.at.Add(c.after).Unix(), r.Bound)
			if err != nil || got.Accepted() != c.want {
				t.Errorf("%s at %s: %v, %v", v.name, c.after, err, got.Err())
			}
			if v.debug && c.after == 0 && !strings.Contains(got.Err().Error(), "debug") {
				t.Error(got.Err())
			}
		}
	}
}

func TestImportForms(t *testing.T) {
	framed := vectors()[0].read(t)
	e, _ := load(t, vectors()[0])
	bare := e.Evidence
	answer, err := cbor.Marshal(map[string]any{"Attestation": map[string]any{"document": bare}})
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString(bare)
	text, err := json.Marshal(map[string]any{"document": b64, "ok": true})
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for i := 0; i < len(b64); i += 64 {
		lines.WriteString(b64[i:min(i+64, len(b64))] + "\r\n")
	}
	for name, raw := range map[string][]byte{
		"COSE": bare, "SCALE": framed, "answer of the module": answer, "hex": []byte(hex.EncodeToString(bare) + "\n"), "0x": []byte("0x" + hex.EncodeToString(bare)),
		"base64": []byte(b64), "base64url": []byte(base64.RawURLEncoding.EncodeToString(bare)), "base64 in lines": []byte(lines.String()),
		"JSON": text, "hex of SCALE": []byte(hex.EncodeToString(framed)), "base64 of the answer": []byte(base64.StdEncoding.EncodeToString(answer)),
	} {
		got, err := verify.Import(attestation.Raw{Report: raw})
		if err != nil || !bytes.Equal(got.Evidence, bare) {
			t.Errorf("%s: %v", name, err)
		}
	}
	tagged := append([]byte{0xd2}, bare...)
	got, err := verify.Import(attestation.Raw{Report: tagged})
	if err != nil || !bytes.Equal(got.Evidence, tagged) {
		t.Errorf("tag 18: %v", err)
	}
}

func TestImportRefuses(t *testing.T) {
	good, _ := newFake(make([]byte, 32)).build(t)
	scale := append([]byte{0, 2, byte(len(good)<<2 | 1), byte(len(good) >> 6)}, good...)
	event := []byte{4, 3 << 2, 'a', 'p', 'p', 2 << 2, 1, 2}
	after := func(parts ...[]byte) attestation.Raw {
		return attestation.Raw{Report: append(bytes.Clone(scale), bytes.Join(parts, nil)...)}
	}
	report, config := make([]byte, 64), []byte{2 << 2, '{', '}'}
	for _, raw := range []attestation.Raw{after([]byte{0}, report, config), after(event, report, config), after(event, report, []byte{0})} {
		if e, err := verify.Import(raw); err != nil || !bytes.Equal(e.Evidence, good) {
			t.Fatal(err)
		}
	}
	real := vectors()[0].read(t)
	for name, raw := range map[string]attestation.Raw{
		"nothing":           {},
		"empty text":        {Report: []byte("\n")},
		"random text":       {Report: []byte("certainly not")},
		"cut short":         {Report: good[:len(good)-1]},
		"trailing":          {Report: append(bytes.Clone(good), 0)},
		"cut SCALE":         {Report: scale[:len(scale)-1]},
		"SCALE alone":       after(),
		"SCALE, junk":       after([]byte("JUNK")),
		"fields and junk":   after([]byte{0}, report, config, []byte("JUNK")),
		"real and junk":     {Report: append(bytes.Clone(real), "JUNK"...)},
		"real, cut":         {Report: real[:len(real)-1]},
		"no configuration":  after([]byte{0}, report),
		"report cut":        after([]byte{0}, report[:63]),
		"events without":    after([]byte{8}, report, config),
		"million of events": after([]byte{0xfe, 0xff, 0xff, 0xff}, report, config),
		"SCALE and nothing": {Report: []byte{0, 2}},
		"half a length":     {Report: []byte{0, 2, 1}},
		"SCALE of nothing":  {Report: []byte{0, 2, 0, 0, 0, 0, 0}},
		"SCALE, big length": {Report: []byte{0, 2, 3, 0xff, 0xff, 0xff, 0xff}},
		"JSON without it":   {Report: []byte(`{"x":"y"}`)},
		"layers":            {Report: []byte(`{"document":"eyJkb2N1bWVudCI6ICJleUprYjJOMWJXVnVkQ0k2SUNKbGVVcHJZakpPTVdKWFZuVmtRMGsyU1VOS05FbHVNRDBpZlE9PSJ9"}`)},
		"answer, an error":  {Report: encode(t, map[string]any{"Error": "InvalidOperation"})},
		"oversized":         {Report: make([]byte, 1<<20)},
		"with certificate":  {Report: good, Certs: [][]byte{{1}}},
		"with event log":    {Report: good, EventLogs: [][]byte{{1}}},
		"empty collateral":  {Report: good, Collateral: [][]byte{{}}},
		"PEM certificate":   {Report: good, Collateral: [][]byte{[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}},
	} {
		if e, err := verify.Import(raw); !errors.Is(err, verify.ErrImport) {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
}
