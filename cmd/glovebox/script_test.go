// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm/swtpmtest"
	"github.com/glovebox-dev/glovebox/internal/s3store/s3test"
)

// TestScripts drives the real binaries, as people would type them. Those in testdata/tpm need swtpm.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs all binaries; -short leaves that to `make test`")
	}
	runScripts(t, "testdata")
}

// TestExamples runs the stories of the examples that are scripts.
func TestExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs all binaries; -short leaves that to `make test`")
	}
	for _, story := range []string{"owners", "mail"} {
		t.Run(story, func(t *testing.T) { runScripts(t, filepath.Join("..", "..", "examples", story)) })
	}
}

func TestScriptsTPM(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs all binaries; -short leaves that to `make test`")
	}
	swtpmtest.Require(t)
	runScripts(t, filepath.Join("testdata", "tpm"))
}

// TestScriptsS3 keeps blobs in a bucket of a real S3 server.
func TestScriptsS3(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs all binaries; -short leaves that to `make test`")
	}
	s := s3test.Start(t)
	runScripts(t, filepath.Join("testdata", "s3"), append(s.Env(), "AWS_REGION=us-east-1", "S3="+s.Endpoint, "S3FOLDER="+s.Folder, "S3SECRET="+s3test.SecretKey)...)
}

func runScripts(t *testing.T, dir string, env ...string) {
	scripts, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts in %s: %v", dir, err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			bin, err := binaries(root)
			if err != nil {
				return err
			}
			e.Vars = append(e.Vars, env...)
			e.Setenv("ROOT", root)
			e.Setenv("MAIL", os.Getenv("MAIL")) // of examples/mail
			e.Setenv("PRODUCTION", filepath.Join(bin, "production"))
			e.Setenv("DEMO", filepath.Join(bin, "demo"))
			e.Setenv("GUEST", filepath.Join(bin, "guest"))
			e.Setenv("PATH", filepath.Join(bin, "demo")+":"+os.Getenv("PATH"))
			for _, k := range []string{"GOPATH", "GOMODCACHE", "GOCACHE", "GOFLAGS", "GOPROXY", "GOTOOLCHAIN", "GONOSUMDB", "GOSUMDB"} {
				out, err := exec.Command("go", "env", k).Output()
				if err != nil {
					return err
				}
				e.Setenv(k, strings.TrimSpace(string(out)))
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"simulate": simulate(t), "replays": replays(t), "remeasure": remeasure, "vendor": vendor(t), "exits": exits, "port": freePort, "await": await, "field": field, "flipbyte": flipByte, "sparse": sparse, "sets": sets, "nofiles": noFiles, "resultof": resultOf, "reaches": reaches, "prefix": prefix, "predicate": predicateOf, "differ": differ, "fixture": fixture,
		},
	})
}

// binaries builds what the scripts run, once in a test run: production binaries, those with the simulated platform, and
// guests.
var binaries = func() func(root string) (string, error) {
	var once sync.Once
	var dir string
	var err error
	return func(root string) (string, error) {
		once.Do(func() { dir, err = buildAll(root) })
		return dir, err
	}
}()

var built string // removed by TestMain

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

func buildAll(root string) (string, error) {
	dir, err := os.MkdirTemp("", "glovebox-test-")
	if err != nil {
		return "", err
	}
	built = dir
	run := func(env []string, args ...string) error {
		cmd := exec.Command("go", append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid="}, args...)...)
		cmd.Dir, cmd.Env = root, append(append(os.Environ(), "CGO_ENABLED=0"), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %v: %w\n%s", args, err, out)
		}
		return nil
	}
	wasm := []string{"GOOS=wasip1", "GOARCH=wasm"}
	return dir, errors.Join(
		run(nil, "-o", filepath.Join(dir, "production")+"/", "./cmd/..."),
		run(nil, "-tags", "simulated", "-o", filepath.Join(dir, "demo")+"/", "./cmd/..."),
		run(wasm, "-o", filepath.Join(dir, "guest", "hostile.wasm"), "./cmd/glovebox/testdata/hostile"),
		run(wasm, "-o", filepath.Join(dir, "guest", "everything.wasm"), "./sdk/testdata/everything"),
		run(wasm, "-o", filepath.Join(dir, "guest", "owners.wasm"), "./examples/owners/guest"),
		run(nil, "-o", filepath.Join(dir, "guest", "everything"), "./sdk/testdata/everything"),
	)
}

// exits CODE COMMAND...: the command ends with exactly this code. Its output is for stdout and stderr.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	if got := command(ts, ts.Stdout(), args[1:]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// command runs a program as a script would, and returns its exit code.
func command(ts *testscript.TestScript, stdout io.Writer, args []string) int {
	path, err := lookPath(ts.Getenv("PATH"), args[0])
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), stdout, ts.Stderr()
	for _, k := range []string{"PATH", "HOME", "TMPDIR", "GOPATH", "GOMODCACHE", "GOCACHE", "GOFLAGS", "GOPROXY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"} {
		cmd.Env = append(cmd.Env, k+"="+ts.Getenv(k))
	}
	err = cmd.Run()
	if exit, failed := errors.AsType[*exec.ExitError](err); failed {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

func lookPath(path, name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	for _, dir := range filepath.SplitList(path) {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil && st.Mode().IsRegular() {
			return filepath.Join(dir, name), nil
		}
	}
	return "", fmt.Errorf("%s is not in PATH", name)
}

// port NAME: sets NAME to a loopback address that nobody listens on.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer l.Close()
		ts.Setenv(name, l.Addr().String())
	}
}

