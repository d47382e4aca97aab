// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/enclave/blas"
	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// caller is a module that exports each host function of glovebox under its own name, and one page of memory.
func caller() module {
	m := module{memory: []uint64{1}, imports: []imported{
		{hostModule, "open", []byte{i32, i32}, []byte{i32}},
		{hostModule, "size", []byte{i32}, []byte{i64}},
		{hostModule, "read", []byte{i32, i64, i32, i32}, []byte{i32}},
		{hostModule, "sgemm", []byte{i32, i32, i32, i32, i32, f32, i32, i32, i32, i32, f32, i32, i32}, nil},
		{hostModule, "sgemv", []byte{i32, i32, i32, f32, i32, i32, i32, i32, f32, i32, i32}, nil},
		{hostModule, "saxpy", []byte{i32, f32, i32, i32, i32, i32}, nil},
		{hostModule, "sexp", []byte{i32, i32, i32}, nil},
	}}
	return m.forwarding()
}

// forwarding adds an export for each import that calls it with its own arguments.
func (m module) forwarding() module {
	for n, i := range m.imports {
		var c []byte
		for arg := range i.params {
			c = append(c, localGet(arg)...)
		}
		m.funcs = append(m.funcs, function{export: i.name, params: i.params, results: i.results, code: code(c, callTo(n))})
	}
	return m
}

// i are arguments as the engine takes them.
func ints(v ...int64) []uint64 {
	var out []uint64
	for _, n := range v {
		out = append(out, uint64(n))
	}
	return out
}

func f32bits(v float32) int64 { return int64(math.Float32bits(v)) }

func poke(i *Instance, at uint32, v ...float32) {
	for n, f := range v {
		i.guest.Memory().WriteFloat32Le(at+uint32(n)*4, f)
	}
}

func peek(i *Instance, at uint32, n int) (v []float32) {
	for k := range n {
		f, _ := i.guest.Memory().ReadFloat32Le(at + uint32(k)*4)
		v = append(v, f)
	}
	return v
}

func TestFiles(t *testing.T) {
	c := enough()
	c.Files = memFiles{"a/empty": nil, "a/records": []byte("0123456789"), "z": []byte("zz")}
	i := instantiate(t, compile(t, caller().bytes()), c)
	mem := i.guest.Memory()
	mem.WriteString(0, "a/records")
	must1 := func(name string, args ...int64) int64 {
		t.Helper()
		v, err := i.Call(t.Context(), name, ints(args...)...)
		if err != nil {
			t.Fatalf("%s%v: %v", name, args, err)
		}
		if name == "size" {
			return int64(v[0])
		}
		return int64(int32(v[0]))
	}
	file := must1("open", 0, 9)
	if file != 1 || must1("size", file) != 10 || must1("size", 0) != -1 || must1("size", -1) != -1 || must1("size", 99) != -1 {
		t.Error("open or size")
	}
	if must1("open", 0, 8) != -1 || must1("open", 0, 0) != -1 || must1("open", 0, 60000) != -1 {
		t.Error("opened what is not there")
	}
	before := i.Used()
	if n := must1("read", file, 7, 100, 5); n != 3 {
		t.Errorf("read %d", n)
	}
	b, _ := mem.Read(100, 4)
	if string(b) != "789\x00" {
		t.Errorf("read %q", b)
	}
	cost := i.Used() - before
	before = i.Used()
	for _, off := range []int64{10, 11, math.MaxInt64} {
		if n := must1("read", file, off, 100, 5); n != 0 {
			t.Errorf("read %d at %d", n, off)
		}
	}
	if three := (i.Used() - before); three != 3*(cost-fuel.Bytes(3)) {
		t.Errorf("three empty reads cost %d, one of three bytes %d", three, cost)
	}
	for _, args := range [][]int64{{file, -1, 0, 1}, {0, 0, 0, 1}, {-1, 0, 0, 1}, {math.MaxInt32, 0, 0, 1}, {file, 0, 65535, 2}, {file, 0, -1, 1}, {file, 0, 0, -1}} {
		if _, err := i.Call(t.Context(), "read", ints(args...)...); !errors.Is(err, ErrTrap) {
			t.Errorf("read%v: %v", args, err)
		}
	}
	if _, err := i.Call(t.Context(), "open", ints(65530, 9)...); !errors.Is(err, errBounds) {
		t.Errorf("name outside memory: %v", err)
	}
}

type failing struct{ memFiles }

var errGone = errors.New("gone")

func (f failing) ReadAt(int, []byte, int64) (int, error) { return 0, errGone }

type short struct{ memFiles }

func (s short) ReadAt(_ int, p []byte, _ int64) (int, error) { return len(p) - 1, nil }

