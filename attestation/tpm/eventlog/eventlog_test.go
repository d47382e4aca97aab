// SPDX-License-Identifier: Apache-2.0

package eventlog_test

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // a bank that real logs carry
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
)

var enclave = sha256.Sum256([]byte("enclave"))

func event(pcr int, typ uint32, data string) eventlog.Event {
	return eventlog.Event{PCR: pcr, Type: typ, Digest: sha256.Sum256([]byte(data)), Data: []byte(data)}
}

func build(t testing.TB, events ...eventlog.Event) []byte {
	t.Helper()
	b := eventlog.Header()
	for _, e := range events {
		var err error
		if b, err = eventlog.Append(b, e); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func extend(values ...[32]byte) []byte {
	var pcr [32]byte
	for _, v := range values {
		pcr = sha256.Sum256(append(pcr[:], v[:]...))
	}
	return pcr[:]
}

func TestRoundTrip(t *testing.T) {
	events := []eventlog.Event{
		event(0, 8, "firmware"), event(7, 0x80000001, "secure boot"),
		{PCR: 14, Type: eventlog.IPL, Digest: enclave, Data: []byte(eventlog.EnclaveEvent)},
	}
	l, err := eventlog.Parse(build(t, events...))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(events, l.Events); diff != "" {
		t.Error(diff)
	}
	want := map[int][]byte{0: extend(events[0].Digest), 7: extend(events[1].Digest), 14: extend(enclave), 3: make([]byte, 32)}
	if err := l.Replay(want); err != nil {
		t.Error(err)
	}
	if d := l.Find(14, eventlog.IPL, eventlog.EnclaveEvent); len(d) != 1 || d[0] != enclave {
		t.Errorf("found %x", d)
	}
}

// TestEmptyEventLog: go-tpm-tools takes one for a verified empty machine.
func TestEmptyEventLog(t *testing.T) {
	for name, b := range map[string][]byte{"no bytes": nil, "header only": eventlog.Header()} {
		if _, err := eventlog.Parse(b); !errors.Is(err, eventlog.ErrEmpty) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (&eventlog.Log{}).Replay(map[int][]byte{0: make([]byte, 32)}); !errors.Is(err, eventlog.ErrEmpty) {
		t.Errorf("zero log: %v", err)
	}
	if err := (*eventlog.Log)(nil).Replay(map[int][]byte{0: make([]byte, 32)}); !errors.Is(err, eventlog.ErrEmpty) {
		t.Errorf("nil log: %v", err)
	}
}

// TestReplayRefused: go-attestation verifies a log against no PCRs, and does not flag those that the log leaves out.
func TestReplayRefused(t *testing.T) {
	l, err := eventlog.Parse(build(t, event(0, 8, "firmware"), event(14, eventlog.IPL, "x")))
	if err != nil {
		t.Fatal(err)
	}
	zero, ok := make([]byte, 32), extend(sha256.Sum256([]byte("firmware")))
	for name, want := range map[string]map[int][]byte{
		"no PCR":                     {},
		"nil":                        nil,
		"mentioned but zero":         {0: zero},
		"another value":              {0: extend(enclave)},
		"absent and not zero":        {0: ok, 7: extend(enclave)},
		"absent and short":           {0: ok, 7: nil},
		"one of two":                 {0: ok, 14: zero},
		"a register that is none":    {0: ok, 24: zero},
		"a register below the first": {-1: zero},
	} {
		if err := l.Replay(want); !errors.Is(err, eventlog.ErrReplay) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestReplayOrderAndRepeats(t *testing.T) {
	a, b := event(4, 3+1, "a"), event(4, 3+1, "b")
	want := map[int][]byte{4: extend(a.Digest, b.Digest)}
	for name, c := range map[string]struct {
		events []eventlog.Event
		ok     bool
	}{
		"in order": {[]eventlog.Event{a, b}, true}, "swapped": {[]eventlog.Event{b, a}, false},
		"repeated": {[]eventlog.Event{a, b, b}, false}, "dropped": {[]eventlog.Event{a}, false},
		"with a remark": {[]eventlog.Event{a, event(4, eventlog.NoAction, "remark"), b}, true},
	} {
		l, err := eventlog.Parse(build(t, c.events...))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Replay(want); (err == nil) != c.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestStartupLocality(t *testing.T) {
	locality := eventlog.Event{PCR: 0, Type: eventlog.NoAction, Data: []byte("StartupLocality\x00\x03")}
	start := [32]byte{31: 3}
	digest := sha256.Sum256([]byte("firmware"))
	pcr := sha256.Sum256(append(start[:], digest[:]...))
	l, err := eventlog.Parse(build(t, locality, event(0, 8, "firmware")))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Replay(map[int][]byte{0: pcr[:]}); err != nil {
		t.Error(err)
	}
	elsewhere := locality
	elsewhere.PCR = 1
	long := locality
	long.Data = append(bytes.Clone(long.Data), 0)
	for name, events := range map[string][]eventlog.Event{
		"late": {event(0, 8, "firmware"), locality}, "in another PCR": {elsewhere}, "long": {long},
	} {
		l, err := eventlog.Parse(build(t, events...))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Replay(map[int][]byte{3: make([]byte, 32)}); !errors.Is(err, eventlog.ErrFormat) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// header with the given algorithms, as firmware with several banks writes it.
func header(algs ...[2]uint16) []byte {
	spec := []byte("Spec ID Event03\x00\x00\x00\x00\x00\x00\x02\x00\x02")
	spec = binary.LittleEndian.AppendUint32(spec, uint32(len(algs)))
	for _, a := range algs {
		spec = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(spec, a[0]), a[1])
	}
	spec = append(spec, 3, 'v', 'e', 'n')
	b := append(make([]byte, 4), 3, 0, 0, 0)
	b = append(b, make([]byte, 20)...)
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(spec))), spec...)
}

func TestSeveralBanks(t *testing.T) {
	b := header([2]uint16{4, 20}, [2]uint16{0x0b, 32})
	b = append(b, 14, 0, 0, 0, 0x0d, 0, 0, 0, 2, 0, 0, 0)
	short := sha1.Sum([]byte("x")) //nolint:gosec // see above
	b = append(append(b, 4, 0), short[:]...)
	b = append(append(b, 0x0b, 0), enclave[:]...)
	b = append(b, 0, 0, 0, 0)
	l, err := eventlog.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Replay(map[int][]byte{14: extend(enclave)}); err != nil {
		t.Error(err)
	}
}

// TestOneBankTwice: an event with two SHA-256 digests would mean whatever its reader takes.
func TestOneBankTwice(t *testing.T) {
	b := header([2]uint16{0x0c, 32}, [2]uint16{0x0b, 32})
	b = append(b, 14, 0, 0, 0, 0x0d, 0, 0, 0, 2, 0, 0, 0)
	for range 2 {
		b = append(append(b, 0x0b, 0), enclave[:]...)
	}
	if _, err := eventlog.Parse(append(b, 0, 0, 0, 0)); !errors.Is(err, eventlog.ErrFormat) {
		t.Errorf("got %v", err)
	}
}

func TestMalformed(t *testing.T) {
	sha256Only := header([2]uint16{0x0b, 32})
	with := func(b []byte, at int, v byte) []byte {
		c := bytes.Clone(b)
		c[at] = v
		return c
	}
	good := build(t, event(14, eventlog.IPL, "x"))
	start := len(eventlog.Header())
	one := append([]byte{14, 0, 0, 0, 0x0d, 0, 0, 0, 1, 0, 0, 0, 0x0b, 0}, make([]byte, 32)...)
	for name, b := range map[string][]byte{
		"not a log":            []byte("not a log"),
		"SHA-1 log":            with(good, 32, 'X'),
		"header in PCR 1":      with(good, 0, 1),
		"header of other type": with(good, 4, 1),
		"header with digest":   with(good, 8, 1),
		"no algorithm":         header(),
		"no SHA-256":           header([2]uint16{4, 20}),
		"SHA-256 of 20 bytes":  header([2]uint16{0x0b, 20}),
		"algorithm twice":      header([2]uint16{0x0b, 32}, [2]uint16{0x0b, 32}),
		"too many algorithms":  header([][2]uint16{{1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}, {7, 1}, {8, 1}, {0x0b, 32}}...),
		"digest of no bytes":   header([2]uint16{4, 0}, [2]uint16{0x0b, 32}),
		"digest of 65 bytes":   header([2]uint16{4, 65}, [2]uint16{0x0b, 32}),
		"PCR 24":               with(good, start, 24),
		"two digests":          with(good, start+8, 2),
		"unknown algorithm":    with(good, start+12, 0x0c),
		"event data too long":  append(bytes.Clone(sha256Only), append(one, 0xff, 0xff, 0xff, 0xff)...),
		"cut":                  good[:len(good)-1],
		"trailing byte":        append(bytes.Clone(good), 0),
		"too large":            make([]byte, eventlog.MaxLog+1),
	} {
		if _, err := eventlog.Parse(b); !errors.Is(err, eventlog.ErrFormat) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	many := bytes.Clone(sha256Only)
	for range 8193 {
		many = append(append(many, one...), 0, 0, 0, 0)
	}
	if _, err := eventlog.Parse(many); !errors.Is(err, eventlog.ErrFormat) {
		t.Errorf("too many events: got %v", err)
	}
	if _, err := eventlog.Append(eventlog.Header(), eventlog.Event{PCR: 24}); !errors.Is(err, eventlog.ErrFormat) {
		t.Errorf("append to PCR 24: got %v", err)
	}
}

func TestFindIgnoresWhatWasNeverExtended(t *testing.T) {
	l, err := eventlog.Parse(build(t, event(14, eventlog.NoAction, eventlog.EnclaveEvent), event(13, eventlog.IPL, eventlog.EnclaveEvent)))
	if err != nil {
		t.Fatal(err)
	}
	if d := l.Find(14, eventlog.NoAction, eventlog.EnclaveEvent); len(d) != 0 {
		t.Errorf("found %x", d)
	}
	if d := l.Find(14, eventlog.IPL, eventlog.EnclaveEvent); len(d) != 0 {
		t.Errorf("found %x", d)
	}
}

func FuzzParse(f *testing.F) {
	seed := build(f, event(0, 8, "firmware"), event(14, eventlog.IPL, "x"))
	f.Add(seed)
	f.Add(append(header([2]uint16{4, 20}, [2]uint16{0x0b, 32}), make([]byte, 100)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		l, err := eventlog.Parse(in)
		if err != nil {
			if !errors.Is(err, eventlog.ErrLog) {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		if bytes.HasPrefix(in, eventlog.Header()) {
			// Property: a log with our header is exactly what Append writes.
			if out := build(t, l.Events...); !bytes.Equal(out, in) {
				t.Fatal("re-encoding differs")
			}
		}
		// Property: no log leads to a register that its digests do not.
		want := map[int][]byte{}
		for pcr := range 24 {
			var v []byte
			for _, e := range l.Events {
				if e.PCR == pcr && e.Type != eventlog.NoAction {
					v = append(v, e.Digest[:]...)
				}
			}
			want[pcr] = append([]byte("x"), v...)[:min(32, len(v)+1)]
		}
		if l.Replay(want) == nil {
			t.Fatal("leads to arbitrary registers")
		}
	})
}
