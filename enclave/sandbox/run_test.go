// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// memData is a data provider over memory.
type memData [][]byte

func (m memData) Range(_ context.Context, file int, off int64, _ int) ([]byte, int, error) {
	return m[file][off:], 0, nil
}

// hookData calls a function for each request instead, and lends as many bytes as are wanted at most.
type hookData func(ctx context.Context, p []byte) (int, error)

func (h hookData) Range(ctx context.Context, _ int, _ int64, want int) ([]byte, int, error) {
	p := make([]byte, want)
	n, err := h(ctx, p)
	return p[:n], 0, err
}

func newSpawner(t testing.TB) *Spawner {
	t.Helper()
	s, err := StartSpawner(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		wantNoCgroups(t, s)
	})
	return s
}

// spec is a small run of module.
func spec(module []byte) Spec {
	return Spec{
		Module: module, Outputs: []Output{{"result", 1 << 10}}, MemoryBytes: 64 << 20, OutputBytes: 1 << 20, Fuel: 1 << 40,
		Wall: 30 * time.Second, Logs: true,
	}
}

// outcome runs a module that is expected to come to an end by itself.
func outcome(t *testing.T, sp Spec, d Data) *Outcome {
	t.Helper()
	o, err := newSpawner(t).Run(t.Context(), sp, d)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(o.Isolation, namespaceStamp+";seccomp;") && len(sp.Module) > 0 && len(sp.Module) <= MaxModule {
		t.Errorf("isolation %q", o.Isolation)
	}
	return o
}

func wantReason(t *testing.T, o *Outcome, reason string) {
	t.Helper()
	if o.Reason != reason {
		t.Errorf("reason %q (%s), want %q\n%s", o.Reason, o.Detail, reason, o.Logs)
	}
	if reason != ReasonNone && len(o.Outputs) != 0 {
		t.Errorf("a failed run let out %d files", len(o.Outputs))
	}
}

func filesSpec(t *testing.T) (Spec, Data) {
	sp := spec(buildGuest(t))
	sp.Files = []File{{"set/records.csv", 10}, {"set/empty", 0}}
	sp.Params = map[string]string{"COLOUR": "blue"}
	return sp, memData{[]byte("0123456789"), nil}
}

func TestGuestFiles(t *testing.T) {
	sp, d := filesSpec(t)
	o := outcome(t, sp, d)
	wantReason(t, o, ReasonNone)
	if !strings.Contains(string(o.Logs), "all as it should be") {
		t.Errorf("guest found: %s", o.Logs)
	}
	if o.Undeclared != 1 || len(o.Outputs) != 1 || o.Outputs[0].Name != "result" {
		t.Errorf("outputs %v, %d undeclared; want result and one dropped", o.Outputs, o.Undeclared)
	}
	if o.CPU <= 0 || o.Wall <= 0 || o.Peak <= 0 {
		t.Errorf("figures missing: %+v", o)
	}
}

// TestSameSeedSameResult: a run is a function of module, data, parameters and seed.
func TestSameSeedSameResult(t *testing.T) {
	sp, d := filesSpec(t)
	a, b := outcome(t, sp, d), outcome(t, sp, d)
	if diff := cmp.Diff(a.Outputs, b.Outputs); diff != "" {
		t.Errorf("two runs differ:\n%s", diff)
	}
	if !bytes.Equal(a.Logs, b.Logs) {
		t.Error("logs of two runs differ")
	}
	if a.Fuel != b.Fuel || a.Rewritten != b.Rewritten {
		t.Errorf("%d and %d units of fuel, %s and %s", a.Fuel, b.Fuel, a.Rewritten, b.Rewritten)
	}
	sp.Seed[0] = 1
	if c := outcome(t, sp, d); cmp.Equal(a.Outputs, c.Outputs) {
		t.Error("another seed, the same result")
	}
}

func TestLogsOnlyWhenAsked(t *testing.T) {
	sp, d := filesSpec(t)
	sp.Logs = false
	if o := outcome(t, sp, d); len(o.Logs) != 0 {
		t.Errorf("%d bytes of logs", len(o.Logs))
	}
}

func TestGuestTraps(t *testing.T) {
	wantReason(t, outcome(t, spec(wasmModule{code: opUnreachable}.bytes()), nil), ReasonTrap)
}

func TestGuestExitsWithStatus(t *testing.T) {
	m := wasmModule{code: slices.Concat(i32const(3), callFn(0)), imports: []wasmImport{{"wasi_snapshot_preview1", "proc_exit", 1}}}.bytes()
	m = bytes.Replace(m, []byte{0x60, 1, 0x7f, 1, 0x7f}, []byte{0x60, 1, 0x7f, 0}, 1) // proc_exit returns nothing
	m[9]--                                                                            // length of the type section
	o := outcome(t, spec(m), nil)
	wantReason(t, o, ReasonTrap)
	if !strings.Contains(o.Detail, "3") {
		t.Errorf("detail %q does not name the status", o.Detail)
	}
}

