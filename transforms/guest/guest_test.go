// SPDX-License-Identifier: Apache-2.0

package main_test

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

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/wasm"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// build makes the module as `make transforms` does.
func build(t testing.TB) []byte {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the whole catalogue for WebAssembly and compiles it twice; -short leaves that to `make test`")
	}
	out := filepath.Join(t.TempDir(), "builtin.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-buildid= -s -w", "-o", out, ".")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// steps are configurations of the built-ins that run as a module.
var steps = []struct{ step, config string }{
	{"redact", `{}`},
	{"redact", `{"fields":["text","name"],"operators":{"default":{"op":"mask","last":2}}}`},
	{"scan", `{"act":"report"}`},
	{"scan", `{"act":"quarantine","fields":["text"]}`},
	{"filter", `{"where":[{"field":"country","in":["DE","AT"]}]}`},
	{"filter", `{"length":{"field":"text","max":60}}`},
	{"filter", `{"language":{"fields":["text"],"in":["de","fr"]}}`},
	{"deduplicate", `{}`},
	{"deduplicate", `{"near":{"threshold":0.8}}`},
	{"generalise", `{"fields":[{"field":"age","width":10}]}`},
	{"code", `{"fields":[{"field":"age","bottom":20,"top":60}]}`},
	{"suppress", `{"fields":[{"field":"country","equals":["DE"]}]}`},
	{"drop", `{"fields":[{"field":"age"}]}`},
	{"keep", `{"fields":[{"field":"text"},{"field":"age"}]}`},
	{"rename", `{"fields":[{"field":"age","to":"years"}]}`},
	{"media", `{}`},
}

// native are the built-ins that run natively alone, with what they need that no module has.
var native = map[string]string{
	"sample": "keys", dataset.StepFPE: "keys", dataset.StepTokenise: "keys", dataset.StepKAnon: "noise",
	"k-rr": "noise", "discrete-laplace": "noise", "discrete-gaussian": "noise",
}

// data is records that built-ins have something to do with.
func data(f dataset.Format) string {
	var b strings.Builder
	countries := []string{"DE", "AT", "FR", "GB"}
	texts := []string{
		"Write to ann.example@example.org or call +44 20 7946 0958 before noon.", "Der Zug nach Wien ist heute wieder einmal zu spät, und niemand weiß warum.",
		"My card is 4111 1111 1111 1111, it expires soon; the account is GB82 WEST 1234 5698 7654 32.", "Il ne faut pas croire que tout cela est sans importance pour nous.",
		"Server 192.0.2.17 answered on 2024-05-17 at https://example.org/a?b=c", "short", "Maria Example lives in 12 High Street, London.", "Nothing here.",
	}
	if f == dataset.FormatCSV {
		b.WriteString("id,country,age,name,text\n")
	}
	for n := range 400 {
		text, name, age, country := texts[n%len(texts)], fmt.Sprintf("Person %d", n%40), n*7%97, countries[n%4]
		if n%3 == 0 {
			text += fmt.Sprint(" ", n)
		}
		if f == dataset.FormatCSV {
			fmt.Fprintf(&b, "%d,%s,%d,%s,\"%s\"\n", n, country, age, name, text)
			continue
		}
		fmt.Fprintf(&b, "{\"id\":%d,\"country\":%q,\"age\":%d,\"name\":%q,\"text\":%q}\n", n, country, age, name, text)
	}
	return b.String()
}

// made is what a pipeline made of data.
type made struct {
	Out      string
	In, Kept int64
	Findings []transforms.Count
}

// differ names the first records that differ.
func differ(t *testing.T, want, got made) {
	t.Helper()
	native, module := strings.Split(want.Out, "\n"), strings.Split(got.Out, "\n")
	for n, shown := 0, 0; n < min(len(native), len(module)) && shown < 3; n++ {
		if native[n] != module[n] {
			t.Errorf("line %d: native and module:\n%s\n%s", n+1, native[n], module[n])
			shown++
		}
	}
	want.Out, got.Out = fmt.Sprint(len(native), " lines"), fmt.Sprint(len(module), " lines")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("native (-) and module (+) differ:\n%s", d)
	}
}

func through(t *testing.T, s dataset.Step, f dataset.Format, env *transforms.Env) (made, error) {
	t.Helper()
	src, err := transforms.NewSource(strings.NewReader(data(f)), f)
	if err != nil {
		t.Fatal(err)
	}
	p, err := transforms.New(t.Context(), []dataset.Step{s}, src.Schema(), builtin.New, env)
	if err != nil {
		return made{}, err
	}
	defer p.Close()
	var out bytes.Buffer
	if err := p.Run(t.Context(), src, transforms.NewWriter(&out, p.Out()).Write); err != nil {
		return made{}, err
	}
	r := p.Reports()[0]
	return made{out.String(), r.RecordsIn, int64(strings.Count(out.String(), "\n")), r.Findings}, nil
}

// direct is a module in this process: compiled once for all steps.
type direct struct{ *wasm.Instance }

func start(ctx context.Context, m *wasm.Module, s *dataset.Step, in transforms.Schema) (transforms.Module, error) {
	config, err := tx.NewConfig(s, in)
	if err != nil {
		return nil, err
	}
	i, err := m.Instantiate(ctx, wasm.Config{MemoryBytes: tx.MemoryBytes, Fuel: tx.StartFuel, Log: os.Stderr})
	if err != nil {
		return nil, err
	}
	if err := i.OpenTransform(ctx, config); err != nil {
		return nil, errors.Join(&tx.ModuleError{Reason: "trap", Detail: err.Error()}, i.Close())
	}
	return tx.NewModule(s, in, direct{i})
}

