// SPDX-License-Identifier: Apache-2.0

package fuel_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

func repeat(b []byte, n int) []byte { return bytes.Repeat(b, n) }

// refused checks that a module is not admitted, and that the text says why.
func refused(t *testing.T, module []byte, allowed fuel.Imports, text string) {
	t.Helper()
	a, err := fuel.Admit(module, allowed)
	if a != nil || !errors.Is(err, fuel.ErrModule) {
		t.Fatalf("admitted, or another error: %v", err)
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("%q lacks %q", err, text)
	}
}

func TestAdmitted(t *testing.T) {
	imp := [2]string{"env", "f"}
	b := wasm(
		sec(0, str("name")),
		types(typ(nil, nil), typ([]byte{i32}, []byte{i64})),
		sec(2, vec(cat(str("env"), str("f"), []byte{0, 1}))),
		funcs(0),
		sec(6, vec([]byte{i32, 0, 0x41, 0, 0x0b}, []byte{i64, 1, 0x42, 0, 0x0b})),
		sec(8, uleb(1)), sec(10, vec(fn([]byte{0x41, 5, 0x10, 0, 0x1a}))),
	)
	a := admit(t, b, fuel.Imports{imp: {Params: []byte{i32}, Results: []byte{i64}}})
	if !a.Start || a.Fixed != "" || len(a.Globals) != 1 || a.Globals[0] != "glovebox:global:1" {
		t.Errorf("%+v", a)
	}
	if a.Original == a.Rewritten || a.Original.IsZero() || a.Rewritten.IsZero() {
		t.Error("digests")
	}
	if bytes.Contains(a.Module, []byte("name")) {
		t.Error("a custom section is left")
	}
	refused(t, a.Module, fuel.Imports{imp: {Params: []byte{i32}, Results: []byte{i64}}}, "reserved")
}

// TestGuestNamesTheCounter is the most important attack: an index one past the module's own would name what the rewrite
// adds there, a global or local that holds the fuel, and a guest could refill itself.
func TestGuestNamesTheCounter(t *testing.T) {
	big := []byte{0x42, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f}
	for name, m := range map[string][]byte{
		"global.set":               single(nil, fn(big, []byte{0x24, 1})),
		"global.set, padded":       single(nil, fn(big, []byte{0x24, 0x81, 0x80, 0x80, 0x80, 0})),
		"global.get":               single([]byte{i64}, fn([]byte{0x23, 1})),
		"local.set":                single(nil, fn(big, []byte{0x21, 0})),
		"local.tee":                single([]byte{i64}, fnLocals([]byte{1, 2, i32}, big, []byte{0x22, 2})),
		"local.get":                single([]byte{i64}, fnLocals([]byte{1, 2, i32}, []byte{0x20, 3})),
		"in dead code":             single(nil, fn([]byte{0x00}, big, []byte{0x24, 1})),
		"block type":               single(nil, fn([]byte{0x02, 1, 0x0b})),
		"call":                     single(nil, fn([]byte{0x10, 1})),
		"call_indirect type":       single(nil, fn([]byte{0x41, 0, 0x11, 1, 0})),
		"table":                    single([]byte{0x70}, fn([]byte{0x41, 0, 0x25, 1})),
		"data":                     single(nil, fn([]byte{0xfc, 9, 0})),
		"element":                  single(nil, fn([]byte{0xfc, 13, 0})),
		"branch past the function": single(nil, fn([]byte{0x0c, 1})),
		"export":                   wasm(sec(6, vec([]byte{i64, 1, 0x42, 0, 0x0b})), sec(7, vec(export("x", 3, 1)))),
		"constant":                 wasm(sec(6, vec([]byte{i64, 1, 0x23, 1, 0x0b}))),
	} {
		t.Run(name, func(t *testing.T) { refused(t, m, nil, ", of ") })
	}
}

func TestReservedExport(t *testing.T) {
	for _, name := range []string{fuel.GlobalExport, fuel.StartExport, "glovebox:", "glovebox:x"} {
		refused(t, wasm(types(typ(nil, nil)), funcs(0), sec(7, vec(export(name, 0, 0))), sec(10, vec(fn()))), nil, "reserved")
	}
}

