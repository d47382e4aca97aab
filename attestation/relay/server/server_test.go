// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation/relay"
	"github.com/glovebox-dev/glovebox/attestation/relay/server"
)

// serve starts a relay in front of cfg's services and returns its socket.
func serve(t *testing.T, cfg server.Config) string {
	t.Helper()
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "relay.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

func azure(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return serve(t, server.Config{Kinds: []relay.Kind{relay.KindAzureTDQuote}, AzureURL: srv.URL + "/acc/tdquote"})
}

func TestAzureQuote(t *testing.T) {
	for _, enc := range []*base64.Encoding{base64.RawURLEncoding, base64.URLEncoding} {
		socket := azure(t, func(w http.ResponseWriter, r *http.Request) {
			var in struct{ Report string }
			if json.NewDecoder(r.Body).Decode(&in) != nil || r.URL.Path != "/acc/tdquote" || r.Method != http.MethodPost {
				http.Error(w, "what?", http.StatusBadRequest)
				return
			}
			report, err := base64.RawURLEncoding.DecodeString(in.Report)
			if err != nil {
				t.Error(err)
			}
			json.NewEncoder(w).Encode(map[string]string{"quote": enc.EncodeToString(append([]byte("quote of "), report...))})
		})
		got, err := relay.Ask(t.Context(), socket, relay.KindAzureTDQuote, []byte("report\xff"))
		if err != nil || string(got) != "quote of report\xff" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestConfidentialSpaceToken(t *testing.T) {
	launcher := filepath.Join(t.TempDir(), "teeserver.sock")
	l, err := net.Listen("unix", launcher)
	if err != nil {
		t.Fatal(err)
	}
	var seen map[string]any
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/token" || json.NewDecoder(r.Body).Decode(&seen) != nil {
			http.Error(w, "what?", http.StatusBadRequest)
		}
		io.WriteString(w, "a.b.c\n")
	})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	socket := serve(t, server.Config{Kinds: relay.Kinds(), LauncherSocket: launcher})
	body := []byte(`{"audience":"broker","token_type":"OIDC","nonces":["0123456789"]}`)
	got, err := relay.Ask(t.Context(), socket, relay.KindConfidentialSpaceToken, body)
	if err != nil || string(got) != "a.b.c" {
		t.Errorf("%q, %v", got, err)
	}
	if want := map[string]any{"audience": "broker", "token_type": "OIDC", "nonces": []any{"0123456789"}}; !cmp.Equal(seen, want) {
		t.Error(cmp.Diff(want, seen))
	}
	for name, bad := range map[string]string{
		"no nonce":       `{"audience":"a","token_type":"OIDC","nonces":[]}`,
		"short nonce":    `{"audience":"a","token_type":"OIDC","nonces":["x"]}`,
		"no audience":    `{"audience":"","token_type":"OIDC","nonces":["0123456789"]}`,
		"unknown type":   `{"audience":"a","token_type":"NONE","nonces":["0123456789"]}`,
		"unknown member": `{"audience":"a","token_type":"OIDC","nonces":["0123456789"],"x":1}`,
		"seven nonces":   `{"audience":"a","token_type":"OIDC","nonces":["0123456789","0123456789","0123456789","0123456789","0123456789","0123456789","0123456789"]}`,
	} {
		if _, err := relay.Ask(t.Context(), socket, relay.KindConfidentialSpaceToken, []byte(bad)); !errors.Is(err, relay.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServiceMisbehaves(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"error":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, strings.Repeat("no ", 500), 500) },
		"huge":      func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, relay.MaxBody+1)) },
		"empty":     func(http.ResponseWriter, *http.Request) {},
		"no JSON":   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "quote") },
		"no base64": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"quote":"%"}`) },
		"no quote":  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{}`) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect)
		},
	} {
		socket := azure(t, h)
		if got, err := relay.Ask(t.Context(), socket, relay.KindAzureTDQuote, []byte("r")); !errors.Is(err, relay.ErrRefused) || len(err.Error()) > 600 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestKindThatIsNotAnswered(t *testing.T) {
	socket := azure(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	for _, k := range []relay.Kind{relay.KindConfidentialSpaceToken, "http://169.254.169.254/metadata", ""} {
		if _, err := relay.Ask(t.Context(), socket, k, []byte("x")); !errors.Is(err, relay.ErrRefused) {
			t.Errorf("%q: %v", k, err)
		}
	}
	for _, kinds := range [][]relay.Kind{nil, {}, {"x"}} {
		if _, err := server.New(server.Config{Kinds: kinds}); !errors.Is(err, server.ErrConfig) {
			t.Errorf("%q: %v", kinds, err)
		}
	}
}

// TestServicesThatWouldAnswer: a kind that is not configured, and a place that a service points to, are not asked although
// both would answer well.
func TestServicesThatWouldAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "teeserver.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	other := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("asked %s", r.URL)
		io.WriteString(w, `{"quote":"cQ"}`)
	}))
	launcher := &http.Server{Handler: other.Config.Handler}
	go launcher.Serve(l)
	t.Cleanup(func() { launcher.Close() })
	other.Start()
	t.Cleanup(other.Close)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) }))
		t.Cleanup(first.Close)
		socket := serve(t, server.Config{Kinds: []relay.Kind{relay.KindAzureTDQuote}, AzureURL: first.URL, LauncherSocket: path})
		if got, err := relay.Ask(t.Context(), socket, relay.KindAzureTDQuote, []byte("r")); !errors.Is(err, relay.ErrRefused) {
			t.Errorf("%d: %q, %v", status, got, err)
		}
		token := []byte(`{"audience":"broker","nonces":["0123456789"],"token_type":"OIDC"}`)
		for _, k := range []relay.Kind{relay.KindConfidentialSpaceToken, "unknown"} {
			if got, err := relay.Ask(t.Context(), socket, k, token); !errors.Is(err, relay.ErrRefused) {
				t.Errorf("%s: %q, %v", k, got, err)
			}
		}
	}
}

