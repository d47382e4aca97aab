// SPDX-License-Identifier: Apache-2.0

// Package vaulttest runs a real Vault server for tests: with TLS, its own storage, initialised and unsealed, so that it can
// be sealed, stopped and started again.
//
// Trust domain: tests only. Its one job: the tests of what speaks to Vault speak to Vault.
package vaulttest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// SkipMark is in the message of each test skipped for want of a Vault server, so that the test run can count them.
const SkipMark = "SKIPPED-FOR-VAULT"

// Version is the server that .ci/vault builds.
const Version = "1.21.4"

const (
	startTime = 60 * time.Second
	stopTime  = 10 * time.Second
)

// Binary finds the server as .ci/vault does: $GLOVEBOX_VAULT, the cache, PATH. "" when there is none.
func Binary() string {
	if p := os.Getenv("GLOVEBOX_VAULT"); p != "" {
		return p
	}
	if dir, err := os.UserCacheDir(); err == nil {
		p := filepath.Join(dir, "glovebox", "vault-"+Version, "vault")
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p
		}
	}
	p, err := exec.LookPath("vault")
	if err != nil {
		return ""
	}
	return p
}

// Server is one Vault server.
type Server struct {
	Address string // https
	CAFile  string
	Root    string // token that may do anything

	dir, key string
	cmd      *exec.Cmd
	http     *http.Client
}

// Start runs a server until the test ends, or skips the test.
func Start(t testing.TB) *Server {
	t.Helper()
	Need(t)
	s, err := Launch(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Need skips the test where there is no server to start.
func Need(t testing.TB) {
	t.Helper()
	if Binary() == "" {
		t.Skip(SkipMark + ": no Vault server; build one with: make vault")
	}
}

// Launch runs a server with its files in dir.
func Launch(dir string) (*Server, error) {
	port, cluster, err := ports()
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, Address: "https://127.0.0.1:" + port, CAFile: filepath.Join(dir, "ca.pem")}
	if err := errors.Join(s.certificate(), os.Mkdir(filepath.Join(dir, "raft"), 0o700), os.Mkdir(s.Plugins(), 0o700)); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(`storage "raft" {
  path    = %q
  node_id = "one"
  performance_multiplier = 1
}
listener "tcp" {
  address       = "127.0.0.1:%s"
  tls_cert_file = %q
  tls_key_file  = %q
}
api_addr      = %q
cluster_addr  = "https://127.0.0.1:%s"
disable_mlock = true
plugin_directory = %q
`, filepath.Join(dir, "raft"), port, s.CAFile, filepath.Join(dir, "tls.key"), s.Address, cluster, s.Plugins())
	if err := os.WriteFile(filepath.Join(dir, "vault.hcl"), []byte(conf), 0o600); err != nil {
		return nil, err
	}
	if err := s.Run(); err != nil {
		return nil, err
	}
	if err := s.initialise(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func ports() (string, string, error) {
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer a.Close()
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer b.Close()
	_, p, err1 := net.SplitHostPort(a.Addr().String())
	_, q, err2 := net.SplitHostPort(b.Addr().String())
	return p, q, errors.Join(err1, err2)
}

func (s *Server) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vault"}, NotAfter: time.Now().Add(time.Hour), NotBefore: time.Now().Add(-time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"vault.test"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	s.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}, Timeout: startTime}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(s.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(filepath.Join(s.dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600),
	)
}

// Plugins is the folder whose programs the server may run as plug-ins.
func (s *Server) Plugins() string { return filepath.Join(s.dir, "plugins") }

// Run starts the server's process; it is sealed then, unless it is new.
func (s *Server) Run() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "vault.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(Binary(), "server", "-config", filepath.Join(s.dir, "vault.hcl"))
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its plug-ins are killed with it
	s.cmd.Env = []string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH"), "SKIP_SETCAP=1", "VAULT_LOG_LEVEL=warn"}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	return s.wait(func(status int) bool {
		return status == http.StatusNotImplemented || status == http.StatusServiceUnavailable
	})
}

