// SPDX-License-Identifier: Apache-2.0

package jwks_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/entitlement/entitlementtest"
	"github.com/glovebox-dev/glovebox/broker/entitlement/jwks"
	"github.com/glovebox-dev/glovebox/internal/jwk"
)

// issuer is a server of key documents, with what it answers under the test's control.
type issuer struct {
	*httptest.Server
	market  *entitlementtest.Marketplace
	answer  http.HandlerFunc
	asked   int
	matched []string // If-None-Match
	now     time.Time
	c       jwks.Config
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{market: entitlementtest.New(t), now: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)}
	i.answer = func(w http.ResponseWriter, _ *http.Request) { w.Write(i.market.JWKS()) } //nolint:errcheck // a test's server
	i.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked++
		i.matched = append(i.matched, r.Header.Get("If-None-Match"))
		i.answer(w, r)
	}))
	t.Cleanup(i.Close)
	roots := x509.NewCertPool()
	roots.AddCert(i.Certificate())
	i.c = jwks.Config{CacheDir: filepath.Join(t.TempDir(), "cache"), Roots: roots, Now: func() time.Time { return i.now }}
	return i
}

func (i *issuer) pins() []string {
	var out []string
	for _, k := range i.market.Keys() {
		out = append(out, k.Thumbprint())
	}
	return out
}

func (i *issuer) load(t *testing.T) (*jwks.Set, error) {
	t.Helper()
	return jwks.Load(context.Background(), i.URL+"/jwks.json", i.c, i.pins())
}

