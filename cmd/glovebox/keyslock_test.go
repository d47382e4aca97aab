// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
)

// TestKeyholderVerbsWaitForTheLock: what moves or shreds wrapped keys does so alone; looking at them needs no leave.
func TestKeyholderVerbsWaitForTheLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "alice")
	c, err := config.Init(dir, config.Options{Role: config.Creator, Listen: "127.0.0.1:0", Address: "http://x.test"})
	if err != nil {
		t.Fatal(err)
	}
	run := func(verb string) <-chan error {
		done := make(chan error, 1)
		go func() {
			cmd := newRoot()
			cmd.SetArgs([]string{"creator", "keyholder", verb, "--dir", dir})
			cmd.SetOut(io.Discard)
			cmd.SetErr(io.Discard)
			done <- cmd.ExecuteContext(t.Context())
		}()
		return done
	}
	unlock, err := c.Layout().LockKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := <-run("status"); err != nil {
		t.Errorf("status: %v", err)
	}
	var waiting []<-chan error
	for _, verb := range []string{"rotate", "rewrap", "retire"} {
		waiting = append(waiting, run(verb))
	}
	time.Sleep(300 * time.Millisecond)
	for i, w := range waiting {
		select {
		case err := <-w:
			t.Errorf("verb %d did not wait: %v", i, err)
		default:
		}
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	for i, w := range waiting {
		if err := <-w; err != nil {
			t.Errorf("verb %d: %v", i, err)
		}
	}
}
