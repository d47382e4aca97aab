// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// starts runs the command start on an empty module and on what the given kernels were built to.
func starts(ctx context.Context, dir string) (string, error) {
	bin := filepath.Join(dir, "start")
	if err := command(ctx, []string{"CGO_ENABLED=0"}, "go", "build", "-buildvcs=false", "-o", bin, "./start"); err != nil {
		return "", err
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, bin)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, stderr.String())
	}
	var s strings.Builder
	s.WriteString("| job | least ms | median ms | jail |\n|---|---|---|---|\n")
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 4 {
			return "", fmt.Errorf("start printed %q", line)
		}
		least, err1 := strconv.ParseFloat(f[1], 64)
		median, err2 := strconv.ParseFloat(f[2], 64)
		if err1 != nil || err2 != nil {
			return "", fmt.Errorf("start printed %q", line)
		}
		fmt.Fprintf(&s, "| %s | %.1f | %.1f | %s |\n", f[0], least/1e6, median/1e6, f[3])
	}
	return s.String(), nil
}

// compiles is a table of compilation for a small module and a large one.
func compiles(results []result) string {
	var s strings.Builder
	s.WriteString("| module | wazero | wazero+fuel | V8 | wasmtime | sandbox: admission, rewrite and wazero |\n|---|---|---|---|---|---|\n")
	for _, r := range results {
		if r.err != nil || r.kernel.name != "sha256" && r.kernel.name != "document" {
			continue
		}
		cell := func(name string) string {
			if d, ok := r.compile[name]; ok {
				return fmt.Sprintf("%.1f", ms(d))
			}
			return "–"
		}
		fmt.Fprintf(&s, "| %s | %s | %s | %s | %s | %s |\n", r.kernel, cell(inWazero), cell(inWazeroFuel), cell(inV8), cell(inWasmtime), cell(inSandbox))
	}
	return s.String()
}

// goBenchmark is a benchmark of one of the module's packages.
type goBenchmark struct{ pkg, pattern, flags string }

// goBench runs Go's own benchmarks of a package and returns what they print.
func goBench(ctx context.Context, g goBenchmark) (string, error) {
	args := []string{"test", "-run", "^$", "-bench", g.pattern, "-timeout", "5m"}
	cmd := exec.CommandContext(ctx, "go", append(append(args, strings.Fields(g.flags)...), g.pkg)...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %.300s", err, out)
	}
	return string(out), nil
}

// benchmarks runs Go's own benchmarks of a package and returns their results as a table.
func benchmarks(ctx context.Context, g goBenchmark) (string, error) {
	out, err := goBench(ctx, g)
	if err != nil {
		return "", err
	}
	var s strings.Builder
	s.WriteString("| benchmark | results |\n|---|---|\n")
	rows := 0
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		var figures []string
		for i := 2; i+1 < len(f); i += 2 {
			if f[i] != "0" {
				figures = append(figures, figure(f[i], f[i+1]))
			}
		}
		fmt.Fprintf(&s, "| %s | %s |\n", strings.TrimPrefix(f[0], "Benchmark"), strings.Join(figures, ", "))
		rows++
	}
	if rows == 0 {
		return "", fmt.Errorf("no benchmark matches %s in %s", g.pattern, g.pkg)
	}
	return s.String(), nil
}

// figure is a result of Go's benchmarks with a unit in which it is easily read.
func figure(value, unit string) string {
	per, isTime := strings.CutPrefix(unit, "ns/")
	nanos, err := strconv.ParseFloat(value, 64)
	switch {
	case !isTime || err != nil || nanos < 1e3:
		return value + " " + unit
	case nanos < 1e6:
		return fmt.Sprintf("%.1f µs/%s", nanos/1e3, per)
	default:
		return fmt.Sprintf("%.1f ms/%s", nanos/1e6, per)
	}
}