// says makes the issuer answer with the keys and these headers.
func (i *issuer) says(headers ...string) {
	i.answer = func(w http.ResponseWriter, r *http.Request) {
		for n := 0; n < len(headers); n += 2 {
			w.Header().Set(headers[n], headers[n+1])
		}
		if e := w.Header().Get("ETag"); e != "" && r.Header.Get("If-None-Match") == e {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Write(i.market.JWKS()) //nolint:errcheck // a test's server
	}
}

func (i *issuer) fails(status int) {
	i.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// want loads and compares how often the issuer was asked so far.
func (i *issuer) want(t *testing.T, what string, asked int, away bool) {
	t.Helper()
	s, err := i.load(t)
	if err != nil || len(s.Keys) != 2 || i.asked != asked || (s.Away != nil) != away {
		t.Fatalf("%s: %+v %v, asked %d times, want %d", what, s, err, i.asked, asked)
	}
}

func TestOnlyPinnedKeys(t *testing.T) {
	i := newIssuer(t)
	i.want(t, "both", 1, false)
	keys := i.market.Keys()
	s, err := jwks.Load(context.Background(), i.URL, i.c, []string{keys[1].Thumbprint(), "another"})
	if err != nil || len(s.Keys) != 1 || s.Keys[0] != keys[1] {
		t.Fatalf("%+v %v", s, err)
	}
	if _, err := jwks.Load(context.Background(), i.URL, i.c, []string{"another"}); !errors.Is(err, jwks.ErrPins) || !strings.Contains(err.Error(), keys[0].Thumbprint()) {
		t.Error(err)
	}
	for _, pins := range [][]string{nil, {}, {""}, {keys[0].Thumbprint(), ""}} {
		if _, err := jwks.Load(context.Background(), i.URL, i.c, pins); !errors.Is(err, jwks.ErrUnpinned) {
			t.Errorf("%q: %v", pins, err)
		}
	}
	if s, err := jwks.Discover(context.Background(), i.URL, i.c); err != nil || len(s.Keys) != 2 {
		t.Error(err)
	}
}

// TestIssuerSwapsKeys: an issuer, or who took over its site, that publishes other keys gets none of them accepted.
func TestIssuerSwapsKeys(t *testing.T) {
	i := newIssuer(t)
	pins := i.pins()
	i.want(t, "before", 1, false)
	i.market = entitlementtest.New(t)
	if _, err := jwks.Load(context.Background(), i.URL+"/jwks.json", i.c, pins); !errors.Is(err, jwks.ErrPins) {
		t.Error(err)
	}
}

func TestFile(t *testing.T) {
	i := newIssuer(t)
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, i.market.JWKS(), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := jwks.Load(context.Background(), path, jwks.Config{}, i.pins())
	if err != nil || len(s.Keys) != 2 || s.Fetched.IsZero() {
		t.Fatal(s, err)
	}
	if err := os.WriteFile(path, make([]byte, jwk.MaxSet+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := jwks.Load(context.Background(), path, jwks.Config{}, i.pins()); !errors.Is(err, jwks.ErrDocument) {
		t.Error(err)
	}
	for _, source := range []string{path + "x", filepath.Dir(path), "", "http://market.example/jwks.json", "ftp://market.example", "https://", "https://u:p@market.example/", "https://market.example/#x", "file://" + path, "HTTPS:///x"} {
		if _, err := jwks.Load(context.Background(), source, jwks.Config{}, i.pins()); !errors.Is(err, jwks.ErrSource) {
			t.Errorf("%q: %v", source, err)
		}
	}
}

// TestCache: Cache-Control and ETag are respected, up to a bound of our own.
func TestCache(t *testing.T) {
	i := newIssuer(t)
	i.says("Cache-Control", "public, max-age=3600", "ETag", `"one"`)
	i.want(t, "first", 1, false)
	i.now = i.now.Add(59 * time.Minute)
	i.want(t, "fresh", 1, false)
	i.now = i.now.Add(2 * time.Minute)
	i.want(t, "asked again", 2, false)
	if i.matched[1] != `"one"` {
		t.Errorf("asked with %q", i.matched)
	}
	i.want(t, "renewed by 304", 2, false)
	i.now = i.now.Add(time.Hour)
	i.says("Cache-Control", "max-age=99999999999")
	i.want(t, "for ever", 3, false)
	i.now = i.now.Add(jwks.MaxFresh - time.Second)
	i.want(t, "within the bound", 3, false)
	i.now = i.now.Add(2 * time.Second)
	i.want(t, "beyond the bound", 4, false)
	for _, header := range []string{"no-cache", "max-age=0", "max-age=-5", "max-age=x", "max-age=60, no-cache", ""} {
		j := newIssuer(t)
		j.says("Cache-Control", header)
		j.want(t, header, 1, false)
		j.want(t, header+" again", 2, false)
		j.fails(500)
		j.want(t, header+" away", 3, true)
	}
}

// TestNoStore: what the issuer does not want kept is not there when it is away.
func TestNoStore(t *testing.T) {
	i := newIssuer(t)
	i.want(t, "kept", 1, false)
	i.says("Cache-Control", "max-age=60, no-store")
	i.want(t, "not kept", 2, false)
	i.fails(503)
	if _, err := i.load(t); !errors.Is(err, jwks.ErrAway) {
		t.Error(err)
	}
}

// TestIssuerAway: the last good copy stands in for a while, and says so.
func TestIssuerAway(t *testing.T) {
	i := newIssuer(t)
	i.want(t, "there", 1, false)
	for name, broken := range map[string]http.HandlerFunc{
		"500":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"404":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"hung up":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no JSON":   func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },                   //nolint:errcheck // a test's server
		"no keys":   func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[]}`)) },              //nolint:errcheck // as above
		"too large": func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, jwk.MaxSet+1)) },         //nolint:errcheck // as above
		"half":      func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "9999999") }, //
	} {
		i.answer = broken
		s, err := i.load(t)
		if err != nil || s.Away == nil || len(s.Keys) != 2 || !s.Fetched.Equal(i.now) {
			t.Errorf("%s: %+v %v", name, s, err)
		}
	}
	i.Close()
	i.now = i.now.Add(jwks.MaxStale - time.Second)
	if s, err := i.load(t); err != nil || s.Away == nil {
		t.Error(err)
	}
	i.now = i.now.Add(2 * time.Second)
	if _, err := i.load(t); !errors.Is(err, jwks.ErrAway) {
		t.Errorf("too old: %v", err)
	}
}

// TestPublishedPrivateKey: an issuer that publishes a private key signs for everybody; no copy makes up for that.
func TestPublishedPrivateKey(t *testing.T) {
	i := newIssuer(t)
	i.want(t, "before", 1, false)
	i.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(strings.Replace(string(i.market.JWKS()), `"kty"`, `"d":"AA","kty"`, 1))) //nolint:errcheck // a test's server
	}
	if _, err := i.load(t); !errors.Is(err, jwk.ErrPrivate) {
		t.Error(err)
	}
}

// TestRedirectToHTTP: keys come over TLS all the way.
func TestRedirectToHTTP(t *testing.T) {
	i := newIssuer(t)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(i.market.JWKS()) })) //nolint:errcheck // a test's server
	defer plain.Close()
	i.answer = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, plain.URL, http.StatusFound) }
	if _, err := i.load(t); !errors.Is(err, jwks.ErrAway) || !errors.Is(err, jwks.ErrSource) {
		t.Error(err)
	}
	i.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			w.Write(i.market.JWKS()) //nolint:errcheck // a test's server
			return
		}
		http.Redirect(w, r, i.URL+"/moved", http.StatusMovedPermanently)
	}
	if _, err := i.load(t); err != nil {
		t.Error(err)
	}
	i.answer = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) }
	if _, err := jwks.Load(context.Background(), i.URL+"/loop", i.c, i.pins()); !errors.Is(err, jwks.ErrSource) {
		t.Error(err)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	i := newIssuer(t)
	i.c.Roots = x509.NewCertPool()
	if _, err := i.load(t); !errors.Is(err, jwks.ErrAway) {
		t.Error(err)
	}
}

// TestDamagedCache: a copy that is damaged, of another URL, from the future or readable by others is no copy.
func TestDamagedCache(t *testing.T) {
	i := newIssuer(t)
	i.says("Cache-Control", "max-age=3600")
	i.want(t, "first", 1, false)
	files, err := filepath.Glob(filepath.Join(i.c.CacheDir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(files[0]); err != nil || st.Mode().Perm() != 0o600 {
		t.Error(st.Mode(), err)
	}
	asked := 1
	for name, change := range map[string]func() error{
		"truncated": func() error { return os.WriteFile(files[0], good[:len(good)/2], 0o600) },
		"of another URL": func() error {
			return os.WriteFile(files[0], []byte(strings.Replace(string(good), "jwks.json", "jwkz.json", 1)), 0o600)
		},
		"readable by others": func() error { return errors.Join(os.WriteFile(files[0], good, 0o600), os.Chmod(files[0], 0o644)) },
	} {
		if err := errors.Join(os.Remove(files[0]), change()); err != nil {
			t.Fatal(err)
		}
		asked++
		i.want(t, name, asked, false)
	}
	i.want(t, "good again", asked, false)
	i.now = i.now.Add(-2 * time.Minute) // the clock jumps back
	i.want(t, "from the future", asked+1, false)
}

func TestCancelled(t *testing.T) {
	i := newIssuer(t)
	i.want(t, "before", 1, false)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := jwks.Load(ctx, i.URL+"/jwks.json", i.c, i.pins()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
