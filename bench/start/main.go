// SPDX-License-Identifier: Apache-2.0

// Command start measures how long a job takes that does nothing: a worker with its whole jail, a module admitted, compiled,
// run and its result read. It is a program of its own because the spawner starts the running binary again, and that must be
// one without cgo, as the enclave's is. It prints one line for each way: name, least and median in nanoseconds, isolation.
//
// Usage: start [name=module.wasm ...]
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
)

// empty is a module that exports a memory and a _start that returns.
const empty = "\x00asm\x01\x00\x00\x00" +
	"\x01\x04\x01\x60\x00\x00" + // type: no parameters, no results
	"\x03\x02\x01\x00" + // a function of it
	"\x05\x03\x01\x00\x01" + // a memory of a page
	"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x00" +
	"\x0a\x04\x01\x02\x00\x0b" // its body

// pause is what the spawner has to make the next worker ready.
const pause = 60 * time.Millisecond

func main() {
	sandbox.Main()
	if err := measure(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "start:", err)
		os.Exit(1)
	}
}

func measure(modules []string) error {
	if err := jobs("empty module, worker started for the job", -1, []byte(empty), 30); err != nil {
		return err
	}
	if err := jobs("empty module, worker from the pool", 1, []byte(empty), 30); err != nil {
		return err
	}
	for _, m := range modules {
		name, path, _ := strings.Cut(m, "=")
		b, err := os.ReadFile(path)
		if err == nil {
			err = jobs(name+", worker from the pool", 1, b, 3)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func jobs(name string, pool int, module []byte, rounds int) error {
	s, err := sandbox.StartSpawner(sandbox.Config{Pool: pool})
	if err != nil {
		return err
	}
	defer s.Close()
	var took []time.Duration
	isolation := ""
	for range rounds {
		time.Sleep(pause)
		began := time.Now()
		o, err := s.Run(context.Background(), sandbox.Spec{
			Module: module, Outputs: []sandbox.Output{{Name: "out", MaxBytes: 1}}, MemoryBytes: 512 << 20, OutputBytes: 1 << 20,
			Fuel: 1 << 50, Wall: time.Minute,
		}, nothing{})
		if err != nil {
			return err
		}
		if o.Reason != "" {
			return fmt.Errorf("%s: %s %s", name, o.Reason, o.Detail)
		}
		took, isolation = append(took, time.Since(began)), o.Isolation
	}
	slices.Sort(took)
	_, err = fmt.Printf("%s\t%d\t%d\t%s\n", name, took[0], took[len(took)/2], isolation)
	return err
}

// nothing is the data of a job without data.
type nothing struct{}

func (nothing) Range(context.Context, int, int64, int) ([]byte, int, error) {
	return nil, 0, errors.New("there is no data")
}
