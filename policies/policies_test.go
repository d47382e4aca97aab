// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

func load(t *testing.T) *Engine {
	t.Helper()
	e, err := Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func good() Request {
	return Request{
		Now:     1_800_000_000_000,
		Package: Package{envelope.Sum([]byte("m")), dataset.KindDataset, true, 2, 2, 10},
		Terms: Terms{
			[]string{grant.ModeRaw},
			[]string{"research"},
			[]string{"metrics", "model"},
			1000, 8, 3, grant.LogsSealed, 4, 3600,
			1_800_086_400, string(attestation.AssuranceSimulated),
		},
		Job: Job{
			envelope.Sum([]byte("j")), "did:key:zBuyer", "research", grant.ModeRaw, "wasm-fuel/1", 8,
			[]string{"model"},
			1000, 500,
			1_800_043_200,
		},
		Evidence: Evidence{attestation.AssuranceSimulated, "r", "wasm-fuel/1"},
		Account:  Account{Uses: 2, Reserved: 200, Cost: 300},
	}
}

func TestDecide(t *testing.T) {
	e := load(t)
	d, err := e.Decide(t.Context(), good())
	if err != nil || !d.Allow || len(d.Reasons) != 0 {
		t.Fatalf("%+v, %v", d, err)
	}
	want := grant.Obligations{
		Mode: grant.ModeRaw, Transforms: []envelope.Digest{}, Leaves: grant.Ranges{{First: 0, Count: 10}}, Epochs: 8,
		Outputs: []string{"model"}, MaxOutput: 1000, Logs: grant.LogsSealed, Allowance: 4, Expires: 1_800_003_600_000,
	}
	if !slices.Equal(d.Obligations.Outputs, want.Outputs) || !slices.Equal(d.Obligations.Leaves, want.Leaves) || d.Obligations.Expires != want.Expires ||
		d.Obligations.Epochs != want.Epochs || d.Obligations.MaxOutput != want.MaxOutput || d.Obligations.Logs != want.Logs {
		t.Errorf("obligations %+v, want %+v", d.Obligations, want)
	}
	if e.Digest().IsZero() {
		t.Error("no digest")
	}
}

func TestDeniedExplainsItself(t *testing.T) {
	e := load(t)
	r := good()
	r.Job.Purpose, r.Job.Epochs, r.Account.Uses = "advertising", 9, 3
	d, err := e.Decide(t.Context(), r)
	if err != nil || d.Allow {
		t.Fatalf("%+v, %v", d, err)
	}
	var rules []string
	for _, x := range d.Reasons {
		rules = append(rules, x.Rule)
		if x.Message == "" || x.Satisfy == "" {
			t.Errorf("reason without words: %+v", x)
		}
	}
	if !slices.Equal(rules, []string{"epochs", "purpose", "uses"}) {
		t.Errorf("rules %v", rules)
	}
	if got := d.Obligations; got.Mode != "" {
		t.Errorf("a denial has obligations: %+v", got)
	}
}

func TestZeroEngineDenies(t *testing.T) {
	var e *Engine
	if d, err := e.Decide(t.Context(), good()); !errors.Is(err, ErrPolicy) || d.Allow {
		t.Errorf("nil engine: %v", err)
	}
	if d, err := new(Engine).Decide(t.Context(), good()); !errors.Is(err, ErrPolicy) || d.Allow {
		t.Errorf("zero engine: %v", err)
	}
}

func TestEmptyRequestIsRefused(t *testing.T) {
	if d, err := load(t).Decide(t.Context(), Request{}); !errors.Is(err, ErrRequest) || d.Allow {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestEmptyInput: the rules alone, without the schema before them, deny nothing at all.
func TestEmptyInput(t *testing.T) {
	e := load(t)
	for _, in := range []any{nil, map[string]any{}, "x", []any{}, 1} {
		if d, err := e.evaluate(t.Context(), in); d.Allow || (err == nil && len(d.Reasons) == 0) {
			t.Errorf("input %v: %+v, %v", in, d, err)
		}
	}
}

// TestEveryFieldRemoved takes each field out of a request that is allowed, and then makes it null: undefined denies.
func TestEveryFieldRemoved(t *testing.T) {
	e := load(t)
	tested := 0
	for _, kind := range []dataset.Kind{dataset.KindDataset, dataset.KindCode} {
		r := good()
		r.Package.Kind, r.Buyer = kind, r.Job.Buyer
		all := tree(t, r)
		if d, err := e.evaluate(t.Context(), all); err != nil || !d.Allow {
			t.Fatalf("%s: %+v, %v", kind, d, err)
		}
		for _, path := range fields(all, nil) {
			for _, null := range []bool{false, true} {
				in := tree(t, r)
				spoil(in, path, null)
				tested++
				if d, err := e.evaluate(t.Context(), in); d.Allow || (err == nil && len(d.Reasons) == 0) {
					t.Errorf("%s without %s (null: %v): allow %v, %v", kind, strings.Join(path, "."), null, d.Allow, err)
				}
			}
		}
	}
	if tested < 100 {
		t.Fatalf("only %d cases", tested)
	}
}

// TestEveryFieldZeroed does the same to the schema: a zero is refused, or denied, or means what it says.
func TestEveryFieldZeroed(t *testing.T) {
	// In these a zero says something: nothing revoked, nothing used. Their absence is tested above.
	meaningful := []string{"buyer", "cancelled", "account", "revoked", "account.uses", "account.reserved", "account.cost", "revoked.manifest", "revoked.job", "revoked.buyer"}
	e := load(t)
	all := tree(t, good())
	for _, path := range fields(all, nil) {
		name := strings.Join(path, ".")
		if slices.Contains(meaningful, name) {
			continue
		}
		in := tree(t, good())
		spoil(in, path, true)
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var r Request
		if err := json.Unmarshal(b, &r); err != nil {
			continue // a digest that is null stays zero below; anything else that does not decode never gets here
		}
		if d, err := e.Decide(t.Context(), r); err == nil && d.Allow {
			t.Errorf("zero %s is allowed: %+v", name, d.Obligations)
		}
	}
}

func tree(t *testing.T, r Request) map[string]any {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

func fields(m map[string]any, at []string) (out [][]string) {
	for k, v := range m {
		p := append(slices.Clone(at), k)
		out = append(out, p)
		if sub, ok := v.(map[string]any); ok {
			out = append(out, fields(sub, p)...)
		}
	}
	return out
}

func spoil(m map[string]any, path []string, null bool) {
	for _, k := range path[:len(path)-1] {
		m = m[k].(map[string]any)
	}
	if last := path[len(path)-1]; null {
		m[last] = nil
	} else {
		delete(m, last)
	}
}

// TestRego runs the unit tests of the rules.
func TestRego(t *testing.T) {
	names, err := fs.Glob(os.DirFS("."), "*.rego")
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]*ast.Module{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if modules[name], err = ast.ParseModuleWithOpts(name, string(b), ast.ParserOptions{RegoVersion: ast.RegoV1}); err != nil {
			t.Fatal(err)
		}
	}
	results, err := tester.NewRunner().SetModules(modules).RunTests(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r := range results {
		n++
		if !r.Pass() {
			t.Errorf("%s: fail %v, error %v", r.Name, r.Fail, r.Error)
		}
	}
	if n < 40 {
		t.Fatalf("only %d Rego tests ran", n)
	}
}

// TestEveryPolicyFileIsInTheBuild: a rule left out of the embed list would decide nothing.
func TestEveryPolicyFileIsInTheBuild(t *testing.T) {
	names, err := fs.Glob(os.DirFS("."), "*.rego")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		_, err := fs.Stat(files, name)
		if test := strings.HasSuffix(name, "_test.rego"); (err == nil) == test {
			t.Errorf("%s: embedded: %v", name, err == nil)
		}
	}
}

// TestPolicyIsPure: no rule can reach the clock, the network or a random source.
func TestPolicyIsPure(t *testing.T) {
	for _, call := range []string{`http.send({"method": "get", "url": "http://x"})`, "time.now_ns()", "opa.runtime()", `rand.intn("x", 5)`, `net.lookup_ip_addr("x")`} {
		_, err := compile(map[string]string{"x.rego": "package x\n\na := " + call + "\n"})
		if !errors.Is(err, ErrPolicy) {
			t.Errorf("%s compiles: %v", call, err)
		}
	}
}

// TestStrictMode: unused variables and imports do not compile.
func TestStrictMode(t *testing.T) {
	_, err := compile(map[string]string{"x.rego": "package x\n\na if {\n\tb := 1\n}\n"})
	if !errors.Is(err, ErrPolicy) {
		t.Errorf("unused variable: %v", err)
	}
}
