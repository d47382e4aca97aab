// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// first is what hostileRecord counts in a first record: one, one, and its pages.
const first = "\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00"

// TestSession: whatever a record did, and however it ended, the next one finds nothing of it.
func TestSession(t *testing.T) {
	s := newSpawner(t)
	x := newSessionOf(t, s, sessionSpec(recordModule([]uint64{1, 64}, hostileRecord())))
	fresh := mustRecord(t, x, "c")
	if fresh.Reason != ReasonNone || string(fresh.Out) != first || fresh.Fuel < 1 {
		t.Fatalf("first record: %+v", fresh)
	}
	seen := map[string]Answer{}
	for _, in := range []string{
		"c", "g", "t", "f", "w", "e", "x", "r", "p", "q", "l", "o", "n", "z", "M", "m", "hello", "", strings.Repeat("a", 1<<16),
		"M", "z", "n", "e", "o", "hello", "l", "q", "m", "p", "r", "", strings.Repeat("a", 4097), "x", "w", "f", "t", "g", "c", strings.Repeat("a", 4096),
	} {
		a := mustRecord(t, x, in)
		if b, ok := seen[in]; ok && !cmp.Equal(a, b) {
			t.Errorf("%.20q: once %+v, then %+v", in, b, a)
		}
		seen[in] = a
		if again := mustRecord(t, x, "c"); !cmp.Equal(again, fresh) {
			t.Errorf("after %.20q: %+v, want %+v", in, again, fresh)
		}
	}
	for in, want := range map[string]string{
		"g": "\x01\x00\x00\x00\x01\x00\x00\x00\x06\x00\x00\x00", "m": "\x01\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00",
		"w": first, "hello": "hello", "": "", "n": "", strings.Repeat("a", 4096): strings.Repeat("a", 4096),
	} {
		if a := seen[in]; a.Reason != ReasonNone || string(a.Out) != want {
			t.Errorf("%.20q: %+v, want %q", in, a, want)
		}
	}
	for in, want := range map[string]string{
		"t": ReasonTrap, "f": ReasonFuel, "e": ReasonTrap, "x": ReasonTrap, "r": ReasonFuel, "p": ReasonTrap, "q": ReasonTrap, "z": ReasonTrap,
		"l": ReasonOutput, "o": ReasonOutput, strings.Repeat("a", 4097): ReasonOutput, "M": ReasonTrap, strings.Repeat("a", 1<<16): ReasonTrap,
	} {
		if a := seen[in]; a.Reason != want || len(a.Out) != 0 || a.Detail == "" {
			t.Errorf("%.20q: %+v, want reason %q", in, a, want)
		}
	}
	if f := seen["f"].Fuel; f != 1<<24 {
		t.Errorf("out of fuel after %d units", f)
	}
	o := x.Close()
	if o.Fuel < 1<<24 || o.Original.IsZero() || o.Rewritten.IsZero() || o.CPU <= 0 || o.Wall <= 0 || o.Peak <= 0 || !cmp.Equal(o, x.Close()) {
		t.Errorf("outcome %+v", o)
	}
	end := wantEnd(t, recordError(t, x), ReasonNone)
	if end.Unwrap() != nil {
		t.Errorf("a closed session: %v", end)
	}
}

// recordError gives a record to a session that must not take it.
func recordError(t *testing.T, x *Session) error {
	t.Helper()
	a, err := x.Record(t.Context(), []byte("c"))
	if err == nil {
		t.Fatalf("answered %+v", a)
	}
	return err
}

func wantEnd(t *testing.T, err error, reason string) *SessionEnd {
	t.Helper()
	end, ok := errors.AsType[*SessionEnd](err)
	if !ok || end.Reason != reason {
		t.Fatalf("err = %v (%+v), want an end with reason %q", err, end, reason)
	}
	return end
}

