// SPDX-License-Identifier: Apache-2.0

package boot_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tpm/boot"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func text16(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

var global = []byte{0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}

// secureBoot is a UEFI_VARIABLE_DATA.
func secureBoot(v byte) []byte { return secureBootOf(global, v) }

func secureBootOf(guid []byte, v byte) []byte {
	return slices.Concat(guid, []byte{10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, text16("SecureBoot"), []byte{v})
}

func pcrs(c *tpmtest.Cloud, only ...int) map[int][]byte {
	out := map[int][]byte{}
	for i, v := range c.PCRs {
		if len(only) == 0 || slices.Contains(only, i) {
			out[i] = v[:]
		}
	}
	return out
}

func logs(b []byte) []attestation.EventLog {
	return []attestation.EventLog{{Type: attestation.TCG2Log, Body: b}}
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

// TestFacts are read from data that hashes to its digest, and from no other.
func TestFacts(t *testing.T) {
	c := tpmtest.NewCloud(t, tpmtest.ECCKey("boot"))
	c.Measure(t, 0, 8, append(text16("GCE Virtual Firmware v2"), 0, 0))
	c.Measure(t, 0, 0x11, append([]byte("GCE NonHostInfo\x00"), append([]byte{4}, make([]byte, 15)...)...))
	c.Measure(t, 7, 0x80000001, secureBoot(0))
	lie, err := eventlog.Append(c.Log, eventlog.Event{PCR: 7, Type: 0x80000001, Digest: envelope.Sum([]byte("x")), Data: secureBoot(1)})
	if err != nil {
		t.Fatal(err)
	}
	c.Log = lie
	c.Extend(7, envelope.Sum([]byte("x")))
	r := &attestation.Report{}
	if _, err := boot.Check(r, pcrs(c), logs(c.Log), boot.Required); err != nil {
		t.Fatal(err)
	}
	if said(r, "firmware") != `running: "GCE Virtual Firmware v2"` || !strings.Contains(said(r, "confidential-technology"), "AMD SEV-SNP") {
		t.Errorf("facts %+v", r.Facts)
	}
	if s := said(r, "secure-boot"); !strings.HasPrefix(s, "running: false; weakness: off") || strings.Contains(s, "true") {
		t.Errorf("secure boot: %s", s)
	}
	if said(r, "pcr10") == "" || said(r, "pcr11") != "" {
		t.Errorf("registers that the log does not explain: %+v", r.Facts)
	}
}

// TestPCRsAbsentFromTheLogAreFlagged: every register that firmware and loaders write must come out of the log; those that
// a running system extends are compared with reference values.
func TestPCRsAbsentFromTheLogAreFlagged(t *testing.T) {
	flagged := 0
	for i := range quote.PCRCount {
		c := tpmtest.NewCloud(t, tpmtest.ECCKey("boot"))
		c.Extend(i, envelope.Sum([]byte("not in the log")))
		_, err := boot.Check(&attestation.Report{}, pcrs(c), logs(c.Log), boot.Required)
		if want := slices.Contains(boot.Logged(), i); errors.Is(err, eventlog.ErrReplay) != want {
			t.Errorf("PCR %d: got %v", i, err)
		}
		if _, err := boot.Check(&attestation.Report{}, pcrs(c), logs(c.Log), boot.Whole); !errors.Is(err, eventlog.ErrReplay) {
			t.Errorf("PCR %d, of which a log accounts for all: got %v", i, err)
		}
		if err != nil {
			flagged++
		}
	}
	if flagged != 11 {
		t.Errorf("%d registers flagged", flagged)
	}
}

// TestLogMustShowSomething: with a log at hand but none of its registers quoted, nothing was compared.
func TestLogMustShowSomething(t *testing.T) {
	c := tpmtest.NewCloud(t, tpmtest.ECCKey("boot"))
	for _, d := range []boot.Demand{boot.Whole, boot.Required, boot.Optional} {
		if _, err := boot.Check(&attestation.Report{}, pcrs(c, 10, 16, 23), logs(c.Log), d); !errors.Is(err, eventlog.ErrReplay) {
			t.Errorf("got %v", err)
		}
	}
}

func TestDemand(t *testing.T) {
	c := tpmtest.NewCloud(t, tpmtest.ECCKey("boot"))
	r := &attestation.Report{}
	if _, err := boot.Check(r, pcrs(c), nil, boot.Required); !errors.Is(err, boot.ErrLog) || r.Checks[0].Outcome != attestation.Fail {
		t.Errorf("required: %v", err)
	}
	r = &attestation.Report{}
	if l, err := boot.Check(r, pcrs(c), nil, boot.Optional); l != nil || err != nil || r.Checks[0].Outcome != attestation.NotApplicable {
		t.Errorf("optional: %v", err)
	}
	if said(r, "event-log") == "" {
		t.Error("its absence is no weakness")
	}
}
