// SPDX-License-Identifier: Apache-2.0

package endorsements_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/endorsements"
	"github.com/glovebox-dev/glovebox/attestation/endorsements/endorsementstest"
)

type certificate = x509.Certificate

const tcbPath = "/tdx/certification/v4/tcb"

// TestBadServers: each kind of wrong answer, about one of the four things that a TDX quote needs.
func TestBadServers(t *testing.T) {
	headers := func(v *endorsementstest.Vendor) map[string]string {
		return map[string]string{"TCB-Info-Issuer-Chain": string(bytes.ReplaceAll(endorsementstest.Chain(v.PKI.Issue(t, "x", nil, nil)), []byte("\n"), []byte("%0A")))}
	}
	body := func(b func(v *endorsementstest.Vendor) []byte) func(*endorsementstest.Vendor, http.ResponseWriter, *http.Request) {
		return func(v *endorsementstest.Vendor, w http.ResponseWriter, _ *http.Request) {
			for k, x := range headers(v) {
				w.Header().Set(k, x)
			}
			w.Write(b(v))
		}
	}
	status := func(code int) func(*endorsementstest.Vendor, http.ResponseWriter, *http.Request) {
		return func(_ *endorsementstest.Vendor, w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", code) }
	}
	redirect := func(to string) func(*endorsementstest.Vendor, http.ResponseWriter, *http.Request) {
		return func(_ *endorsementstest.Vendor, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, to, http.StatusFound)
		}
	}
	for name, c := range map[string]struct {
		answer func(*endorsementstest.Vendor, http.ResponseWriter, *http.Request)
		err    error
		words  string
		tries  int
	}{
		"a web page":    {body(func(*endorsementstest.Vendor) []byte { return []byte("<html>login</html>") }), endorsements.ErrContent, "not JSON", 1},
		"unsigned":      {body(func(*endorsementstest.Vendor) []byte { return []byte(`{"tcbInfo":{}}`) }), endorsements.ErrContent, "not a signed tcbInfo", 1},
		"empty":         {body(func(*endorsementstest.Vendor) []byte { return nil }), endorsements.ErrContent, "not JSON", 1},
		"another FMSPC": {body(func(v *endorsementstest.Vendor) []byte { return v.PKI.TCBInfo("TDX", "00606A000000", 30) }), endorsements.ErrContent, "00606A000000", 1},
		"SGX's for TDX": {body(func(v *endorsementstest.Vendor) []byte { return v.PKI.TCBInfo("SGX", endorsementstest.FMSPC, 30) }), endorsements.ErrContent, `"SGX"`, 1},
		"expired":       {body(func(v *endorsementstest.Vendor) []byte { return v.PKI.TCBInfo("TDX", endorsementstest.FMSPC, -1) }), endorsements.ErrContent, "expired at", 1},
		"oversized":     {body(func(*endorsementstest.Vendor) []byte { return bytes.Repeat([]byte(" "), 3<<20) }), endorsements.ErrContent, "more than", 1},
		"no issuer's header": {func(v *endorsementstest.Vendor, w http.ResponseWriter, _ *http.Request) {
			w.Write(v.PKI.TCBInfo("TDX", endorsementstest.FMSPC, 30))
		}, endorsements.ErrContent, "no header", 1},
		"a broken header": {func(v *endorsementstest.Vendor, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("TCB-Info-Issuer-Chain", "%zz")
			w.Write(v.PKI.TCBInfo("TDX", endorsementstest.FMSPC, 30))
		}, endorsements.ErrContent, "header", 1},
		"not found":       {status(404), endorsements.ErrUnknown, "Intel knows no platform with FMSPC", 1},
		"forbidden":       {status(403), endorsements.ErrContent, "403", 1},
		"busy":            {status(429), endorsements.ErrUnavailable, "429", 4},
		"broken":          {status(500), endorsements.ErrUnavailable, "500", 4},
		"maintenance":     {status(503), endorsements.ErrUnavailable, "503", 4},
		"to http":         {redirect("http://api.trustedservices.intel.com/x"), endorsements.ErrContent, "redirected to http://", 1},
		"to file":         {redirect("file:///etc/passwd"), endorsements.ErrContent, "redirected to file:", 1},
		"to another host": {redirect("https://elsewhere.example/x"), endorsements.ErrContent, "not at", 1},
		"to another port": {redirect("https://api.trustedservices.intel.com:8443/x"), endorsements.ErrContent, "not at", 1},
		"round and round": {redirect(tcbPath + "?fmspc=" + endorsementstest.FMSPC), endorsements.ErrContent, "more than 3 redirects", 4},
		"truncated": {func(v *endorsementstest.Vendor, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			w.Write([]byte("{"))
		}, endorsements.ErrUnavailable, "broke off", 4},
		"asks for patience": {func(_ *endorsementstest.Vendor, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7200")
			w.WriteHeader(429)
		}, endorsements.ErrUnavailable, "2h0m0s of patience", 1},
	} {
		t.Run(name, func(t *testing.T) {
			v := endorsementstest.New(t)
			e := imported(attestation.PlatformTDX, v.Intel(t))
			var tries atomic.Int32
			v.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != tcbPath {
					return false
				}
				tries.Add(1)
				c.answer(v, w, r)
				return true
			})
			cfg := config(v)
			cache := openCache(t, t.TempDir())
			cfg.Cache = cache
			_, err := fetcher(t, cfg).Fill(t.Context(), e)
			if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.words) || !strings.Contains(err.Error(), "tcb-info") {
				t.Errorf("got %v, want %v with %q", err, c.err, c.words)
			}
			if int(tries.Load()) != c.tries {
				t.Errorf("asked %d times, want %d", tries.Load(), c.tries)
			}
			if len(e.Endorsements) != 0 {
				t.Error("the envelope was filled in part")
			}
			kept, bad, err := cache.Entries()
			if err != nil || len(kept) != 3 || len(bad) != 0 {
				t.Errorf("kept %d entries, want the three others (%v, %v)", len(kept), bad, err)
			}
		})
	}
}

