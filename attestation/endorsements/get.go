// SPDX-License-Identifier: Apache-2.0

package endorsements

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Bounds of one exchange with a service.
const (
	maxBody      = 2 << 20 // the largest RIMs and CRLs have a few hundred kilobytes
	maxHeaders   = 256 << 10
	maxRedirects = 3
	maxAttempts  = 4
	attemptTime  = 30 * time.Second
	longestWait  = 60 * time.Second // asked for by Retry-After; more is a failure that says so
)

// answer is what a service said, as it is cached.
type answer struct {
	Header map[string]string // those of keptHeaders that were there
	Body   []byte
	kept   bool // it comes from the cache
}

// keptHeaders carry Intel's issuer chains, and how long an answer may be kept.
func keptHeaders() []string {
	return []string{"TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain", "SGX-Enclave-Identity-Issuer-Chain", "SGX-PCK-CRL-Issuer-Chain", "Cache-Control"}
}

// newTransport verifies TLS in the normal way and is bounded in every direction.
func newTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  20 * time.Second,
		MaxResponseHeaderBytes: maxHeaders,
		MaxIdleConns:           8,
		IdleConnTimeout:        30 * time.Second,
	}
}

func newClient(rt http.RoundTripper) *http.Client {
	if rt == nil {
		rt = newTransport()
	}
	return &http.Client{Transport: rt, CheckRedirect: func(to *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("%w: more than %d redirects", ErrContent, maxRedirects)
		}
		if to.URL.Scheme != via[0].URL.Scheme {
			return fmt.Errorf("%w: redirected to %s, which is not %s", ErrContent, to.URL.Redacted(), via[0].URL.Scheme)
		}
		if to.URL.Host != via[0].URL.Host {
			return fmt.Errorf("%w: redirected to %s, which is not at %s", ErrContent, to.URL.Redacted(), via[0].URL.Host)
		}
		return nil
	}}
}

// secure refuses what is not plain HTTPS.
func secure(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrConfig, err)
	case u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%w: %q is not an https:// address", ErrConfig, u.Redacted())
	}
	return nil
}

// get asks until there is an answer, the service's refusal, or no more patience.
func (f *Fetcher) get(ctx context.Context, r *request) (*answer, error) {
	if err := f.allowed(r.url); err != nil {
		return nil, err
	}
	var last error
	for i := range maxAttempts {
		a, wait, err := f.attempt(ctx, r)
		if err == nil {
			return a, nil
		}
		if last = err; !passing(err) || ctx.Err() != nil || i == maxAttempts-1 {
			break
		}
		if wait > longestWait {
			return nil, fmt.Errorf("%w; it asks for %s of patience", err, wait.Round(time.Second))
		}
		if wait == 0 {
			wait = f.cfg.backoff << i
			wait += rand.N(wait/2 + 1) // many who were refused at once do not come back at once
		}
		if err := f.cfg.sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, last
}

// passing says that asking again may help. A name that does not exist has no route to it, which seconds do not change.
func passing(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return errors.Is(err, ErrUnavailable) && !(ok && dns.IsNotFound)
}

func (f *Fetcher) allowed(raw string) error {
	if f.cfg.plain {
		return nil
	}
	return secure(raw)
}

// attempt asks once. The wait is what the service asked for before the next attempt.
func (f *Fetcher) attempt(ctx context.Context, r *request) (a *answer, wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.timeout)
	defer cancel()
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if r.post != nil {
		method, body = http.MethodPost, bytes.NewReader(r.post)
	}
	q, err := http.NewRequestWithContext(ctx, method, r.url, body)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	q.Header.Set("User-Agent", f.cfg.UserAgent)
	if r.post != nil {
		q.Header.Set("Content-Type", r.postType)
	}
	resp, err := f.client.Do(q)
	if err != nil {
		if errors.Is(err, ErrContent) {
			return nil, 0, err
		}
		if _, wrong := errors.AsType[*tls.CertificateVerificationError](err); wrong {
			return nil, 0, fmt.Errorf("%w: %w", ErrContent, err)
		}
		return nil, 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer resp.Body.Close()
	if err := f.refused(resp, r.url); err != nil {
		return nil, f.retryAfter(resp), err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil {
		err = ctx.Err() // a server that ends its answer because we hang up has not said all of it
	}
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("%w: %s broke off after %d bytes: %w", ErrUnavailable, host(r.url), len(b), err)
	case len(b) > maxBody:
		return nil, 0, fmt.Errorf("%w: %s answers with more than %d bytes", ErrContent, host(r.url), maxBody)
	}
	a = &answer{Header: map[string]string{}, Body: b}
	for _, k := range keptHeaders() {
		if v := resp.Header.Get(k); v != "" {
			a.Header[k] = v
		}
	}
	return a, 0, nil
}

func (f *Fetcher) refused(resp *http.Response, raw string) error {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusNotFound || code == http.StatusGone:
		return fmt.Errorf("%w: %s answers %s", ErrUnknown, host(raw), resp.Status)
	case code == http.StatusTooManyRequests || code >= 500:
		return fmt.Errorf("%w: %s answers %s", ErrUnavailable, host(raw), resp.Status)
	default:
		return fmt.Errorf("%w: %s answers %s", ErrContent, host(raw), resp.Status)
	}
}

// retryAfter reads the header in both its forms. A date in the past asks for no wait.
func (f *Fetcher) retryAfter(resp *http.Response) time.Duration {
	h := resp.Header.Get("Retry-After")
	if s, err := strconv.Atoi(h); err == nil && s >= 0 {
		return time.Duration(min(s, 1<<30)) * time.Second
	}
	if t, err := http.ParseTime(h); err == nil {
		return max(0, t.Sub(f.cfg.now()))
	}
	return 0
}

func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "the service"
	}
	return u.Host
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
