// SPDX-License-Identifier: Apache-2.0

package fuel_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// outcome is all that a run of a generated module shows.
type outcome struct {
	results []uint64
	trap    string
	memory  [32]byte
	globals []uint64
	left    int64
}

func (o outcome) same(p outcome) bool {
	return slices.Equal(o.results, p.results) && o.trap == p.trap && o.memory == p.memory && slices.Equal(o.globals, p.globals)
}

// runOnce calls the function "f0" of a fresh instance; fuel below zero means that it has none to give.
func runOnce(t testing.TB, rt wazero.Runtime, c wazero.CompiledModule, give int64) outcome {
	t.Helper()
	m, err := rt.InstantiateModule(t.Context(), c, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	left := func() int64 { return 0 }
	if give >= 0 {
		left = setFuel(t, m, give)
	}
	var o outcome
	f := m.ExportedFunction("f0")
	o.results, err = f.Call(t.Context(), argumentsOf(f.Definition().ParamTypes())...)
	o.trap = message(err)
	pages := m.ExportedMemory("memory")
	b, _ := pages.Read(0, pages.Size())
	o.memory = sha256.Sum256(b)
	for i := range 5 {
		o.globals = append(o.globals, m.ExportedGlobal(fmt.Sprintf("g%d", i)).Get())
	}
	o.left = left()
	return o
}

func argumentsOf(types []api.ValueType) []uint64 {
	r := rand.New(rand.NewPCG(7, 7))
	args := make([]uint64, len(types))
	for i, t := range types {
		args[i] = r.Uint64N(1 << 20)
		if t == api.ValueTypeF32 {
			args[i] = api.EncodeF32(float32(args[i]))
		} else if t == api.ValueTypeF64 {
			args[i] = api.EncodeF64(float64(args[i]))
		}
	}
	return args
}

// compareGenerated runs one generated module as it came and admitted, with enough fuel, with just enough and with one unit
// less. It returns what was used and whether the module trapped.
func compareGenerated(t testing.TB, rt wazero.Runtime, seed uint64) (int64, bool) {
	t.Helper()
	b := generate(seed)
	plain, err := rt.CompileModule(t.Context(), b)
	if err != nil {
		t.Fatalf("seed %d: the generator made an invalid module: %v", seed, err)
	}
	defer plain.Close(t.Context())
	c, err := rt.CompileModule(t.Context(), admit(t, b, nil).Module)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	defer c.Close(t.Context())
	want := runOnce(t, rt, plain, -1)
	if strings.Contains(want.trap, "stack overflow") {
		return 0, true // table.copy made a recursion: how deep it goes is the engine's business
	}
	got := runOnce(t, rt, c, plenty)
	if !got.same(want) {
		t.Fatalf("seed %d:\n%+v\nas it came\n%+v", seed, got, want)
	}
	used := plenty - got.left
	if again := runOnce(t, rt, c, plenty); again.left != got.left {
		t.Fatalf("seed %d: used %d, then %d", seed, used, plenty-again.left)
	}
	if used <= 0 {
		return used, want.trap != ""
	}
	if short := runOnce(t, rt, c, used-1); short.left >= 0 {
		t.Fatalf("seed %d: used %d, but %d are enough", seed, used, used-1)
	}
	if exact := runOnce(t, rt, c, used); want.trap == "" && (exact.left != 0 || !exact.same(want)) {
		t.Fatalf("seed %d: used %d, but they are not enough: %+v", seed, used, exact)
	}
	for n := int64(1); n < used; n *= 7 {
		short := runOnce(t, rt, c, n)
		if short.left >= 0 || short.left < -overrun(used) {
			t.Fatalf("seed %d: of %d units %d are left after %d were given", seed, used, short.left, n)
		}
	}
	return used, want.trap != ""
}

// overrun bounds how far below zero a module may go: charges that were not compared yet, and the one that was too much,
// which for bulk instructions may be as large as all that the module uses.
func overrun(used int64) int64 { return 2*1024 + 1<<22 + used }

func TestGeneratedModulesRunTheSame(t *testing.T) {
	slowUnderRace(t)
	rt := newRuntime(t)
	n := uint64(1500)
	if testing.Short() {
		n = 200
	}
	var trapped, free, most int64
	for seed := range n {
		used, trap := compareGenerated(t, rt, seed)
		most = max(most, used)
		if trap {
			trapped++
		}
		if used == 0 {
			free++
		}
	}
	t.Logf("%d modules, %d of them trap, %d use nothing, one uses %d", n, trapped, free, most)
	if trapped*2 > int64(n) || free*10 > int64(n) {
		t.Error("the generator's modules do too little")
	}
}

func FuzzGenerated(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	rt := newRuntime(f)
	f.Fuzz(func(t *testing.T, seed uint64) { compareGenerated(t, rt, seed) })
}

func TestFuelStartsAtNothing(t *testing.T) {
	rt := newRuntime(t)
	a := admit(t, single([]byte{i32}, fn([]byte{0x41, 7})), nil)
	m, err := rt.Instantiate(t.Context(), a.Module)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := m.ExportedFunction("f").Call(t.Context()); err == nil {
		t.Errorf("ran without fuel: %d", r)
	}
	if left := m.ExportedGlobal(fuel.GlobalExport).Get(); int64(left) >= 0 {
		t.Errorf("left %d", int64(left))
	}
}