func (d direct) Batch(ctx context.Context, batch []byte, _ int) (tx.Result, []byte, error) {
	out, err := d.Transform(ctx, batch, tx.BatchFuel+tx.ByteFuel*int64(len(batch)), int(tx.AnswerLimit(int64(len(batch)))))
	return tx.Result{Fuel: d.Used(), Findings: tx.Counts(d.Findings())}, out, err
}

func (d direct) Flush(ctx context.Context) (tx.Result, []byte, error) {
	out, err := d.Instance.Flush(ctx, tx.BatchFuel, tx.FlushBytes)
	return tx.Result{Fuel: d.Used(), Findings: tx.Counts(d.Findings())}, out, err
}

func (d direct) Close() error { return d.Instance.Close() }

// TestModuleInSandbox: the whole catalogue is a module that an enclave compiles in time.
func TestModuleInSandbox(t *testing.T) {
	module := build(t)
	spawner, err := sandbox.StartSpawner(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer spawner.Close()
	s := &dataset.Step{
		Name: dataset.StepModule, Digest: envelope.Sum(module), ABI: dataset.ABITransform, Shape: dataset.ShapeFilter,
		Config: []byte(`{"config":{"where":[{"field":"country","in":["DE"]}]},"step":"filter"}`),
	}
	m, err := spawner.Module(t.Context(), s, module, transforms.Schema{Format: dataset.FormatJSONL}, tx.Lent{Words: os.Stderr})
	if err != nil {
		if e, ok := errors.AsType[*tx.ModuleError](err); ok {
			t.Log(e.Detail)
		}
		t.Fatal(err)
	}
	defer m.Close()
	out, _, err := m.Batch(t.Context(), [][]byte{[]byte(`{"country":"DE"}`), []byte(`{"country":"FR"}`)})
	if err != nil || len(out) != 2 || string(out[0]) != `{"country":"DE"}` || out[1] != nil {
		t.Fatalf("%q, %v", out, err)
	}
}

// TestModuleIsNative: each built-in that runs as a module gives the same bytes and findings as the native one; and each that does not
// is refused, because the module is lent nothing.
func TestModuleIsNative(t *testing.T) {
	module := build(t)
	compiled, err := wasm.CompileTransform(t.Context(), module, wasm.TransformImports{Findings: true})
	if err != nil {
		t.Fatal(err)
	}
	defer compiled.Close()
	env := &transforms.Env{Module: func(ctx context.Context, s *dataset.Step, in transforms.Schema) (transforms.Module, error) {
		return start(ctx, compiled, s, in)
	}}
	step := func(name, config string) dataset.Step {
		c, err := envelope.Canonical(map[string]any{"step": name, "config": rawJSON(config)})
		if err != nil {
			t.Fatal(err)
		}
		return dataset.Step{Name: dataset.StepModule, Digest: envelope.Sum(module), ABI: dataset.ABITransform, Shape: dataset.ShapeFilter, Config: c}
	}
	covered := map[string]bool{}
	for _, c := range steps {
		covered[c.step] = true
		pinned, err := builtin.Pin(c.step, rawJSON(c.config))
		if err != nil {
			t.Fatalf("%s %s: %v", c.step, c.config, err)
		}
		for _, f := range []dataset.Format{dataset.FormatJSONL, dataset.FormatCSV} {
			if f == dataset.FormatCSV && slices.Contains([]string{"drop", "keep", "rename", "media"}, c.step) || f == dataset.FormatJSONL && c.step == "media" {
				continue // they change which columns there are, or take files alone
			}
			t.Run(fmt.Sprint(c.step, " ", f), func(t *testing.T) {
				want, err := through(t, pinned, f, &transforms.Env{})
				if err != nil {
					t.Fatal(err)
				}
				s := step(c.step, c.config)
				for _, found := range want.Findings {
					s.Findings = append(s.Findings, found.Name)
				}
				got, err := through(t, s, f, env)
				if err != nil {
					if e, ok := errors.AsType[*tx.ModuleError](err); ok {
						t.Log(e.Detail)
					}
					t.Fatal(err)
				}
				differ(t, want, got)
				t.Logf("%d of %d records, %v", got.Kept, got.In, got.Findings)
			})
		}
	}
	for _, name := range builtin.Names() {
		if covered[name] == (native[name] != "") {
			t.Errorf("%s: runs as a module: %v; needs %q", name, covered[name], native[name])
		}
	}
	for name, config := range map[string]string{"sample": `{"rate":0.5}`, "redact": `{"operators":{"default":{"op":"hash"}}}`, "none": `{}`} {
		if _, err := through(t, step(name, config), dataset.FormatJSONL, env); !errors.Is(err, transforms.ErrModule) {
			t.Errorf("%s without keys: %v", name, err)
		}
	}
	if _, err := through(t, step("drop", `{"fields":[{"field":"age"}]}`), dataset.FormatCSV, env); !errors.Is(err, transforms.ErrModule) {
		t.Errorf("a step that changes columns: %v", err)
	}
}

// rawJSON is JSON as it is.
type rawJSON string

// MarshalJSON implements json.Marshaler.
func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }
