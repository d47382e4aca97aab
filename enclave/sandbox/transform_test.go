// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// transformModule is a guest of tx/1 by hand whose batches come to address 1024. transform has the locals 0, the address, and
// 1, the length, and leaves an i64. It imports emit_finding, 0, and more if it is asked to: 1 is token or noise_laplace.
func transformModule(transform []byte, more string) []byte {
	v := func(params int, result ...byte) []byte {
		return slices.Concat([]byte{0x60, byte(params)}, bytes.Repeat([]byte{0x7f}, params), []byte{byte(len(result))}, result)
	}
	imports := [][]byte{slices.Concat(name("glovebox_tx"), name("emit_finding"), []byte{0, 4})}
	switch more {
	case "token":
		imports = append(imports, slices.Concat(name("glovebox_tx"), name("token"), []byte{0, 5}))
	case "noise_laplace":
		imports = append(imports, slices.Concat(name("glovebox_tx"), name("noise_laplace"), []byte{0, 6}))
	}
	at := byte(len(imports))
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = append(b, section(1, v(0, 0x7f), v(1, 0x7f), v(2, 0x7f), v(2, 0x7e), v(6), v(5, 0x7f), []byte{0x60, 3, 0x7f, 0x7e, 0x7e, 1, 0x7e}, v(0, 0x7e))...)
	b = append(b, section(2, imports...)...)
	b = append(b, section(3, []byte{0}, []byte{1}, []byte{2}, []byte{3}, []byte{7})...)
	b = append(b, section(5, []byte{0, 4})...)
	b = append(b, section(7, append(name("memory"), 2, 0), append(name("tx_abi"), 0, at), append(name("tx_alloc"), 0, at+1),
		append(name("tx_init"), 0, at+2), append(name("tx_transform"), 0, at+3), append(name("tx_flush"), 0, at+4))...)
	body := func(code ...[]byte) []byte {
		return vec(slices.Concat([]byte{0}, slices.Concat(code...), []byte{0x0b}))
	}
	return append(b, section(10, body(i32const(1)), body(i32const(1024)), body(i32const(0)), body(transform), body(i64const(0)))...)
}

// echoBatch leaves what came in as the answer.
func echoBatch() []byte {
	return slices.Concat([]byte{0x20, 0, 0xad}, i64const(32), []byte{0x86, 0x20, 1, 0xad, 0x84})
}

func moduleStep(shape string) *dataset.Step {
	return &dataset.Step{Name: dataset.StepModule, ABI: dataset.ABITransform, Shape: shape, Config: []byte("{}")}
}

// transformSpec is a small session of a module.
func transformSpec(t testing.TB, module []byte, s *dataset.Step, in transforms.Schema) TransformSpec {
	t.Helper()
	config, err := tx.NewConfig(s, in)
	if err != nil {
		t.Fatal(err)
	}
	return TransformSpec{
		Module: module, ABI: s.ABI, Config: config, MemoryBytes: 64 << 20, Fuel: tx.StartFuel, BatchFuel: tx.BatchFuel, ByteFuel: tx.ByteFuel,
		Wall: time.Minute * slowly(),
	}
}

