// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/hashicorp/vault/api"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
)

const (
	maxReply   = 16 << 20 // a batch of keys
	maxCause   = 300
	maxCA      = 1 << 20
	idleConns  = 64
	retries    = 1
	retryWait  = 50 * time.Millisecond
	idleTime   = 90 * time.Second
	loginPause = time.Second // between two logins, so that a refusal does not become a storm of them
)

// client speaks to one Vault with one token, which it renews and replaces.
type client struct {
	api     *api.Client // with the token
	anon    *api.Client // without, for logging in
	http    *http.Client
	options options
	auth    auth

	logins atomic.Int64
	wake   chan struct{} // tells the renewer of a new token

	mu      sync.Mutex // one login at a time; guards what follows
	last    time.Time  // of the last login, good or not
	lastErr error      // what came of it
	lease   lease      // of the token
}

// reply is what Vault answers to what we ask; fields of other requests stay empty.
type reply struct {
	Errors []string   `json:"errors"`
	Data   data       `json:"data"`
	Auth   *tokenAuth `json:"auth"`
}

type data struct {
	Plaintext  []byte       `json:"plaintext"`
	Ciphertext string       `json:"ciphertext"`
	Results    []batchReply `json:"batch_results"`

	// of a transit key
	Type        string `json:"type"`
	Derived     bool   `json:"derived"`
	Exportable  bool   `json:"exportable"`
	Backup      bool   `json:"allow_plaintext_backup"`
	Deletable   bool   `json:"deletion_allowed"`
	Convergent  bool   `json:"convergent_encryption"`
	Latest      int    `json:"latest_version"`
	Oldest      int    `json:"min_decryption_version"`
	MinEncrypt  int    `json:"min_encryption_version"`
	MinKeptHere int    `json:"min_available_version"`

	// of Glovebox's own engine
	Wrapped      []byte `json:"wrapped"`
	Sealed       []byte `json:"sealed"`
	Nonce        string `json:"nonce"`
	PluginOldest int    `json:"oldest"`
	PluginLatest int    `json:"latest"`

	// of a token, and of a wrapping token
	TTL          int64  `json:"ttl"`
	Renewable    bool   `json:"renewable"`
	CreationPath string `json:"creation_path"`
	SecretID     string `json:"secret_id"`

	// of a KV entry
	Entry    *entry   `json:"data"`
	Metadata metadata `json:"metadata"`
	Version  int64    `json:"version"` // of a KV entry just written
}

type batchReply struct {
	Plaintext []byte `json:"plaintext"`
	Error     string `json:"error"`
}

type tokenAuth struct {
	ClientToken   string `json:"client_token"`
	LeaseDuration int64  `json:"lease_duration"`
	Renewable     bool   `json:"renewable"`
}

func newHTTP(o options) (*http.Client, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.serverName}
	if o.caFile != "" {
		pool, err := readPool(o.caFile)
		if err != nil {
			return nil, err
		}
		tlsConfig.RootCAs = pool
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: tlsConfig,
			TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1: a small call is faster so
			TLSHandshakeTimeout: o.timeout, ResponseHeaderTimeout: o.timeout,
			MaxIdleConns: idleConns, MaxIdleConnsPerHost: idleConns, IdleConnTimeout: idleTime,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// newAPI makes a client that takes nothing from the environment but a proxy: no address, token, namespace or option to
// skip verification that somebody left there.
func newAPI(o options, h *http.Client) (*api.Client, error) {
	c, err := api.NewClient(&api.Config{
		Address: o.address, HttpClient: h, // no Timeout: the client ends its context before the answer is read; send has its own
		MaxRetries: retries, MinRetryWait: retryWait, MaxRetryWait: 4 * retryWait, CheckRetry: retryable,
		DisableRedirects: true, // a redirect would take the token elsewhere
	})
	if err != nil {
		return nil, fmt.Errorf("%w: vault: %s", keyholder.ErrInput, brief(err.Error()))
	}
	c.ClearToken()
	c.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	c.SetWrappingLookupFunc(func(string, string) string { return "" })
	if o.namespace != "" {
		c.SetNamespace(o.namespace)
	}
	return c, nil
}

func readPool(path string) (*x509.CertPool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCA))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%w: %s holds no PEM certificate", keyholder.ErrInput, path)
	}
	return pool, nil
}

// retryable: only what never reached Vault, such as a connection that a restart broke. All we send may be sent twice.
func retryable(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return false, nil
	}
	return err != nil && resp == nil, nil
}

// statusError is an answer of Vault's that is no success.
type statusError struct {
	code  int
	cause string
}

func (e *statusError) Error() string {
	if e.cause == "" {
		return fmt.Sprintf("vault answers %d %s", e.code, http.StatusText(e.code))
	}
	return fmt.Sprintf("vault answers %d: %s", e.code, e.cause)
}

