// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/modfile"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const wasi = "wasi_snapshot_preview1"

func TestGoCommand(t *testing.T) {
	m := compile(t, goGuest(t, "hello"))
	var used []int64
	for range 2 {
		var log bytes.Buffer
		c := enough()
		c.Log = &log
		i := instantiate(t, m, c)
		if err := i.Run(t.Context()); err != nil || log.String() != "hello\n" {
			t.Fatalf("%v, log %q", err, log.String())
		}
		used = append(used, i.Used())
	}
	if used[0] != used[1] || used[0] < 1 {
		t.Errorf("the same run used %d and %d", used[0], used[1])
	}
}

// TestEndings: every way to end is told from the others, and fuel is known after each.
func TestEndings(t *testing.T) {
	exit := func(c int64) module {
		m := command(con32(c), callTo(0))
		m.imports = []imported{{wasi, "proc_exit", []byte{i32}, nil}}
		return m
	}
	start := command()
	start.start = 2
	start.funcs = append(start.funcs, function{code: forever()})
	for _, tt := range []struct {
		name   string
		module module
		want   error
		text   string
	}{
		{"returns", command(), nil, ""},
		{"exit 0", exit(0), nil, ""},
		{"exit 3", exit(3), ErrExit{3}, "exit code 3"},
		{"unreachable", command(unreachable), ErrTrap, "unreachable"},
		{"division by zero", command(con32(1), con32(0), op(0x6d), drop), ErrTrap, "integer divide by zero"},
		{"overflow", command(con32(-1<<31), con32(-1), op(0x6d), drop), ErrTrap, "integer overflow"},
		{"outside memory", command(con32(-1), load32, drop), ErrTrap, "out of bounds memory access"},
		{"loop", command(forever()), ErrFuel, ""},
		{"start section loops", start, ErrFuel, ""},
		{"no memory", command(con32(1100), memoryGrow, con32(-1), op(0x46, 0x04, 0x40), unreachable, op(0x0b)), ErrMemory, "unreachable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i, err := run(t, tt.module.bytes(), enough())
			if !errors.Is(err, tt.want) || (err != nil && !strings.Contains(err.Error(), tt.text)) {
				t.Fatalf("ended with %v, want %v %q", err, tt.want, tt.text)
			}
			used := i.Used()
			if tt.want == ErrFuel && used != enough().Fuel || used < 0 || used > enough().Fuel {
				t.Errorf("used %d", used)
			}
			again, _ := run(t, tt.module.bytes(), enough())
			if again.Used() != used {
				t.Errorf("used %d, then %d", used, again.Used())
			}
			if i.exited {
				if _, err := i.Call(t.Context(), "_start"); !errors.Is(err, ErrState) {
					t.Errorf("a guest that exited went on: %v", err)
				}
			}
			if err := i.Close(); err != nil || i.Used() != used {
				t.Errorf("after close used %d, %v", i.Used(), err)
			}
		})
	}
}

// TestOutOfFuelIsPrompt: an endless loop with fuel for a millisecond ends in about that time. The best of many runs, because
// other tests load the machine.
func TestOutOfFuelIsPrompt(t *testing.T) {
	m := compile(t, command(forever()).bytes())
	best := time.Hour
	for range 10 {
		i := instantiate(t, m, Config{MemoryBytes: pageBytes, Fuel: 2e6})
		began := time.Now()
		if err := i.Run(t.Context()); !errors.Is(err, ErrFuel) {
			t.Fatal(err)
		}
		best = min(best, time.Since(began))
	}
	if best > 20*time.Millisecond {
		t.Errorf("took %s", best)
	}
}

func TestRefusals(t *testing.T) {
	near := command()
	near.imports = []imported{{wasi, "fd_wrote", []byte{i32, i32, i32, i32}, []byte{i32}}}
	other := command()
	other.imports = []imported{{hostModule, "open", []byte{i32}, []byte{i32}}}
	typed := command(op(0x41, 0x00)) // leaves a value
	for name, b := range map[string][]byte{
		"not a module": []byte("hello"), "unknown import": near.bytes(), "another signature": other.bytes(), "badly typed": typed.bytes(),
	} {
		if _, err := Compile(t.Context(), b); !errors.Is(err, ErrModule) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := run(t, module{funcs: []function{{export: "other"}}}.bytes(), enough()); !errors.Is(err, ErrModule) {
		t.Errorf("a module without _start: %v", err)
	}
	large := compile(t, module{memory: []uint64{2}}.bytes())
	if _, err := large.Instantiate(t.Context(), Config{MemoryBytes: pageBytes, Fuel: 1}); !errors.Is(err, ErrMemory) {
		t.Errorf("a module larger than its limit: %v", err)
	}
	for _, c := range []Config{{}, {MemoryBytes: pageBytes}, {Fuel: 1}, {MemoryBytes: pageBytes - 1, Fuel: 1}, {MemoryBytes: maxMemory + 1, Fuel: 1}, {MemoryBytes: pageBytes, Fuel: maxFuel + 1}} {
		if _, err := large.Instantiate(t.Context(), c); !errors.Is(err, ErrState) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestStartSection runs when asked to, once, and nothing runs before it.
func TestStartSection(t *testing.T) {
	m := module{
		globals: []int64{1}, start: 1,
		funcs: []function{
			{code: code(globalGet(0), con64(1), op(0x7c), globalSet(0))},
			{export: "get", results: []byte{i64}, code: globalGet(0)},
		},
	}
	i := instantiate(t, compile(t, m.bytes()), enough())
	if _, err := i.Call(t.Context(), "get"); !errors.Is(err, ErrState) {
		t.Errorf("call before the start: %v", err)
	}
	if err := i.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := i.Start(t.Context()); !errors.Is(err, ErrState) {
		t.Errorf("second start: %v", err)
	}
	if v, err := i.Call(t.Context(), "get"); err != nil || v[0] != 2 {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := i.Call(t.Context(), "get", 1); !errors.Is(err, ErrModule) {
		t.Errorf("an argument too many: %v", err)
	}
	if _, err := i.Call(t.Context(), "none"); !errors.Is(err, ErrModule) {
		t.Errorf("no such function: %v", err)
	}
}

// TestEngineVersion holds the version in the digest to the one in go.mod.
func TestEngineVersion(t *testing.T) {
	b, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	f, err := modfile.Parse("go.mod", b, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range f.Require {
		if r.Mod.Path == "github.com/tetratelabs/wazero" && r.Mod.Version == wazeroVersion {
			for _, r := range f.Replace {
				if r.Old.Path == "github.com/tetratelabs/wazero" {
					t.Error("wazero is replaced")
				}
			}
			return
		}
	}
	t.Errorf("go.mod has another wazero than %s", wazeroVersion)
}

func TestDigest(t *testing.T) {
	if d := Digest(); d.IsZero() || d == envelope.Sum(nil) {
		t.Error("no digest")
	}
}