// newModule starts a module and gives it as pipelines have it.
func newModule(t testing.TB, s *Spawner, spec TransformSpec, step *dataset.Step, in transforms.Schema) (transforms.Module, *TransformSession) {
	t.Helper()
	x, err := s.Transform(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	m, err := tx.NewModule(step, in, x)
	if err != nil {
		t.Fatal(err)
	}
	return m, x
}

func texts(in ...string) (out [][]byte) {
	for _, s := range in {
		out = append(out, []byte(s))
	}
	return out
}

var jsonLines = transforms.Schema{Format: dataset.FormatJSONL}

// TestTransform: batches of any size come back, in order, and the session says what it used.
func TestTransform(t *testing.T) {
	step := moduleStep(dataset.ShapeMap)
	m, x := newModule(t, newSpawner(t), transformSpec(t, transformModule(echoBatch(), ""), step, jsonLines), step, jsonLines)
	var in [][]byte
	for n := range 3000 {
		in = append(in, bytes.Repeat([]byte{byte('a' + n%26)}, n%97))
	}
	for range 2 {
		out, report, err := m.Batch(t.Context(), in)
		if err != nil || len(out) != len(in) || report.Fuel < 1 || len(report.Findings) != 0 {
			t.Fatalf("%d records, %+v, %v", len(out), report, err)
		}
		for n := range in {
			if !bytes.Equal(in[n], out[n]) || out[n] == nil {
				t.Fatalf("record %d: %q, want %q", n, out[n], in[n])
			}
		}
	}
	if out, _, err := m.Flush(t.Context()); err != nil || len(out) != 0 {
		t.Errorf("flushed %q, %v", out, err)
	}
	o := x.Outcome()
	if o.Reason != ReasonNone || o.Fuel < 1 || o.Original.IsZero() || o.Rewritten.IsZero() || o.Costs == "" || o.Isolation == "" {
		t.Errorf("%+v", o)
	}
	if _, _, err := m.Batch(t.Context(), in); !errors.Is(err, transforms.ErrModule) {
		t.Errorf("after its end: %v", err)
	}
}

// TestHostileTransform: whatever a module does against its shape or its limits ends its session and its worker, with a reason.
func TestHostileTransform(t *testing.T) {
	answer := func(frames string) []byte { // written to 65536
		var code []byte
		for n, c := range []byte(frames) {
			code = slices.Concat(code, i32const(int32(65536+n)), i32const(int32(c)), []byte{0x3a, 0, 0})
		}
		return slices.Concat(code, i64const(65536<<32|int64(len(frames))))
	}
	const leftOut = "\xff\xff\xff\xff"
	for what, c := range map[string]struct {
		shape     string
		transform []byte
		reason    string
		is        error
	}{
		"traps":                   {dataset.ShapeMap, opUnreachable, ReasonTrap, nil},
		"hangs":                   {dataset.ShapeMap, slices.Concat(opForEver, i64const(0)), ReasonFuel, nil},
		"answers from nowhere":    {dataset.ShapeMap, i64const(4<<16<<32 | 1), ReasonTrap, nil},
		"answers too much":        {dataset.ShapeMap, i64const(1<<31 - 1), ReasonOutput, nil},
		"takes all memory":        {dataset.ShapeMap, slices.Concat([]byte{0x03, 0x40}, i32const(1), []byte{0x40, 0}, i32const(-1), []byte{0x47, 0x0d, 0, 0x0b}, opUnreachable), ReasonMemory, nil},
		"one record too many":     {dataset.ShapeMap, answer("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "", tx.ErrAnswer},
		"one record too few":      {dataset.ShapeMap, answer("\x00\x00\x00\x00"), "", tx.ErrAnswer},
		"leaves one out in a map": {dataset.ShapeMap, answer("\x00\x00\x00\x00" + leftOut), "", tx.ErrAnswer},
		"leaves one out in any":   {dataset.ShapeAny, answer(leftOut), "", tx.ErrAnswer},
		"too many in a filter":    {dataset.ShapeFilter, answer(leftOut + leftOut + leftOut), "", tx.ErrAnswer},
		"half a length":           {dataset.ShapeAny, answer("\x00\x00"), "", tx.ErrAnswer},
		"a length that lies":      {dataset.ShapeAny, answer("\x05\x00\x00\x00abcd"), "", tx.ErrAnswer},
	} {
		t.Run(what, func(t *testing.T) {
			s, step := newSpawner(t), moduleStep(c.shape)
			m, x := newModule(t, s, transformSpec(t, transformModule(c.transform, ""), step, jsonLines), step, jsonLines)
			init, worker := workerPids(t, s)
			out, _, err := m.Batch(t.Context(), texts("one", "two"))
			if !errors.Is(err, transforms.ErrModule) || out != nil || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("%q, %v", out, err)
			}
			end, ended := errors.AsType[*tx.ModuleError](err)
			if (c.reason != "") != ended || ended && end.Reason != c.reason {
				t.Errorf("%v (%+v), want reason %q", err, end, c.reason)
			}
			wantDead(t, init, worker)
			if _, _, again := m.Batch(t.Context(), texts("three")); !errors.Is(again, transforms.ErrModule) {
				t.Errorf("went on: %v", again)
			}
			if o := x.Outcome(); o.Reason != c.reason {
				t.Errorf("%+v", o)
			}
		})
	}
}

// TestTransformRefused: modules that no session is started for, and limits that are missing.
func TestTransformRefused(t *testing.T) {
	s, step := newSpawner(t), moduleStep(dataset.ShapeMap)
	good := transformSpec(t, transformModule(echoBatch(), ""), step, jsonLines)
	lend := &services{}
	for what, change := range map[string]func(*TransformSpec){
		"no ABI": func(s *TransformSpec) { s.ABI = "" }, "no configuration": func(s *TransformSpec) { s.Config = nil },
		"no fuel": func(s *TransformSpec) { s.Fuel = 0 }, "no fuel for batches": func(s *TransformSpec) { s.BatchFuel = 0 },
		"less than no fuel": func(s *TransformSpec) { s.ByteFuel = -1 }, "too much fuel": func(s *TransformSpec) { s.ByteFuel = maxFuel },
		"no wall": func(s *TransformSpec) { s.Wall = 0 }, "no memory": func(s *TransformSpec) { s.MemoryBytes = 0 },
		"tokens of nobody": func(s *TransformSpec) { s.Lent.Token = true }, "noise of nobody": func(s *TransformSpec) { s.Lent.Epsilon = 1 },
	} {
		sp := good
		change(&sp)
		if _, err := s.Transform(t.Context(), sp); !errors.Is(err, ErrSpec) {
			t.Errorf("%s: %v", what, err)
		}
	}
	noLaplace := bytes.Replace(transformModule(echoBatch(), "noise_laplace"), []byte("noise_laplace"), []byte("noise_gaussia"), 1)
	for what, c := range map[string]struct {
		module []byte
		lent   tx.Lent
	}{
		"nothing": {}, "not a module": {module: []byte("x")}, "a command": {module: wasmModule{memory: []uint64{1}}.bytes()},
		"another function":   {module: bytes.Replace(good.Module, []byte("tx_alloc"), []byte("tx_allot"), 1)},
		"token, not allowed": {module: transformModule(echoBatch(), "token"), lent: tx.Lent{Epsilon: 1, Services: lend}},
		"noise, not allowed": {module: transformModule(echoBatch(), "noise_laplace"), lent: tx.Lent{Token: true, Services: lend}},
		"unknown noise":      {module: noLaplace, lent: tx.Lent{Token: true, Epsilon: 1, Services: lend}},
	} {
		sp := good
		sp.Module, sp.Lent = c.module, c.lent
		_, err := s.Transform(t.Context(), sp)
		if end := wantEnd(t, err, ReasonModule); end.Detail == "" {
			t.Errorf("%s: %+v", what, end)
		}
	}
}

// services say what they were asked for.
type services struct {
	text  string
	draws []string
}

func (s *services) Token(kind uint32, text []byte) ([]byte, bool, error) {
	s.text = string(text)
	return []byte("TOKEN"), kind == 0, nil
}

func (s *services) Laplace(record uint32, sensitivity, epsilon int64) (int64, error) {
	s.draws = append(s.draws, fmt.Sprint(record, sensitivity, epsilon))
	return 5, nil
}

// TestTransformAsks: tokens come from the enclave, and noise until a record has spent what it may.
func TestTransformAsks(t *testing.T) {
	s, step, lent := newSpawner(t), moduleStep(dataset.ShapeMap), &services{}
	token := slices.Concat(i32const(0), i32const(1028), i32const(5), i32const(1028), i32const(5), callFn(1), opDrop, echoBatch())
	sp := transformSpec(t, transformModule(token, "token"), step, jsonLines)
	sp.Lent = tx.Lent{Token: true, Services: lent}
	m, _ := newModule(t, s, sp, step, jsonLines)
	if out, _, err := m.Batch(t.Context(), texts("hello world")); err != nil || string(out[0]) != "TOKEN world" || lent.text != "hello" {
		t.Errorf("%q, %v, asked for %q", out, err, lent.text)
	}
	draw := func(record int32) []byte {
		return slices.Concat(i32const(record), i64const(3), i64const(400), callFn(1), opDrop)
	}
	sp = transformSpec(t, transformModule(slices.Concat(draw(0), draw(1), draw(0), echoBatch()), "noise_laplace"), step, jsonLines)
	sp.Lent = tx.Lent{Epsilon: 800, Services: lent}
	m, _ = newModule(t, s, sp, step, jsonLines)
	for range 2 { // each batch has other records
		if _, _, err := m.Batch(t.Context(), texts("a", "b")); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"0 3 400", "1 3 400", "0 3 400"}; !slices.Equal(lent.draws, append(want, want...)) {
		t.Errorf("drew %q", lent.draws)
	}
	sp.Lent.Epsilon, lent.draws = 799, nil
	m, x := newModule(t, s, sp, step, jsonLines)
	_, _, err := m.Batch(t.Context(), texts("a", "b"))
	if end := wantModuleError(t, err, ReasonTrap); !strings.Contains(end.Detail, "399 are left of the record's 799") || len(lent.draws) != 2 {
		t.Errorf("%+v, drew %q", end, lent.draws)
	}
	if o := x.Outcome(); o.Reason != ReasonTrap {
		t.Errorf("%+v", o)
	}
}

// TestTransformBroken: whatever happens to the worker or the caller in the middle of a batch, the session ends, with the reason.
func TestTransformBroken(t *testing.T) {
	late := func(f func()) { time.AfterFunc(200*time.Millisecond, f) }
	for what, c := range map[string]struct {
		reason string
		wall   time.Duration
		do     func(x *TransformSession, worker int, cancel func())
	}{
		"killed":    {ReasonWorker, time.Minute, func(_ *TransformSession, w int, _ func()) { late(func() { _ = unix.Kill(w, unix.SIGKILL) }) }},
		"endless":   {ReasonWall, 2 * time.Second, func(*TransformSession, int, func()) {}},
		"closed":    {ReasonWorker, time.Minute, func(x *TransformSession, _ int, _ func()) { late(func() { _ = x.Close() }) }},
		"cancelled": {ReasonNone, time.Minute, func(_ *TransformSession, _ int, cancel func()) { late(cancel) }},
	} {
		t.Run(what, func(t *testing.T) {
			s, step := newSpawner(t), moduleStep(dataset.ShapeMap)
			sp := transformSpec(t, transformModule(slices.Concat(opForEver, i64const(0)), ""), step, jsonLines)
			sp.BatchFuel, sp.Wall = 1<<50, c.wall*slowly()
			m, x := newModule(t, s, sp, step, jsonLines)
			init, worker := workerPids(t, s)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c.do(x, worker, cancel)
			_, _, err := m.Batch(ctx, texts("a"))
			if c.reason == ReasonNone {
				wantEnd(t, err, ReasonNone)
			} else {
				wantModuleError(t, err, c.reason)
			}
			wantDead(t, init, worker)
		})
	}
}

// wantModuleError demands an end of a module whose text has nothing of its detail.
func wantModuleError(t *testing.T, err error, reason string) *tx.ModuleError {
	t.Helper()
	end, ok := errors.AsType[*tx.ModuleError](err)
	if !ok || end.Reason != reason || end.Detail == "" || strings.Contains(err.Error(), end.Detail) {
		t.Fatalf("err = %v (%+v), want reason %q", err, end, reason)
	}
	return end
}

// cModule compiles a guest in C.
func cModule(t testing.TB, source string, flags ...string) []byte {
	t.Helper()
	clang, err := exec.LookPath("clang")
	if err != nil {
		if os.Getenv("CI") == "true" && os.Getenv("GLOVEBOX_NO_CLANG") == "" {
			t.Fatal(err)
		}
		t.Skip("no clang, lld and wasi-libc: C guests are not tested")
	}
	out := filepath.Join(t.TempDir(), "transform.wasm")
	cmd := exec.Command(clang, append([]string{"--target=wasm32-wasi", "-O2", "-I../../sdk/c", "-o", out, source}, flags...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
