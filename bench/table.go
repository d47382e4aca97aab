// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// tableTitle is the first section: what it costs, in one table from one run.
const tableTitle = "What it costs"

// onlyTable makes the table and nothing else.
const onlyTable = "table"

// row is a figure of the table.
type row struct{ what, measured, goal, met, command string }

// cost is a program or a benchmark and the rows that are made from what it prints.
type cost struct {
	name    string // for the row that says why there are none
	command string // as somebody would type it in the root of the repository
	run     func(context.Context) (figures, error)
	rows    func(figures) []row
}

// table measures everything anew. What cannot be measured says so.
func table(ctx context.Context, dir string, rounds int) (string, error) {
	before, start := loadNow(), time.Now()
	var b strings.Builder
	b.WriteString("| what | measured | goal | met | command |\n|---|---|---|---|---|\n")
	for _, c := range costs(dir, rounds) {
		fmt.Fprintln(os.Stderr, "bench: table:", c.name)
		f, err := c.run(ctx)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		rows := []row{{c.name, "skipped: nothing was printed", "–", "–", ""}}
		if err != nil {
			rows[0].measured = "skipped: " + strings.ReplaceAll(oneLine(err), "|", "/")
		} else if made := c.rows(f); len(made) > 0 {
			rows = made
		}
		for _, r := range rows {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | `%s` |\n", r.what, r.measured, r.goal, r.met, c.command)
		}
	}
	return fmt.Sprintf("Of %s, one run of `make bench ARGS='-only table'`, %s: %s, %d processors (%s), %s; load %s before and %s after.\n\n%s",
		time.Now().UTC().Format("2 January 2006"), time.Since(start).Round(time.Second), processor(), processors(), extensions(), runtimeVersion(), before, loadNow(), b.String()), nil
}

// costs are what is measured, in the order of the table.
func costs(dir string, rounds int) []cost {
	return []cost{
		goCost("sealing, opening and packing", "./internal/dataset", "^Benchmark(Seal|Open|Pack)$", "5x", dataRows),
		goCost("key releases", "./broker", "^BenchmarkRelease", "1000x", releaseRows),
		latencyCost(dir, "submit to first byte, module of 141 bytes", "-only small -jobs 60", firstByteRows),
		latencyCost(dir, "submit to first byte, module in Go", "-only Go -jobs 10", firstByteRows),
		{
			"WebAssembly against native code", "make bench ARGS='-only Go'",
			func(ctx context.Context) (figures, error) { return nativeFigures(ctx, dir, rounds) }, nativeRows,
		},
		goCost("log", "./host", "^BenchmarkLog$", "1x", logRows),
		goCost("bundles", "./attestation/usage", "^BenchmarkAudit$", "2s", auditRows),
		goCost("a dataset of 100 GB", "./internal/dataset", "^BenchmarkSparse$", "1x", sparseRows),
		latencyCost(dir, "10,000 queued jobs", "-queue 10000", queueRows),
		goCost("100 leases at a time", "./broker", "^BenchmarkLeases100$", "300x", leaseRows),
	}
}

func goCost(name, pkg, pattern, benchtime string, rows func(figures) []row) cost {
	return cost{name, fmt.Sprintf("go test -run '^$' -bench '%s' -benchtime %s %s", strings.ReplaceAll(pattern, "|", `\|`), benchtime, pkg), func(ctx context.Context) (figures, error) {
		out, err := goBench(ctx, goBenchmark{pkg, pattern, "-benchtime=" + benchtime})
		return goFigures(out), err
	}, rows}
}

// latencyCost runs the program latency, which is built once.
func latencyCost(dir, name, args string, rows func(figures) []row) cost {
	bin := filepath.Join(dir, "latency")
	return cost{name, "cd bench && go run -tags 'simulated nowasmtime' ./latency " + args, func(ctx context.Context) (figures, error) {
		if _, err := os.Stat(bin); err != nil {
			if err := command(ctx, []string{"CGO_ENABLED=0"}, "go", "build", "-buildvcs=false", "-tags", "simulated", "-o", bin, "./latency"); err != nil {
				return nil, err
			}
		}
		ctx, cancel := context.WithTimeout(ctx, longestLatency)
		defer cancel()
		var stderr strings.Builder
		cmd := exec.CommandContext(ctx, bin, strings.Fields(args)...)
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it has processes and a folder to remove
		cmd.WaitDelay = 10 * time.Second
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%w: %.300s", err, stderr.String())
		}
		return latencyFigures(string(out)), nil
	}, rows}
}

const longestLatency = 4 * time.Minute

// nativeFigures runs the kernels in Go natively and in the sandbox, and nowhere else.
func nativeFigures(ctx context.Context, dir string, rounds int) (figures, error) {
	f := figures{}
	for _, k := range kernels() {
		if k.language != "Go" {
			continue
		}
		r := measureIn(ctx, k, dir, rounds, inNative, inSandbox)
		if r.err != nil {
			return nil, r.err
		}
		f.add("go/"+k.name, "native-ms", ms(r.best[inNative]))
		f.add("go/"+k.name, "sandbox-ms", ms(r.best[inSandbox]))
		f.add("go/"+k.name, "compile-ms", ms(r.compile[inSandbox]))
	}
	return f, nil
}
