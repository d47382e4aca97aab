// SPDX-License-Identifier: Apache-2.0

package fuel_test

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// loopForever is a guest without calls; grow and fill are what it does each time round.
func loopForever(body ...[]byte) []byte {
	return single(nil, fn([]byte{0x03, 0x40}, cat(body...), []byte{0x0c, 0, 0x0b}))
}

// TestOutOfFuelStopsSoon: guests that never end are stopped, and no further below zero than the page says: 1024 units that
// were not compared, the charge that was too much, and for bulk instructions what they would have cost.
func TestOutOfFuelStopsSoon(t *testing.T) {
	straight := repeat([]byte{0x41, 1, 0x1a}, 10_000)
	chain := make([]uint64, 30)
	bodies := [][]byte{}
	for i := range chain {
		next := byte(i + 1)
		if i == len(chain)-1 {
			bodies = append(bodies, fn([]byte{0x01}))
		} else {
			bodies = append(bodies, fn([]byte{0x10, next, 0x10, next}))
		}
	}
	for name, c := range map[string]struct {
		module []byte
		below  int64 // zero
	}{
		"empty loop":         {loopForever(), 1024 + 1},
		"straight code":      {loopForever(straight), 1024 + 10_001},
		"conditional":        {loopForever(repeat([]byte{0x41, 1, 0x04, 0x40, 0x41, 1, 0x1a, 0x0b}, 5000)), 1024 + 10_001},
		"exponential chain":  {wasm(types(typ(nil, nil)), funcs(chain...), sec(7, vec(export("f", 0, 0))), sec(10, vec(bodies...))), 1024 + 16},
		"infinite recursion": {single(nil, fn([]byte{0x10, 0})), 1024 + 8},
		"fill in a loop":     {loopForever([]byte{0x41, 0, 0x41, 1, 0x41}, sleb(65536), []byte{0xfc, 11, 0}), 1024 + 68 + 65536},
		"grow until refused": {loopForever([]byte{0x41, 1, 0x40, 0, 0x1a}), 1024 + 1026 + 65536},
		"grow by 2^32":       {loopForever([]byte{0x41, 0x7f, 0x40, 0, 0x1a}), 1024 + 1026 + 65536<<32},
	} {
		t.Run(name, func(t *testing.T) {
			rt := newRuntime(t)
			m, err := rt.Instantiate(t.Context(), admit(t, c.module, nil).Module)
			if err != nil {
				t.Fatal(err)
			}
			for _, give := range []int64{0, 1, 1000, 1_000_003} {
				left := setFuel(t, m, give)
				if _, err := m.ExportedFunction("f").Call(t.Context()); err == nil && left() >= 0 {
					t.Fatalf("ended with %d of %d left", left(), give)
				}
				if left() >= 0 || left() < -c.below {
					t.Errorf("given %d, %d left, at least %d expected", give, left(), -c.below)
				}
			}
			promptly(t, m)
			again := setFuel(t, m, -5)
			if _, err := m.ExportedFunction("f").Call(t.Context()); err == nil && again() >= 0 {
				t.Error("runs on debt")
			}
		})
	}
}

// promptly: next to no fuel is next to no work, and what comes after it ended is less than a millisecond. The best of many
// calls, because other tests load the machine.
func promptly(t *testing.T, m api.Module) {
	t.Helper()
	best := time.Hour
	for range 20 {
		setFuel(t, m, 1000)
		start := time.Now()
		_, _ = m.ExportedFunction("f").Call(t.Context())
		best = min(best, time.Since(start))
	}
	if best > time.Millisecond && !raceEnabled {
		t.Errorf("a thousand units and the end took %v", best)
	}
}

