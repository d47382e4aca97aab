// SPDX-License-Identifier: Apache-2.0

// Command glovebox-run runs a buyer's code on the buyer's own data, in the sandbox that enclaves use. `glovebox buyer
// run-local` starts it; it reads one request from its standard input and prints one result. With the argument admit it says
// what an enclave would make of a module, and with about what it runs modules with; then it runs nothing. With the argument
// transform it runs a creator's module on records that come one batch after the other.
//
// Trust domain: the buyer, or the creator whose records they are. It shares the sandbox with the measured binary and nothing else: there is no way into it from a
// host, and no way from it to an owner's key.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localrun"
	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localtx"
	"github.com/glovebox-dev/glovebox/enclave/fuel"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

func main() {
	sandbox.Main() // returns only in the program itself; spawner and workers end here
	admitting := slices.Equal(os.Args[1:], []string{localrun.ModeAdmit})
	about := slices.Equal(os.Args[1:], []string{localrun.ModeAbout})
	transforming := slices.Equal(os.Args[1:], []string{localtx.ModeTransform})
	if len(os.Args) > 1 && !admitting && !about && !transforming {
		fmt.Fprintln(os.Stderr, "glovebox-run: error: this program takes no arguments but admit, about or transform")
		fmt.Fprintln(os.Stderr, "glovebox-run: hint: use: glovebox buyer run-local --help")
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	var err error
	switch {
	case admitting:
		err = admit(ctx, os.Stdin, os.Stdout)
	case about:
		err = json.NewEncoder(os.Stdout).Encode(localrun.About{Engine: sandbox.EngineDigest(), Costs: fuel.CostTable, Runtimes: []string{job.RuntimeWASM}})
	case transforming:
		err = transform(ctx, os.Stdin, os.Stdout)
	default:
		err = serve(ctx, os.Stdin, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "glovebox-run: error:", err)
		os.Exit(1)
	}
}

// serve answers one request. An error means that there was none, or nobody to tell.
func serve(ctx context.Context, in io.Reader, out, words io.Writer) error {
	b, err := io.ReadAll(io.LimitReader(in, localrun.MaxRequest+1))
	if err != nil {
		return err
	}
	var q localrun.Request
	if err := envelope.DecodeStrict(b, localrun.MaxRequest, &q); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	answers := json.NewEncoder(out)
	r, err := execute(ctx, &q, words, func(r *localrun.Result) error { return answers.Encode(r) })
	if err != nil {
		r.Error = err.Error()
	}
	return answers.Encode(r)
}
