// SPDX-License-Identifier: Apache-2.0

// Command glovebox-enclave runs jobs beside sealed data. Its host starts it and talks to it over its standard input and
// output; it listens nowhere. Flags and wiring only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/glovebox-dev/glovebox/enclave"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func main() {
	sandbox.Main() // returns only in the enclave itself; spawner and workers end here
	path := flag.String("config", "", "path of the enclave's JSON configuration (required)")
	selfTest := flag.Bool("self-test", false, "run the worker self-test, print its result, and exit")
	flag.Parse()
	if *path == "" && !*selfTest {
		fmt.Fprintln(os.Stderr, "glovebox-enclave: error: --config is required")
		fmt.Fprintln(os.Stderr, "glovebox-enclave: hint: the host starts this program; see `glovebox operator up`")
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, *path, *selfTest); err != nil {
		fmt.Fprintln(os.Stderr, "glovebox-enclave: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string, selfTest bool) error {
	spawner, err := sandbox.StartSpawner(sandbox.Config{}) // before anything secret exists in this process
	if err != nil {
		return err
	}
	defer spawner.Close()
	result, failed := spawner.SelfTest(ctx)
	tested, err := result.Digest()
	if err != nil {
		return err
	}
	if selfTest && len(result.Attempts) > 0 { // also, and above all, when one was not refused
		if err := printSelfTest(result, tested); err != nil {
			return errors.Join(failed, err)
		}
	}
	if selfTest || failed != nil {
		return failed
	}
	c, err := loadConfig(path)
	if err != nil {
		return err
	}
	hard, err := enclave.Harden()
	if err != nil {
		return err
	}
	collector, err := c.collector()
	if err != nil {
		return err
	}
	effective, err := envelope.Canonical(struct {
		Platform  string            `json:"platform"`
		Hardening enclave.Hardening `json:"hardening"`
	}{c.Platform, hard})
	if err != nil {
		return err
	}
	host := door.NewClient(os.Stdin, os.Stdout)
	host.AnswerProbes()
	e, err := enclave.New(enclave.Config{
		Host: host, Collector: collector, Runner: spawner,
		Configuration: envelope.Sum(effective), SelfTest: tested, Engine: sandbox.EngineDigest(),
	})
	if err != nil {
		return err
	}
	return e.Serve(ctx)
}

// printSelfTest prints what was tried, and the digest that evidence carries of it.
func printSelfTest(t sandbox.SelfTest, digest envelope.Digest) error {
	b, err := envelope.Canonical(struct {
		sandbox.SelfTest
		Digest envelope.Digest `json:"selfTest"`
	}{t, digest})
	if err == nil {
		_, err = fmt.Println(string(b))
	}
	return err
}
