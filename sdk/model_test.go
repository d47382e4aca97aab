// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/enclave/wasm"
)

func TestModelProjects(t *testing.T) {
	for _, language := range ModelLanguages() {
		files, err := ModelProject(language, "my-model")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range append(map[string][]string{
			"go":   {"go.mod", "main.go", "main_test.go", "train/train.go", "train/host_wasip1.go"},
			"c":    {"Makefile", "main.c", "glovebox_train.h"},
			"rust": {"Cargo.toml", "src/lib.rs", "glovebox-train/Cargo.toml", "glovebox-train/src/lib.rs", "glovebox-train/src/host.rs"},
		}[language], "README.md", "sample.csv", "train.json", ".gitignore") {
			if len(files[want]) == 0 {
				t.Errorf("%s: no %s", language, want)
			}
		}
		for name, b := range files {
			if strings.HasPrefix(name, "train/") && strings.HasSuffix(name, "_test.go") || bytes.Contains(b, []byte("glovebox-dev")) || bytes.Contains(b, []byte("NAME")) {
				t.Errorf("%s: %s does not belong into a project as it is", language, name)
			}
		}
	}
	if _, err := ModelProject("cobol", "x"); err == nil {
		t.Error("a language without an SDK was taken")
	}
}

// modelProject writes the first model of a language to a directory.
func modelProject(t *testing.T, language string) string {
	t.Helper()
	files, err := ModelProject(language, "first")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, b := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// command runs a program in a directory.
func command(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), "GOFLAGS="), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// TestModelsLearnOutsideTheSandbox: the first model of each language builds, learns from its sample and says how well.
func TestModelsLearnOutsideTheSandbox(t *testing.T) {
	t.Run("go", func(t *testing.T) { command(t, modelProject(t, "go"), nil, "go", "test", "./...") })
	t.Run("c", func(t *testing.T) {
		for _, cc := range compilers(t) {
			dir := modelProject(t, "c")
			command(t, dir, nil, cc, "-std=c99", "-pedantic", "-O2", "-Wall", "-Wextra", "-Werror", "-o", "main", "main.c", "-lm")
			cmd := exec.Command("sh", "-c", "./main train.json <sample.csv")
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "parameters 15, records 300, score 0.9") {
				t.Errorf("%s: %v: %s", cc, err, out)
			}
		}
	})
	t.Run("rust", func(t *testing.T) {
		needRust(t)
		dir := modelProject(t, "rust")
		command(t, dir, nil, "cargo", "test", "--offline", "--quiet")
		command(t, filepath.Join(dir, "glovebox-train"), nil, "cargo", "test", "--offline", "--quiet")
	})
}

const rustTarget = "wasm32-unknown-unknown"

func needRust(t *testing.T) {
	t.Helper()
	root, err := exec.Command("rustc", "--print", "sysroot").Output()
	if err == nil {
		_, err = os.Stat(filepath.Join(strings.TrimSpace(string(root)), "lib", "rustlib", rustTarget))
	}
	if _, missing := exec.LookPath("cargo"); err != nil || missing != nil {
		t.Skip("no cargo with " + rustTarget + ": models in Rust are not tested (rustup target add " + rustTarget + ")")
	}
}

// modelModule builds the first model of a language for the sandbox.
func modelModule(t *testing.T, language string) []byte {
	t.Helper()
	return buildModel(t, language, modelProject(t, language))
}

