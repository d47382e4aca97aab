// SPDX-License-Identifier: Apache-2.0

package fuel_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// A fuel count is the same in any engine: the same admitted modules run in wazero and in node's V8.

type v8Job struct {
	Wasm    []byte   `json:"wasm"`
	Fuel    string   `json:"fuel"`
	Call    string   `json:"call"`
	Args    []string `json:"args"`
	Types   []int    `json:"types"`
	Results []int    `json:"results"`
	Globals []string `json:"globals"`
	Wasi    []string `json:"wasi"`
}

type v8Answer struct {
	Trap    string   `json:"trap"`
	Results []string `json:"results"`
	Left    string   `json:"left"`
	Output  string   `json:"output"`
	Memory  string   `json:"memory"`
}

// tool finds a program, or skips: GLOVEBOX_NO_NODE and GLOVEBOX_NO_CLANG allow that under CI too.
func tool(t *testing.T, name, allow string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" && os.Getenv(allow) == "" {
		t.Fatalf("%s is missing; set %s to run without it", name, allow)
	}
	t.Skipf("skipped: %s is missing", name)
	return ""
}

func runV8(t *testing.T, node string, jobs []v8Job) []v8Answer {
	t.Helper()
	var in bytes.Buffer
	for _, j := range jobs {
		if err := json.NewEncoder(&in).Encode(j); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), node, "testdata/v8.mjs")
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	var answers []v8Answer
	for line := range bytes.Lines(out) {
		var a v8Answer
		if err := json.Unmarshal(line, &a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(jobs) {
		t.Fatalf("%d answers to %d jobs", len(answers), len(jobs))
	}
	return answers
}

func bitsText(t api.ValueType, v uint64) string {
	if t == api.ValueTypeI32 || t == api.ValueTypeF32 {
		v = uint64(uint32(v)) // wazero leaves anything in the upper half
	}
	if t == api.ValueTypeF32 && math.IsNaN(float64(api.DecodeF32(v))) || t == api.ValueTypeF64 && math.IsNaN(api.DecodeF64(v)) {
		return "nan"
	}
	return strconv.FormatUint(v, 10)
}

func TestSameFuelInV8(t *testing.T) {
	slowUnderRace(t)
	node := tool(t, "node", "GLOVEBOX_NO_NODE")
	rt := newRuntime(t)
	var jobs []v8Job
	var wants []outcome
	var seeds []uint64
	n := uint64(400)
	if testing.Short() {
		n = 60
	}
	for seed := range n {
		a := admit(t, generate(seed), nil)
		c, err := rt.CompileModule(t.Context(), a.Module)
		if err != nil {
			t.Fatal(err)
		}
		f := c.ExportedFunctions()["f0"]
		enough := runOnce(t, rt, c, plenty)
		// With enough fuel, and with half of what it needs.
		for _, give := range []int64{plenty, (plenty - enough.left) / 2} {
			j := v8Job{Wasm: a.Module, Fuel: strconv.FormatInt(give, 10), Call: "f0", Args: []string{}, Globals: []string{}}
			for i, v := range argumentsOf(f.ParamTypes()) {
				j.Args = append(j.Args, strconv.FormatUint(v, 10))
				j.Types = append(j.Types, int(f.ParamTypes()[i]))
			}
			for _, r := range f.ResultTypes() {
				j.Results = append(j.Results, int(r))
			}
			want := runOnce(t, rt, c, give)
			if strings.Contains(want.trap, "stack overflow") {
				continue
			}
			jobs, wants, seeds = append(jobs, j), append(wants, want), append(seeds, seed)
		}
	}
	traps := 0
	for i, got := range runV8(t, node, jobs) {
		want := wants[i]
		if strings.Contains(got.Trap, "call stack") {
			continue // how deep recursion goes is the engine's business
		}
		if got.Left != strconv.FormatInt(want.left, 10) || (got.Trap == "") != (want.trap == "") || got.Memory != hex.EncodeToString(want.memory[:]) {
			t.Fatalf("seed %d, fuel %s: V8 %+v\nwazero %+v", seeds[i], jobs[i].Fuel, got, want)
		}
		for k, r := range got.Results {
			if w := bitsText(api.ValueType(jobs[i].Results[k]), want.results[k]); r != w {
				t.Fatalf("seed %d: result %d is %s in V8, %s in wazero", seeds[i], k, r, w)
			}
		}
		if want.trap != "" {
			traps++
		}
	}
	t.Logf("%d runs have the same results, memory and fuel in V8, %d of them trap", len(jobs), traps)
}

// wasiHost is as little of WASI as testdata/v8.mjs has, and does the same.
type wasiHost struct {
	args []string
	now  uint64
	out  bytes.Buffer
	exit string
}

func (h *wasiHost) instantiate(t *testing.T, rt wazero.Runtime, c wazero.CompiledModule) {
	t.Helper()
	b := rt.NewHostModuleBuilder("wasi_snapshot_preview1")
	for _, f := range c.ImportedFunctions() {
		_, name, _ := f.Import()
		results := len(f.ResultTypes())
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, stack []uint64) {
			code := h.call(m, name, stack)
			if results > 0 {
				stack[0] = uint64(code)
			}
		}), f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	if _, err := b.Instantiate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (h *wasiHost) call(m api.Module, name string, s []uint64) uint32 {
	memory := m.Memory()
	charge := func(n uint64) {
		g := m.ExportedGlobal(fuel.GlobalExport).(api.MutableGlobal)
		g.Set(g.Get() - uint64(fuel.Bytes(n)))
	}
	u32 := func(i int) uint32 { return uint32(s[i]) }
	switch name {
	case "args_sizes_get":
		memory.WriteUint32Le(u32(0), uint32(len(h.args)))
		memory.WriteUint32Le(u32(1), uint32(len(strings.Join(h.args, " "))+1))
	case "args_get":
		list, at := u32(0), u32(1)
		for _, a := range h.args {
			memory.WriteUint32Le(list, at)
			memory.WriteString(at, a+"\x00")
			list, at = list+4, at+uint32(len(a))+1
		}
	case "environ_sizes_get":
		memory.WriteUint32Le(u32(0), 0)
		memory.WriteUint32Le(u32(1), 0)
	case "environ_get", "sched_yield":
	case "clock_time_get":
		h.now += 1e6
		memory.WriteUint64Le(u32(2), h.now)
	case "random_get":
		memory.Write(u32(0), make([]byte, u32(1)))
		charge(uint64(u32(1)))
	case "fd_write":
		total := uint32(0)
		for i := range u32(2) {
			at, _ := memory.ReadUint32Le(u32(1) + 8*i)
			n, _ := memory.ReadUint32Le(u32(1) + 8*i + 4)
			b, _ := memory.Read(at, n)
			h.out.Write(b)
			total += n
		}
		memory.WriteUint32Le(u32(3), total)
		charge(uint64(total))
	case "fd_fdstat_get":
		if u32(0) > 2 {
			return 8
		}
		b := make([]byte, 24)
		b[0] = 2
		copy(b[8:], "\xff\xff\xff\xff")
		memory.Write(u32(1), b)
	case "poll_oneoff":
		memory.Write(u32(1), make([]byte, 32*u32(2)))
		memory.WriteUint32Le(u32(3), u32(2))
		h.now += 1e9
	case "proc_exit":
		h.exit = fmt.Sprintf("exit %d", u32(0))
		panic(h.exit)
	default:
		return 8
	}
	return 0
}

// TestSameFuelOfGuestsInV8 runs programs made by clang and by Go.
func TestSameFuelOfGuestsInV8(t *testing.T) {
	slowUnderRace(t)
	node := tool(t, "node", "GLOVEBOX_NO_NODE")
	guests := map[string]func(*testing.T, string){"go": buildGoGuest, "c": buildCGuest, "c-simd": buildSIMDGuest}
	for name, build := range guests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "guest.wasm")
			build(t, path)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			compareGuest(t, node, b)
		})
	}
}

