// SPDX-License-Identifier: Apache-2.0

package eventlog_test

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
)

const goTDXGuest = "github.com/google/go-tdx-guest@v0.3.2-0.20250814004405-ffb0869e6f4d"

func ccEvent(register int, typ uint32, data string) eventlog.CCEvent {
	return eventlog.CCEvent{Register: register, Type: typ, Digest: sha512.Sum384([]byte(data)), Data: []byte(data)}
}

func ccBuild(t testing.TB, events ...eventlog.CCEvent) []byte {
	t.Helper()
	b := eventlog.CCHeader()
	for _, e := range events {
		var err error
		if b, err = eventlog.AppendCC(b, e); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// ccExtend is the four registers after events, computed apart from the package.
func ccExtend(events ...eventlog.CCEvent) (out [4][]byte) {
	for i := range out {
		out[i] = make([]byte, 48)
	}
	for _, e := range events {
		if e.Type != eventlog.NoAction {
			d := sha512.Sum384(append(bytes.Clone(out[e.Register-1]), e.Digest[:]...))
			out[e.Register-1] = d[:]
		}
	}
	return out
}

func ccBoot() []eventlog.CCEvent {
	secureBoot := "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c\x0a\x00\x00\x00\x00\x00\x00\x00" +
		"\x01\x00\x00\x00\x00\x00\x00\x00S\x00e\x00c\x00u\x00r\x00e\x00B\x00o\x00o\x00t\x00\x01"
	line := eventlog.CCEvent{
		Register: 3, Type: eventlog.IPL, Digest: sha512.Sum384([]byte("/vmlinuz ro")), Data: []byte("kernel_cmdline: /vmlinuz ro\x00"),
	}
	return []eventlog.CCEvent{ccEvent(1, 0x80000001, secureBoot), ccEvent(2, 4, "\x00\x00\x00\x00"), line}
}

func TestCCRoundTrip(t *testing.T) {
	events := append(ccBoot(), ccEvent(0, eventlog.NoAction, "remark"))
	l, err := eventlog.ParseCC(ccBuild(t, events...))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(events, l.Events); diff != "" {
		t.Error(diff)
	}
	want := ccExtend(events...)
	if err := l.Replay(want); err != nil {
		t.Error(err)
	}
	if b := l.Boot(); b != (eventlog.Boot{SecureBoot: "on", CommandLine: "/vmlinuz ro", CommandLines: 1, Events: 4}) {
		t.Errorf("%+v", b)
	}
	for i := range want {
		bad := want
		bad[i] = bytes.Repeat([]byte{1}, 48)
		if err := l.Replay(bad); !errors.Is(err, eventlog.ErrReplay) {
			t.Errorf("RTMR%d: %v", i, err)
		}
	}
	if err := l.Replay([4][]byte{}); !errors.Is(err, eventlog.ErrReplay) {
		t.Errorf("no registers: %v", err)
	}
}

// TestCCBootSaysNothingUnmeasured: text that is not what the digest is of explains nothing.
func TestCCBootSaysNothingUnmeasured(t *testing.T) {
	for i := range 3 {
		events := ccBoot()
		events[i].Digest[0] ^= 1
		b := (&eventlog.CCLog{Events: events}).Boot()
		if (i == 0 && b.SecureBoot != "") || (i == 2 && b.CommandLine != "") {
			t.Errorf("event %d: %+v", i, b)
		}
	}
	twice := append(ccBoot(), ccBoot()...)
	if b := (&eventlog.CCLog{Events: twice}).Boot(); b.SecureBoot != "" || b.CommandLine != "" || b.CommandLines != 2 {
		t.Errorf("two states of Secure Boot, and two command lines: %+v", b)
	}
	for i := range 3 {
		events := ccBoot()
		events[i].Type = eventlog.NoAction
		b := (&eventlog.CCLog{Events: events}).Boot()
		if (i == 0 && b.SecureBoot != "") || (i == 2 && b.CommandLines != 0) {
			t.Errorf("event %d was never extended: %+v", i, b)
		}
	}
}

// TestCCBootSeesWhatTheHostHides: whoever hands over a log chooses types and texts, but not digests.
func TestCCBootSeesWhatTheHostHides(t *testing.T) {
	for value, want := range map[string]string{"\x00": "off", "\x01": "on", "": "off", "\x02": "", "\x01\x01": ""} {
		variable := []byte(string(ccBoot()[0].Data[:24]) + string(rune(len(value))) + "\x00\x00\x00\x00\x00\x00\x00S\x00e\x00c\x00u\x00r\x00e\x00B\x00o\x00o\x00t\x00" + value)
		for name, hide := range map[string]func(e *eventlog.CCEvent){
			"as it is":     func(*eventlog.CCEvent) {},
			"another type": func(e *eventlog.CCEvent) { e.Type = 0x80000002 },
			"no text":      func(e *eventlog.CCEvent) { e.Data = nil },
			"a lie":        func(e *eventlog.CCEvent) { e.Data = ccBoot()[0].Data },
		} {
			e := ccEvent(1, 0x80000001, string(variable))
			hide(&e)
			if b := (&eventlog.CCLog{Events: []eventlog.CCEvent{e}}).Boot(); b.SecureBoot != want {
				t.Errorf("value %q, %s: %+v", value, name, b)
			}
			e.Register = 2
			if b := (&eventlog.CCLog{Events: []eventlog.CCEvent{e}}).Boot(); b.SecureBoot != "" {
				t.Errorf("value %q, in RTMR1: %+v", value, b)
			}
		}
	}
}

func TestCCEmpty(t *testing.T) {
	for name, b := range map[string][]byte{"no bytes": nil, "header only": eventlog.CCHeader()} {
		if _, err := eventlog.ParseCC(b); !errors.Is(err, eventlog.ErrEmpty) {
			t.Errorf("%s: %v", name, err)
		}
	}
	padded := append(eventlog.CCHeader(), bytes.Repeat([]byte{0xff}, 100)...)
	if _, err := eventlog.TrimCC(padded); !errors.Is(err, eventlog.ErrEmpty) {
		t.Errorf("padding only: %v", err)
	}
	for name, l := range map[string]*eventlog.CCLog{"nil": nil, "zero": {}} {
		if err := l.Replay(ccExtend()); !errors.Is(err, eventlog.ErrEmpty) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTrimCC(t *testing.T) {
	log := ccBuild(t, ccBoot()...)
	for name, padding := range map[string][]byte{
		"none": nil, "zeros": make([]byte, 1<<16), "ones": bytes.Repeat([]byte{0xff}, 8),
		"more than a log may have": bytes.Repeat([]byte{0xff}, 2<<20), "exactly as much": make([]byte, eventlog.MaxLog-len(log)),
	} {
		area := append(bytes.Clone(log), padding...)
		got, err := eventlog.TrimCC(area)
		if err != nil || !bytes.Equal(got, log) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if _, err := eventlog.ParseCC(area); len(padding) > 0 && !errors.Is(err, eventlog.ErrFormat) {
			t.Errorf("%s: padding accepted: %v", name, err)
		}
	}
	for name, padding := range map[string][]byte{
		"mixed": {0, 0xff}, "other": {1, 1, 1, 1}, "zeros, then something": append(make([]byte, 1<<16), 1),
		"too much": make([]byte, eventlog.MaxArea),
	} {
		if _, err := eventlog.TrimCC(append(bytes.Clone(log), padding...)); !errors.Is(err, eventlog.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBanksDoNotMix: a log of the one kind is none of the other.
func TestBanksDoNotMix(t *testing.T) {
	if _, err := eventlog.Parse(ccBuild(t, ccBoot()...)); !errors.Is(err, eventlog.ErrFormat) {
		t.Errorf("CCEL as a TPM's log: %v", err)
	}
	if _, err := eventlog.ParseCC(build(t, event(1, 8, "firmware"))); !errors.Is(err, eventlog.ErrFormat) {
		t.Errorf("a TPM's log as CCEL: %v", err)
	}
	for register, typ := range map[int]uint32{0: 8, 5: 8} {
		b := ccBuild(t, ccEvent(1, typ, "x"))
		b[len(eventlog.CCHeader())] = byte(register)
		if _, err := eventlog.ParseCC(b); !errors.Is(err, eventlog.ErrFormat) {
			t.Errorf("register %d: %v", register, err)
		}
	}
	if _, err := eventlog.AppendCC(eventlog.CCHeader(), eventlog.CCEvent{Register: 5}); !errors.Is(err, eventlog.ErrFormat) {
		t.Errorf("append to register 5: %v", err)
	}
}

// TestCCRealLogs: logs that firmware of real clouds wrote. What they lead to is in the TDX verifier's tests.
func TestCCRealLogs(t *testing.T) {
	l, err := eventlog.TrimCC(attestationtest.ModuleFile(t, goTDXGuest, "testing/testdata/ccel/ccel_data.dat"))
	if err != nil || len(l) != 262144-244043 {
		t.Errorf("Container-Optimized OS: %d bytes, %v", len(l), err)
	}
	for _, c := range []struct {
		repository, name string
		bytes, events    int
	}{
		{"dstack", "dstack_cc-eventlog_samples_ccel.bin", 65536 - 63603, 18},
		{"trustee", "deps_eventlog_test_data_CCEL_AAEL_alibabacloud", 11707, 87},
		{"trustee", "deps_eventlog_test_data_CCEL_data", 1048576 - 1038754, 5},
		{"trustee", "deps_eventlog_test_data_CCEL_data_csv", 0, 0}, // a Hygon machine: SM3 only
		{"trustee", "deps_eventlog_test_data_CCEL_data_gcp", 262144 - 241795, 21},
		{"trustee", "deps_eventlog_test_data_CCEL_data_grub", 65536 - 50406, 37},
		{"trustee", "deps_eventlog_test_data_CCEL_data_grub_gke", 262144 - 240247, 35},
		{"trustee", "deps_eventlog_test_data_CCEL_data_ovmf", 65536 - 63416, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := eventlog.TrimCC(attestationtest.Peer(t, c.repository, c.name))
			if c.events == 0 {
				if !errors.Is(err, eventlog.ErrFormat) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || len(b) != c.bytes {
				t.Fatalf("%d bytes, want %d: %v", len(b), c.bytes, err)
			}
			l, err := eventlog.ParseCC(b)
			if err != nil || len(l.Events) != c.events {
				t.Fatalf("%v", err)
			}
			t.Logf("%+.80v", fmt.Sprint(l.Boot()))
		})
	}
}

func FuzzParseCC(f *testing.F) {
	seed := ccBuild(f, ccBoot()...)
	f.Add(seed)
	f.Add(append(bytes.Clone(seed), make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := eventlog.TrimCC(in)
		if err != nil {
			if !errors.Is(err, eventlog.ErrLog) {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		l, err := eventlog.ParseCC(b)
		if err != nil {
			t.Fatalf("trimmed and refused: %v", err)
		}
		l.Boot()
		if !bytes.HasPrefix(in, b) || len(bytes.Trim(in[len(b):], "\x00")) > 0 && len(bytes.Trim(in[len(b):], "\xff")) > 0 {
			t.Fatal("trimmed more than padding")
		}
		if bytes.HasPrefix(b, eventlog.CCHeader()) && !bytes.Equal(ccBuild(t, l.Events...), b) {
			t.Fatal("re-encoding differs")
		}
		if err := l.Replay(ccExtend(l.Events...)); err != nil {
			t.Fatalf("does not lead where its digests lead: %v", err)
		}
	})
}
