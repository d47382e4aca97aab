// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	"github.com/glovebox-dev/glovebox/internal/licence"
	"github.com/glovebox-dev/glovebox/policies/input"
)

func load(t *testing.T) *Engine {
	t.Helper()
	e, err := Load(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func good() Request {
	manifest := envelope.Sum([]byte("m"))
	return Request{
		Now: 1_800_000_000_000,
		Package: Package{
			Manifest: manifest, Dataset: envelope.PackageID{1}, Kind: dataset.KindDataset, Test: true, Version: 2, Latest: 2, Leaves: 10,
		},
		Terms: Terms{
			Modes: []string{grant.ModeRaw}, Purposes: []string{"research"}, Outputs: []string{"metrics", "model"}, MaxOutputBytes: 1000,
			MaxEpochs: 8, MaxUses: 3, Logs: grant.LogsSealed, Allowance: 4, LeaseSeconds: 3600, NotAfter: 1_800_086_400,
			MinAssurance: string(attestation.AssuranceSimulated), Access: dataset.AccessReceipt, Currency: "EUR", MinPaid: 100,
			Code:   input.Code{Manifests: []string{"sha256:c0"}, Owners: []string{"did:key:zCoder"}},
			Buyers: input.Buyers{Keys: []string{"did:key:zBuyer"}, Require: []dataset.Attribute{{Name: "sector", AnyOf: []string{"health", "public"}}}, MaxUses: 2},
			Licence: licence.Licence{
				SPDX: "CC-BY-4.0", Commercial: true, Derivatives: true, Attribution: true, TrainingOnly: true,
				Prohibited: []string{"weapons"}, Territories: []string{"DE", "FR"}, RoyaltyPPM: 10,
			},
			Privacy: dataset.Privacy{
				Population: "people", Unit: dataset.UnitRecord, Adjacency: dataset.AddOrRemove, Epsilon: 3_000_000, BuyerEpsilon: 1_000_000, Delta: 1000,
			},
			Consent: true, Steps: []string{}, Private: input.Private{Runtimes: []string{}},
		},
		Job: Job{
			ID: envelope.Sum([]byte("j")), Buyer: "did:key:zBuyer", Code: "sha256:c0", CodeOwner: "did:key:zCoder",
			Datasets: []string{manifest.String()}, Purpose: "research", Commercial: true, Derive: true, Territory: "DE",
			Mode: grant.ModeRaw, Operation: input.OperationTrain, Runtime: "wasm-fuel/1", Epochs: 8, Outputs: []string{"model"},
			OutputBytes: 1000, SpendCap: 500, NotAfter: 1_800_043_200,
		},
		Evidence: Evidence{Assurance: attestation.AssuranceSimulated, Reference: "r", Runtime: "wasm-fuel/1"},
		Entitlement: Entitlement{
			Kind: input.EntitlementReceipt, Left: 1, Operations: []string{input.OperationTrain}, Code: input.Any, Buyer: "did:key:zBuyer",
			Epochs: 8, Leaves: grant.Ranges{{First: 0, Count: 10}}, Attributes: map[string][]string{"sector": {"health"}}, Paid: 100,
			Currency: "EUR", NotAfter: 1_800_043_200,
		},
		Account: Account{Uses: 2, BuyerUses: 1, Reserved: 200, Cost: 300},
		Granted: Granted{Leaves: grant.Ranges{{First: 0, Count: 10}}, Purpose: "research"},
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
		Outputs: []string{"model"}, MaxOutput: 1000, Logs: grant.LogsOff, Allowance: 4, Expires: 1_800_003_600_000,
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
	if !slices.Equal(rules, []string{"consent", "entitlement-epochs", "epochs", "purpose", "uses"}) {
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
		if d, err := e.evaluate(t.Context(), ast.MustInterfaceToValue(in), leaves()); d.Allow || (err == nil && len(d.Reasons) == 0) {
			t.Errorf("input %v: %+v, %v", in, d, err)
		}
	}
}

// TestEveryFieldRemoved takes each field out of a request that is allowed, and then makes it null, and so each entry of
// its lists: undefined denies.
func TestEveryFieldRemoved(t *testing.T) {
	e := load(t)
	tested := 0
	for name, r := range allowed() {
		all := tree(t, r)
		if d, err := e.evaluate(t.Context(), ast.MustInterfaceToValue(all), leaves()); err != nil || !d.Allow {
			t.Fatalf("%s: %+v, %v", name, d, err)
		}
		for _, at := range paths(all, nil) {
			for _, null := range []bool{false, true} {
				in := tree(t, r)
				if !spoil(in, at, null) {
					continue
				}
				tested++
				if d, err := e.evaluate(t.Context(), ast.MustInterfaceToValue(in), leaves()); d.Allow || (err == nil && len(d.Reasons) == 0) {
					t.Errorf("%s without %v (null: %v): allow %v, %v", name, at, null, d.Allow, err)
				}
			}
		}
	}
	if tested < 800 {
		t.Fatalf("only %d cases", tested)
	}
}

// allowed are requests of every kind, all allowed.
func allowed() map[string]Request {
	code, permit, open := good(), good(), good()
	code.Package.Kind, code.Buyer, code.Job.Code = dataset.KindCode, code.Job.Buyer, code.Package.Manifest.String()
	code.Terms.Access, code.Entitlement = dataset.AccessOpen, input.None()
	permit.Terms.Access, permit.Terms.Buyers.Require = dataset.AccessPermit, []dataset.Attribute{}
	permit.Entitlement.Attributes = map[string][]string{}
	permit.Entitlement.Kind, permit.Entitlement.MinPrice, permit.Entitlement.Code = input.EntitlementPermit, 300, "sha256:c0"
	open.Terms.Access, open.Terms.Buyers.Require, open.Entitlement = dataset.AccessOpen, []dataset.Attribute{}, input.None()
	open.Terms.Code, open.Terms.Consent, open.Granted.Purpose = input.Code{Any: true, Manifests: []string{}, Owners: []string{}}, false, ""
	open.Terms.Buyers.Any, open.Terms.Buyers.Keys = true, []string{}
	trains, shards, trainer := private(dataset.ModeTraining), private(dataset.ModeAggregate), private(dataset.ModeTraining)
	trainer.Package.Kind, trainer.Buyer, trainer.Job.Code = dataset.KindCode, code.Job.Buyer, trainer.Package.Manifest.String()
	trainer.Terms.Access, trainer.Entitlement, trainer.Account = dataset.AccessOpen, input.None(), good().Account
	trainer.Terms.Private = good().Terms.Private
	return map[string]Request{
		"receipt": good(), "code": code, "permit": permit, "open": open, "training": trains, "shards": shards, "code that trains": trainer,
	}
}

// private is a request in a mode in which the enclave adds the noise, which is allowed and takes all that there is.
func private(mode string) Request {
	r := good()
	r.Terms.Modes, r.Job.Mode, r.Job.Epochs = []string{mode}, mode, 1
	r.Terms.Private = input.Private{Epsilon: 500_000, Delta: 1000, Contributions: 1, Runtimes: dataset.RuntimesFor(mode)[:1]}
	r.Job.Runtime = r.Terms.Private.Runtimes[0]
	r.Evidence.Runtime = r.Job.Runtime
	r.Job.Privacy = input.Privacy{
		Declared: true, Unit: dataset.UnitRecord, Adjacency: dataset.AddOrRemove, Contributions: 1, Epsilon: 500_000, Delta: 1000,
		Bounded: true, Computed: 500_002,
	}
	if mode == dataset.ModeAggregate {
		r.Terms.Private.Shards, r.Job.Privacy.Shards = 100, 100
	}
	r.Granted.Records, r.Granted.Units, r.Granted.Together = 999_999_999, 999_999_999, 2
	r.Account.Epsilon, r.Account.EpsilonAfter, r.Account.BuyerEpsilonAfter = 500_000, 3_000_000, 1_000_000
	r.Account.JobEpsilonAfter = 500_000
	return r
}

// TestRulesDenyWithoutTheSchema: the rules alone, without the schema before them, miss what they read. The fields listed
// here are read by no rule, or only where another one is not there.
func TestRulesDenyWithoutTheSchema(t *testing.T) {
	unread := []string{
		"buyer", "package.dataset", "terms.currency", "terms.licence.spdx", "terms.licence.shareAlike",
		"terms.licence.attribution", "terms.licence.revocable", "terms.licence.royaltyPPM", "entitlement.leaves", "account.conditional", "job.id",
		"terms.logs", "terms.code", "job.code", "job.codeOwner", "terms.buyers.any", "job.derive", "job.commercial", // where another suffices
	}
	e := load(t)
	of := func(more ...string) []string { return append(slices.Clone(unread), more...) }
	denyWithoutTheSchema(t, e, good(), of("terms.privacy", "terms.private", "granted.records", "granted.units", "granted.together", "job.privacy.unit", "job.privacy.adjacency", "job.privacy.contributions",
		"job.privacy.shards", "job.privacy.epsilon", "job.privacy.delta", "job.privacy.bounded", "job.privacy.computed", "account.epsilonAfter", "account.buyerEpsilonAfter", "account.jobEpsilonAfter"))
	denyWithoutTheSchema(t, e, private(dataset.ModeTraining), of("terms.privacy.population", "terms.private.shards"))
	denyWithoutTheSchema(t, e, private(dataset.ModeAggregate), of("terms.privacy.population"))
}

func denyWithoutTheSchema(t *testing.T, e *Engine, r Request, unread []string) {
	t.Helper()
	all, n := tree(t, r), 0
	for _, at := range paths(all, nil) {
		name := strings.Join(strings.Fields(strings.Trim(fmt.Sprint(at), "[]")), ".")
		in := tree(t, r)
		if slices.ContainsFunc(unread, func(s string) bool { return name == s || strings.HasPrefix(name, s+".") }) || !spoil(in, at, false) {
			continue
		}
		n++
		if o, err := e.allowed(t.Context(), ast.MustInterfaceToValue(in)); o != nil {
			t.Errorf("rules allow without %s: %+v, %v", name, o, err)
		}
	}
	if n < 60 {
		t.Errorf("only %d cases", n)
	}
}

// TestEveryFieldZeroed does the same to the schema: a zero is refused, or denied, or means what it says.
func TestEveryFieldZeroed(t *testing.T) {
	// In these a zero says something: nothing revoked, nothing used, nothing demanded. Their absence is tested above.
	meaningful := []string{
		"buyer", "cancelled", "account", "revoked", "terms.minPaid", "terms.spends", "terms.code.any", "terms.buyers.any", "terms.consent",
		"terms.licence.spdx", "terms.licence.commercial", "terms.licence.derivatives", "terms.licence.shareAlike", "terms.licence.attribution",
		"terms.licence.trainingOnly", "terms.licence.revocable", "terms.licence.royaltyPPM", "terms.privacy.epsilon",
		"terms.privacy.buyerEpsilon", "terms.privacy.delta", "job.codeOwner", "job.commercial", "job.derive", "entitlement.minPrice",
		"entitlement.leaves.0.first", "granted.leaves.0.first",
		"granted.withheld",
	}
	e := load(t)
	of := func(more ...string) []string { return append(slices.Clone(meaningful), more...) }
	deniedWithoutFields(t, e, good, of("terms.private.epsilon", "terms.private.delta", "terms.private.contributions", "terms.private.shards", "granted.records", "granted.units", "granted.together",
		"job.privacy", "job.privacy.declared", "job.privacy.unit", "job.privacy.adjacency", "job.privacy.contributions", "job.privacy.shards", "job.privacy.epsilon",
		"job.privacy.delta", "job.privacy.bounded", "job.privacy.computed"))
	deniedWithoutFields(t, e, func() Request { return private(dataset.ModeAggregate) }, of("job.privacy.computed"))
	deniedWithoutFields(t, e, func() Request { return private(dataset.ModeTraining) }, of("job.privacy.computed", "job.privacy.shards", "terms.private.shards"))
}

func deniedWithoutFields(t *testing.T, e *Engine, good func() Request, meaningful []string) {
	t.Helper()
	all := requestTree(t, good())
	for _, at := range paths(all, nil) {
		name := strings.Join(strings.Fields(strings.Trim(fmt.Sprint(at), "[]")), ".")
		if slices.Contains(meaningful, name) || strings.HasPrefix(name, "revoked.") || strings.HasPrefix(name, "account.") {
			continue
		}
		in := requestTree(t, good())
		spoil(in, at, true)
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

func leaves() grant.Ranges { return grant.Ranges{{First: 0, Count: 10}} }

// tree is the document that the rules read of a request.
func tree(t *testing.T, r Request) map[string]any {
	t.Helper()
	v, err := ast.JSON(document(&r, r.Released()))
	if err != nil {
		t.Fatal(err)
	}
	return generic(t, v)
}

func requestTree(t *testing.T, r Request) map[string]any {
	t.Helper()
	return generic(t, r)
}

func generic(t *testing.T, v any) map[string]any {
	t.Helper()
	b, err := json.Marshal(v)
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

// paths lists every member of every object and every entry of every list.
func paths(v any, at []any) (out [][]any) {
	each := func(k, sub any) {
		p := append(slices.Clone(at), k)
		out = append(append(out, p), paths(sub, p)...)
	}
	switch v := v.(type) {
	case map[string]any:
		for k, sub := range v {
			each(k, sub)
		}
	case []any:
		for i, sub := range v {
			each(i, sub)
		}
	}
	return out
}

// spoil makes what is at a path null, or removes it. Entries of lists are not removed: a shorter list means what it says.
func spoil(v any, at []any, null bool) bool {
	for _, k := range at[:len(at)-1] {
		v = child(v, k)
	}
	switch v := v.(type) {
	case map[string]any:
		if name := at[len(at)-1].(string); null {
			v[name] = nil
		} else {
			delete(v, name)
		}
	case []any:
		if !null {
			return false
		}
		v[at[len(at)-1].(int)] = nil
	}
	return true
}

func child(v, k any) any {
	if m, ok := v.(map[string]any); ok {
		return m[k.(string)]
	}
	return v.([]any)[k.(int)]
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
	if n < 110 {
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
		_, err := compile(map[string]string{"x.rego": "package x\n\na := " + call + "\n"}, capabilities(builtins()))
		if !errors.Is(err, ErrPolicy) {
			t.Errorf("%s compiles: %v", call, err)
		}
	}
}

// TestStrictMode: unused variables and imports do not compile.
func TestStrictMode(t *testing.T) {
	_, err := compile(map[string]string{"x.rego": "package x\n\na if {\n\tb := 1\n}\n"}, capabilities(builtins()))
	if !errors.Is(err, ErrPolicy) {
		t.Errorf("unused variable: %v", err)
	}
}

// TestSpecNamesEveryRule: docs/spec/policy.md lists the rules that denials name, and every field of the document.
func TestSpecNamesEveryRule(t *testing.T) {
	b, err := os.ReadFile("../docs/spec/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	spec := string(b)
	for _, rule := range allRules() {
		if !strings.Contains(spec, "`"+rule+"`") {
			t.Errorf("rule %s is not in the spec", rule)
		}
	}
	words := strings.FieldsFunc(spec[strings.Index(spec, "## Document"):], func(r rune) bool { return strings.ContainsRune(" `{}[],\n:()", r) })
	for _, at := range paths(tree(t, good()), nil) {
		name, ok := at[len(at)-1].(string)
		if ok && name != "sector" && !slices.Contains(words, name) {
			t.Errorf("field %v is not in the spec", at)
		}
	}
}

// TestCountries: the rules know the countries that licences know.
func TestCountries(t *testing.T) {
	c, err := compile(map[string]string{"licence.rego": mustRead(t, "licence.rego")}, capabilities(builtins()))
	if err != nil {
		t.Fatal(err)
	}
	q, err := prepare(t.Context(), c, "x := data.glovebox.licence.countries")
	if err != nil {
		t.Fatal(err)
	}
	v, err := one(t.Context(), &q, ast.NewObject())
	if err != nil {
		t.Fatal(err)
	}
	known, _ := texts(v.([]any))
	n := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string(a) + string(b)
			if licence.IsTerritory(code) != slices.Contains(known, code) {
				t.Errorf("%s", code)
			}
			if slices.Contains(known, code) {
				n++
			}
		}
	}
	if n < 200 || n != len(known) {
		t.Errorf("%d countries, %d codes", n, len(known))
	}
}

func mustRead(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestModesAreThoseOfManifests: the rules have the one list of modes as their own words.
func TestModesAreThoseOfManifests(t *testing.T) {
	src := embedded(t, "release.rego")
	for _, mode := range dataset.Modes() {
		if !strings.Contains(src, `"`+mode+`"`) {
			t.Errorf("the rules do not know mode %s", mode)
		}
	}
	if want := `enforced_modes := {"` + strings.Join(dataset.Modes(), `", "`) + `"}`; !strings.Contains(src, want) {
		t.Errorf("release.rego does not say %s", want)
	}
	silent := slices.DeleteFunc(dataset.Modes(), func(m string) bool { return !dataset.Silent(m) })
	if want := `silent := {"` + strings.Join(silent, `", "`) + `"}`; !strings.Contains(embedded(t, "egress.rego"), want) {
		t.Errorf("egress.rego does not say %s", want)
	}
}

func embedded(t *testing.T, name string) string {
	t.Helper()
	b, err := files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