func compareGuest(t *testing.T, node string, b []byte) {
	t.Helper()
	rt := newRuntime(t)
	plain, err := rt.CompileModule(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	a := admit(t, b, importsOf(plain))
	c, err := rt.CompileModule(t.Context(), a.Module)
	if err != nil {
		t.Fatal(err)
	}
	h := &wasiHost{args: []string{"guest", "12"}, now: 1e18}
	h.instantiate(t, rt, c)
	m, err := rt.InstantiateModule(t.Context(), c, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		t.Fatal(err)
	}
	left := setFuel(t, m, plenty)
	if _, err = m.ExportedFunction("_start").Call(t.Context()); err != nil && h.exit != "exit 0" {
		t.Fatalf("%v\n%s", err, h.out.String())
	}
	memory, _ := m.Memory().Read(0, m.Memory().Size())
	sum := sha256.Sum256(memory)
	job := v8Job{Wasm: a.Module, Fuel: strconv.Itoa(plenty), Call: "_start", Args: []string{}, Globals: []string{}, Wasi: h.args}
	got := runV8(t, node, []v8Job{job})[0]
	if got.Output != h.out.String() || got.Left != strconv.FormatInt(left(), 10) || got.Trap != h.exit {
		t.Errorf("V8 %q left %s %s\nwazero %q left %d %s", got.Output, got.Left, got.Trap, h.out.String(), left(), h.exit)
	}
	if got.Memory != hex.EncodeToString(sum[:]) {
		t.Error("memory differs")
	}
	t.Logf("used %d, said %q", plenty-left(), got.Output)
}

func buildGoGuest(t *testing.T, path string) { buildGo(t, path, "./testdata/guest.go") }

func buildCGuest(t *testing.T, path string) { buildClang(t, path) }

func buildSIMDGuest(t *testing.T, path string) { buildClang(t, path, "-msimd128") }

func buildClang(t *testing.T, path string, flags ...string) {
	clang := tool(t, "clang", "GLOVEBOX_NO_CLANG")
	args := append([]string{"--target=wasm32-wasi", "-O2", "-o", path, "testdata/guest.c", "-lm"}, flags...)
	if out, err := exec.Command(clang, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
