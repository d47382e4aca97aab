// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/endorsements/endorsementstest"
)

// vendor NAME: starts a vendor's service over TLS, sets NAME to its URL and SSL_CERT_FILE to its authority, and writes
// tdx.json, evidence that needs
// it, and expired.json, the same with what has expired. Paths under /web answer with a web page, and those under /busy are.
func vendor(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		v := endorsementstest.New(t)
		e := attestation.Evidence{Version: 1, Platform: attestation.PlatformTDX, Evidence: v.Intel(t)}
		b, err := e.Encode()
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs("tdx.json"), b, 0o600))
		e.Endorsements = []attestation.Endorsement{{Type: attestation.TCBInfoType, Body: v.PKI.TCBInfo("TDX", endorsementstest.FMSPC, -1)}}
		b, err = e.Encode()
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs("expired.json"), b, 0o600))
		v.Before(func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case strings.HasPrefix(r.URL.Path, "/web/"):
				w.Write([]byte("<html>Please log in</html>")) //nolint:errcheck // a test's answer
			case strings.HasPrefix(r.URL.Path, "/busy/"):
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(http.StatusTooManyRequests)
			default:
				return false
			}
			return true
		})
		ts.Setenv(args[0], v.URL)
		ts.Setenv("SSL_CERT_FILE", v.CAFile)
		ts.Setenv("SSL_CERT_DIR", filepath.Dir(v.CAFile))
	}
}

// TestFetchGarbage: what is no envelope is refused before anybody is asked.
func TestFetchGarbage(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"empty": "", "text": "x", "brace": "{", "object": "{}", "list": "[]", "deep": strings.Repeat("[", 1<<16)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"fetch", "show"} {
			args := []string{"operator", "endorsements", verb, path}
			if verb == "fetch" {
				args = append(args, "-o", filepath.Join(dir, "out"), "--cache", dir)
			}
			if code, out, words := glovebox(args...); code != 4 || out != "" || !strings.Contains(words, "hint: ") {
				t.Errorf("%s %s: exit %d, %q, %q", verb, name, code, out, words)
			}
		}
	}
}
