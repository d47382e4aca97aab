// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/relay"
)

func TestRelay(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"quote":"cXVvdGU"}`) }))
	defer srv.Close()
	socket := filepath.Join(t.TempDir(), "relay.sock")
	for round := range 2 { // the second finds the first one's socket, which nobody answers any more
		ctx, cancel := context.WithCancel(t.Context())
		cmd := newRelay()
		cmd.SetArgs([]string{"--listen", socket, "--kind", "azure-tdquote", "--azure-url", srv.URL})
		cmd.SetErr(io.Discard)
		done := make(chan error, 1)
		go func() { done <- cmd.ExecuteContext(ctx) }()
		got := awaitRelay(t, ctx, socket)
		if fi, err := os.Lstat(socket); err != nil || fi.Mode() != os.ModeSocket|0o600 || string(got) != "quote" {
			t.Errorf("round %d: %v, %v, %q", round, fi, err, got)
		}
		if _, err := listenPrivately(ctx, socket); err == nil {
			t.Error("a socket in use was taken")
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func awaitRelay(t *testing.T, ctx context.Context, socket string) []byte {
	t.Helper()
	for range 500 {
		if b, err := relay.Ask(ctx, socket, relay.KindAzureTDQuote, []byte("report")); err == nil {
			return b
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the relay does not answer")
	return nil
}

func TestRelayUsage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"--listen", file + ".s"}, {"--kind", "azure-tdquote"}, {"--listen", file + ".s", "--kind", "x"}, {"--listen", file, "--kind", "azure-tdquote"}} {
		cmd := newRelay()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(args)
		if err := cmd.ExecuteContext(t.Context()); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
	if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, []byte("mine")) {
		t.Error("a file was replaced by a socket")
	}
}
