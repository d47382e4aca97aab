// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"errors"
	"testing"
)

// echo is a guest of record/1 that answers with its record; alloc says where records go.
func echo(alloc ...[]byte) module {
	return module{memory: []uint64{1}, funcs: []function{
		{export: allocFunction, params: []byte{i32}, results: []byte{i32}, code: code(alloc...)},
		{export: recordFunction, params: []byte{i32, i32}, results: []byte{i64}, code: code(
			localGet(0), op(0xad), con64(32), op(0x86), localGet(1), op(0xad, 0x84))},
	}}
}

func TestRecord(t *testing.T) {
	m := compile(t, echo(con32(64)).bytes())
	if err := m.Recorder(); err != nil {
		t.Fatal(err)
	}
	i := instantiate(t, m, snapshots(t))
	if err := errors.Join(i.Initialize(t.Context()), i.Refuel(10_000), i.Snapshot()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		out, err := i.Record(t.Context(), []byte("hello"), 5)
		if err != nil || string(out) != "hello" || i.Used() < 1 {
			t.Errorf("%q, %v, %d units", out, err, i.Used())
		}
		used := i.Used()
		if err := i.Restore(); err != nil || i.Used() != 0 {
			t.Fatal(err, i.Used())
		}
		if _, err := i.Record(t.Context(), []byte("hello"), 4); !errors.Is(err, ErrAnswer) {
			t.Errorf("too long: %v", err)
		}
		if i.Used() > used {
			t.Errorf("%d and %d units", i.Used(), used)
		}
		if err := i.Restore(); err != nil {
			t.Fatal(err)
		}
		if _, err := i.Record(t.Context(), make([]byte, 60_000), 1<<20); !errors.Is(err, ErrFuel) || i.Used() != 10_000 {
			t.Errorf("bytes without the fuel for them: %v, %d units", err, i.Used())
		}
		if err := i.Restore(); err != nil {
			t.Fatal(err)
		}
	}
	for _, units := range []int64{0, -1, maxFuel + 1} {
		if err := i.Refuel(units); !errors.Is(err, ErrState) {
			t.Errorf("refuel %d: %v", units, err)
		}
	}
}

// TestRecordPointers: whatever a guest says, the host touches its memory only.
func TestRecordPointers(t *testing.T) {
	for at, good := range map[int64]bool{0: false, 1: true, pageBytes - 4: true, pageBytes - 3: false, -1: false, -4: false} {
		i := instantiate(t, compile(t, echo(con32(at)).bytes()), enough())
		out, err := i.Record(t.Context(), []byte("four"), 100)
		if (err == nil) != good || good && string(out) != "four" || !good && !errors.Is(err, ErrTrap) {
			t.Errorf("at %d: %q, %v", at, out, err)
		}
	}
	i := instantiate(t, compile(t, echo(con32(64)).bytes()), enough())
	for _, c := range [][2]uint32{{pageBytes, 1}, {1<<32 - 1, 1}, {1<<32 - 1, 1<<32 - 1}, {0, pageBytes + 1}} {
		if _, err := i.Read(c[0], c[1]); !errors.Is(err, ErrTrap) {
			t.Errorf("read %v: %v", c, err)
		}
	}
	if err := i.Write(pageBytes-1, []byte("ab")); !errors.Is(err, ErrTrap) {
		t.Errorf("write: %v", err)
	}
	if b, err := i.Read(pageBytes-1, 1); err != nil || b[0] != 0 {
		t.Errorf("a write that does not fit wrote %v (%v)", b, err)
	}
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Read(0, 1); !errors.Is(err, ErrState) {
		t.Errorf("read of a closed guest: %v", err)
	}
}

func TestNoRecorder(t *testing.T) {
	for name, change := range map[string]func(*module){
		"no memory":       func(m *module) { m.memory = nil },
		"no alloc":        func(m *module) { m.funcs[0].export = "alloc" },
		"no record":       func(m *module) { m.funcs[1].export = "" },
		"other parameter": func(m *module) { m.funcs[0].params = []byte{i64} },
		"start that takes": func(m *module) {
			m.funcs = append(m.funcs, function{export: initFunction, params: []byte{i32}})
		},
	} {
		g := echo(con32(64))
		change(&g)
		if err := compile(t, g.bytes()).Recorder(); !errors.Is(err, ErrModule) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