func TestGuestRecursesForEver(t *testing.T) {
	wantReason(t, outcome(t, spec(wasmModule{code: callFn(0)}.bytes()), nil), ReasonTrap)
}

func TestGuestLoopsForEver(t *testing.T) {
	sp := spec(wasmModule{code: opForEver}.bytes())
	sp.Wall = time.Second
	o := outcome(t, sp, nil)
	wantReason(t, o, ReasonWall)
	if o.Wall > 3*time.Second {
		t.Errorf("killed after %s, limit %s", o.Wall, sp.Wall)
	}
}

// TestCompileBomb: compile time is quadratic in nesting; such a module is refused before anything compiles it.
func TestCompileBomb(t *testing.T) {
	for _, depth := range []int{20_000, 100_000} {
		o := outcome(t, spec(wasmModule{code: slices.Concat(
			bytes.Repeat([]byte{0x02, 0x40}, depth), bytes.Repeat([]byte{0x0b}, depth),
		)}.bytes()), nil)
		wantReason(t, o, ReasonModule)
		if o.Wall > 5*time.Second {
			t.Errorf("%d blocks: refused after %s", depth, o.Wall)
		}
	}
}

// growForEver grows memory page by page and traps when it cannot.
func growForEver(by int32) []byte {
	return slices.Concat(
		[]byte{0x03, 0x40}, i32const(by), []byte{0x40, 0x00}, i32const(-1), []byte{0x46, 0x04, 0x40}, // loop grow == -1 if
		opUnreachable, []byte{0x0b, 0x0c, 0x00, 0x0b}, // unreachable end br 0 end
	)
}

func TestGuestAllocatesWithoutEnd(t *testing.T) {
	for name, by := range map[string]int32{"by page": 1, "by gigabyte": 16384} {
		t.Run(name, func(t *testing.T) {
			wantReason(t, outcome(t, spec(wasmModule{memory: []uint64{1}, code: growForEver(by)}.bytes()), nil), ReasonMemory)
		})
	}
}

func TestGuestNeedsTooMuchMemoryToStart(t *testing.T) {
	wantReason(t, outcome(t, spec(wasmModule{memory: []uint64{2048}}.bytes()), nil), ReasonMemory)
}

// TestGuestGrowsTable: a table is the engine's memory, not the module's; the worker's limits hold it.
func TestGuestGrowsTable(t *testing.T) {
	grow := slices.Concat([]byte{0x03, 0x40, 0xd0, 0x70}, i32const(1<<20), []byte{0xfc, 0x0f, 0x00}, i32const(-1),
		[]byte{0x46, 0x04, 0x40}, opUnreachable, []byte{0x0b, 0x0c, 0x00, 0x0b})
	sp := spec(wasmModule{table: true, code: grow}.bytes())
	o := outcome(t, sp, nil)
	if o.Reason == ReasonNone {
		t.Error("a table grew without end")
	}
	if o.Peak > sp.MemoryBytes+2*sp.OutputBytes+workerOverhead+64<<20 { // and the binary's own pages, which are shared
		t.Errorf("peak %d", o.Peak)
	}
}

func TestModuleRefused(t *testing.T) {
	wasi := "wasi_snapshot_preview1"
	for name, m := range map[string][]byte{
		"empty":           {},
		"garbage":         []byte("#!/bin/sh\n"),
		"truncated":       wasmModule{}.bytes()[:20],
		"larger":          make([]byte, MaxModule+1),
		"unknown import":  wasmModule{imports: []wasmImport{{wasi, "sock_open", 3}}}.bytes(),
		"foreign import":  wasmModule{imports: []wasmImport{{"env", "fd_write", 4}}}.bytes(),
		"no start":        wasmModule{export: "main"}.bytes(),
		"wrong signature": wasmModule{imports: []wasmImport{{wasi, "fd_write", 2}}}.bytes(),
		"shared memory":   bytes.Replace(wasmModule{memory: []uint64{1, 1}}.bytes(), []byte{5, 4, 1, 1}, []byte{5, 4, 1, 3}, 1),
		"invalid code":    wasmModule{code: opDrop}.bytes(),
		"tail call":       wasmModule{code: []byte{0x12, 0x00}}.bytes(),
	} {
		t.Run(name, func(t *testing.T) { wantReason(t, outcome(t, spec(m), nil), ReasonModule) })
	}
}