func TestImportByNearMissName(t *testing.T) {
	allowed := fuel.Imports{
		{"wasi_snapshot_preview1", "fd_write"}: {Params: []byte{i32, i32, i32, i32}, Results: []byte{i32}},
		{"glovebox", "read"}:                   {Params: []byte{i32}, Results: []byte{i32}},
	}
	importing := func(module, name string, kind ...byte) []byte {
		return wasm(types(typ([]byte{i32}, []byte{i32})), sec(2, vec(cat(str(module), str(name), kind))))
	}
	for _, c := range []struct{ module, name, text string }{
		{"wasi_snapshot_preview1", "fd_writ", `did you mean "wasi_snapshot_preview1" "fd_write"?`},
		{"Glovebox", "read", `did you mean "glovebox" "read"?`},
		{"glovebox", "read\x00", `did you mean "glovebox" "read"?`},
		{"env", "socket", `unknown import "env" "socket"`},
		{"wasi_snapshot_preview1", "fd_write", "has type (i32 i32 i32 i32) -> (i32), not (i32) -> (i32)"},
		{strings.Repeat("x", 4000), "y", "unknown import"},
		{"glovebox", "\xff", "UTF-8"},
	} {
		refused(t, importing(c.module, c.name, 0, 0), allowed, c.text)
	}
	admit(t, importing("glovebox", "read", 0, 0), allowed)
	for kind, text := range map[byte]string{1: "is a table", 2: "is a memory", 3: "is a global", 4: "thing of kind 0x4"} {
		refused(t, importing("glovebox", "read", kind, 0x7f, 0), allowed, text)
	}
}

func TestFeaturesThatAreNotSupported(t *testing.T) {
	for name, c := range map[string]struct {
		module []byte
		text   string
	}{
		"tail call":            {single(nil, fn([]byte{0x12, 0})), "tail calls"},
		"exceptions":           {single(nil, fn([]byte{0x06, 0x40, 0x0b})), "exceptions"},
		"tags":                 {wasm(sec(13, vec())), "exceptions"},
		"atomics":              {single(nil, fn([]byte{0xfe, 3, 0})), "threads"},
		"garbage collection":   {single(nil, fn([]byte{0xfb, 0})), "garbage"},
		"relaxed vectors":      {single(nil, fn([]byte{0xfd, 0x80, 0x02})), "relaxed"},
		"vector hole":          {single(nil, fn([]byte{0xfd, 154, 1})), "unknown"},
		"long vector form":     {single(nil, fn([]byte{0xfd, 0x8c, 0x00})), "longer forms"},
		"shared memory":        {wasm(sec(5, vec([]byte{3, 1, 2}))), "shared"},
		"64-bit memory":        {wasm(sec(5, vec([]byte{4, 1}))), "64-bit"},
		"two memories":         {wasm(sec(5, vec([]byte{0, 1}, []byte{0, 1}))), "at most 1"},
		"memory over 4 GiB":    {wasm(sec(5, vec(cat([]byte{0}, uleb(65537))))), "65537"},
		"extended constant":    {wasm(sec(6, vec([]byte{i32, 0, 0x41, 1, 0x41, 1, 0x6a, 0x0b}))), "extended"},
		"start import":         {wasm(types(typ(nil, nil)), sec(2, vec(cat(str("m"), str("f"), []byte{0, 0}))), sec(8, uleb(0))), "start"},
		"start with parameter": {wasm(types(typ([]byte{i32}, nil)), funcs(0), sec(8, uleb(0)), sec(10, vec(fn()))), "start"},
		"struct type":          {wasm(types([]byte{0x5f, 0, 0})), "function types"},
		"not a module":         {[]byte("\x00asm\x0d\x00\x01\x00"), "version 1"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, c.module, fuel.Imports{{"m", "f"}: {}}, c.text) })
	}
}

