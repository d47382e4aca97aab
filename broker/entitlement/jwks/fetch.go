// SPDX-License-Identifier: Apache-2.0

package jwks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/internal/jwk"
)

// get answers from a fresh copy, else from the issuer, else from the last good copy.
func (c Config) get(ctx context.Context, url string) (*Set, error) {
	now := c.Now()
	old := c.load(url, now)
	if old != nil && now.Before(old.fresh()) {
		return &Set{Keys: old.keys, Fetched: old.fetched()}, nil
	}
	next, err := c.fetch(ctx, url, old, now)
	switch {
	case err == nil:
		c.store(next)
		return &Set{Keys: next.keys, Fetched: now}, nil
	case errors.Is(err, jwk.ErrPrivate), ctx.Err() != nil:
		return nil, err
	case old != nil && now.Before(old.fetched().Add(MaxStale)):
		return &Set{Keys: old.keys, Fetched: old.fetched(), Away: err}, nil
	}
	return nil, err
}

// fetch asks the issuer. An answer that the copy still stands renews it.
func (c Config) fetch(ctx context.Context, url string, old *entry, now time.Time) (*entry, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrSource, err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	if old != nil && old.ETag != "" {
		req.Header.Set("If-None-Match", old.ETag)
	}
	client := c.client()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	defer resp.Body.Close()
	e := &entry{URL: url, Fetched: now.Unix(), ETag: resp.Header.Get("ETag")}
	var keep bool
	e.Fresh, keep = freshUntil(resp.Header.Get("Cache-Control"), now)
	e.dropped = !keep
	switch {
	case resp.StatusCode == http.StatusNotModified && old != nil:
		e.Body, e.keys = old.Body, old.keys
		if e.ETag == "" {
			e.ETag = old.ETag
		}
		return e, nil
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: %s answers %s", ErrAway, req.URL.Host, resp.Status)
	}
	if e.Body, err = readAll(resp.Body); err != nil {
		if errors.Is(err, ErrDocument) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	e.keys, err = parse(e.Body)
	return e, err
}

func (c Config) client() *http.Client {
	return &http.Client{
		Timeout: timeout,
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if req.URL.Scheme != "https" {
				return fmt.Errorf("%w: redirected to %s", ErrSource, req.URL.Scheme)
			}
			if len(via) > maxRedirects {
				return fmt.Errorf("%w: more than %d redirects", ErrSource, maxRedirects)
			}
			return nil
		},
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    timeout,
			ResponseHeaderTimeout:  timeout,
			MaxResponseHeaderBytes: maxHeader,
			ForceAttemptHTTP2:      true,
		},
	}
}

// freshUntil reads Cache-Control (RFC 9111) as far as it concerns us: until when a copy need not be asked about, at most
// MaxFresh, and whether it may be kept at all. What it does not understand asks again each time.
func freshUntil(header string, now time.Time) (until int64, keep bool) {
	ask := false
	keep, until = true, now.Unix()
	for _, d := range strings.Split(strings.ToLower(header), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		switch name {
		case "no-store":
			keep = false
		case "no-cache":
			ask = true
		case "max-age":
			s, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 64)
			if err == nil && s > 0 {
				until = now.Unix() + min(s, int64(MaxFresh/time.Second))
			}
		}
	}
	if ask || !keep {
		until = now.Unix()
	}
	return until, keep
}