// TestSessionMemory: memory stops at its limit, in the record that wants more and in no other, and a large one works.
func TestSessionMemory(t *testing.T) {
	sp := sessionSpec(recordModule([]uint64{1}, hostileRecord()))
	sp.RecordFuel = 1 << 40
	x := newSessionOf(t, newSpawner(t), sp)
	for range 3 {
		if a := mustRecord(t, x, "M"); a.Reason != ReasonMemory {
			t.Errorf("%+v", a)
		}
		if a := mustRecord(t, x, "c"); string(a.Out) != first {
			t.Errorf("%+v", a)
		}
	}
	sp = sessionSpec(recordModule([]uint64{1024}, hostileRecord()))
	sp.MemoryBytes = 32 << 20
	_, err := newSpawner(t).Session(t.Context(), sp)
	wantEnd(t, err, ReasonMemory)
}

// TestSessionManyRecords: ten thousand records take no more memory than a few.
func TestSessionManyRecords(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	s := newSpawner(t)
	x := newSessionOf(t, s, sessionSpec(recordModule([]uint64{256, 512}, touchRecord())))
	touch := string(touches(256, 1<<16))
	run := func(n int) {
		for i := range n {
			if a := mustRecord(t, x, touch); a.Reason != ReasonNone {
				t.Fatalf("record %d: %+v", i, a)
			}
		}
	}
	run(500)
	_, worker := workerPids(t, s)
	before := residentBytes(t, worker)
	run(10_000)
	if after := residentBytes(t, worker); after > before+16<<20 {
		t.Errorf("%d bytes after 500 records, %d after 10,000 more", before, after)
	}
}

// residentBytes is all memory of a process that is there.
func residentBytes(t *testing.T, pid int) (sum int64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var n int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &n); err == nil {
			sum = n << 10
		}
	}
	return sum
}

// TestSessionWorkerHolds: in a session, a worker has the file of its guest's memory, no longer than the guest's memory may
// be, and nothing else that a worker of a run has not.
func TestSessionWorkerHolds(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("an undumpable process shows its descriptors to root alone")
	}
	s := newSpawner(t)
	x := newSessionOf(t, s, sessionSpec(recordModule([]uint64{1}, hostileRecord())))
	mustRecord(t, x, "c")
	init, worker := workerPids(t, s)
	for pid, most := range map[int]int{init: 0, worker: 1} {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		fds, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		files := 0
		for _, fd := range fds {
			to, _ := os.Readlink(dir + "/" + fd.Name())
			if !strings.HasPrefix(to, "/memfd:") {
				continue
			}
			files++
			if st, err := os.Stat(dir + "/" + fd.Name()); err != nil || st.Size() != 64<<20 {
				t.Errorf("%s of %v bytes (%v)", to, st, err)
			}
		}
		if files != most {
			t.Errorf("process %d has %d files in memory, want %d", pid, files, most)
		}
	}
}

