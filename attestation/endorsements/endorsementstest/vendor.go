// SPDX-License-Identifier: Apache-2.0

// Package endorsementstest is a vendor for tests: services that answer as AMD's, Intel's, Amazon's and NVIDIA's do, over
// TLS, with certificates of its own. No verifier would accept what it says.
//
// Trust domain: none, tests only. Its one job: misbehave on request.
package endorsementstest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Answer is what the vendor says to one request.
type Answer struct {
	Body   []byte
	Header map[string]string
}

// Vendor is every vendor at once.
type Vendor struct {
	URL    string
	CAFile string // for SSL_CERT_FILE
	PKI    *PKI

	mu      sync.Mutex
	answers map[string]Answer
	asked   []string
	before  func(http.ResponseWriter, *http.Request) bool
	server  *httptest.Server
	roots   *x509.CertPool
}

// New starts one. It ends with the test.
func New(t testing.TB) *Vendor {
	t.Helper()
	v := &Vendor{answers: map[string]Answer{}, PKI: NewPKI(t)}
	v.server = httptest.NewUnstartedServer(http.HandlerFunc(v.serve))
	cert, ca := v.PKI.tls(t)
	v.server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	v.server.Config.ErrorLog = quiet()
	v.server.StartTLS()
	t.Cleanup(v.server.Close)
	v.URL = v.server.URL
	v.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(v.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	v.roots = x509.NewCertPool()
	v.roots.AddCert(ca)
	return v
}

// Transport reaches the vendor whatever the host's name is.
func (v *Vendor) Transport() *http.Transport {
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: v.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, v.server.Listener.Addr().String())
		},
		DisableKeepAlives: true,
	}
}

// Set makes the vendor answer a path with its query.
func (v *Vendor) Set(uri string, a Answer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answers[uri] = a
}

// Before is asked first; true means that it has answered.
func (v *Vendor) Before(f func(http.ResponseWriter, *http.Request) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.before = f
}

// Asked are the requests so far, in order.
func (v *Vendor) Asked() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]string(nil), v.asked...)
}

func (v *Vendor) serve(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	v.asked = append(v.asked, r.Method+" "+r.URL.RequestURI())
	a, ok := v.answers[r.URL.RequestURI()]
	before := v.before
	v.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	for k, x := range a.Header {
		w.Header().Set(k, x)
	}
	w.Write(a.Body) //nolint:errcheck // the client may have had enough
}