func TestMalformed(t *testing.T) {
	one := types(typ(nil, nil))
	for name, c := range map[string]struct {
		module []byte
		text   string
	}{
		"empty":                 {nil, "version 1"},
		"number of six bytes":   {wasm(cat([]byte{1}, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0})), "32 bits"},
		"number of 33 bits":     {wasm(cat([]byte{1}, []byte{0x80, 0x80, 0x80, 0x80, 0x10})), "32 bits"},
		"constant of 33 bits":   {single(nil, fn([]byte{0x41, 0x80, 0x80, 0x80, 0x80, 0x08, 0x1a})), "32 bits"},
		"constant of 65 bits":   {single(nil, fn([]byte{0x42}, repeat([]byte{0x80}, 9), []byte{0x02, 0x1a})), "64 bits"},
		"section twice":         {wasm(one, one), "twice"},
		"sections out of order": {wasm(funcs(), one), "order"},
		"data count after code": {wasm(sec(10, vec()), sec(12, uleb(0))), "order"},
		"data count differs":    {wasm(sec(5, vec([]byte{0, 1})), sec(12, uleb(2)), sec(11, vec([]byte{1, 0}))), "data count"},
		"data count alone":      {wasm(sec(12, uleb(2))), "data section"},
		"section too long":      {wasm([]byte{1, 200, 1, 0}), "ends early"},
		"section too short":     {wasm(sec(1, append(vec(typ(nil, nil)), 0))), "longer"},
		"unknown section":       {wasm(sec(14, nil)), "unknown section"},
		"more types than bytes": {wasm(sec(1, []byte{0x80, 0x80, 1})), "ends early"},
		"functions, no code":    {wasm(one, funcs(0)), "code section"},
		"code, no functions":    {wasm(one, sec(10, vec(fn()))), "1 bodies for 0"},
		"else without if":       {single(nil, fn([]byte{0x02, 0x40, 0x05, 0x0b})), "else"},
		"two elses":             {single(nil, fn([]byte{0x41, 0, 0x04, 0x40, 0x05, 0x05, 0x0b})), "else"},
		"no end":                {single(nil, []byte{2, 0, 0x01}), "ends early"},
		"code after the end":    {single(nil, fn([]byte{0x0b, 0x01})), "longer"},
		"locals overflow":       {single(nil, fnLocals(cat(uleb(3), repeat([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, i64}, 3)))), "locals"},
		"export twice":          {wasm(one, funcs(0), sec(7, vec(export("a", 0, 0), export("a", 0, 0))), sec(10, vec(fn()))), "twice"},
		"undeclared ref.func":   {wasm(one, funcs(0), sec(8, uleb(0)), sec(10, vec(fn([]byte{0xd2, 0, 0x1a})))), "not declared"},
		"memory index":          {single(nil, fn([]byte{0x3f, 1, 0x1a})), "memory"},
		"load without memory":   {wasm(one, funcs(0), sec(10, vec(fn([]byte{0x41, 0, 0x28, 2, 0, 0x1a})))), "without a memory"},
		"custom, no name":       {wasm(sec(0, nil)), "ends early"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, c.module, nil, c.text) })
	}
}