// TestStrangerAtTheServer: what is not one framed canonical request gets no answer, and the next one is served.
func TestStrangerAtTheServer(t *testing.T) {
	socket := azure(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"quote":"cQ"}`) })
	frame := func(s string) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...) }
	for _, raw := range [][]byte{
		frame(""), frame("{}"), frame(`{"body":"cg==","kind":"azure-tdquote","more":1}`), frame(`{"kind":"azure-tdquote","body":"cg=="}`),
		{0xff, 0xff, 0xff, 0xff},
		{0, 0, 0, 9, '{'},
		frame(`{"body":"cg==","body":"cg==","kind":"azure-tdquote"}`),
	} {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(raw)
		conn.(*net.UnixConn).CloseWrite()
		if b, _ := io.ReadAll(conn); len(b) != 0 {
			t.Errorf("%q was answered %q", raw, b)
		}
		conn.Close()
	}
	if got, err := relay.Ask(t.Context(), socket, relay.KindAzureTDQuote, []byte("r")); err != nil || string(got) != "q" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	socket := azure(t, func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Report string }
		json.NewDecoder(r.Body).Decode(&in)
		json.NewEncoder(w).Encode(map[string]string{"quote": in.Report})
	})
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			want := bytes.Repeat([]byte{byte(i)}, 1024)
			if got, err := relay.Ask(t.Context(), socket, relay.KindAzureTDQuote, want); err != nil || !bytes.Equal(got, want) {
				t.Error(i, err)
			}
		})
	}
	wg.Wait()
}

func TestServiceThatNeverAnswers(t *testing.T) {
	release := make(chan struct{})
	socket := azure(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := relay.Ask(ctx, socket, relay.KindAzureTDQuote, []byte("r")); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
