// SPDX-License-Identifier: Apache-2.0

// Package server is the relay's other end: it answers an enclave's bounded questions by asking a service over HTTP.
//
// Trust domain: beside the enclave, outside the trusted computing base. Its one job: carry one request to the one service
// of its kind, which is configured and never chosen by the one who asks, and carry the answer back, bounded. It judges
// nothing: what it carries authenticates itself.
package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/relay"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors.
var (
	ErrConfig  = errors.New("relay: bad configuration")
	ErrService = errors.New("relay: service failed")
)

// Where the services are, by their vendors' documentation.
const (
	AzureURL       = "http://169.254.169.254/acc/tdquote"
	LauncherURL    = "http://localhost/v1/token"
	LauncherSocket = "/run/container_launcher/teeserver.sock"
)

const (
	maxClients = 8 // questions under way; others wait
	patience   = 50 * time.Second
)

// Config says which kinds are answered and where their services are. Empty places are the vendors' own.
type Config struct {
	Kinds          []relay.Kind // not empty
	AzureURL       string
	LauncherURL    string
	LauncherSocket string
}

// Server answers enclaves. Safe for concurrent use.
type Server struct {
	cfg      Config
	azure    *http.Client
	launcher *http.Client
}

// New refuses an empty list of kinds and unknown ones.
func New(cfg Config) (*Server, error) {
	if len(cfg.Kinds) == 0 {
		return nil, fmt.Errorf("%w: no kind is answered, want one of %q", ErrConfig, relay.Kinds())
	}
	for _, k := range cfg.Kinds {
		if !slices.Contains(relay.Kinds(), k) {
			return nil, fmt.Errorf("%w: unknown kind %q, want one of %q", ErrConfig, k, relay.Kinds())
		}
	}
	cfg.Kinds = slices.Clone(cfg.Kinds)
	cfg.AzureURL = orDefault(cfg.AzureURL, AzureURL)
	cfg.LauncherURL = orDefault(cfg.LauncherURL, LauncherURL)
	cfg.LauncherSocket = orDefault(cfg.LauncherSocket, LauncherSocket)
	return &Server{cfg, client(nil), client(func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", cfg.LauncherSocket)
	})}, nil
}

func orDefault(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

// client goes where it is told: through no proxy, after no redirect.
func client(dial func(context.Context, string, string) (net.Conn, error)) *http.Client {
	return &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Serve answers until ctx ends, which is no error, and closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxClients)
	for {
		slots <- struct{}{}
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
		wg.Go(func() {
			defer func() { <-slots }()
			s.answer(ctx, conn)
		})
	}
}

// answer serves one connection: one question, one answer.
func (s *Server) answer(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var q relay.Request
	if err := relay.Read(conn, &q); err != nil {
		return // nobody there who would read the reason
	}
	a := relay.Answer{Body: []byte{}}
	if body, err := s.ask(ctx, &q); err != nil {
		a.Error = short(err)
	} else {
		a.Body = body
	}
	// Its only reader is gone if this fails.
	_ = relay.Write(conn, &a)
}

// short is an error as an answer carries it.
func short(err error) string {
	text := strings.ToValidUTF8(err.Error(), "?")
	return strings.ToValidUTF8(text[:min(len(text), relay.MaxError)], "")
}

func (s *Server) ask(ctx context.Context, q *relay.Request) ([]byte, error) {
	if !slices.Contains(s.cfg.Kinds, q.Kind) || len(q.Body) == 0 || len(q.Body) > relay.MaxBody {
		return nil, fmt.Errorf("%w: kind %q is not answered here, or its body has %d bytes", ErrConfig, q.Kind, len(q.Body))
	}
	if q.Kind == relay.KindAzureTDQuote {
		return s.quote(ctx, q.Body)
	}
	return s.token(ctx, q.Body)
}

// quote turns a TD report into a TD quote.
func (s *Server) quote(ctx context.Context, report []byte) ([]byte, error) {
	in, err := json.Marshal(map[string]string{"report": base64.RawURLEncoding.EncodeToString(report)})
	if err != nil {
		return nil, err
	}
	out, err := post(ctx, s.azure, s.cfg.AzureURL, in)
	if err != nil {
		return nil, err
	}
	var reply struct {
		Quote string `json:"quote"`
	}
	if err := json.Unmarshal(out, &reply); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrService, s.cfg.AzureURL, err)
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(reply.Quote, "="))
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%w: %s: no quote in base64url", ErrService, s.cfg.AzureURL)
	}
	return b, nil
}

// token has the launcher fetch a token. What is asked for is read strictly: a token is this machine's word.
func (s *Server) token(ctx context.Context, body []byte) ([]byte, error) {
	var r relay.TokenRequest
	if err := envelope.DecodeStrict(body, relay.MaxBody, &r); err != nil {
		return nil, err
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	in, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	out, err := post(ctx, s.launcher, s.cfg.LauncherURL, in)
	return bytes.TrimSpace(out), err
}

func post(ctx context.Context, c *http.Client, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrService, err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(io.LimitReader(resp.Body, relay.MaxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrService, url, err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: %s: %s: %.*q", ErrService, url, resp.Status, relay.MaxError/2, out)
	case len(out) == 0 || len(out) > relay.MaxBody:
		return nil, fmt.Errorf("%w: %s: an answer of more than %d bytes, or none", ErrService, url, relay.MaxBody)
	}
	return out, nil
}
