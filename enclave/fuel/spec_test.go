// SPDX-License-Identifier: Apache-2.0

package fuel_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// The WebAssembly specification's own tests, as wazero ships them: every command runs on the module as it came and on
// the admitted one, and both must do the same.

type specFile struct {
	Commands []specCommand `json:"commands"`
}

type specCommand struct {
	Type       string     `json:"type"`
	Line       int        `json:"line"`
	Name       string     `json:"name"`
	As         string     `json:"as"`
	Filename   string     `json:"filename"`
	ModuleType string     `json:"module_type"`
	Action     specAction `json:"action"`
}

type specAction struct {
	Type   string      `json:"type"`
	Module string      `json:"module"`
	Field  string      `json:"field"`
	Args   []specValue `json:"args"`
}

type specValue struct {
	Type  string `json:"type"`
	Lane  string `json:"lane_type"`
	Value any    `json:"value"`
}

// words are the 64-bit words by which wazero takes a value.
func (v specValue) words(t *testing.T) []uint64 {
	t.Helper()
	if v.Type != "v128" {
		s, _ := v.Value.(string)
		if s == "null" || s == "" {
			return []uint64{0}
		}
		n := parseWord(t, s)
		if v.Type == "externref" {
			n++
		}
		return []uint64{n}
	}
	lanes, _ := v.Value.([]any)
	width := 128 / len(lanes)
	words := make([]uint64, 2)
	for i, l := range lanes {
		words[i*width/64] |= parseWord(t, l.(string)) & (1<<width - 1) << (i * width % 64)
	}
	return words
}

func parseWord(t *testing.T, s string) uint64 {
	t.Helper()
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return n
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatalf("value %q", s)
	}
	return uint64(n)
}

// pair is a module twice: as it came and admitted.
type pair struct {
	plain, fuel api.Module
	metered     bool // else not admitted: fuel is the module as it came, so that both sides keep the same state
}

// specRun runs one file.
type specRun struct {
	dir     string
	plain   wazero.Runtime
	fuel    wazero.Runtime
	named   map[string]*pair
	current *pair
	counts  map[string]int
}

func TestSpecTestsOfWazero(t *testing.T) {
	slowUnderRace(t)
	counts := map[string]int{}
	for _, v := range []string{"v1", "v2"} {
		dir := filepath.Join(wazeroDir(t), "internal/integration_test/spectest", v, "testdata")
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil || len(files) < 60 {
			t.Fatalf("%d files in %s, %v", len(files), dir, err)
		}
		for _, f := range files {
			t.Run(v+"/"+strings.TrimSuffix(filepath.Base(f), ".json"), func(t *testing.T) {
				runSpecFile(t, f, counts)
			})
		}
	}
	keys := make([]string, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		t.Logf("%-60s %d", k, counts[k])
	}
	for what, least := range map[string]int{
		"same results": 40_000, "same traps": 2_500, "invalid refused": 3_000, "malformed refused": 600, "modules": 1_000,
	} {
		if counts[what] < least {
			t.Errorf("%s: only %d, want %d", what, counts[what], least)
		}
	}
}