// TestFilesFail: the provider's error comes out with the trap that it is.
func TestFilesFail(t *testing.T) {
	files := memFiles{"f": []byte("0123456789")}
	for want, f := range map[error]Files{errGone: failing{files}, errNoData: short{files}} {
		c := enough()
		c.Files = f
		i := instantiate(t, compile(t, caller().bytes()), c)
		i.guest.Memory().WriteString(0, "f")
		if _, err := i.Call(t.Context(), "open", 0, 1); err != nil {
			t.Fatal(err)
		}
		before := i.Used()
		if _, err := i.Call(t.Context(), "read", 0, 0, 0, 10); !errors.Is(err, want) || !errors.Is(err, ErrTrap) {
			t.Errorf("%v", err)
		}
		if used := i.Used() - before; used < fuel.CallImport+fuel.Bytes(10) || used > fuel.CallImport+fuel.Bytes(10)+100 {
			t.Errorf("a trap in a host call that cost %d used %d", fuel.Bytes(10), used)
		}
	}
	none := instantiate(t, compile(t, caller().bytes()), enough())
	if v, err := none.Call(t.Context(), "open", 0, 1); err != nil || int32(v[0]) != -1 {
		t.Errorf("open without files: %v, %v", v, err)
	}
}

func TestBlas(t *testing.T) {
	i := instantiate(t, compile(t, caller().bytes()), enough())
	call := func(cost int64, name string, args ...int64) {
		t.Helper()
		i.setFuel(1e8)
		if _, err := i.Call(t.Context(), name, ints(args...)...); err != nil {
			t.Fatal(err)
		}
		if used := i.Used(); used < cost || used > cost+fuel.CallImport+100 {
			t.Errorf("%s cost %d, the work alone %d", name, used, cost)
		}
	}
	one := f32bits(1)
	poke(i, 0, 1, 2, 3, 4)       // A
	poke(i, 100, 10, 20, 30, 40) // B
	poke(i, 200, 1, 1, 1, 1)     // C
	call(blas.FuelSgemm(false, true, 2, 2, 2, 2, 2, 2), "sgemm", 0, 1, 2, 2, 2, one, 0, 2, 100, 2, f32bits(2), 200, 2)
	if got := peek(i, 200, 4); !slices.Equal(got, []float32{52, 112, 112, 252}) {
		t.Errorf("sgemm %v", got)
	}
	poke(i, 200, 1, 1)
	call(blas.FuelSgemv(true, 2, 2, 2, 1, 1), "sgemv", 1, 2, 2, one, 0, 2, 100, 1, f32bits(0), 200, 1)
	if got := peek(i, 200, 2); !slices.Equal(got, []float32{70, 100}) {
		t.Errorf("sgemv %v", got)
	}
	call(blas.FuelSaxpy(2, 1, 1), "saxpy", 2, f32bits(3), 0, 2, 200, 1)
	if got := peek(i, 200, 2); !slices.Equal(got, []float32{73, 109}) {
		t.Errorf("saxpy %v", got)
	}
	call(blas.FuelSaxpy(2, 1, 300), "saxpy", 2, f32bits(0), 0, 1, 200, 300)
	call(blas.FuelSgemv(false, 2, 1, 2000, 1, 2000), "sgemv", 0, 2, 1, one, 0, 2000, 16000, 1, 0, 20000, 2000)
	call(blas.FuelSgemm(false, false, 2, 2, 1, 2000, 2000, 2000), "sgemm", 0, 0, 2, 2, 1, one, 0, 2000, 16000, 2000, 0, 20000, 2000)
	poke(i, 300, 0, 1)
	call(blas.FuelSexp(2), "sexp", 2, 300, 400)
	if got := peek(i, 400, 2); got[0] != 1 || got[1] != float32(math.E) {
		t.Errorf("sexp %v", got)
	}
}