func TestStartRunsUnderFuel(t *testing.T) {
	b := wasm(types(typ(nil, nil)), funcs(0), sec(8, uleb(0)), sec(10, vec(fn([]byte{0x03, 0x40, 0x0c, 0, 0x0b}))))
	rt := newRuntime(t)
	a := admit(t, b, nil)
	m, err := rt.Instantiate(t.Context(), a.Module) // would not return if it ran the start function
	if err != nil {
		t.Fatal(err)
	}
	left := setFuel(t, m, 1_000_000)
	if _, err := m.ExportedFunction(fuel.StartExport).Call(t.Context()); err == nil || left() >= 0 {
		t.Errorf("left %d, %v", left(), err)
	}
}

// TestTrapAfterWork: what the global shows after a trap lacks no more than what was not compared.
func TestTrapAfterWork(t *testing.T) {
	work := repeat([]byte{0x41, 1, 0x1a}, 5000)
	rt := newRuntime(t)
	m, err := rt.Instantiate(t.Context(), admit(t, single(nil, fn(work, []byte{0x00})), nil).Module)
	if err != nil {
		t.Fatal(err)
	}
	left := setFuel(t, m, plenty)
	if _, err := m.ExportedFunction("f").Call(t.Context()); err == nil {
		t.Fatal("no trap")
	}
	if used := plenty - left(); used != 5001 {
		t.Errorf("used %d", used)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[uint64]int64{0: 0, 1: 1, 65536: 65536, math.MaxInt64: math.MaxInt64, math.MaxUint64: math.MaxInt64} {
		if got := fuel.Bytes(n); got != want {
			t.Errorf("%d: %d", n, got)
		}
	}
}

// TestRealGuests: programs made by Go and clang are admitted and compile.
func TestRealGuests(t *testing.T) {
	slowUnderRace(t)
	builds := map[string]func(*testing.T, string){
		"json, regexp, math/big": buildGoGuest,
		"c":                      buildCGuest,
		"c with vectors":         buildSIMDGuest,
	}
	if !testing.Short() {
		builds["go vet"] = func(t *testing.T, path string) { buildGo(t, path, "cmd/vet") }
	}
	for name, build := range builds {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "guest.wasm")
			build(t, path)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c, err := newRuntime(t).CompileModule(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			a := admit(t, b, importsOf(c))
			t.Logf("%d bytes, %d once they count fuel, admitted in %v", len(b), len(a.Module), time.Since(start))
			if a.Fixed != "" {
				t.Errorf("fixed: %s", a.Fixed)
			}
			if _, err := newRuntime(t).CompileModule(t.Context(), a.Module); err != nil {
				t.Error(err)
			}
		})
	}
}

func buildGo(t testing.TB, path, pkg string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", path, pkg)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// BenchmarkOverhead runs two kernels as they came and admitted: "go test -bench Overhead -count 5".
func BenchmarkOverhead(b *testing.B) {
	// A loop of 10 million rounds of arithmetic, and 2^20 calls.
	round := []byte{0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0}
	loop := fnLocals([]byte{1, 2, i32}, []byte{0x41}, sleb(10_000_000), []byte{0x21, 0, 0x03, 0x40},
		[]byte{0x20, 1, 0x41, 3, 0x6c, 0x20, 0, 0x73, 0x21, 1}, round, []byte{0x0b})
	calls := wasm(types(typ([]byte{i32}, nil), typ(nil, nil)), funcs(0, 1), sec(7, vec(export("f", 0, 1))), sec(10, vec(
		fn([]byte{0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x10, 0, 0x20, 0, 0x41, 1, 0x6b, 0x10, 0, 0x0b}),
		fn([]byte{0x41, 20, 0x10, 0}))))
	for name, module := range map[string][]byte{"loop": single(nil, loop), "calls": calls} {
		admitted := admit(b, module, nil).Module
		for kind, m := range map[string][]byte{"plain": module, "fuel": admitted} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				inst, err := newRuntime(b).InstantiateWithConfig(b.Context(), m, wazero.NewModuleConfig())
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if kind == "fuel" {
						setFuel(b, inst, plenty)
					}
					if _, err := inst.ExportedFunction("f").Call(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
