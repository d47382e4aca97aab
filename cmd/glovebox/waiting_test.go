// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
)

// waitingOwner is a buyer's directory, with the real broker to find.
func waitingOwner(t *testing.T) *owner {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the broker; -short leaves that to `make test`")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin, err := binaries(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(bin, "demo")+":"+os.Getenv("PATH"))
	dir := filepath.Join(t.TempDir(), "bob")
	if code := run([]string{"buyer", "init", "--dir", dir, "--address", "http://" + loopback(t)}, io.Discard, os.Stderr); code != 0 {
		t.Fatalf("buyer init: %d", code)
	}
	o, err := openOwner(dir, config.Buyer)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// gone waits until no broker answers.
func (o *owner) gone(t *testing.T) {
	t.Helper()
	for range 300 {
		if !healthy(t.Context(), o.Address) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the broker runs on, and nobody waits")
}

// TestBrokerStaysWhileOthersWait: the first command that is done leaves the broker it started to the others, and the last one
// does not leave it behind.
func TestBrokerStaysWhileOthersWait(t *testing.T) {
	o := waitingOwner(t)
	var stops []func()
	for range 3 {
		stop, err := o.ensureBroker(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stops = append(stops, stop)
	}
	stops[0]() // which started it
	stops[1]()
	for range 10 { // longer than it takes the broker to ask who waits
		if !healthy(t.Context(), o.Address) {
			t.Fatal("the broker is gone, and somebody waits")
		}
		time.Sleep(50 * time.Millisecond)
	}
	stops[2]()
	o.gone(t)
}

// TestOneBrokerForManyAtOnce: of commands that begin at the same moment one starts a broker; alone it ends before its command.
func TestOneBrokerForManyAtOnce(t *testing.T) {
	o := waitingOwner(t)
	for range 2 {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				stop, err := o.ensureBroker(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				defer stop()
				if !healthy(t.Context(), o.Address) {
					t.Error("no broker answers")
				}
			})
		}
		all.Wait()
	}
	o.gone(t) // of many, the last need not be who started it
	stop, err := o.ensureBroker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if healthy(t.Context(), o.Address) {
		t.Error("a broker for one command alone outlives it")
	}
}
