// SPDX-License-Identifier: Apache-2.0

package fuel_test

import (
	"bytes"
	"testing"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// TestSpecExample is the example of docs/spec/fuel.md, byte for byte.
func TestSpecExample(t *testing.T) {
	body := []byte{0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0}
	b := wasm(types(typ([]byte{i32}, nil)), funcs(0), sec(7, vec(export("f", 0, 0))),
		sec(10, vec(fn([]byte{0x03, 0x40}, body, []byte{0x0b}))))
	want := wasm(types(typ([]byte{i32}, nil)), funcs(0),
		sec(6, vec([]byte{i64, 1, 0x42, 0, 0x0b})),
		sec(7, vec(export("f", 0, 0), export(fuel.GlobalExport, 3, 0))),
		sec(10, vec(fnLocals([]byte{1, 1, i64},
			[]byte{0x23, 0, 0x21, 1, 0x02, 0x40, 0x02, 0x40, 0x03, 0x40},
			[]byte{0x20, 1, 0x42, 5, 0x7d, 0x21, 1},
			[]byte{0x20, 1, 0x42, 0, 0x53, 0x0d, 2, 0x20, 1, 0x24, 0},
			body,
			[]byte{0x0b, 0x0b, 0x0f, 0x0b, 0x20, 1, 0x24, 0, 0x00}))))
	a := admit(t, b, nil)
	if !bytes.Equal(a.Module, want) {
		t.Fatalf("%x\nnot %x", a.Module, want)
	}
	if used := usedBy(t, b, 3); used != 15 {
		t.Errorf("used %d", used)
	}
}

// usedBy is the fuel that a call of "f" uses.
func usedBy(t *testing.T, module []byte, args ...uint64) int64 {
	t.Helper()
	m, err := newRuntime(t).Instantiate(t.Context(), admit(t, module, nil).Module)
	if err != nil {
		t.Fatal(err)
	}
	left := setFuel(t, m, plenty)
	_, _ = m.ExportedFunction("f").Call(t.Context(), args...)
	return plenty - left()
}

// TestCosts runs one instruction of each row of the table.
func TestCosts(t *testing.T) {
	drop := []byte{0x1a}
	set := func(from, to int) (code []byte) {
		for i := from; i < to; i++ {
			code = append(code, 0x41, 0, 0x21, byte(i))
		}
		return code
	}
	for name, c := range map[string]struct {
		code []byte
		want int64
	}{
		"free":                 {[]byte{0x01, 0x02, 0x40, 0x0b, 0x41, 1, 0x1a}, 1},
		"if taken":             {[]byte{0x41, 1, 0x04, 0x40, 0x41, 1, 0x1a, 0x05, 0x41, 1, 0x41, 1, 0x1a, 0x1a, 0x0b}, 3},
		"if not taken":         {[]byte{0x41, 0, 0x04, 0x40, 0x41, 1, 0x1a, 0x05, 0x41, 1, 0x41, 1, 0x1a, 0x1a, 0x0b}, 4},
		"division":             {[]byte{0x41, 6, 0x41, 3, 0x6d, 0x1a}, 18},
		"br_table":             {[]byte{0x02, 0x40, 0x41, 0, 0x0e, 0, 0, 0x0b}, 5},
		"dead code":            {[]byte{0x02, 0x40, 0x0c, 0, 0x41, 1, 0x1a, 0x0b}, 1},
		"memory.fill":          {cat([]byte{0x41, 0, 0x41, 1, 0x41}, sleb(1000), []byte{0xfc, 11, 0}), 3 + 64 + 1000},
		"memory.copy":          {[]byte{0x41, 0, 0x41, 1, 0x41, 7, 0xfc, 10, 0, 0}, 3 + 64 + 7},
		"memory.grow":          {cat([]byte{0x41, 2, 0x40, 0}, drop), 1 + 1024 + 2*65536},
		"refused growth":       {cat([]byte{0x41}, sleb(1<<20), []byte{0x40, 0}, drop), 1 + 1024 + 65536<<20},
		"table.grow":           {cat([]byte{0xd0, 0x70, 0x41, 5, 0xfc, 15, 0}, drop), 2 + 1024 + 5*8},
		"table.get":            {cat([]byte{0x41, 0, 0x25, 0}, drop), 5},
		"assigned, joined":     {cat([]byte{0x02, 0x40, 0x41, 0, 0x0d, 0}, set(0, 40), []byte{0x0b}), 2 + 80 + 18 + 16},
		"assigned, skipped":    {cat([]byte{0x02, 0x40, 0x41, 1, 0x0d, 0}, set(0, 40), []byte{0x0b}), 2 + 18 + 16},
		"assigned, not joined": {cat([]byte{0x02, 0x40}, set(0, 40), []byte{0x0b}), 80},
		"assigned in a loop":   {cat([]byte{0x03, 0x40}, set(0, 10), []byte{0x41, 0, 0x0d, 0, 0x0b}), 3 + 22},
		"assigned within":      {cat([]byte{0x41, 1, 0x04, 0x40, 0x02, 0x40}, set(0, 5), []byte{0x0b}, set(4, 8), []byte{0x0b}), 2 + 18 + 2},
		"return":               {[]byte{0x0f, 0x41, 0, 0x1a}, 1},
		"trap in a bulk":       {cat([]byte{0x41, 0, 0x41, 1, 0x41}, sleb(70000), []byte{0xfc, 11, 0}), 3 + 64 + 70000},
	} {
		t.Run(name, func(t *testing.T) {
			if used := usedBy(t, single(nil, fnLocals([]byte{1, 40, i32}, c.code))) - 5; used != c.want {
				t.Errorf("used %d, want %d", used, c.want)
			}
		})
	}
	if used := usedBy(t, single(nil, fnLocals([]byte{1, 100, i64}, []byte{0x01}))); used != 12 {
		t.Errorf("100 locals: used %d", used)
	}
}
