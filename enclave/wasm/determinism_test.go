// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// worldRun is everything a guest says of the world, and its fuel.
func worldRun(t *testing.T, m *Module, seed byte) string {
	t.Helper()
	var log bytes.Buffer
	c := enough()
	c.Fuel, c.Log, c.Seed[0], c.Params = 1e11, &log, seed, map[string]string{"B": "2", "A": "1"}
	i := instantiate(t, m, c)
	if err := i.Run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	return fmt.Sprintf("%sfuel %d\n", log.String(), i.Used())
}

// TestSameSeedSameRun: the same input and seed give the same output and the same fuel, in one process and in two.
func TestSameSeedSameRun(t *testing.T) {
	const variable = "GLOVEBOX_TEST_GUEST"
	if path := os.Getenv(variable); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("begin %send", worldRun(t, compile(t, b), 1))
		return
	}
	b := goGuest(t, "world")
	m := compile(t, b)
	first := worldRun(t, m, 1)
	if second := worldRun(t, m, 1); second != first {
		t.Errorf("one run\n%s\nanother\n%s", first, second)
	}
	if other := worldRun(t, m, 2); other == first {
		t.Error("another seed, the same run")
	}
	path := t.TempDir() + "/guest.wasm"
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSameSeedSameRun$")
	cmd.Env = append(os.Environ(), variable+"="+path, "GOMAXPROCS=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, elsewhere, _ := strings.Cut(string(out), "begin ")
	elsewhere, _, _ = strings.Cut(elsewhere, "end")
	if elsewhere != first {
		t.Errorf("here\n%s\nin another process\n%s", first, elsewhere)
	}
}

// TestNaNBits: the bits of NaNs that operations make are the same in every run, and those of a payload that is only moved are
// its own. Which bits a machine's operations make is the machine's: docs/spec/fuel.md says what that means.
func TestNaNBits(t *testing.T) {
	nan := op(0x44, 0x37, 0x13, 0, 0, 0, 0, 0xfc, 0x7f) // a NaN with a payload
	zero := op(0x44, 0, 0, 0, 0, 0, 0, 0, 0)
	one := op(0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f)
	bits := op(0xbd)
	m := module{}
	for name, c := range map[string][]byte{
		"moved": code(nan, bits), "negated": code(nan, op(0x9a), bits), "copysign": code(nan, one, op(0xa6), bits),
		"zero over zero": code(zero, zero, op(0xa3), bits), "root": code(one, op(0x9a), op(0x9f), bits), "sum": code(nan, one, op(0xa0), bits),
		"other sum": code(one, nan, op(0xa0), bits), "product": code(nan, nan, op(0xa2), bits), "min": code(nan, one, op(0xa4), bits),
		"floor": code(nan, op(0x9c), bits), "narrowed": code(nan, op(0xb6, 0xbc, 0xad)), "and back": code(nan, op(0xb6, 0xbb), bits),
	} {
		m.funcs = append(m.funcs, function{export: name, results: []byte{i64}, code: c})
	}
	b := m.bytes()
	first := map[string]uint64{}
	for range 3 {
		i := instantiate(t, compile(t, b), enough())
		for _, f := range m.funcs {
			v, err := i.Call(t.Context(), f.export)
			if err != nil {
				t.Fatal(err)
			}
			if was, ok := first[f.export]; ok && was != v[0] {
				t.Errorf("%s: %016x, then %016x", f.export, was, v[0])
			}
			first[f.export] = v[0]
		}
	}
	if first["moved"] != 0x7ffc000000001337 || first["negated"] != 0xfffc000000001337 || first["copysign"] != 0x7ffc000000001337 {
		t.Errorf("%x", first)
	}
	for name, v := range first {
		if name != "narrowed" && v&0x7ff8000000000000 != 0x7ff8000000000000 {
			t.Errorf("%s is not a quiet NaN: %016x", name, v)
		}
	}
}
