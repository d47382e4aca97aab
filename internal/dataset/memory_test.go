// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

// memoryBound is what packing and reading may take above what the process had before.
const memoryBound = 64 << 20

// fullSize makes the memory test run on 4 GiB instead of a size that ordinary runs can afford.
const fullSize = "GLOVEBOX_TEST_4GIB"

// TestBoundedMemory packs and reads far more than it may hold.
func TestBoundedMemory(t *testing.T) {
	size := int64(256 << 20)
	switch {
	case testing.Short():
		size = 96 << 20
	case os.Getenv(fullSize) != "":
		size = 4 << 30
	}
	f := newFixture(t)
	cfg := f.config(FormatCSV, "")
	cfg.SegmentBytes, cfg.BatchBytes = 0, 0
	cfg.Source = &endlessCSV{left: size, row: []byte(bigCSV(1 << 20))}
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600); err != nil {
		t.Skipf("peak memory cannot be measured here: %v", err)
	}
	base := peakRSS(t)

	start := time.Now()
	p := f.pack(cfg)
	packed := time.Since(start)

	start = time.Now()
	s, err := OpenStream(context.Background(), p.Manifest, f.store, f.key, p.Manifest.AllLeaves())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var records int64
	for off := int64(0); off < s.Size(); {
		b, err := s.Batch(context.Background(), off)
		if err != nil {
			t.Fatal(err)
		}
		off, records = off+int64(len(b.Raw)), records+int64(b.Records)
	}
	read := time.Since(start)

	start = time.Now()
	if err := VerifyBlobs(context.Background(), p.Manifest, f.store); err != nil {
		t.Fatal(err)
	}
	verified := time.Since(start)

	peak := peakRSS(t) - base
	rate := func(d time.Duration) int64 { return int64(float64(p.Manifest.RawBytes>>20) / d.Seconds()) }
	t.Logf("%d MiB, %d records: pack %d MiB/s, read %d MiB/s, verify %d MiB/s, peak %d MiB above baseline",
		p.Manifest.RawBytes>>20, records, rate(packed), rate(read), rate(verified), peak>>20)
	if records != p.Manifest.Records || s.Size() < size {
		t.Errorf("read %d records, want %d", records, p.Manifest.Records)
	}
	if peak > memoryBound {
		t.Errorf("peak memory is %d MiB above baseline, want at most %d", peak>>20, memoryBound>>20)
	}
}

// endlessCSV repeats a block of lines, header first, until about left bytes were read.
type endlessCSV struct {
	left int64
	row  []byte
	at   int
}

func (e *endlessCSV) Read(p []byte) (int, error) {
	if e.at == len(e.row) {
		if e.left <= 0 {
			return 0, io.EOF
		}
		e.at = bytes.IndexByte(e.row, '\n') + 1
	}
	n := copy(p, e.row[e.at:])
	e.at += n
	e.left -= int64(n)
	return n, nil
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

func peakRSS(t testing.TB) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("peak memory cannot be measured here: %v", err)
	}
	m := highWater.FindSubmatch(b)
	if m == nil {
		t.Skip("peak memory cannot be measured here: no VmHWM")
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}
