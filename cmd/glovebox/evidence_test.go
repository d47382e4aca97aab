// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// simulate DIR: writes evidence of the simulated platform as raw files (report.json, claims.json), reference values that
// it meets (reference.json), and sets ROOTKEY to its root. It signs as the platform does; production builds refuse it.
func simulate(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		b := attestationtest.Binding(t, "evidence")
		d, err := b.Digest()
		ts.Check(err)
		measured := envelope.Sum([]byte("an enclave"))
		h := envelope.Hash("glovebox.dev/simulated-evidence/v1", d[:], measured[:])
		sig, err := attestationtest.PrivateKey("root").Sign(rand.Reader, h[:], crypto.SHA256)
		ts.Check(err)
		report, err := envelope.Canonical(map[string]any{"binding": d, "measurement": measured, "signature": sig})
		ts.Check(err)
		dir := ts.MkAbs(args[0])
		ts.Check(os.MkdirAll(dir, 0o700))
		write := func(name string, v any) {
			out, ok := v.([]byte)
			if !ok {
				out, err = json.MarshalIndent(v, "", "  ")
				ts.Check(err)
			}
			ts.Check(os.WriteFile(filepath.Join(dir, name), out, 0o600))
		}
		write("report.json", report)
		write("claims.json", b)
		write("reference.json", &attestation.Reference{Version: 3, NotAfter: time.Now().Add(time.Hour).Unix(), Values: []attestation.ReferenceValue{
			{Name: "an enclave", Platform: attestation.PlatformSimulated, Measurements: map[string]string{"enclave": measured.Hex()}},
		}})
		ts.Setenv("ROOTKEY", attestationtest.PublicKey(t, "root").String())
		ts.Setenv("BOUND", d.Hex())
	}
}

// remeasure FROM TO: a measurement of an enclave that nobody runs.
func remeasure(ts *testscript.TestScript, _ bool, args []string) {
	var m measurement
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &m))
	m.Name, m.Measurements = "another", map[string]string{"enclave": strings.Repeat("01", 32)}
	b, err := json.Marshal(m)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o600))
}

// replays ADDRESS URL: a host at the address that passes everything on to another, and answers every probe with the answer
// to the first.
func replays(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		u, err := url.Parse(args[1])
		ts.Check(err)
		var mu sync.Mutex
		var first []byte
		proxy := &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(u)
				// Read whole: a server closes the question when the answer begins, and a transport that has not seen its end by
				// then gives up the answer.
				b, _ := io.ReadAll(r.In.Body) //nolint:errcheck // then the host finds it short
				r.Out.Body, r.Out.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
			},
			ModifyResponse: func(r *http.Response) error {
				if !strings.HasSuffix(r.Request.URL.Path, "/Probe") {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				b, err := io.ReadAll(r.Body)
				if first == nil {
					first = b
				}
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(first)), int64(len(first))
				r.Header.Set("Content-Length", strconv.Itoa(len(first)))
				return err
			},
		}
		l, err := net.Listen("tcp", args[0])
		ts.Check(err)
		s := &http.Server{Handler: proxy}
		go s.Serve(l) //nolint:errcheck // ends with the test
		t.Cleanup(func() { s.Close() })
	}
}

// glovebox runs a command line in this process.
func glovebox(args ...string) (code int, stdout, stderr string) {
	var out, words bytes.Buffer
	code = run(args, &out, &words)
	return code, out.String(), words.String()
}

// TestImportRefusesGarbage: whatever platform a file is said to be of, what is not its evidence is refused with a hint, and
// nothing is written.
func TestImportRefusesGarbage(t *testing.T) {
	dir := t.TempDir()
	random := make([]byte, 4096)
	_, err := rand.Read(random)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"random": random, "nothing": nil, "zeros": make([]byte, 1184), "text": []byte("not evidence\n"), "brace": []byte("{"), "object": []byte("{}"),
		"deep": []byte(strings.Repeat("[", 1<<16)), "oversized": make([]byte, attestation.MaxEvidence+1),
	}
	n := 0
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, p := range verifiers.Importable() {
			if p == attestation.PlatformSimulated {
				continue // its import is the file as it is
			}
			out := filepath.Join(dir, "out.json")
			code, stdout, stderr := glovebox("auditor", "evidence", "import", "--platform", string(p), "--report", path, "-o", out)
			if _, err := os.Stat(out); code == 0 && err == nil { // import judges nothing; verify has to refuse
				code, _, stderr = glovebox("auditor", "evidence", "verify", out)
				stdout = ""
				os.Remove(out)
			}
			if code != 4 || stdout != "" || !strings.Contains(stderr, "hint: ") {
				t.Errorf("%s as %s: exit %d, %q, %q", name, p, code, stdout, stderr)
			}
			if left, err := filepath.Glob(filepath.Join(dir, ".tmp-*")); len(left) > 0 || err != nil {
				t.Errorf("%s as %s: %v is left, %v", name, p, left, err)
			}
			n++
		}
	}
	t.Logf("%d imports of garbage refused", n)
}

// TestEvidenceTextIsHarmless: what a stranger wrote does not reach the terminal as more than text.
func TestEvidenceTextIsHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"plain":               "plain",
		"\x1b[2Jgone":         "?[2Jgone",
		"a\nVERIFIED":         "a?VERIFIED",
		"c1 \u009b1m":         "c1 ?1m",
		"right \u202eto left": "right ?to left",
		"bad \xff":            "bad ?",
		"tab\tbell\a":         "tab?bell?",
	} {
		if got := plain(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
	if got := clip(strings.Repeat("é", 100), 10); got != strings.Repeat("é", 9)+"…" {
		t.Errorf("clipped to %q", got)
	}
}
