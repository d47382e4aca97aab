// SPDX-License-Identifier: Apache-2.0

// Command enclave is glovebox-enclave on the simulated platform with a stopwatch: it appends what happens when to a file, which
// tells nothing that a host does not see anyway, but for the moment at which the code gets its first byte. It is for
// measurements only, and built without cgo, because the spawner of workers starts the running binary again.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/simulated"
	"github.com/glovebox-dev/glovebox/enclave"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func main() {
	sandbox.Main() // returns only in the enclave itself
	key := flag.String("key", "", "the platform's key")
	events := flag.String("events", "", "append what happens to this file")
	flag.Parse()
	if err := run(context.Background(), *key, *events); err != nil {
		fmt.Fprintln(os.Stderr, "enclave:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, key, events string) error {
	spawner, err := sandbox.StartSpawner(sandbox.Config{})
	if err != nil {
		return err
	}
	defer spawner.Close()
	result, err := spawner.SelfTest(ctx)
	if err != nil {
		return err
	}
	tested, err := result.Digest()
	if err != nil {
		return err
	}
	if _, err := enclave.Harden(); err != nil {
		return err
	}
	collector, err := simulated.NewCollector(simulated.Config{KeyFile: key})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(events, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	w := &watch{f: f}
	e, err := enclave.New(enclave.Config{
		Host: timedHost{door.NewClient(os.Stdin, os.Stdout), w}, Collector: collector, Runner: timedRunner{spawner, w},
		Configuration: envelope.Sum([]byte("bench")), SelfTest: tested, Engine: sandbox.EngineDigest(),
	})
	if err != nil {
		return err
	}
	return e.Serve(ctx)
}

// watch writes one line for each event: Unix nanoseconds and a name.
type watch struct{ f *os.File }

func (w *watch) note(what string) { fmt.Fprintf(w.f, "%d %s\n", time.Now().UnixNano(), what) }

// timedHost notes what is asked of the host.
type timedHost struct {
	*door.Client
	w *watch
}

// Next implements [enclave.Host].
func (h timedHost) Next(ctx context.Context) (*door.Assignment, error) {
	a, err := h.Client.Next(ctx)
	if a != nil {
		h.w.note("assigned")
	}
	return a, err
}

// Relay implements [enclave.Host].
func (h timedHost) Relay(ctx context.Context, address string, msg []byte) ([]byte, error) {
	var m map[string]json.RawMessage
	what := "relay"
	if json.Unmarshal(msg, &m) == nil {
		for _, k := range []string{"challenge", "release", "heartbeat", "commit"} {
			if v := string(m[k]); v != "" && v != "null" && v != `""` {
				what = k
			}
		}
	}
	h.w.note(what)
	defer h.w.note(what + "-end")
	return h.Client.Relay(ctx, address, msg)
}

// RelayAll is for brokers' nonces.
func (h timedHost) RelayAll(ctx context.Context, posts []door.Post) ([][]byte, error) {
	h.w.note("challenge")
	defer h.w.note("challenge-end")
	return h.Client.RelayAll(ctx, posts)
}

// Finish implements [enclave.Host].
func (h timedHost) Finish(ctx context.Context, token string, r door.Result) error {
	h.w.note("finish")
	return h.Client.Finish(ctx, token, r)
}

// timedRunner notes when a worker is asked for, when it asks for data, and when the next is ready.
type timedRunner struct {
	*sandbox.Spawner
	w *watch
}

// Prepare implements [enclave.Preparer].
func (r timedRunner) Prepare(a sandbox.Ahead) {
	before := r.Prepared()
	r.Spawner.Prepare(a)
	go func() {
		for r.Prepared() <= before {
			time.Sleep(5 * time.Millisecond)
		}
		r.w.note("warm")
	}()
}

// Run implements [enclave.Runner].
func (r timedRunner) Run(ctx context.Context, s sandbox.Spec, d sandbox.Data) (*sandbox.Outcome, error) {
	r.w.note("run")
	defer r.w.note("ran")
	return r.Spawner.Run(ctx, s, &timedData{Data: d, w: r.w})
}

type timedData struct {
	sandbox.Data
	w    *watch
	read bool
}

// Range implements [sandbox.Data].
func (d *timedData) Range(ctx context.Context, file int, off int64, want int) ([]byte, int, error) {
	if !d.read {
		d.read = true
		d.w.note("asked")
		defer d.w.note("first-byte")
	}
	return d.Data.Range(ctx, file, off, want)
}
