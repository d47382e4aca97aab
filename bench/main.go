// SPDX-License-Identifier: Apache-2.0

// Command bench measures the engine: what counting fuel costs, how WebAssembly compares with native code with and without the
// sandbox's linear algebra, beside V8 and wasmtime on the same modules, and what starting, restoring and feeding a guest costs.
//
// It prints one Markdown document. What cannot be measured on a machine says so in its row; nothing is made up.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
)

func main() {
	rounds := flag.Int("rounds", 3, "how often everything runs; the least time counts")
	only := flag.String("only", "", "kernels and sections whose name contains this")
	out := flag.String("o", "", "write the document to this file too")
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
	w := &strings.Builder{}
	both := io.MultiWriter(os.Stdout, w)
	fmt.Fprint(both, header(ctx, rounds), engines(results))
	for _, part := range sections(ctx, dir, rounds, results) {
		if only != "" && !strings.Contains(part.title, only) {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench:", part.title)
		table, err := part.make()
		if err != nil {
			table = "skipped: " + oneLine(err) + "\n"
		}
		fmt.Fprintf(both, "\n## %s\n\n%s\n\n%s", part.title, part.text, table)
	}
	if out != "" {
		return os.WriteFile(out, []byte(w.String()), 0o644)
	}
	return ctx.Err()
}
