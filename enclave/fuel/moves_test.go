// SPDX-License-Identifier: Apache-2.0

package fuel_test

import (
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
)

// movesOfLocals is a loop of blocks, each skipped by a branch, in which k locals would be assigned: the compiled code moves
// all of them where the block ends.
func movesOfLocals(k, blocks int, t byte) []byte {
	var set, use []byte
	for j := range k {
		set = cat(set, []byte{0x20}, uleb(uint64((j+7)%k+2)), []byte{0x21}, uleb(uint64(j+2)))
		store := []byte{0x37, 0, 0}
		if t == 0x7b {
			store = []byte{0xfd, 11, 0, 0}
		}
		use = cat(use, []byte{0x41, 0, 0x20}, uleb(uint64(j+2)), store)
	}
	block := cat([]byte{0x02, 0x40, 0x20, 1, 0x0d, 0}, set, []byte{0x0b})
	body := fnLocals(cat([]byte{2, 1, i32}, uleb(uint64(k)), []byte{t}),
		[]byte{0x41, 0, 0x28, 2, 0, 0x45, 0x21, 1}, // 1, but the compiler does not know
		[]byte{0x03, 0x40}, repeat(block, blocks), []byte{0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b}, use)
	return wasm(types(typ([]byte{i32}, nil)), funcs(0), sec(5, vec([]byte{0, 1})), sec(7, vec(export("f", 0, 0))), sec(10, vec(body)))
}

// movesOfResults is a chain of functions that hand so many results on.
func movesOfResults(depth, width int) []byte {
	results := repeat([]byte{i64}, width)
	indices := []uint64{0}
	bodies := [][]byte{
		fn([]byte{0x03, 0x40, 0x10}, uleb(uint64(depth)), repeat([]byte{0x1a}, width), []byte{0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b}),
		fn(repeat([]byte{0x42, 7}, width)),
	}
	for i := range depth {
		indices = append(indices, 1)
		if i > 0 {
			bodies = append(bodies, fn([]byte{0x10}, uleb(uint64(i))))
		}
	}
	return wasm(types(typ([]byte{i32}, nil), typ(nil, results)), funcs(indices...), sec(7, vec(export("f", 0, 0))), sec(10, vec(bodies...)))
}

// movesOfLabels is a loop of blocks that a branch leaves with so many values, which differ from those that fall out.
func movesOfLabels(width, blocks int) []byte {
	results := repeat([]byte{i64}, width)
	block := cat([]byte{0x02, 1}, repeat([]byte{0x20, 1}, width), []byte{0x41, 0, 0x28, 2, 0, 0x45, 0x0d, 0},
		repeat([]byte{0x1a}, width), repeat([]byte{0x42, 9}, width), []byte{0x0b}, repeat([]byte{0x7c}, width-1), []byte{0x21, 1})
	body := fnLocals([]byte{1, 1, i64}, []byte{0x03, 0x40}, repeat(block, blocks), []byte{0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b})
	return wasm(types(typ([]byte{i32}, nil), typ(nil, results)), funcs(0), sec(5, vec([]byte{0, 1})), sec(7, vec(export("f", 0, 0))), sec(10, vec(body)))
}

// rate runs a module's "f" for n and for 1 and returns how many units the difference used each nanosecond.
func rate(t *testing.T, module []byte, n uint64) float64 {
	t.Helper()
	m, err := newRuntime(t).InstantiateWithConfig(t.Context(), admit(t, module, nil).Module, wazero.NewModuleConfig())
	if err != nil {
		t.Fatal(err)
	}
	run := func(n uint64) (int64, time.Duration) {
		left := setFuel(t, m, plenty)
		start := time.Now()
		if _, err := m.ExportedFunction("f").Call(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		return plenty - left(), time.Since(start)
	}
	few, short := run(1)
	many, long := run(n)
	return float64(many-few) / float64(max(1, long-short))
}

// TestMovesAreCharged: programs whose compiled code does little but move values use fuel as other code does. The least is
// far below what was measured (0.2 and more), because other tests load the machine; when moves cost nothing it was 0.001.
func TestMovesAreCharged(t *testing.T) {
	slowUnderRace(t)
	for name, c := range map[string]struct {
		module []byte
		n      uint64
	}{
		"2,000 locals":          {movesOfLocals(2000, 30, i64), 200},
		"1,000 vectors":         {movesOfLocals(1000, 30, 0x7b), 200},
		"16 locals":             {movesOfLocals(16, 200, i64), 5000},
		"1,000 results":         {movesOfResults(100, 1000), 200},
		"blocks of 500 results": {movesOfLabels(500, 30), 500},
	} {
		t.Run(name, func(t *testing.T) {
			got := rate(t, c.module, c.n)
			t.Logf("%.3f units each nanosecond", got)
			if got < 0.05 {
				t.Error("too little")
			}
		})
	}
}

// TestTableGrowsForever: a table has a maximum, whatever the module says, and growing past it is refused.
func TestTableGrowsForever(t *testing.T) {
	grow := fn([]byte{0xd0, 0x70, 0x20, 0, 0xfc, 15, 0})
	for name, c := range map[string]struct {
		tables [][]byte
		most   uint64
	}{
		"no maximum":      {[][]byte{{0x70, 0, 0}}, 1 << 20},
		"a large maximum": {[][]byte{cat([]byte{0x70, 1, 0}, uleb(1<<32-1))}, 1 << 20},
		"a small maximum": {[][]byte{{0x70, 1, 0, 9}}, 9},
		"a large minimum": {[][]byte{cat([]byte{0x70, 0}, uleb(1<<19)), {0x70, 0, 0}, {0x70, 0, 0}, {0x70, 0, 0}}, 1 << 19},
		"a share":         {[][]byte{{0x70, 0, 0}, {0x70, 0, 0}, {0x70, 0, 0}}, 1 << 20 / 3},
	} {
		t.Run(name, func(t *testing.T) {
			b := wasm(types(typ([]byte{i32}, []byte{i32})), funcs(0), sec(4, vec(c.tables...)), sec(7, vec(export("f", 0, 0))), sec(10, vec(grow)))
			m, err := newRuntime(t).Instantiate(t.Context(), admit(t, b, nil).Module)
			if err != nil {
				t.Fatal(err)
			}
			f := m.ExportedFunction("f")
			call := func(n uint64) uint32 {
				setFuel(t, m, plenty)
				r, err := f.Call(t.Context(), n)
				if err != nil {
					t.Fatal(err)
				}
				return uint32(r[0])
			}
			now := uint64(call(0))
			if r := call(c.most + 1 - now); r != 1<<32-1 {
				t.Errorf("grown beyond %d from %d", c.most, r)
			}
			if r := call(c.most - now); r != uint32(now) {
				t.Errorf("not grown to %d: %d", c.most, int32(r))
			}
			if r := call(100_000_000); r != 1<<32-1 {
				t.Errorf("grown by a hundred million from %d", r)
			}
		})
	}
}

// TestExpandingModule: code that grows far beyond its size is refused before it is all built.
func TestExpandingModule(t *testing.T) {
	slowUnderRace(t)
	f := fn(repeat([]byte{0x10, 0}, 500_000))
	n := 45
	b := wasm(types(typ(nil, nil)), funcs(make([]uint64, n)...), sec(10, cat(uleb(uint64(n)), repeat(f, n))))
	refused(t, b, nil, "too large once it counts fuel: function ")
}
