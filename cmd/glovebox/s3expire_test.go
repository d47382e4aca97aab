// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/s3store/s3test"
)

// expiring stands before an S3 server, notes the objects that are whole, and after some of them says that the credentials expired.
type expiring struct {
	pass http.Handler

	lock  sync.Mutex
	left  int // objects until the credentials expire
	whole map[string]bool
}

func (e *expiring) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.lock.Lock()
	over := e.left == 0
	e.lock.Unlock()
	if over {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `<?xml version="1.0"?><Error><Code>ExpiredToken</Code><Message>it expired</Message></Error>`) //nolint:errcheck // the client notices
		return
	}
	e.pass.ServeHTTP(w, r)
	q := r.URL.Query()
	if r.Method == http.MethodPut && !q.Has("partNumber") || r.Method == http.MethodPost && q.Has("uploadId") { // in one, or the last of several
		e.lock.Lock()
		defer e.lock.Unlock()
		e.left--
		e.whole[r.URL.Path] = true
	}
}

// renew lets n more objects through, and forgets which went up.
func (e *expiring) renew(n int) {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.left, e.whole = n, map[string]bool{}
}

func (e *expiring) uploads() map[string]bool {
	e.lock.Lock()
	defer e.lock.Unlock()
	return e.whole
}

// TestCredentialsExpireInAPack, between two of its segments: the command says what to do, fresh credentials and --resume go on
// after what is in the bucket, and what comes of it is what comes of the same pack in one go.
func TestCredentialsExpireInAPack(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs all binaries; -short leaves that to `make test`")
	}
	srv := s3test.Start(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin, err := binaries(root)
	if err != nil {
		t.Fatal(err)
	}
	e := &expiring{pass: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: srv.Endpoint})
		r.Out.Host = r.In.Host // which is signed
	}}}
	e.renew(1 << 20)
	proxy := httptest.NewServer(e)
	defer proxy.Close()

	k := &killed{t: t, bin: filepath.Join(bin, "demo", "glovebox"), dir: t.TempDir(), env: append(srv.Env(), "AWS_REGION=us-east-1")}
	source := make([]byte, 70<<20) // five segments
	rand.NewChaCha8([32]byte{8}).Read(source)
	if err := os.MkdirAll(filepath.Join(k.dir, "notes"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.dir, "notes", "one.bin"), source, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, int) {
		c := k.command(args...)
		out, err := c.CombinedOutput()
		if c.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), c.ProcessState.ExitCode()
	}
	if out, code := run("creator", "init", "--dir", "alice", "--store", "s3://blobs/x?endpoint="+proxy.URL); code != 0 {
		t.Fatal(out)
	}
	pack := func(owner string, more ...string) (string, int) {
		return run(append([]string{"creator", "pack", "notes", "--dir", owner, "--purpose", "research"}, more...)...)
	}

	e.renew(2)
	out, code := pack("alice")
	if code != 5 || !strings.Contains(out, "does not accept the credentials") || !strings.Contains(out, "hint:") {
		t.Fatalf("exit code %d: %s", code, out)
	}
	kept := e.uploads()
	if out, code := run("creator", "ls", "--dir", "alice"); code != 0 || !strings.Contains(out, "notes") || !strings.Contains(out, "--resume") {
		t.Errorf("creator ls does not tell of the interrupted pack: %s", out)
	}
	if out, err := exec.Command("cp", "-a", filepath.Join(k.dir, "alice"), filepath.Join(k.dir, "copy")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	e.renew(1 << 20)
	if out, code := pack("alice", "--resume"); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	for path := range e.uploads() {
		if kept[path] {
			t.Errorf("%s went up twice", path)
		}
	}
	if len(kept) != 2 {
		t.Errorf("%d objects went up before the credentials expired", len(kept))
	}
	if out, code := pack("copy", "--resume"); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	k.compare("alice", "copy")
}