func buildModel(t *testing.T, language, dir string) []byte {
	t.Helper()
	out := "main.wasm"
	switch language {
	case "go":
		command(t, dir, []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"}, "go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	case "c":
		if _, err := exec.LookPath("clang"); err != nil {
			t.Skip("no clang, lld and wasi-libc: models in C are not tested")
		}
		command(t, dir, nil, "make", out)
	case "rust":
		needRust(t)
		command(t, dir, []string{"RUSTFLAGS=-Ctarget-feature=+simd128"}, "cargo", "build", "--release", "--offline", "--quiet", "--target", rustTarget)
		out = filepath.Join("target", rustTarget, "release", "model.wasm")
	}
	b, err := os.ReadFile(filepath.Join(dir, out))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// trainee opens a model in the engine, as workers do.
func trainee(t *testing.T, module []byte, config string) *wasm.Trainee {
	t.Helper()
	x, err := opened(t, module, config)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// opened is a model in the engine, or why it refuses.
func opened(t *testing.T, module []byte, config string) (*wasm.Trainee, error) {
	t.Helper()
	ctx := context.Background()
	m, err := wasm.Compile(ctx, module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	if err := m.Trainer(); err != nil {
		t.Fatal(err)
	}
	file, err := wasm.NewSnapshotFile()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	i, err := m.Instantiate(ctx, wasm.Config{Fuel: 1e9, MemoryBytes: 64 << 20, Seed: [32]byte{1}, SnapshotFile: file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Close() })
	return i.OpenTrain(ctx, wasm.Training{Config: []byte(config), RecordBytes: 4096, MaxParams: 1 << 20, RecordFuel: 1e8})
}

// TestMisspeltConfigurationOfModels: a configuration that says what the model does not ask for is refused in every language, before
// there is a record to pay for.
func TestMisspeltConfigurationOfModels(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a guest in three languages")
	}
	for _, language := range ModelLanguages() {
		t.Run(language, func(t *testing.T) {
			module := modelModule(t, language)
			for _, config := range []string{"{}", "{ }", `{"inputs":2,"classes":3}`, "\n{\"scale\" : 2e0 ,\t\"inputs\":2}\n"} {
				if _, err := opened(t, module, config); err != nil {
					t.Errorf("%s: %v", config, err)
				}
			}
			for _, config := range []string{
				`{"inptus":2}`, `{"inputs":2,"more":1}`, `{"inputs":2,"inputs":2}`, `{"inp\u0075ts":2}`, `{"inputs ":2}`, `{"inputs":2,"passes":5}`,
				`{"inputs":0}`, `{"inputs":"2"}`, `{"scale":1e999}`, `{"scale":null}`, `{"scale":"x"}`, `{"note":"inputs"}`, `{"a":{"inputs":2}}`,
				"", "null", "[]", "{", "{,}", `{"inputs":2`, `{"inputs":2,}`, `{"inputs":2}}`, `{"inputs" 2}`, `{"inputs":2 2}`, `{"inputs`, "{\"inputs\":2}\x00",
			} {
				if _, err := opened(t, module, config); err == nil {
					t.Errorf("%q is taken", config)
				}
			}
		})
	}
}

// TestModelLanguages: the first model has the same gradients and guesses in every language, to what rounding leaves, in the
// engine that trains it.
func TestModelLanguages(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a guest in three languages")
	}
	const config = " {\"inputs\" : 5,\n \"classes\":4,\"scale\":2.5e1 }\n"
	lines := []string{"3,1,2.5,-3,0,100", "0,-.5,12,3.25,4,5", "4,1,2,3,4,5", "1,1,2,3,4", "1,1,2,3,4,5,6", "1,a,2,3,4,5", "", "2,0,0,0,0,0", "label,a,b,c,d,e"}
	prepares := []bool{true, true, false, false, false, false, false, true, false}
	var want [][]float32
	for _, language := range ModelLanguages() {
		t.Run(language, func(t *testing.T) {
			got := gradients(t, trainee(t, modelModule(t, language), config), lines, prepares)
			if want == nil {
				want = got
			}
			for n, g := range got {
				if len(g) != len(want[n]) {
					t.Fatalf("record %d: %d numbers, want %d", n, len(g), len(want[n]))
				}
				for i := range g {
					if d := math.Abs(float64(g[i] - want[n][i])); !(d <= 1e-6) {
						t.Errorf("record %d: number %d is %v, want %v", n, i, g[i], want[n][i])
					}
				}
			}
		})
	}
}

// TestModelsWithoutPredictions: the enclave knows of a model in any language that it predicts nothing before it sees a record.
func TestModelsWithoutPredictions(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a guest in three languages")
	}
	for language, change := range map[string][3]string{
		"go":   {"main.go", ") Predict(", ") guess("},
		"c":    {"main.c", "#define MODEL_PREDICT", ""},
		"rust": {"src/lib.rs", "    fn predict(", "    #[cfg(any())]\n    fn predict("},
	} {
		t.Run(language, func(t *testing.T) {
			dir := modelProject(t, language)
			name := filepath.Join(dir, change[0])
			b, err := os.ReadFile(name)
			if err != nil || !bytes.Contains(b, []byte(change[1])) {
				t.Fatalf("no %q in %s: %v", change[1], change[0], err)
			}
			if x := trainee(t, buildModel(t, language, dir), "{}"); !x.Predicts() {
				t.Error("the first model predicts nothing")
			}
			if err := os.WriteFile(name, bytes.ReplaceAll(b, []byte(change[1]), []byte(change[2])), 0o600); err != nil {
				t.Fatal(err)
			}
			if x := trainee(t, buildModel(t, language, dir), "{}"); x.Predicts() {
				t.Error("a model without predictions predicts")
			}
		})
	}
}

// gradients of lines at made-up parameters, and as a last number of each the guess.
func gradients(t *testing.T, x *wasm.Trainee, lines []string, prepares []bool) [][]float32 {
	t.Helper()
	ctx := context.Background()
	params := make([]byte, 4*len(x.Initial()))
	for i := range len(x.Initial()) {
		bits := math.Float32bits(float32(math.Sin(float64(i))))
		copy(params[4*i:], []byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)})
	}
	if err := x.SetParams(0, params); err != nil {
		t.Fatal(err)
	}
	var out [][]float32
	for n, line := range lines {
		got, err := x.Prepare(ctx, []byte(line), 4096)
		prepared := bytes.Clone(got)
		if (err == nil) != prepares[n] {
			t.Errorf("record %q: prepared: %v, want %v", line, err, prepares[n])
		}
		if e := x.Restore(); e != nil {
			t.Fatal(e)
		}
		if err != nil {
			continue
		}
		g, err := x.Gradient(ctx, prepared)
		if err != nil {
			t.Fatal(err)
		}
		row := append([]float32(nil), g...)
		if err := x.Restore(); err != nil {
			t.Fatal(err)
		}
		guess, err := x.Predict(ctx, prepared)
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Restore(); err != nil {
			t.Fatal(err)
		}
		out = append(out, append(row, guess))
	}
	return out
}
