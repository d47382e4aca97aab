// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
)

func create(t *testing.T) string {
	t.Helper()
	c, err := config.Init(filepath.Join(t.TempDir(), "creator"), config.Options{
		Role: config.Creator, Listen: "127.0.0.1:0", Address: "http://127.0.0.1:9",
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.Layout().Config()
}

func TestRunStopsGracefully(t *testing.T) {
	path := create(t)
	for range 2 { // and starts again
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- run(ctx, path, "", noFD) }()
		time.Sleep(300 * time.Millisecond) // under the race detector it is still starting then
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func TestTwoBrokersOneDirectory(t *testing.T) {
	path := create(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, path, "", noFD) }()
	// Whichever comes first holds the directory, and the other is refused, the second perhaps once it has tried again.
	var err, first error
	for range 50 {
		short, stop := context.WithTimeout(t.Context(), 5*time.Second) // longer than a start takes, also under the race detector
		err = run(short, path, "", noFD)
		stop()
		if errors.Is(err, ledger.ErrLocked) || len(done) > 0 {
			break
		}
	}
	cancel()
	first = <-done
	if !errors.Is(err, ledger.ErrLocked) && !errors.Is(first, ledger.ErrLocked) {
		t.Errorf("two brokers ran: %v, %v", first, err)
	}
}

func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := run(t.Context(), create(t), l.Addr().String(), noFD); err == nil {
		t.Error("listens twice on one port")
	}
}

// TestProductionHasNoSimulatedPlatform: the default build refuses simulated evidence by leaving its verifier out.
func TestProductionHasNoSimulatedPlatform(t *testing.T) {
	s, err := config.Load(create(t))
	if err != nil {
		t.Fatal(err)
	}
	root := s.ReferenceKey
	s.SimulatedRoot = &root
	cfg, err := wire(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range cfg.Formats {
		if f.Platform() == attestation.PlatformSimulated && !simulatedBuild {
			t.Error("a production build verifies simulated evidence")
		}
	}
}