// wait polls the health of the server: 200 active, 429 standby, 501 not initialised, 503 sealed.
func (s *Server) wait(ok func(status int) bool) error {
	for end := time.Now().Add(startTime); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		resp, err := s.http.Get(s.Address + "/v1/sys/health")
		if err != nil {
			continue
		}
		resp.Body.Close() //nolint:errcheck // only the status counts
		if ok(resp.StatusCode) {
			return nil
		}
	}
	b, _ := os.ReadFile(filepath.Join(s.dir, "vault.log")) //nolint:errcheck // for the message
	return fmt.Errorf("vault did not get ready:\n%s", b)
}

func (s *Server) initialise() error {
	var out struct {
		Keys []string `json:"keys"`
		Root string   `json:"root_token"`
	}
	if err := s.Do("", http.MethodPut, "sys/init", map[string]int{"secret_shares": 1, "secret_threshold": 1}, &out); err != nil {
		return err
	}
	if len(out.Keys) != 1 || out.Root == "" {
		return errors.New("vault was not initialised")
	}
	s.key, s.Root = out.Keys[0], out.Root
	if err := s.Unseal(); err != nil {
		return err
	}
	return errors.Join(
		s.Do(s.Root, http.MethodPut, "sys/mounts/transit", map[string]any{"type": "transit"}, nil),
		s.Do(s.Root, http.MethodPut, "sys/auth/approle", map[string]any{"type": "approle"}, nil),
		s.Do(s.Root, http.MethodPut, "sys/mounts/kv", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}, nil),
	)
}

// Unseal opens a sealed server.
func (s *Server) Unseal() error {
	if err := s.Do("", http.MethodPut, "sys/unseal", map[string]string{"key": s.key}, nil); err != nil {
		return err
	}
	return s.wait(func(status int) bool { return status == http.StatusOK })
}

// Seal closes the server; its process goes on.
func (s *Server) Seal() error {
	if err := s.Do(s.Root, http.MethodPut, "sys/seal", nil, nil); err != nil {
		return err
	}
	return s.wait(func(status int) bool { return status == http.StatusServiceUnavailable })
}

// Stop ends the process at once, as a crash would.
func (s *Server) Stop() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it may have ended
	s.cmd.Wait()                                      //nolint:errcheck // it was killed
	s.cmd = nil
}

// Pause stops the process from answering without ending it; Resume lets it go on.
func (s *Server) Pause() error {
	if err := s.cmd.Process.Signal(sigStop); err != nil {
		return err
	}
	for end := time.Now().Add(stopTime); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s.stopped() {
			return nil
		}
	}
	return errors.New("vault does not stop")
}

// stopped reports whether every thread of the process has stopped.
func (s *Server) stopped() bool {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.cmd.Process.Pid))
	for _, t := range tasks {
		b, rerr := os.ReadFile(t)
		if _, state, ok := bytes.Cut(b, []byte(") ")); rerr == nil && (!ok || len(state) == 0 || state[0] != 'T') {
			return false
		}
	}
	return err == nil && len(tasks) > 0
}

// Resume undoes Pause.
func (s *Server) Resume() error { return s.cmd.Process.Signal(sigCont) }

// StatusError is an answer that is no success.
type StatusError struct {
	Code int
	Body string
}

func (e *StatusError) Error() string { return fmt.Sprintf("vault: %d %s", e.Code, e.Body) }

// Do makes one request; out may be nil. An answer that is no success is a [*StatusError].
func (s *Server) Do(token, method, path string, body, out any) error {
	return s.do(token, method, path, "", body, out)
}

// Wrapped writes to path as root and gives the token that wraps the answer.
func (s *Server) Wrapped(path, ttl string) (string, error) {
	var out struct {
		Info struct {
			Token string `json:"token"`
		} `json:"wrap_info"`
	}
	err := s.do(s.Root, http.MethodPut, path, ttl, map[string]string{"secret_id": ""}, &out)
	return out.Info.Token, err
}

func (s *Server) do(token, method, path, wrapTTL string, body, out any) error {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.Address+"/v1/"+path, r)
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Request", "true")
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	if wrapTTL != "" {
		req.Header.Set("X-Vault-Wrap-TTL", wrapTTL)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode > 299 {
		return &StatusError{resp.StatusCode, string(b)}
	}
	if out == nil || len(b) == 0 {
		return nil
	}
	return json.Unmarshal(b, out)
}

// MustDo is Do as root, in a test.
func (s *Server) MustDo(t testing.TB, method, path string, body, out any) {
	t.Helper()
	if err := s.Do(s.Root, method, path, body, out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}
