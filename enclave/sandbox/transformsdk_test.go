// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/sdk"
	"github.com/glovebox-dev/glovebox/transforms"
)

// sdkTransform builds the first transform of a language.
func sdkTransform(t testing.TB, language string) []byte {
	t.Helper()
	if raceEnabled && testing.Short() {
		t.Skip("under the race detector a worker compiles a Go guest for half a minute; the tests without it do so too")
	}
	files, err := sdk.TransformProject(language, "first")
	if err != nil {
		t.Fatal(err)
	}
	dir, out := t.TempDir(), "main.wasm"
	for name, b := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	switch language {
	case "c":
		if _, err := exec.LookPath("clang"); err != nil {
			t.Skip("no clang, lld and wasi-libc: C guests are not tested")
		}
		cmd = exec.Command("make", "main.wasm")
	case "rust":
		cmd, out = rustBuild(t), filepath.Join("target", rustTarget, "release", "transform.wasm")
	}
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", language, err, said)
	}
	b, err := os.ReadFile(filepath.Join(dir, out))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const rustTarget = "wasm32-unknown-unknown"

// rustBuild is how a transform in Rust is built, where it can be.
func rustBuild(t testing.TB) *exec.Cmd {
	t.Helper()
	root, err := exec.Command("rustc", "--print", "sysroot").Output()
	if err == nil {
		_, err = os.Stat(filepath.Join(strings.TrimSpace(string(root)), "lib", "rustlib", rustTarget))
	}
	if _, missing := exec.LookPath("cargo"); err != nil || missing != nil {
		t.Skip("no cargo with " + rustTarget + ": transforms in Rust are not tested (rustup target add " + rustTarget + ")")
	}
	return exec.Command("cargo", "build", "--release", "--offline", "--quiet", "--target", rustTarget)
}

// TestTransformLanguages: the first transform does the same in every language, to the byte, and as it says.
func TestTransformLanguages(t *testing.T) {
	s, step := newSpawner(t), moduleStep(dataset.ShapeFilter)
	step.Config = []byte(`{"other":{"word":"no"},"word":"s\u0001e\"c\\ret"}`)
	var in [][]byte
	for n := range 2000 {
		switch {
		case n%7 == 0:
			in = append(in, fmt.Appendf(nil, "record %d is s\x01e\"c\\ret %d", n, n))
		case n%11 == 0:
			in = append(in, []byte{})
		default:
			in = append(in, fmt.Appendf(nil, "record %d, \xff%s 00%d", n, strings.Repeat("ü7", n%50), n*n))
		}
	}
	in = append(in, bytes.Repeat([]byte("0a"), 2<<20))
	want := map[string]int64{}
	var wanted [][]byte
	for n, r := range in {
		if n%7 == 0 && n < 2000 {
			want["WORD"]++
			wanted = append(wanted, nil)
			continue
		}
		masked := bytes.Clone(r)
		for i, c := range masked {
			if c < '0' || c > '9' {
				continue
			}
			masked[i] = '9'
			if i == 0 || r[i-1] < '0' || r[i-1] > '9' {
				want["DIGITS"]++
			}
		}
		wanted = append(wanted, masked)
	}
	for _, language := range sdk.TransformLanguages() {
		t.Run(language, func(t *testing.T) {
			m, _ := newModule(t, s, transformSpec(t, sdkTransform(t, language), step, jsonLines), step, jsonLines)
			out, report, err := m.Batch(t.Context(), in)
			if err != nil || len(out) != len(in) {
				t.Fatalf("%d records, %v", len(out), err)
			}
			for n := range in {
				if !bytes.Equal(out[n], wanted[n]) || (out[n] == nil) != (wanted[n] == nil) {
					t.Fatalf("record %d: %.60q, want %.60q", n, out[n], wanted[n])
				}
			}
			if !maps.Equal(report.Findings, want) {
				t.Errorf("findings %v, want %v", report.Findings, want)
			}
			t.Logf("%d units", report.Fuel)
			bad := *step
			bad.Config = []byte(`{"word":""}`)
			_, err = s.Transform(t.Context(), transformSpec(t, sdkTransform(t, language), &bad, jsonLines))
			if end := wantEnd(t, err, ReasonTrap); !strings.Contains(end.Detail, "tx_init refuses the configuration: 1") {
				t.Errorf("%+v", end)
			}
		})
	}
}