// TestHostileBlas: pointers, sizes and strides that lead anywhere else, overflow, or overlap.
func TestHostileBlas(t *testing.T) {
	big := int64(math.MaxInt32)
	for _, tt := range []struct {
		name string
		args []int64
		want error
		text string
	}{
		{"sgemm", []int64{0, 0, 1, 1, 1, 0, 2, 1, 8, 1, 0, 16, 1}, ErrTrap, "multiple of 4"},
		{"sgemm", []int64{0, 0, 1, 1, 1, 0, 65536, 1, 8, 1, 0, 16, 1}, ErrTrap, "blas"},
		{"sgemm", []int64{0, 0, 1, 1, 1, 0, 65540, 1, 8, 1, 0, 16, 1}, ErrTrap, "outside"},
		{"sgemm", []int64{0, 0, 1, 1, 1, 0, -4, 1, 8, 1, 0, 16, 1}, ErrTrap, "outside"},
		{"sgemm", []int64{0, 0, big, big, big, 0, 0, big, 8, big, 0, 16, big}, ErrFuel, ""},
		{"sgemm", []int64{0, 0, 1, 1, big, 0, 0, big, 8, 1, 0, 16, 1}, ErrFuel, ""},
		{"sgemm", []int64{0, 0, 1, 1, 1 << 16, 0, 0, 1 << 16, 8, 1, 0, 16, 1}, ErrTrap, "too few"},
		{"sgemm", []int64{0, 0, 2, 2, 2, 0, 0, 1, 100, 2, 0, 200, 2}, ErrTrap, "apart"},
		{"sgemm", []int64{0, 0, 2, 2, 2, 0, 0, -2, 100, 2, 0, 200, 2}, ErrTrap, "apart"},
		{"sgemm", []int64{0, 0, -1, 2, 2, 0, 0, 2, 100, 2, 0, 200, 2}, ErrTrap, "size of -1"},
		{"sgemm", []int64{0, 0, 2, 2, 2, 0, 0, 2, 100, 2, 0, 0, 2}, ErrTrap, "overlap"},
		{"sgemm", []int64{0, 0, 2, 2, 2, 0, 0, 2, 100, 2, 0, 112, 2}, ErrTrap, "overlap"},
		{"sgemm", []int64{0, 0, 2, 2, 2, 0, 0, 2, 100, 2, 0, 200, big}, ErrTrap, "too few"},
		{"sgemm", []int64{0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1}, nil, ""},
		{"sgemm", []int64{0, 0, 2, 2, 2, 0, 0, 2, 0, 2, 0, 200, 2}, nil, ""}, // A and B may be one
		{"sgemv", []int64{0, big, big, 0, 0, big, 0, 1, 0, 0, 1}, ErrFuel, ""},
		{"sgemv", []int64{0, 2, 2, 0, 0, 2, 100, 0, 0, 200, 1}, ErrTrap, "apart"},
		{"sgemv", []int64{0, 2, 2, 0, 0, 2, 100, -1, 0, 200, 1}, ErrTrap, "apart"},
		{"sgemv", []int64{0, 2, 2, 0, 0, 2, 100, 1, 0, 100, 1}, ErrTrap, "overlap"},
		{"saxpy", []int64{big, 0, 0, 1, 0, 1}, ErrFuel, ""},
		{"saxpy", []int64{2, 0, 0, big, 100, 1}, ErrTrap, "too few"},
		{"saxpy", []int64{2, 0, 0, 1, 4, 1}, ErrTrap, "overlap"},
		{"saxpy", []int64{-5, 0, 0, 1, 4, 1}, ErrTrap, "size of -5"},
		{"sexp", []int64{16385, 0, 0}, ErrTrap, "too few"},
		{"sexp", []int64{16384, 0, 0}, nil, ""},
		{"sexp", []int64{2, 0, 4}, ErrTrap, "overlap"},
	} {
		m := compile(t, caller().bytes())
		c := enough()
		c.Fuel = 1e7
		i := instantiate(t, m, c)
		_, err := i.Call(t.Context(), tt.name, ints(tt.args...)...)
		if !errors.Is(err, tt.want) || !strings.Contains(fmt.Sprint(err), tt.text) {
			t.Errorf("%s%v: %v, want %v %q", tt.name, tt.args, err, tt.want, tt.text)
		}
		if used := i.Used(); used < fuel.CallImport || (tt.want == ErrFuel) != (used == c.Fuel) {
			t.Errorf("%s%v used %d", tt.name, tt.args, used)
		}
	}
}

// TestNoMemory: every import of a module without a memory ends in a trap, never in a crash of the host.
func TestNoMemory(t *testing.T) {
	m := caller()
	m.imports = slices.Concat(m.imports, wasiImports())
	m.memory, m.funcs = nil, nil
	m = m.forwarding()
	b := slices.Clone(m.bytes())
	c := enough()
	c.Files = memFiles{}
	compiled := compile(t, b)
	for _, f := range m.funcs {
		i := instantiate(t, compiled, c)
		_, err := i.Call(t.Context(), f.export, make([]uint64, len(f.params))...)
		if exit := (ErrExit{}); f.export == "size" && err == nil || f.export == "proc_exit" && errors.Is(err, exit) {
			continue
		}
		if !errors.Is(err, ErrTrap) {
			t.Errorf("%s: %v", f.export, err)
		}
	}
}

// le is a list of buffers in memory: pointers and lengths.
func le(v ...uint32) (b []byte) {
	for _, n := range v {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}
