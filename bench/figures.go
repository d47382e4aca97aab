// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// figures are numbers by the name of a benchmark, or of a line in a table, and by unit.
type figures map[string]map[string]float64

func (f figures) add(name, unit string, n float64) {
	if f[name] == nil {
		f[name] = map[string]float64{}
	}
	f[name][unit] = n
}

// under are the names of the benchmarks below one, in order.
func (f figures) under(name string) (out []string) {
	for _, n := range slices.Sorted(maps.Keys(f)) {
		if strings.HasPrefix(n, name+"/") {
			out = append(out, strings.TrimPrefix(n, name+"/"))
		}
	}
	return out
}

// goFigures are those of Go's benchmarks, without "Benchmark" and the number of processors.
func goFigures(out string) figures {
	f := figures{}
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) < 4 || !strings.HasPrefix(words[0], "Benchmark") {
			continue
		}
		name := strings.TrimSuffix(strings.TrimPrefix(words[0], "Benchmark"), fmt.Sprintf("-%d", runtime.NumCPU()))
		for i := 2; i+1 < len(words); i += 2 {
			if n, err := strconv.ParseFloat(words[i], 64); err == nil {
				f.add(name, words[i+1], n)
			}
		}
	}
	return f
}

var (
	firstJob = regexp.MustCompile(`^(\w+) module, (\d+) bytes; first job: ([0-9.]+) ms`)
	perSec   = regexp.MustCompile(`([0-9.]+)/s`)
)

// latencyFigures are those that the program latency prints: p50, p99 and least of each stage, and the first job's time; or what is
// done to a queue, in all or a second.
func latencyFigures(out string) figures {
	f, module := figures{}, ""
	for line := range strings.Lines(out) {
		if m := firstJob.FindStringSubmatch(line); m != nil {
			module = m[1] + ": "
			addText(f, module+"module", "bytes", m[2])
			addText(f, module+"first job", "ms", m[3])
			continue
		}
		cells := strings.Split(strings.Trim(line, "|\n "), "|")
		if len(cells) != 4 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		name := module + cells[0]
		if module != "" {
			for i, unit := range []string{"p50", "p99", "least"} {
				addText(f, name, unit, cells[i+1])
			}
			continue
		}
		addText(f, name, "all", strings.TrimSuffix(strings.TrimSuffix(cells[1], " ms"), " MB"))
		if m := perSec.FindStringSubmatch(cells[1]); m != nil {
			addText(f, name, "per-s", m[1])
		}
		addText(f, name, "p50", cells[2])
		addText(f, name, "p99", cells[3])
	}
	return f
}

func addText(f figures, name, unit, text string) {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		f.add(name, unit, n)
	}
}

// target is what a figure should be: at least, or at most, a number.
type target struct {
	number float64
	most   bool
	unit   string
}

func atLeast(n float64, unit string) target { return target{n, false, unit} }
func atMost(n float64, unit string) target  { return target{n, true, unit} }

// row is one whose figure has a target.
func (t target) row(what, measured string, n float64) row {
	sign, met := "≥", n >= t.number
	if t.most {
		sign, met = "≤", n <= t.number
	}
	verdict := "**no**"
	if met {
		verdict = "yes"
	}
	return row{what, measured, strings.TrimSpace(fmt.Sprintf("%s %g %s", sign, t.number, t.unit)), verdict, ""}
}

// plain is a row without a target.
func plain(what, format string, args ...any) row {
	return row{what, fmt.Sprintf(format, args...), "–", "–", ""}
}

func processors() int { return runtime.NumCPU() }

func runtimeVersion() string { return runtime.Version() }

// extensions are those of the processor that the figures depend on.
func extensions() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	has := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if flags, ok := strings.CutPrefix(line, "flags"); ok {
			for _, f := range strings.Fields(flags) {
				has[f] = true
			}
			break
		}
	}
	var out []string
	for _, e := range []struct{ flag, name string }{{"aes", "AES"}, {"vaes", "VAES"}, {"sha_ni", "SHA"}, {"avx2", "AVX2"}, {"avx512f", "AVX-512"}} {
		name := e.name
		if !has[e.flag] {
			name = "no " + name
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}

// loadNow is the load average of the last minute.
func loadNow() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil || len(strings.Fields(string(text))) == 0 {
		return "unknown"
	}
	return strings.Fields(string(text))[0]
}