func runSpecFile(t *testing.T, path string, counts map[string]int) {
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file specFile
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	r := &specRun{dir: filepath.Dir(path), plain: newRuntime(t), fuel: newRuntime(t), named: map[string]*pair{}, counts: counts}
	spectest, err := os.ReadFile(filepath.Join(wazeroDir(t), "internal/integration_test/spectest/testdata/spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range []wazero.Runtime{r.plain, r.fuel} {
		if _, err := rt.InstantiateWithConfig(t.Context(), spectest, wazero.NewModuleConfig()); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range file.Commands {
		as := ""
		if next := i + 1; next < len(file.Commands) && file.Commands[next].Type == "register" {
			as = file.Commands[next].As
		}
		r.command(t, c, as)
	}
}

func (r *specRun) command(t *testing.T, c specCommand, as string) {
	t.Helper()
	switch c.Type {
	case "register":
	case "module":
		r.current = r.instantiate(t, c, as)
		if c.Name != "" {
			r.named[c.Name] = r.current
		}
	case "assert_malformed", "assert_invalid":
		if c.ModuleType == "text" {
			r.counts["skipped: text"]++
			return
		}
		r.refuse(t, c)
	case "assert_return", "action", "assert_trap", "assert_exhaustion":
		r.invoke(t, c)
	case "assert_unlinkable", "assert_uninstantiable":
		r.uninstantiable(t, c)
	default:
		t.Errorf("line %d: command %s", c.Line, c.Type)
	}
}

func (r *specRun) read(t *testing.T, c specCommand) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, c.Filename))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ours are the refusals that are ours and not the specification's.
var ours = []string{
	"only functions may be imported", "start function is an import", " of 65537 ", "tables of ", "at most ",
}

func (r *specRun) instantiate(t *testing.T, c specCommand, as string) *pair {
	t.Helper()
	b := r.read(t, c)
	plain, err := r.plain.CompileModule(t.Context(), b)
	if err != nil {
		t.Fatalf("line %d: %v", c.Line, err)
	}
	p := &pair{}
	cfg := wazero.NewModuleConfig().WithName(as)
	if p.plain, err = r.plain.InstantiateModule(t.Context(), plain, cfg); err != nil {
		t.Fatalf("line %d: %v", c.Line, err)
	}
	a, err := fuel.Admit(b, importsOf(plain))
	if err != nil {
		if !slices.ContainsFunc(ours, func(s string) bool { return strings.Contains(err.Error(), s) }) {
			t.Errorf("line %d: %v", c.Line, err)
		}
		_, why, _ := strings.Cut(err.Error(), " section: ")
		if _, after, ok := strings.Cut(why, "\" is a "); ok {
			why = "import is a " + after
		}
		r.counts["modules skipped: "+why]++
		if p.fuel, err = r.fuel.InstantiateWithConfig(t.Context(), b, cfg); err != nil {
			t.Fatalf("line %d: %v", c.Line, err)
		}
		return p
	}
	p.metered = true
	if p.fuel, err = r.fuel.InstantiateWithConfig(t.Context(), a.Module, cfg); err != nil {
		t.Fatalf("line %d: %v", c.Line, err)
	}
	r.counts["modules"]++
	left := setFuel(t, p.fuel, plenty)
	if a.Start {
		if _, err := p.fuel.ExportedFunction(fuel.StartExport).Call(t.Context()); err != nil {
			t.Errorf("line %d: start: %v", c.Line, err)
		}
		if left() >= plenty {
			r.counts["start functions that cost nothing"]++
		}
	}
	return p
}

// refuse is for a module that nobody may accept.
func (r *specRun) refuse(t *testing.T, c specCommand) {
	t.Helper()
	b := r.read(t, c)
	a, err := fuel.Admit(b, allowAll())
	if err == nil {
		_, err = r.fuel.CompileModule(t.Context(), a.Module)
		r.counts[strings.TrimPrefix(c.Type, "assert_")+" refused by the engine"]++
	}
	if err == nil {
		if _, err := r.plain.CompileModule(t.Context(), b); err != nil {
			t.Errorf("line %d: %s is accepted, but as it came: %v", c.Line, c.Filename, err)
		}
		r.counts["valid since 2.0"]++ // v1 tests what 1.0 did not have
		return
	}
	r.counts[strings.TrimPrefix(c.Type, "assert_")+" refused"]++
}

