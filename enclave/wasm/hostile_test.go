// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// fails runs a module twice and wants it to end with the same error and the same fuel in time, or to be refused.
func fails(t *testing.T, m module, c Config, want error, text string) {
	t.Helper()
	b := m.bytes()
	compiled := compile(t, b)
	var used []int64
	for range 2 {
		began := time.Now()
		i := instantiate(t, compiled, c)
		err := i.Run(t.Context())
		if !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), text) {
			t.Fatalf("ended with %v, want %v %q", err, want, text)
		}
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("took %s", d)
		}
		used = append(used, i.Used())
	}
	if used[0] != used[1] {
		t.Errorf("used %d, then %d", used[0], used[1])
	}
}

// TestExponentialCallChain: 2^n calls without a loop.
func TestExponentialCallChain(t *testing.T) {
	m := command(callTo(1))
	for n := 1; n <= 60; n++ {
		m.funcs = append(m.funcs, function{code: code(callTo(n+1), callTo(n+1))})
	}
	m.funcs = append(m.funcs, function{})
	fails(t, m, enough(), ErrFuel, "")
}

// TestInfiniteRecursion ends at the engine's limit on stacks, long before the fuel, and the stack is given back.
func TestInfiniteRecursion(t *testing.T) {
	c := enough()
	c.Fuel = 1e11
	var before, peak runtime.MemStats
	runtime.ReadMemStats(&before)
	for name, m := range map[string]module{
		"plain":     command(callTo(0)),
		"wide":      {memory: []uint64{1}, funcs: []function{{export: "_start", locals: bytes.Repeat([]byte{i64}, 2000), code: code(callTo(0), localGet(1999), drop)}}},
		"indirect":  {table: []uint64{1}, elems: []uint64{0}, funcs: []function{{export: "_start", code: code(con32(0), op(0x11, 0, 0))}}},
		"twice":     {funcs: []function{{export: "_start", code: code(callTo(1), callTo(1))}, {code: code(callTo(0), callTo(0))}}},
		"with trap": command(callTo(0), unreachable),
	} {
		if raceEnabled && testing.Short() && name != "plain" {
			continue
		}
		t.Run(name, func(t *testing.T) { fails(t, m, c, ErrTrap, "stack overflow") })
	}
	runtime.ReadMemStats(&peak)
	if grown := int64(peak.Sys) - int64(before.Sys); grown > 600<<20 {
		t.Errorf("the process took %d MiB more", grown>>20)
	}
}

// TestDeepTrap: a trap below very many frames is told like any other.
func TestDeepTrap(t *testing.T) {
	c := enough()
	m := command(globalGet(0), con64(1), op(0x7c), globalSet(0), globalGet(0), con64(1_000_000), op(0x51), op(0x04, 0x40), unreachable, op(0x0b), callTo(0))
	m.globals = []int64{0}
	fails(t, m, c, ErrTrap, "unreachable")
}

func TestFillWholeMemoryForEver(t *testing.T) {
	m := command(forever(con32(0), con32(7), con32(16<<20), memoryFill))
	m.memory = []uint64{256}
	fails(t, m, enough(), ErrFuel, "")
}

func TestGrowUntilRefused(t *testing.T) {
	m := command(forever(con32(1), memoryGrow, con32(-1), op(0x46, 0x04, 0x40), unreachable, op(0x0b)))
	fails(t, m, enough(), ErrMemory, "unreachable")
	quiet := command(forever(con32(1), memoryGrow, drop))
	fails(t, quiet, enough(), ErrFuel, "")
}

