// SPDX-License-Identifier: Apache-2.0

package oidc_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/oidc"
	"github.com/glovebox-dev/glovebox/attestation/relay"
	"github.com/glovebox-dev/glovebox/attestation/relay/server"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// launcher is Confidential Space's, behind a relay: it answers what answer makes of a request. It returns the relay's socket.
func launcher(t *testing.T, answer func(r relay.TokenRequest) (int, string)) string {
	t.Helper()
	dir := t.TempDir()
	listen := func(name string) net.Listener {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q relay.TokenRequest
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&q); err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/token" {
			t.Errorf("the launcher was asked %s %s: %v", r.Method, r.URL, err)
		}
		status, body := answer(q)
		w.WriteHeader(status)
		io.WriteString(w, body)
	})}
	go srv.Serve(listen("teeserver.sock"))
	s, err := server.New(server.Config{Kinds: []relay.Kind{relay.KindConfidentialSpaceToken}, LauncherSocket: filepath.Join(dir, "teeserver.sock")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	l := listen("relay.sock")
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		srv.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "relay.sock")
}

func TestCollect(t *testing.T) {
	d := envelope.Sum([]byte("d"))
	for _, typ := range []relay.TokenType{relay.TokenOIDC, relay.TokenPKI} {
		socket := launcher(t, func(q relay.TokenRequest) (int, string) {
			if q.Audience != "broker" || q.Type != typ || len(q.Nonces) != 1 || q.Nonces[0] != d.Hex() {
				t.Errorf("%+v", q)
			}
			return http.StatusOK, "header.payload.signature\n"
		})
		c, err := oidc.Open(oidc.Config{RelaySocket: socket, Audience: "broker", TokenType: typ})
		if err != nil {
			t.Fatal(err)
		}
		e, err := c.Collect(t.Context(), d)
		if err != nil || string(e.Evidence) != "header.payload.signature" || e.Platform != c.Platform() || e.Bound() {
			t.Errorf("%+v, %v", e, err)
		}
		if _, err := e.Encode(); err != nil {
			t.Error(err)
		}
		if _, err := c.Collect(t.Context(), envelope.Digest{}); !errors.Is(err, attestation.ErrBinding) {
			t.Error(err)
		}
	}
}

func TestNoToken(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"refused": {http.StatusBadRequest, "token_type is a required parameter"}, "an error page": {http.StatusOK, "<html>"},
		"empty": {http.StatusOK, ""}, "too long": {http.StatusOK, "a.b." + strings.Repeat("c", 40<<10)},
	} {
		socket := launcher(t, func(relay.TokenRequest) (int, string) { return answer.status, answer.body })
		c, err := oidc.Open(oidc.Config{RelaySocket: socket, Audience: "broker", TokenType: relay.TokenPKI})
		if err != nil {
			t.Fatal(err)
		}
		if e, err := c.Collect(t.Context(), envelope.Sum(nil)); !errors.Is(err, oidc.ErrToken) || e.Evidence != nil {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	c, err := oidc.Open(oidc.Config{RelaySocket: filepath.Join(t.TempDir(), "none"), Audience: "broker", TokenType: relay.TokenPKI})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Collect(t.Context(), envelope.Sum(nil)); !errors.Is(err, relay.ErrRelay) {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	for name, cfg := range map[string]oidc.Config{
		"nothing":       {},
		"no socket":     {Audience: "a", TokenType: relay.TokenPKI},
		"no audience":   {RelaySocket: "s", TokenType: relay.TokenPKI},
		"long audience": {RelaySocket: "s", Audience: strings.Repeat("a", 513), TokenType: relay.TokenPKI},
		"no type":       {RelaySocket: "s", Audience: "a"},
		"another type":  {RelaySocket: "s", Audience: "a", TokenType: "AWS_PRINCIPALTAGS"},
	} {
		if _, err := oidc.Open(cfg); !errors.Is(err, oidc.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
