// SPDX-License-Identifier: Apache-2.0

// Command bench measures the engine: what counting fuel costs, how WebAssembly compares with native code with and without the
// sandbox's linear algebra, beside V8 and wasmtime on the same modules, and what starting, restoring and feeding a guest costs.
//
// Before that it makes one table of what Glovebox costs, from the packages' benchmarks and those of simulated scale.
//
// It prints one Markdown document. What cannot be measured on a machine says so in its row; nothing is made up.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
)

func main() {
	rounds := flag.Int("rounds", 3, "how often everything runs; the least time counts")
	only := flag.String("only", "", "kernels and sections whose name contains this; table: only the first section, "+tableTitle)
	out := flag.String("o", "", "write the document to this file too; with -only, the sections in place of the file's")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := bench(ctx, max(*rounds, 1), *only, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, rounds int, only, out string) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	runtime.LockOSThread() // times are those of the thread
	d := &document{path: out, part: only != ""}
	if only == "" {
		d.begin(header(ctx, rounds))
	}
	if only == "" || only == onlyTable {
		d.add(section{tableTitle, tableText, func() (string, error) { return table(ctx, dir, rounds) }})
	}
	if only == onlyTable {
		return errors.Join(d.end(), ctx.Err())
	}
	var results []result
	for _, k := range kernels() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if strings.Contains(k.String(), only) {
			fmt.Fprintln(os.Stderr, "bench:", k)
			results = append(results, measure(ctx, k, dir, rounds))
		}
	}
	if len(results) > 0 {
		d.add(section{enginesTitle, enginesText, func() (string, error) { return engines(results), nil }})
	}
	for _, part := range sections(ctx, dir, rounds, results) {
		if strings.Contains(part.title, only) {
			d.add(part)
		}
	}
	return errors.Join(d.end(), ctx.Err())
}
