// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/snp/snptest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

var digest = envelope.Digest{1, 2, 3}

// chip answers as a guest's firmware, with a table.
func chip(t *testing.T, change func(b []byte), table []byte) source {
	l := snptest.New(t, "Genoa")
	k := l.VCEK(t, l.TCB(), nil)
	return func(_ context.Context, data [64]byte) (report, out []byte, err error) {
		b := l.Report(data)
		if change != nil {
			change(b)
		}
		return k.Sign(t, b), table, nil
	}
}

// entry is one of a table under construction.
type entry struct {
	guid string
	body []byte
}

func makeTable(entries ...entry) []byte {
	list := make([]byte, (len(entries)+1)*entrySize)
	var bodies []byte
	for i, e := range entries {
		copy(list[i*entrySize:], unhex(e.guid))
		binary.LittleEndian.PutUint32(list[i*entrySize+16:], uint32(len(list)+len(bodies)))
		binary.LittleEndian.PutUint32(list[i*entrySize+20:], uint32(len(e.body)))
		bodies = append(bodies, e.body...)
	}
	return append(list, bodies...)
}

func unhex(guid string) []byte {
	var out []byte
	s := strings.ReplaceAll(guid, "-", "")
	for i := 0; i < len(s); i += 2 {
		out = append(out, unnibble(s[i])<<4|unnibble(s[i+1]))
	}
	return out
}

func unnibble(c byte) byte { return byte(strings.IndexByte("0123456789abcdef", c)) }

