// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
)

// measure adds an event whose text and type are the host's choice to a trust domain's log and registers.
func (s *scenario) measure(t testing.TB, register int, measured, text string, typ uint32) {
	t.Helper()
	e := eventlog.CCEvent{Register: register, Type: typ, Digest: sha512.Sum384([]byte(measured)), Data: []byte(text)}
	r := &s.td.RTMR[register-1]
	*r = sha512.Sum384(append(r[:], e.Digest[:]...))
	log, err := eventlog.AppendCC(s.td.Log, e)
	if err != nil {
		t.Fatal(err)
	}
	s.td.Log = log
}

// secureBoot is the measured EFI variable.
func secureBoot(value string) string {
	return "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c\x0a\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00" +
		"S\x00e\x00c\x00u\x00r\x00e\x00B\x00o\x00o\x00t\x00" + value
}

func said(r *attestation.Report, name string) string {
	var out []string
	for _, f := range r.Facts {
		if f.Name == name {
			out = append(out, f.About+": "+f.Value)
		}
	}
	return strings.Join(out, "; ")
}

// TestHostCannotHideSecureBoot: types and texts of events are under no digest, so the digest alone says that it was off; a
// log that does not say is a weakness.
func TestHostCannotHideSecureBoot(t *testing.T) {
	const off = "running: off; weakness: off: only the pinned registers say which code was booted"
	for name, c := range map[string]struct {
		measured, text string
		typ            uint32
		want           string
	}{
		"on":             {secureBoot("\x01"), secureBoot("\x01"), 0x80000001, "running: on"},
		"off":            {secureBoot("\x00"), secureBoot("\x00"), 0x80000001, off},
		"another type":   {secureBoot("\x00"), secureBoot("\x00"), 0x80000002, off},
		"another text":   {secureBoot("\x00"), "hidden", 0x80000001, off},
		"a lie":          {secureBoot("\x00"), secureBoot("\x01"), 0x80000001, off},
		"never measured": {"something else", secureBoot("\x01"), 0x80000001, "weakness: the log does not say"},
	} {
		s := newScenario(t, 5, 3)
		s.measure(t, 1, c.measured, c.text, c.typ)
		r, err := s.authenticate(t)
		if err != nil {
			t.Fatal(err)
		}
		if got := said(r, "Secure Boot"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	r, err := newScenario(t, 5, 3).authenticate(t)
	if err != nil || said(r, "Secure Boot") != "weakness: the log does not say" {
		t.Errorf("silent log: %+v, %v", r.Facts, err)
	}
}

// TestTwoCommandLines: a guest can measure a harmless one behind the one that it was started with, so neither is shown.
func TestTwoCommandLines(t *testing.T) {
	s := newScenario(t, 5, 3)
	for i, want := range []string{`running: "root=/dev/evil init=/bin/sh"`, "weakness: two command lines, or more: the log does not say which one was used"} {
		line := []string{"root=/dev/evil init=/bin/sh", "root=/dev/good ro"}[i]
		s.measure(t, 3, line, "kernel_cmdline: "+line, eventlog.IPL)
		r, err := s.authenticate(t)
		if err != nil {
			t.Fatal(err)
		}
		if got := said(r, "kernel command line"); got != want {
			t.Errorf("%d: %q", i, got)
		}
	}
}

// TestFoldedNameInTCBInfo: encoding/json takes a long s for an s, and of two members the last.
func TestFoldedNameInTCBInfo(t *testing.T) {
	for name, member := range map[string]string{"long s": "\"tcbStatu\u017f\"", "at the start": "\"tcb\u017ftatus\"", "same length": `"TCBSTATUS"`} {
		s := newScenario(t, 5, 3)
		s.vendor.TCBInfo["tcbLevels"].([]any)[0] = dcaptest.Level(5, 13, "Revoked")
		b, err := json.Marshal(s.vendor.TCBInfo)
		if err != nil {
			t.Fatal(err)
		}
		b = bytes.Replace(b, []byte(`"tcbStatus":"Revoked"`), []byte(`"tcbStatus":"Revoked",`+member+`:"UpToDate"`), 1)
		s.vendor.RawTCBInfo = b
		if r, err := s.authenticate(t); !errors.Is(err, dcap.ErrMalformed) || failed(r) != "tcb-info" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEveryRegisterIsPinned: what the host configures, what runs late and what a launcher was told are compared too.
func TestEveryRegisterIsPinned(t *testing.T) {
	for name, change := range map[string]func(s *scenario){
		"RTMR0":      func(s *scenario) { s.td.Measure(0, "the host's ACPI tables") },
		"RTMR3":      func(s *scenario) { s.td.Measure(3, "an application nobody listed") },
		"MRCONFIGID": func(s *scenario) { s.td.MRCONFIGID[0] = 6 },
	} {
		s := newScenario(t, 5, 3)
		change(s)
		if _, err := s.verify(t, nil); !errors.Is(err, attestation.ErrAppraise) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
