// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// document is everything measured, in Markdown.
func document(ctx context.Context, rounds int, results []result) string {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\n")
	fmt.Fprintf(&b, "Written by `make bench` on %s: %s, %d processors, %s; %s.\n\n", time.Now().UTC().Format("2 January 2006"),
		processor(), runtime.NumCPU(), load(), strings.Join(versions(ctx), ", "))
	fmt.Fprintf(&b, `Every figure is the least of %d runs, in processor time. In every round each engine runs once, so that what else the machine
does falls on all. "Native" is clang -O2 or the Go compiler on the same source, a process from start to end. In the engines
a run is from making the instance to its end; compiling comes before. All engines give the guest the same clock, random bytes
and files, and every row was refused unless all printed the same.

`, rounds)
	b.WriteString("## Fuel and engines\n\n")
	b.WriteString("Times as multiples of native; overhead is the rewritten module's time over the original's in the same engine.\n\n")
	b.WriteString("| language | kernel | native ms | wazero | V8 | wasmtime | sandbox | overhead wazero | overhead V8 | overhead wasmtime | units | units/ns |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		b.WriteString(r.row())
	}
	b.WriteString("\n\"Sandbox\" is enclave/wasm with fuel, as jobs run. Units are those of the rewritten module, equal in the number of engines given; the\n" +
		"sandbox also charges for host calls. Units/ns is by the wazero+fuel time.\n")
	notes(&b, results)
	return b.String()
}

func (r *result) row() string {
	if r.err != nil {
		return fmt.Sprintf("| %s | %s | skipped: %s |||||||||||\n", r.kernel.language, r.kernel.name, oneLine(r.err))
	}
	over := func(name string) string { return ratio(r.best[name], r.best[inNative]) }
	units, engines := r.counts()
	counted := "**differ**"
	if len(units) == 1 {
		counted = fmt.Sprintf("%.1f M = in %d", float64(units[0])/1e6, engines)
	}
	rate := "–"
	if t := r.best[inWazeroFuel]; len(units) > 0 && t > 0 {
		rate = fmt.Sprintf("%.1f", float64(units[0])/float64(t))
	}
	return fmt.Sprintf("| %s | %s | %.1f | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", r.kernel.language, r.kernel.name, ms(r.best[inNative]),
		over(inWazero), over(inV8), over(inWasmtime), over(inSandbox),
		ratio(r.best[inWazeroFuel], r.best[inWazero]), ratio(r.best[inV8Fuel], r.best[inV8]), ratio(r.best[inWasmtimeFuel], r.best[inWasmtime]),
		counted, rate)
}

// notes says what did not run, once for each reason.
func notes(b *strings.Builder, results []result) {
	seen := map[string]bool{}
	for _, r := range results {
		for name, err := range r.skipped {
			if line := fmt.Sprintf("%s: skipped: %s", name, oneLine(err)); !seen[line] {
				seen[line] = true
				fmt.Fprintf(b, "\n%s (%s)\n", line, r.kernel)
			}
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// ratio of two times, or a dash if one was not measured.
func ratio(x, y time.Duration) string {
	if x == 0 || y == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(x)/float64(y))
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimLeft(strings.TrimSpace(name), ": \t")
		}
	}
	return runtime.GOARCH
}

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil || len(strings.Fields(string(text))) == 0 {
		return "load unknown"
	}
	return "load " + strings.Fields(string(text))[0] + " at the end"
}

// versions of the tools.
func versions(ctx context.Context) []string {
	out := []string{runtime.Version(), "wazero 1.12.0"}
	if wasmtimeVersion != "" {
		out = append(out, wasmtimeVersion)
	}
	for _, args := range [][]string{{"node", "-p", "'node '+process.version+', V8 '+process.versions.v8"}, {"clang", "--version"}} {
		text, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
		line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		if err != nil {
			line = "no " + args[0]
		}
		out = append(out, line)
	}
	return out
}