// TestTransformCommand: a command of WASI is run for each batch anew, and its stdout is taken apart again.
func TestTransformCommand(t *testing.T) {
	const source = `
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void) {
  static char line[1 << 16];
  const char *config = getenv("GLOVEBOX_TX");
  int upper = config && strstr(config, "\"upper\":true"), skip = config && strstr(config, "\"skip\":true");
  int csv = config && strstr(config, "\"format\":\"csv\"");
  for (long n = 0; fgets(line, sizeof line, stdin); n++) {
    if (skip && n % 2 && !(csv && !n)) continue;
    for (char *p = line; *p; p++) if (upper && !(csv && !n)) *p = (char)toupper(*p);
    fputs(line, stdout);
  }
  if (config && strstr(config, "\"fail\":true")) return 3;
  return 0;
}`
	path := filepath.Join(t.TempDir(), "command.c")
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	module, s := cModule(t, path), newSpawner(t)
	csv := transforms.Schema{Format: dataset.FormatCSV, Columns: []string{"a", "b,c"}}
	files := transforms.Schema{Format: dataset.FormatFiles}
	for what, c := range map[string]struct {
		in            transforms.Schema
		shape, config string
		give          [][]byte
		want          [][]byte
		fails         bool
	}{
		"map":                     {jsonLines, dataset.ShapeMap, `{"upper":true}`, texts(`{"a":1}`, `"b"`), texts(`{"A":1}`, `"B"`), false},
		"map that leaves one out": {jsonLines, dataset.ShapeMap, `{"skip":true}`, texts(`1`, `2`), nil, true},
		"filter":                  {jsonLines, dataset.ShapeFilter, `{"skip":true}`, texts(`1`, `2`, `2`), [][]byte{[]byte(`1`), []byte(`2`), nil}, false},
		"filter that changes":     {jsonLines, dataset.ShapeFilter, `{"upper":true}`, texts(`a`), nil, true},
		"any":                     {jsonLines, dataset.ShapeAny, `{"skip":true}`, texts(`1`, `2`, `3`), texts(`1`, `3`), false},
		"CSV":                     {csv, dataset.ShapeMap, `{"upper":true}`, texts("x,\"two\nlines\"", "y,z"), texts("X,\"TWO\nLINES\"", "Y,Z"), false},
		"a file":                  {files, dataset.ShapeMap, `{"upper":true}`, texts("one\ntwo\n", "three"), texts("ONE\nTWO\n", "THREE"), false},
		"fails":                   {jsonLines, dataset.ShapeMap, `{"fail":true}`, texts(`1`), nil, true},
	} {
		t.Run(what, func(t *testing.T) {
			step := &dataset.Step{Name: dataset.StepModule, ABI: dataset.ABIWASI, Shape: c.shape, Config: []byte(c.config)}
			m, _ := newModule(t, s, transformSpec(t, module, step, c.in), step, c.in)
			for range 2 {
				out, report, err := m.Batch(t.Context(), c.give)
				if c.fails {
					if !errors.Is(err, transforms.ErrModule) {
						t.Fatalf("%q, %v", out, err)
					}
					return
				}
				if err != nil || len(out) != len(c.want) || report.Fuel < 1 {
					t.Fatalf("%q, %v, %+v", out, err, report)
				}
				for n := range out {
					if !bytes.Equal(out[n], c.want[n]) || (out[n] == nil) != (c.want[n] == nil) {
						t.Errorf("record %d: %q, want %q", n, out[n], c.want[n])
					}
				}
			}
			if out, _, err := m.Flush(t.Context()); len(out) != 0 || err != nil {
				t.Errorf("flushed %q, %v", out, err)
			}
		})
	}
}

// BenchmarkTransform is records' way through the sandbox and back: a guest that does nothing, and one in C that looks at every
// byte.
func BenchmarkTransform(b *testing.B) {
	s, step := newSpawner(b), moduleStep(dataset.ShapeFilter)
	step.Config = []byte(`{"word":"confidential"}`)
	line := []byte(`{"from":"someone at home","subject":"what we said on the third","text":"` + strings.Repeat("many words about little ", 20) + `"}`)
	var in [][]byte
	size := 0
	for size < 4<<20 {
		in, size = append(in, line), size+len(line)
	}
	for _, c := range []struct {
		name   string
		module func() []byte
	}{
		{"identity", func() []byte { return transformModule(echoBatch(), "") }},
		{"c", func() []byte { return sdkTransform(b, "c") }},
		{"rust", func() []byte { return sdkTransform(b, "rust") }},
		{"go", func() []byte { return sdkTransform(b, "go") }},
	} {
		b.Run(c.name, func(b *testing.B) {
			m, _ := newModule(b, s, transformSpec(b, c.module(), step, jsonLines), step, jsonLines)
			b.SetBytes(int64(size))
			var units int64
			for b.Loop() {
				_, report, err := m.Batch(b.Context(), in)
				if err != nil {
					b.Fatal(err)
				}
				units += report.Fuel
			}
			b.ReportMetric(float64(units)/float64(b.N)/float64(size), "units/byte")
		})
	}
}