// writer is a module that opens /out/name and writes size bytes, times times, ignoring errors.
func writer(name string, size, times int32) []byte {
	wasi := "wasi_snapshot_preview1"
	data := make([]byte, 64)
	copy(data[16:], name)
	data[0] = 128 // iovec at 0: address, length
	copy(data[4:], []byte{byte(size), byte(size >> 8), byte(size >> 16), byte(size >> 24)})
	open := slices.Concat(i32const(4), i32const(0), i32const(16), i32const(int32(len(name))), i32const(1)) // /out, O_CREAT
	open = append(open, 0x42, 0x7f, 0x42, 0x7f)                                                            // all rights, i64
	open = slices.Concat(open, i32const(0), i32const(8), callFn(0), opDrop)
	write := slices.Concat(
		i32const(8), []byte{0x28, 2, 0}, i32const(0), i32const(1), i32const(12), callFn(1), opDrop, // fd_write(*8, 0, 1, 12)
	)
	loop := slices.Concat([]byte{0x03, 0x40}, write, []byte{0x20, 0}, i32const(1), []byte{0x6a, 0x22, 0}, i32const(times),
		[]byte{0x48, 0x0d, 0x00, 0x0b})
	m := wasmModule{
		memory: []uint64{64}, data: data, locals: []byte{0x7f}, code: append(open, loop...),
		imports: []wasmImport{{wasi, "path_open", 9}, {wasi, "fd_write", 4}},
	}.bytes()
	nine := slices.Repeat([]byte{0x7f}, 9)
	return bytes.Replace(m, nine, []byte{0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7e, 0x7e, 0x7f, 0x7f}, 1)
}

func TestGuestWritesTooMuch(t *testing.T) {
	for name, m := range map[string]struct {
		module []byte
		reason string
	}{
		"just enough":         {writer("result", 1<<10, 1), ReasonNone},
		"one byte too much":   {writer("result", 1<<10+1, 1), ReasonOutput},
		"in small pieces":     {writer("result", 1, 1<<10+1), ReasonOutput},
		"undeclared, allowed": {writer("scratch", 1<<20, 1), ReasonNone},
		"undeclared":          {writer("scratch", 1<<20, 2), ReasonOutput},
		"without end":         {writer("scratch", 1<<20, 1<<30), ReasonOutput},
	} {
		t.Run(name, func(t *testing.T) {
			sp := spec(m.module)
			sp.Fuel = 1 << 30 // for the one that ignores every error and never stops
			wantReason(t, outcome(t, sp, nil), m.reason)
		})
	}
}

func TestGuestWritesOutsideOut(t *testing.T) {
	for _, name := range []string{"../result", "/etc/passwd", "a/../../result", "dir/result"} {
		o := outcome(t, spec(writer(name, 8, 1)), nil)
		wantReason(t, o, ReasonNone) // it ignores that nothing worked
		if len(o.Outputs) != 0 || o.Undeclared != 0 {
			t.Errorf("%s: %d outputs, %d undeclared", name, len(o.Outputs), o.Undeclared)
		}
	}
}

func TestSpecRefused(t *testing.T) {
	s := newSpawner(t)
	for name, change := range map[string]func(*Spec){
		"no memory":         func(s *Spec) { s.MemoryBytes = 0 },
		"too much memory":   func(s *Spec) { s.MemoryBytes = maxMemory + 1 },
		"no output limit":   func(s *Spec) { s.OutputBytes = 0 },
		"no wall":           func(s *Spec) { s.Wall = 0 },
		"no outputs":        func(s *Spec) { s.Outputs = nil },
		"output with path":  func(s *Spec) { s.Outputs[0].Name = "a/b" },
		"output is parent":  func(s *Spec) { s.Outputs[0].Name = ".." },
		"output unbounded":  func(s *Spec) { s.Outputs[0].MaxBytes = 0 },
		"output twice":      func(s *Spec) { s.Outputs = append(s.Outputs, s.Outputs[0]) },
		"file outside":      func(s *Spec) { s.Files = []File{{"../x", 1}} },
		"file rooted":       func(s *Spec) { s.Files = []File{{"/x", 1}} },
		"file twice":        func(s *Spec) { s.Files = []File{{"x", 1}, {"x", 1}} },
		"file is directory": func(s *Spec) { s.Files = []File{{"x/y", 1}, {"x", 1}} },
		"negative size":     func(s *Spec) { s.Files = []File{{"x", -1}} },
		"no data":           func(s *Spec) { s.Files = []File{{"x", 1}} },
		"parameter":         func(s *Spec) { s.Params = map[string]string{"A=B": ""} },
	} {
		t.Run(name, func(t *testing.T) {
			sp := spec(wasmModule{}.bytes())
			change(&sp)
			if o, err := s.Run(t.Context(), sp, nil); !errors.Is(err, ErrSpec) || o != nil {
				t.Errorf("outcome %v, err %v; want ErrSpec", o, err)
			}
		})
	}
}