func TestTrapsInEveryExport(t *testing.T) {
	traps := map[string][]byte{
		"unreachable": unreachable, "load": code(con32(-4), load32, drop), "store": code(con32(-4), con32(1), store32),
		"fill": code(con32(-1), con32(0), con32(2), memoryFill), "divide": code(con64(1), con64(0), op(0x7f), drop),
		"convert": code(op(0x43, 0, 0, 0xc0, 0x7f), op(0xa8), drop), "table": code(con32(5), op(0x11, 0, 0)),
		"null": code(con32(1), op(0x11, 0, 0)),
	}
	m := module{memory: []uint64{1}, table: []uint64{2}}
	var names []string
	for name, c := range traps {
		m.funcs = append(m.funcs, function{export: name, code: c})
		names = append(names, name)
	}
	i := instantiate(t, compile(t, m.bytes()), enough())
	last := int64(0)
	for range 3 { // and the instance stays usable
		for _, name := range names {
			if _, err := i.Call(t.Context(), name); !errors.Is(err, ErrTrap) {
				t.Errorf("%s: %v", name, err)
			}
			if i.Used() < last {
				t.Errorf("%s gave fuel back", name)
			}
			last = i.Used()
		}
	}
}

// TestManyFunctions: 100,000 functions compile in bounded time.
func TestManyFunctions(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for seconds")
	}
	m := command(callTo(99_999))
	for range 99_999 {
		m.funcs = append(m.funcs, function{code: code(con32(1), con32(2), op(0x6a), drop)})
	}
	b := m.bytes()
	began := time.Now()
	i, err := run(t, b, enough())
	t.Logf("100,000 functions, %d bytes: %s", len(b), time.Since(began))
	if err != nil || i.Used() < 1 {
		t.Fatal(err)
	}
	if d := time.Since(began); d > 60*time.Second {
		t.Errorf("took %s", d)
	}
}

// TestLimitsOfTablesAndMemories: at the limit they work, beyond it they are refused.
func TestLimitsOfTablesAndMemories(t *testing.T) {
	c := Config{MemoryBytes: maxMemory, Fuel: 1e9}
	for name, m := range map[string]module{
		"largest memory":      {memory: []uint64{65535}, funcs: []function{{export: "_start", code: code(con32(-1<<16-4), con32(1), store32, memorySize, drop)}}},
		"grows to the limit":  {memory: []uint64{65534}, funcs: []function{{export: "_start", code: code(con32(1), memoryGrow, drop, con32(-1<<16-4), load32, drop)}}},
		"grows no further":    {memory: []uint64{65535}, funcs: []function{{export: "_start", code: code(con32(1), memoryGrow, con32(-1), op(0x47, 0x04, 0x40), unreachable, op(0x0b))}}},
		"no memory":           {funcs: []function{{export: "_start"}}},
		"empty memory":        {memory: []uint64{0, 0}, funcs: []function{{export: "_start", code: code(memorySize, drop)}}},
		"largest table":       {table: []uint64{1 << 20}, funcs: []function{{export: "_start"}}},
		"table without limit": {table: []uint64{0}, funcs: []function{{export: "_start"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := run(t, m.bytes(), c); err != nil {
				t.Error(err)
			}
		})
	}
	for name, m := range map[string]module{
		"memory too large": {memory: []uint64{65537}, funcs: []function{{export: "_start"}}},
		"min above max":    {memory: []uint64{2, 1}, funcs: []function{{export: "_start"}}},
		"table too large":  {table: []uint64{1 << 30}, funcs: []function{{export: "_start"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Compile(t.Context(), m.bytes()); !errors.Is(err, ErrModule) {
				t.Error(err)
			}
		})
	}
	t.Run("whole address space", func(t *testing.T) {
		m := module{memory: []uint64{65536}, funcs: []function{{export: "_start"}}}
		if _, err := compile(t, m.bytes()).Instantiate(t.Context(), c); !errors.Is(err, ErrMemory) {
			t.Error(err)
		}
	})
	t.Run("table grown for ever", func(t *testing.T) {
		m := command(forever(op(0xd0, 0x70), con32(1<<20), op(0xfc, 15, 0), drop))
		m.table = []uint64{0}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		fails(t, m, enough(), ErrFuel, "")
		runtime.ReadMemStats(&after)
		if grown := int64(after.Sys) - int64(before.Sys); grown > 4<<30 {
			t.Errorf("the process took %d MiB more for %d units", grown>>20, enough().Fuel)
		}
	})
}