func TestCollect(t *testing.T) {
	file := filepath.Join(t.TempDir(), "endorsements.json")
	list, err := json.Marshal([]attestation.Endorsement{{Type: attestation.CRLType, Body: []byte("list")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, list, 0o600); err != nil {
		t.Fatal(err)
	}
	table := makeTable(entry{guidVCEK, []byte("key")}, entry{"ecae0c0f-9502-43b1-afa2-0ae2e0d565b6", []byte("platform")}, entry{guidASK, []byte("ask")})
	for name, c := range map[string]struct {
		cfg   Config
		table []byte
		want  []string
	}{
		"no certificates": {Config{}, nil, nil},
		"empty buffer":    {Config{}, make([]byte, 16384), nil},
		"the host's":      {Config{}, append(table, make([]byte, 100)...), []string{"key", "ask"}},
		"both":            {Config{file}, table, []string{"list", "key", "ask"}},
	} {
		col, err := newCollector(c.cfg, chip(t, nil, c.table))
		if err != nil {
			t.Fatal(err)
		}
		e, err := col.Collect(t.Context(), digest)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r, err := ParseReport(e.Evidence)
		if err != nil || r.ReportData != attestation.ReportData(digest) || e.Platform != attestation.PlatformSNP || col.Platform() != e.Platform {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, x := range e.Endorsements {
			got = append(got, string(x.Body))
		}
		if strings.Join(got, " ") != strings.Join(c.want, " ") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestCollectRefuses(t *testing.T) {
	fault := errors.New("fault")
	for name, c := range map[string]struct {
		src  source
		want error
	}{
		"other data":      {chip(t, func(b []byte) { b[0x50] ^= 1 }, nil), ErrDevice},
		"VMPL 1":          {chip(t, func(b []byte) { b[0x30] = 1 }, nil), ErrDevice},
		"unknown version": {chip(t, func(b []byte) { b[0] = 9 }, nil), ErrReport},
		"bad table":       {chip(t, nil, []byte("x")), ErrTable},
		"fault":           {func(context.Context, [64]byte) ([]byte, []byte, error) { return nil, nil, fault }, fault},
		"short report":    {func(context.Context, [64]byte) ([]byte, []byte, error) { return make([]byte, 10), nil, nil }, ErrReport},
	} {
		col, err := newCollector(Config{}, c.src)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := col.Collect(t.Context(), digest); !errors.Is(err, c.want) || e.Evidence != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	col, err := newCollector(Config{}, chip(t, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := col.Collect(t.Context(), envelope.Digest{}); !errors.Is(err, attestation.ErrBinding) {
		t.Errorf("nothing to bind to: %v", err)
	}
	if _, err := newCollector(Config{EndorsementsFile: filepath.Join(t.TempDir(), "absent")}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestOpenHere: this machine is no guest, unless it is one.
func TestOpenHere(t *testing.T) {
	if _, err := Open(Config{}); err != nil && !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestParseTable(t *testing.T) {
	good := makeTable(entry{guidVLEK, []byte("vlek")}, entry{guidARK, []byte("ark")})
	certs, err := ParseTable(good)
	if err != nil || string(bytes.Join(certs, []byte(" "))) != "vlek ark" {
		t.Fatalf("%q %v", certs, err)
	}
	put := func(at int, v uint32) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	long := make([]entry, maxEntries+1)
	for i := range long {
		long[i] = entry{guidARK, []byte("x")}
	}
	for name, b := range map[string][]byte{
		"empty":                       {},
		"cut list":                    good[:30],
		"list without an end":         good[:48],
		"too many":                    makeTable(long...),
		"oversized":                   make([]byte, maxTable+1),
		"beyond the end":              put(20, 100),
		"overflow":                    put(20, 0xffffffff),
		"offset and length overflow":  func() []byte { b := put(16, 0xfffffff0); binary.LittleEndian.PutUint32(b[20:], 0x20); return b }(),
		"in the list":                 put(16, 24),
		"empty certificate":           put(20, 0),
		"shares bytes with another":   put(40, 72),
		"oversized certificate":       makeTable(entry{guidVCEK, make([]byte, maxCertificate+1)}),
		"certificate cut off the end": good[:len(good)-1],
	} {
		if _, err := ParseTable(b); !errors.Is(err, ErrTable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseTable(f *testing.F) {
	f.Add(makeTable(entry{guidVLEK, []byte("vlek")}, entry{guidARK, []byte("ark")}))
	f.Add(make([]byte, entrySize))
	f.Fuzz(func(t *testing.T, b []byte) {
		certs, err := ParseTable(b)
		if err != nil && !errors.Is(err, ErrTable) {
			t.Fatalf("unclassified: %v", err)
		}
		total := 0
		for _, c := range certs {
			total += len(c)
		}
		if total > len(b) {
			t.Fatal("more certificates than bytes")
		}
	})
}

func FuzzParseReport(f *testing.F) {
	for _, name := range []string{"Milan", "Genoa", "Turin"} {
		f.Add(snptest.New(f, name).Report([64]byte{1}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseReport(b)
		if err != nil {
			if !errors.Is(err, ErrReport) {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		if !bytes.Equal(r.Signed, b[:SignedSize]) || !bytes.Equal(r.ReportData[:], b[0x50:0x90]) || len(r.R) != 48 || len(r.S) != 48 {
			t.Fatal("misread")
		}
	})
}

// TestReservedBytes: every byte that the ABI reserves, in every version.
func TestReservedBytes(t *testing.T) {
	used := [][2]int{{0, 0x4c}, {0x50, 0x188}, {0x1a0, 0x1eb}, {0x1ec, 0x1ef}, {0x1f0, 0x1f8}, {0x2a0, 0x2d0}, {0x2e8, 0x318}}
	l := snptest.New(t, "Genoa")
	for _, v := range []byte{2, 3, 4, 5} {
		free := used
		if v >= 3 {
			free = append(free[:len(free):len(free)], [2]int{0x188, 0x18b})
		}
		if v >= 4 {
			free = append(free[:len(free):len(free)], [2]int{0x1f8, 0x208})
		}
		for at := range ReportSize {
			b := l.Report([64]byte{})
			b[0] = v
			if v == 2 {
				clear(b[0x188:0x18b])
			}
			inUse := false
			for _, r := range free {
				inUse = inUse || at >= r[0] && at < r[1]
			}
			if inUse {
				continue
			}
			b[at] = 0x80
			if _, err := ParseReport(b); !errors.Is(err, ErrReport) {
				t.Fatalf("version %d: byte %#x is reserved and accepted", v, at)
			}
		}
	}
}
