// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath string
	Standard   bool
	Module     *struct{ Path string }
	Deps       []string
	Imports    []string
}

func list(t *testing.T, args ...string) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Module,Deps,Imports"}, args...)...)
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, stderr.String())
	}
	pkgs := map[string]pkg{}
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs[p.ImportPath] = p
	}
	if len(pkgs) == 0 {
		t.Fatal("go list found no packages: the rules would check nothing")
	}
	return pkgs
}

func root(t *testing.T) string {
	t.Helper()
	d, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func full(path string) string {
	if rest, ok := strings.CutPrefix(path, "./"); ok {
		return Module + "/" + rest
	}
	return path
}

func under(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

func TestForbiddenImports(t *testing.T) {
	for _, tags := range []string{"", "simulated"} {
		pkgs := list(t, "-tags", tags, "-deps", "./...")
		for _, r := range Rules() {
			for _, breach := range breaches(pkgs, r) {
				t.Errorf("tags %q: %s\n\t%s", tags, breach, r.Why)
			}
		}
	}
}

// breaches names every package under r.From that reaches a forbidden one, with a path that shows how.
func breaches(pkgs map[string]pkg, r Rule) []string {
	var out []string
	found := false
	for path, p := range pkgs {
		if !under(path, full(r.From)) {
			continue
		}
		found = true
		for _, never := range r.Never {
			if i := slices.IndexFunc(p.Deps, func(d string) bool { return under(d, full(never)) }); i >= 0 {
				out = append(out, strings.Join(route(pkgs, path, p.Deps[i]), " → "))
			}
		}
	}
	if !found {
		out = append(out, "no package under "+r.From+": the rule checks nothing")
	}
	slices.Sort(out)
	return out
}

// route is a shortest chain of imports between two packages.
func route(pkgs map[string]pkg, from, to string) []string {
	type step struct {
		path string
		via  *step
	}
	seen := map[string]bool{from: true}
	for queue := []*step{{path: from}}; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		if s.path == to {
			var chain []string
			for ; s != nil; s = s.via {
				chain = append(chain, strings.TrimPrefix(s.path, Module+"/"))
			}
			slices.Reverse(chain)
			return chain
		}
		for _, next := range pkgs[s.path].Imports {
			if !seen[next] {
				seen[next] = true
				queue = append(queue, &step{next, s})
			}
		}
	}
	return []string{from, to}
}

func TestBreachIsFound(t *testing.T) {
	pkgs := map[string]pkg{
		Module + "/enclave":   {Imports: []string{"example.com/mid"}, Deps: []string{"example.com/mid", "net/http"}},
		"example.com/mid":     {Imports: []string{"net/http"}, Deps: []string{"net/http"}},
		"net/http":            {},
		Module + "/enclavish": {Deps: []string{"net/http"}},
	}
	got := breaches(pkgs, Rule{From: "./enclave", Never: []string{"net/http"}})
	if want := []string{"enclave → example.com/mid → net/http"}; !cmp.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := breaches(pkgs, Rule{From: "./gone", Never: []string{"net/http"}}); len(got) != 1 {
		t.Errorf("a rule about a package that does not exist must fail, got %q", got)
	}
}

var (
	tcbRow  = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\|$")
	tcbOwn  = regexp.MustCompile("(?m)^- (`.*`): ") // our packages, before the colon
	tcbName = regexp.MustCompile("`([^`]+)`")
)

// TestTCBIsListed compares the measured binary's packages, other people's and our own, with docs/tcb.md, where each has its
// reason.
func TestTCBIsListed(t *testing.T) {
	var got, own []string
	for path, p := range list(t, "-deps", "./cmd/glovebox-enclave") {
		switch {
		case p.Standard:
		case p.Module != nil && p.Module.Path == Module:
			own = append(own, strings.TrimPrefix(path, Module+"/"))
		default:
			got = append(got, path)
		}
	}
	if len(got) > MaxEnclavePackages {
		t.Errorf("glovebox-enclave reaches %d third-party packages, at most %d", len(got), MaxEnclavePackages)
	}
	doc, err := os.ReadFile(filepath.Join(root(t), "docs", "tcb.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range tcbRow.FindAllStringSubmatch(string(doc), -1) {
		if strings.TrimSpace(m[2]) == "" {
			t.Errorf("docs/tcb.md gives no reason for %s", m[1])
		}
		want = append(want, m[1])
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("docs/tcb.md (-) and glovebox-enclave (+) differ:\n%s", d)
	}
	var named []string
	for _, line := range tcbOwn.FindAllStringSubmatch(string(doc), -1) {
		for _, m := range tcbName.FindAllStringSubmatch(line[1], -1) {
			named = append(named, m[1])
		}
	}
	slices.Sort(own)
	slices.Sort(named)
	if d := cmp.Diff(named, own); d != "" {
		t.Errorf("our own packages in docs/tcb.md (-) and glovebox-enclave (+) differ:\n%s", d)
	}
}