// TestWrongCertificates: an AMD service that answers with somebody else's.
func TestWrongCertificates(t *testing.T) {
	line := amdLines(t)["Milan"]
	vcek := "/vcek/v1/Milan/" + line.chip + "?" + line.query
	other := endorsementstest.Chip(false)
	other[0] = 0xff
	for name, c := range map[string]struct {
		uri   string
		body  func(v *endorsementstest.Vendor) []byte
		words string
	}{
		"not DER":         {vcek, func(*endorsementstest.Vendor) []byte { return []byte("x") }, "not a certificate"},
		"somebody's":      {vcek, func(v *endorsementstest.Vendor) []byte { return v.PKI.Issue(t, "somebody", nil, nil).Cert.Raw }, "want SEV-VCEK by SEV-Milan"},
		"of another chip": {vcek, func(v *endorsementstest.Vendor) []byte { return wrongChip(t, v, other) }, "another chip"},
		"expired": {"/vcek/v1/Milan/crl", func(v *endorsementstest.Vendor) []byte {
			return v.PKI.CRL(t, v.PKI.Issue(t, "ARK-Milan", nil, nil), -1)
		}, "expired"},
		"another line's list": {"/vcek/v1/Milan/crl", func(v *endorsementstest.Vendor) []byte { return v.PKI.CRL(t, v.PKI.Issue(t, "ARK-Genoa", nil, nil), 9) }, "not of ARK-Milan"},
		"another line's chain": {"/vcek/v1/Milan/cert_chain", func(v *endorsementstest.Vendor) []byte {
			return endorsementstest.Chain(v.PKI.Issue(t, "SEV-Genoa", nil, nil), v.PKI.Issue(t, "ARK-Genoa", nil, nil))
		}, "another chain"},
		"a chain with a tail": {"/vcek/v1/Milan/cert_chain", func(v *endorsementstest.Vendor) []byte {
			return append(endorsementstest.Chain(v.PKI.Issue(t, "SEV-Milan", nil, nil)), "x"...)
		}, "not a chain"},
		"a list that never ends": {"/vcek/v1/Milan/crl", func(*endorsementstest.Vendor) []byte { return []byte("3000") }, "not a certificate revocation list"},
	} {
		t.Run(name, func(t *testing.T) {
			v := endorsementstest.New(t)
			v.AMD(t, "Milan", line.chip, line.query, line.id)
			v.Set(c.uri, endorsementstest.Answer{Body: c.body(v)})
			_, err := fetcher(t, config(v)).Fill(t.Context(), imported(attestation.PlatformSNP, line.report))
			if !errors.Is(err, endorsements.ErrContent) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v, want %q", err, c.words)
			}
		})
	}
}