// uninstantiable is for a module that must not link or traps when it starts.
func (r *specRun) uninstantiable(t *testing.T, c specCommand) {
	t.Helper()
	b := r.read(t, c)
	plain, err := r.plain.CompileModule(t.Context(), b)
	if err != nil {
		return
	}
	_, want := r.plain.InstantiateModule(t.Context(), plain, wazero.NewModuleConfig().WithName(""))
	a, err := fuel.Admit(b, importsOf(plain))
	if err != nil {
		r.counts["uninstantiable not admitted"]++
		_, err = r.fuel.InstantiateWithConfig(t.Context(), b, wazero.NewModuleConfig().WithName(""))
		if (err == nil) != (want == nil) {
			t.Errorf("line %d: %v, in the other runtime %v", c.Line, err, want)
		}
		return
	}
	m, err := r.fuel.InstantiateWithConfig(t.Context(), a.Module, wazero.NewModuleConfig().WithName(""))
	if err == nil && a.Start {
		setFuel(t, m, plenty)
		_, err = m.ExportedFunction(fuel.StartExport).Call(context.Background())
	}
	if (err == nil) != (want == nil) {
		t.Errorf("line %d: %v, as it came %v", c.Line, err, want)
	}
	r.counts["uninstantiable the same"]++
}

func (r *specRun) invoke(t *testing.T, c specCommand) {
	t.Helper()
	p := r.current
	if c.Action.Module != "" {
		p = r.named[c.Action.Module]
	}
	if c.Action.Type == "get" {
		if a, b := p.plain.ExportedGlobal(c.Action.Field).Get(), p.fuel.ExportedGlobal(c.Action.Field).Get(); a != b {
			t.Errorf("line %d: global %d, as it came %d", c.Line, b, a)
		}
		r.counts["same results"]++
		return
	}
	var args []uint64
	for _, v := range c.Action.Args {
		args = append(args, v.words(t)...)
	}
	left := func() int64 { return 0 }
	if p.metered {
		left = setFuel(t, p.fuel, plenty)
	}
	want, wantErr := p.plain.ExportedFunction(c.Action.Field).Call(t.Context(), args...)
	got, err := p.fuel.ExportedFunction(c.Action.Field).Call(t.Context(), args...)
	if message(err) != message(wantErr) {
		t.Errorf("line %d: %s: %q, as it came %q", c.Line, c.Action.Field, message(err), message(wantErr))
	}
	if !sameWords(p.fuel.ExportedFunction(c.Action.Field), got, want) {
		t.Errorf("line %d: %s: %x, as it came %x", c.Line, c.Action.Field, got, want)
	}
	if left() < 0 {
		t.Errorf("line %d: %s: ran out of fuel", c.Line, c.Action.Field)
	}
	switch {
	case !p.metered:
		r.counts["skipped: module not admitted"]++
	case c.Type == "assert_exhaustion":
		r.counts["same exhaustion"]++
	case wantErr != nil:
		r.counts["same traps"]++
	default:
		r.counts["same results"]++
	}
}

// sameWords compares results bit for bit, but for references, which are addresses.
func sameWords(f api.Function, got, want []uint64) bool {
	if len(got) != len(want) || len(got) == 0 {
		return len(got) == len(want)
	}
	i := 0
	for _, t := range f.Definition().ResultTypes() {
		n := 1
		if byte(t) == 0x7b {
			n = 2
		}
		for ; n > 0; n-- {
			if byte(t) == 0x70 {
				if (got[i] == 0) != (want[i] == 0) {
					return false
				}
			} else if got[i] != want[i] {
				return false
			}
			i++
		}
	}
	return true
}

// allowAll are the functions of the module "spectest", so that a module that no engine accepts is refused for what it is.
func allowAll() fuel.Imports {
	allowed := fuel.Imports{
		{"spectest", "print"}: {}, {"spectest", "print_i32"}: {Params: []byte{0x7f}},
	}
	for _, name := range []string{"i64", "f32", "f64", "i32_f32", "f64_f64"} {
		params := map[string][]byte{"i64": {0x7e}, "f32": {0x7d}, "f64": {0x7c}, "i32_f32": {0x7f, 0x7d}, "f64_f64": {0x7c, 0x7c}}[name]
		allowed[[2]string{"spectest", "print_" + name}] = fuel.Signature{Params: params}
	}
	return allowed
}