// await FILE|URL: waits for the file to be there or for the URL to answer.
func await(ts *testscript.TestScript, _ bool, args []string) {
	for range 1200 {
		if strings.HasPrefix(args[0], "http") {
			if r, err := http.Get(args[0]); err == nil {
				r.Body.Close()
				if r.StatusCode == http.StatusOK {
					return
				}
			}
		} else if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s did not come", args[0])
}

// sets NAME PATH: sets NAME to the member at PATH (a.0.b) of the JSON that the last command printed.
func sets(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], member(ts, ts.ReadFile("stdout"), args[1]))
}

// prefix NAME FILE: sets NAME to the first word of the last line of a table.
func prefix(ts *testscript.TestScript, _ bool, args []string) {
	lines := strings.Split(strings.TrimSpace(ts.ReadFile(args[1])), "\n")
	ts.Setenv(args[0], strings.Fields(lines[len(lines)-1])[0])
}

// field FILE PATH WANT: the member at PATH of a JSON file is WANT.
func field(ts *testscript.TestScript, neg bool, args []string) {
	if got := member(ts, ts.ReadFile(args[0]), args[1]); (got == args[2]) == neg {
		ts.Fatalf("%s is %q, want %q (negated: %v)", args[1], got, args[2], neg)
	}
}

// differ FILE FILE PATH: the members at PATH of two JSON files are not the same.
func differ(ts *testscript.TestScript, _ bool, args []string) {
	if got := member(ts, ts.ReadFile(args[0]), args[2]); got == member(ts, ts.ReadFile(args[1]), args[2]) {
		ts.Fatalf("%s is %q in both", args[2], got)
	}
}

// predicate DST: writes what the manifest says that the last pack with --json, of alice, signed.
func predicateOf(ts *testscript.TestScript, _ bool, args []string) {
	id := strings.TrimPrefix(member(ts, ts.ReadFile("stdout"), "packages.0.manifest"), "sha256:")
	signed := ts.ReadFile(filepath.Join("alice", "packages", id, "manifest.dsse"))
	payload, err := base64.StdEncoding.DecodeString(member(ts, signed, "payload"))
	ts.Check(err)
	var statement struct {
		Predicate json.RawMessage `json:"predicate"`
	}
	ts.Check(json.Unmarshal(payload, &statement))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), statement.Predicate, 0o600))
}

func member(ts *testscript.TestScript, text, path string) string {
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // fuel has more digits than a float shows
	ts.Check(d.Decode(&v))
	for _, k := range strings.Split(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[k]
		case []any:
			i, err := strconv.Atoi(k)
			ts.Check(err)
			if i >= len(at) {
				ts.Fatalf("%s: only %d", path, len(at))
			}
			v = at[i]
		}
	}
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}

// flipbyte FILE OFFSET: changes the lowest bit of one byte.
func flipByte(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	off, err := strconv.Atoi(args[1])
	ts.Check(err)
	b[off] ^= 1
	ts.Check(os.WriteFile(path, b, 0o600))
}

// sparse FILE BYTES: makes a file that is all hole.
func sparse(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(errors.Join(f.Truncate(n), f.Close()))
}

// nofiles DIR: the directory holds no file at all, at any depth.
func noFiles(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return fmt.Errorf("%s is left", path)
	}))
}

// resultof BUNDLE DST: copies the age file that was fetched with a bundle.
func resultOf(ts *testscript.TestScript, _ bool, args []string) {
	b, err := os.ReadFile(filepath.Join(filepath.Dir(args[0]), resultFile))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o600))
}

// reaches STATE COMMAND...: waits until the latest job that the command lists is in a state.
func reaches(ts *testscript.TestScript, _ bool, args []string) {
	for range 600 {
		var out bytes.Buffer
		if command(ts, &out, args[1:]) == 0 && member(ts, out.String(), "jobs.0.state") == args[0] {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("the job did not get to be %s", args[0])
}