// send makes one request and reads the answer. The body of the answer, which may hold keys, is wiped.
func (c *client) send(ctx context.Context, via *api.Client, method, path string, body any) (*reply, error) {
	if err := keyholder.Interrupted(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.timeout)
	defer cancel()
	var resp *api.Response
	var err error
	if method == http.MethodGet {
		resp, err = via.Logical().ReadRawWithContext(ctx, path)
	} else {
		var b []byte
		if b, err = json.Marshal(body); err != nil {
			return nil, err
		}
		resp, err = via.Logical().WriteRawWithContext(ctx, path, b)
	}
	if resp == nil || resp.Response == nil {
		return nil, away(ctx, err)
	}
	defer resp.Body.Close()
	return read(ctx, resp.Response)
}

// away is the error of a request without an answer. Its text names address and path, never token or body.
func away(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: vault: %w", keyholder.ErrUnavailable, ctx.Err())
	}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return fmt.Errorf("%w: vault's certificate is not trusted; see caFile and serverName: %s", keyholder.ErrUnavailable, brief(err.Error()))
	}
	if err == nil {
		return fmt.Errorf("%w: vault gives no answer", keyholder.ErrUnavailable)
	}
	return fmt.Errorf("%w: vault: %s", keyholder.ErrUnavailable, brief(err.Error()))
}

func read(ctx context.Context, resp *http.Response) (*reply, error) {
	b := make([]byte, 0, min(max(resp.ContentLength+512, 4096), maxReply)) // no copy of a key is left behind by growing
	var err error
	for err == nil && len(b) < maxReply {
		if len(b) == cap(b) {
			b = grow(b)
		}
		var n int
		n, err = resp.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
	}
	defer func() { clear(b[:cap(b)]) }()
	if !errors.Is(err, io.EOF) {
		return nil, away(ctx, errors.Join(err, errors.New("the answer is cut off or too large")))
	}
	var r reply
	if len(b) > 0 && resp.StatusCode != http.StatusNoContent {
		if jerr := json.Unmarshal(b, &r); jerr != nil && resp.StatusCode < 300 {
			return nil, fmt.Errorf("%w: vault's answer is not understood", keyholder.ErrUnavailable) // no cause: it may cite the answer
		}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &r, &statusError{resp.StatusCode, brief(strings.Join(r.Errors, "; "))}
	}
	return &r, nil
}

func grow(b []byte) []byte {
	n := append(make([]byte, 0, 2*cap(b)), b...)
	clear(b)
	return n
}

// brief makes one short line of what somebody else wrote.
func brief(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if s = strings.Join(strings.Fields(s), " "); len(s) > maxCause {
		s = s[:maxCause] + "…"
	}
	return strings.ToValidUTF8(s, "")
}

// call makes a request with the token. One that Vault does not know any more is replaced, once.
func (c *client) call(ctx context.Context, method, path string, body any) (*reply, error) {
	before := c.logins.Load()
	r, err := c.send(ctx, c.api, method, path, body)
	// Another call may log in at any moment: then it was the old token that was refused, and the new one is tried.
	if refused(err) && (c.tokenDead(ctx) || c.logins.Load() != before) {
		if err := c.login(ctx, before); err != nil {
			return nil, err
		}
		r, err = c.send(ctx, c.api, method, path, body)
	}
	return r, err
}

func refused(err error) bool {
	s, ok := errors.AsType[*statusError](err)
	return ok && s.code == http.StatusForbidden
}

// tokenDead tells a token that is gone, which a login replaces, from a policy that says no, which it does not.
func (c *client) tokenDead(ctx context.Context) bool {
	_, err := c.send(ctx, c.api, http.MethodGet, "auth/token/lookup-self", nil)
	return refused(err)
}

// classify turns an answer that is no success into an error of package keyholder. bad is what a 400 means here.
func classify(err, bad error) error {
	s, ok := errors.AsType[*statusError](err)
	switch {
	case !ok || errors.Is(err, keyholder.ErrAuth) || errors.Is(err, keyholder.ErrUnavailable): // of a login on the way
		return err
	case s.code == http.StatusForbidden || s.code == http.StatusUnauthorized:
		return fmt.Errorf("%w: %w; see the token's policy, or give a new credential", keyholder.ErrAuth, s)
	case s.code == http.StatusBadRequest:
		return fmt.Errorf("%w: %w", bad, s)
	case s.code == http.StatusNotFound || s.code == http.StatusMethodNotAllowed || s.code == http.StatusRequestEntityTooLarge:
		return fmt.Errorf("%w: %w; see mount and key", keyholder.ErrInput, s)
	}
	return fmt.Errorf("%w: %w", keyholder.ErrUnavailable, s) // sealed, standby, overloaded, redirected
}