// TestRetry: what passes by itself is asked again, after the time that the service asks for or one that grows.
func TestRetry(t *testing.T) {
	v := endorsementstest.New(t)
	e := imported(attestation.PlatformTDX, v.Intel(t))
	var n atomic.Int32
	v.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != tcbPath {
			return false
		}
		switch n.Add(1) {
		case 1:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		case 2:
			w.Header().Set("Retry-After", time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		case 3:
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return false
	})
	var waits []time.Duration
	cfg := config(v)
	cfg.Timing(5*time.Second, 100*time.Millisecond, time.Now, func(_ context.Context, d time.Duration) error {
		waits = append(waits, d)
		return nil
	})
	if _, err := fetcher(t, cfg).Fill(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if len(waits) != 3 || waits[0] != 7*time.Second || waits[1] < 17*time.Second || waits[1] > 20*time.Second || waits[2] < 400*time.Millisecond || waits[2] > 600*time.Millisecond {
		t.Errorf("waited %v", waits)
	}
}

func TestSlowServer(t *testing.T) {
	v := endorsementstest.New(t)
	e := imported(attestation.PlatformTDX, v.Intel(t))
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	v.Before(func(w http.ResponseWriter, r *http.Request) bool {
		w.Write([]byte("{"))
		w.(http.Flusher).Flush()
		select {
		case <-stop:
		case <-r.Context().Done():
		}
		return true
	})
	cfg := config(v)
	cfg.Timing(100*time.Millisecond, time.Millisecond, time.Now, func(context.Context, time.Duration) error { return nil })
	began := time.Now()
	if _, err := fetcher(t, cfg).Fill(t.Context(), e); !errors.Is(err, endorsements.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("took %s", d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	cfg.Timing(time.Minute, time.Millisecond, time.Now, func(context.Context, time.Duration) error { return nil })
	if _, err := fetcher(t, cfg).Fill(ctx, e); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestTLSRefused: a service with a certificate that nobody vouches for, or for another name, is not spoken to.
func TestTLSRefused(t *testing.T) {
	v := endorsementstest.New(t)
	e := imported(attestation.PlatformTDX, v.Intel(t))
	for name, edit := range map[string]func(*http.Transport){
		"unknown authority": func(tr *http.Transport) { tr.TLSClientConfig.RootCAs = x509.NewCertPool() },
		"another name":      func(tr *http.Transport) { tr.TLSClientConfig.ServerName = "" },
	} {
		tr := v.Transport()
		edit(tr)
		cfg := config(v)
		cfg.Transport = tr
		if _, err := fetcher(t, cfg).Fill(t.Context(), e); !errors.Is(err, endorsements.ErrContent) || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(v.Asked()); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

// TestManyParts: a failure names every statement that could not be had.
func TestManyParts(t *testing.T) {
	v := endorsementstest.New(t)
	e := imported(attestation.PlatformTDX, v.Intel(t))
	v.Before(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusNotFound)
		return true
	})
	_, err := fetcher(t, config(v)).Fill(t.Context(), e)
	for _, name := range []string{"tcb-info", "qe-identity", "pck-crl", "root-crl"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not in %v", name, err)
		}
	}
}

func wrongChip(t *testing.T, v *endorsementstest.Vendor, chip []byte) []byte {
	ask := v.PKI.Issue(t, "SEV-Milan", nil, nil)
	return v.PKI.Issue(t, "SEV-VCEK", ask, func(c *certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, 4}, Value: chip}}
	}).Cert.Raw
}

func openCache(t *testing.T, dir string) *endorsements.Cache {
	t.Helper()
	if err := os.Chmod(dir, 0o700); err != nil && !errors.Is(err, os.ErrNotExist) { // a test's directory is as its umask has it
		t.Fatal(err)
	}
	c, err := endorsements.OpenCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