// TestSessionRefused: what no session should be started for, and guests that do not come to a record.
func TestSessionRefused(t *testing.T) {
	s, good := newSpawner(t), recordModule([]uint64{1}, hostileRecord())
	for name, change := range map[string]func(*SessionSpec){
		"no fuel": func(s *SessionSpec) { s.Fuel = 0 }, "no fuel for records": func(s *SessionSpec) { s.RecordFuel = 0 },
		"too much fuel": func(s *SessionSpec) { s.RecordFuel = maxFuel + 1 }, "no wall": func(s *SessionSpec) { s.Wall = 0 },
		"no record": func(s *SessionSpec) { s.RecordBytes = 0 }, "large record": func(s *SessionSpec) { s.RecordBytes = windowBytes + 1 },
		"no answer": func(s *SessionSpec) { s.OutputBytes = 0 }, "large answer": func(s *SessionSpec) { s.OutputBytes = windowBytes + 1 },
		"no memory": func(s *SessionSpec) { s.MemoryBytes = 0 }, "large memory": func(s *SessionSpec) { s.MemoryBytes = maxMemory + 1 },
	} {
		sp := sessionSpec(good)
		change(&sp)
		if _, err := s.Session(t.Context(), sp); !errors.Is(err, ErrSpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := bytes.Replace(good, []byte("record_alloc"), []byte("record_allot"), 1)
	for name, module := range map[string][]byte{
		"empty": nil, "not a module": []byte("x"), "a command": wasmModule{memory: []uint64{1}}.bytes(), "no record_alloc": other,
	} {
		_, err := s.Session(t.Context(), sessionSpec(module))
		if end := wantEnd(t, err, ReasonModule); end.Fuel != 0 {
			t.Errorf("%s: %+v", name, end)
		}
	}
	x := newSessionOf(t, s, sessionSpec(good))
	if _, err := x.Record(t.Context(), make([]byte, 1<<16+1)); !errors.Is(err, ErrSpec) {
		t.Errorf("a record that is too large: %v", err)
	}
	if a := mustRecord(t, x, "c"); string(a.Out) != first {
		t.Errorf("after a record that was not sent: %+v", a)
	}
}

// TestSessionBroken: whatever happens to the worker or the caller in the middle of a record, the session ends, with the reason.
func TestSessionBroken(t *testing.T) {
	endless := sessionSpec(recordModule([]uint64{1}, hostileRecord()))
	endless.RecordFuel = 1 << 50
	late := func(f func()) { time.AfterFunc(200*time.Millisecond, f) }
	for name, c := range map[string]struct {
		reason string
		cause  error
		wall   time.Duration
		do     func(x *Session, worker int, cancel func())
	}{
		"killed":    {ReasonWorker, nil, time.Minute, func(_ *Session, w int, _ func()) { late(func() { _ = unix.Kill(w, unix.SIGKILL) }) }},
		"stopped":   {ReasonWall, nil, 2 * time.Second, func(_ *Session, w int, _ func()) { late(func() { _ = unix.Kill(w, unix.SIGSTOP) }) }},
		"endless":   {ReasonWall, nil, 2 * time.Second, func(*Session, int, func()) {}},
		"closed":    {ReasonWorker, nil, time.Minute, func(x *Session, _ int, _ func()) { late(func() { x.Close() }) }},
		"cancelled": {ReasonNone, context.Canceled, time.Minute, func(_ *Session, _ int, cancel func()) { late(cancel) }},
	} {
		t.Run(name, func(t *testing.T) {
			s, sp := newSpawner(t), endless
			sp.Wall = c.wall * slowly()
			x := newSessionOf(t, s, sp)
			init, worker := workerPids(t, s)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c.do(x, worker, cancel)
			_, err := x.Record(ctx, []byte("f"))
			if end := wantEnd(t, err, c.reason); !errors.Is(err, c.cause) && c.cause != nil || c.cause == nil && end.Unwrap() != nil {
				t.Errorf("err = %v", err)
			}
			wantDead(t, init, worker)
			wantEnd(t, recordError(t, x), c.reason)
			if o := x.Close(); o.Reason != c.reason {
				t.Errorf("%+v", o)
			}
		})
	}
}

// TestSessionWaits: a session that nobody uses ends at its wall limit too.
func TestSessionWaits(t *testing.T) {
	s, sp := newSpawner(t), sessionSpec(recordModule([]uint64{1}, hostileRecord()))
	sp.Wall = time.Second * slowly()
	x := newSessionOf(t, s, sp)
	init, worker := workerPids(t, s)
	wantDead(t, init, worker)
	wantEnd(t, recordError(t, x), ReasonWall)
}

// BenchmarkSession is a record's way to a guest and back, by the size of the guest's memory and the pages it touches.
func BenchmarkSession(b *testing.B) {
	s := newSpawner(b)
	for _, mib := range []uint64{16, 1024} {
		sp := sessionSpec(recordModule([]uint64{mib * 16}, touchRecord()))
		sp.MemoryBytes, sp.Wall = int64(mib)<<20, time.Hour
		x := newSessionOf(b, s, sp)
		for _, pages := range []uint64{1, 64, 1024} {
			b.Run(fmt.Sprintf("memory=%dMiB/pages=%d", mib, pages), func(b *testing.B) {
				in := touches(uint32(pages), uint32(mib<<20/pages))
				for b.Loop() {
					if a, err := x.Record(b.Context(), in); err != nil || a.Reason != ReasonNone || !slices.Equal(a.Out[4:], binary.LittleEndian.AppendUint32(nil, uint32(mib<<20/pages))) {
						b.Fatal(a, err)
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
		x.Close()
	}
}