// TestBombs: modules that would make an engine work for minutes are refused at once.
func TestBombs(t *testing.T) {
	slowUnderRace(t)
	table := func(n int) []byte {
		return cat([]byte{0x02, 0x40, 0x41, 0, 0x0e}, uleb(uint64(n)), repeat([]byte{0}, n+1), []byte{0x0b})
	}
	for name, c := range map[string]struct {
		module []byte
		text   string
	}{
		"20,000 nested blocks":  {single(nil, fn(repeat([]byte{0x02, 0x40}, 20_000), repeat([]byte{0x0b}, 20_000))), "nested"},
		"100,000 blocks":        {single(nil, fn(repeat([]byte{0x02, 0x40, 0x0b}, 100_000))), "blocks in a function"},
		"100 loops in loops":    {single(nil, fn(repeat([]byte{0x03, 0x40}, 100), repeat([]byte{0x0b}, 100))), "loops"},
		"br_table of 100,000":   {single(nil, fn(table(100_000))), "targets"},
		"10 br_table of 10,000": {single(nil, fn(repeat(table(10_000), 10))), "branches"},
		"100,000 locals":        {single(nil, fnLocals(cat([]byte{1}, uleb(100_000), []byte{i64}))), "locals"},
		"groups of locals":      {single(nil, fnLocals(cat(uleb(10_000), repeat([]byte{1, i64}, 10_000)))), "locals"},
		"function of 2 MiB":     {single(nil, fn(repeat([]byte{0x01}, 2<<20))), "bytes"},
		"tables of 2^27":        {wasm(sec(4, vec(cat([]byte{0x70, 0}, uleb(1<<27))))), "entries"},
		"17 tables":             {wasm(sec(4, vec(bytes.SplitAfter(repeat([]byte{0x70, 0, 0}, 17), []byte{0, 0})[:17]...))), "tables"},
		"3 billion parameters":  {wasm(sec(1, cat([]byte{1, 0x60}, uleb(3<<30), []byte{0}))), "parameters"},
		"10,000 memory.grow":    {single(nil, fn(repeat([]byte{0x41, 0, 0x40, 0, 0x1a}, 10_000))), "grow, copy or fill"},
		"10,000 memory.fill":    {single(nil, fn(repeat([]byte{0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0}, 10_000))), "grow, copy or fill"},
		"10,000 ref.func":       {single(nil, fn(repeat([]byte{0xd2, 0, 0x1a}, 10_000))), "grow, copy or fill"},
		"10,000 br_if":          {single(nil, fn(repeat([]byte{0x41, 0, 0x0d, 0}, 10_000))), "branches in a function"},
		"locals times branches": {movesOfLocals(2000, 60, 0x7b), "carry more than"},
		"module of 65 MiB":      {make([]byte, 65<<20), "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			refused(t, c.module, nil, c.text)
			if d := time.Since(start); d > 500*time.Millisecond {
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestLargeButAllowed: what real programs reach is admitted, and quickly.
func TestLargeButAllowed(t *testing.T) {
	slowUnderRace(t)
	indices := make([]uint64, 100_000)
	many := wasm(types(typ(nil, nil)), funcs(indices...), sec(10, cat(uleb(100_000), repeat(fn([]byte{0x10, 0}), 100_000))))
	for name, m := range map[string][]byte{
		"100,000 functions":     many,
		"memory of 4 GiB":       wasm(sec(5, vec(cat([]byte{1, 1}, uleb(65536))))),
		"table of a million":    wasm(sec(4, vec(cat([]byte{0x70, 0}, uleb(1<<20))))),
		"1,500 nested blocks":   single(nil, fn(repeat([]byte{0x02, 0x40}, 1500), repeat([]byte{0x0b}, 1500))),
		"half a MiB of code":    single(nil, fn(repeat([]byte{0x41, 1, 0x1a}, 1<<17))),
		"padded numbers":        single([]byte{i32}, fn([]byte{0x41, 0x80, 0x80, 0x80, 0x80, 0})),
		"empty module":          wasm(),
		"vector, two bytes":     single(nil, fn([]byte{0x00, 0xfd, 0xff, 0x01, 0x1a})),
		"custom sections":       wasm(sec(0, str("a")), sec(0, str("a"))),
		"functions, all unused": wasm(types(typ(nil, nil)), funcs(), sec(10, vec())),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			a := admit(t, m, nil)
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("took %v for %d bytes", d, len(m))
			}
			if len(m) < 1<<20 {
				if _, err := newRuntime(t).CompileModule(t.Context(), a.Module); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// smallest is the seed of the smallest generated module of so many.
func smallest(n uint64) uint64 {
	best, size := uint64(0), 1<<30
	for seed := range n {
		if m := generate(seed); len(m) < size {
			best, size = seed, len(m)
		}
	}
	return best
}

// TestEveryByteOfAModule cuts a module everywhere and changes each byte to each of some others: nothing may panic, and what
// is admitted that wazero refused is refused by wazero again.
func TestEveryByteOfAModule(t *testing.T) {
	m := generate(smallest(200))
	for n := range m {
		checkAdmission(t, m[:n], nil)
	}
	for i := range m {
		for _, x := range []byte{0, 1, 0x0b, 0x7f, 0x80, 0xff, m[i] ^ 1, m[i] + 1} {
			b := bytes.Clone(m)
			b[i] = x
			_, _ = fuel.Admit(b, nil)
		}
		b := bytes.Clone(m)
		b[i] ^= 1 << (i % 8)
		checkAdmission(t, b, nil)
	}
}
