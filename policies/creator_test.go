// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/internal/grant"
)

// rules is a folder with one file of the creator's own.
func rules(body string) fs.FS { return module("package creator\n\n" + body + "\n") }

func module(text string) fs.FS {
	return fstest.MapFS{"rules.rego": {Data: []byte(text)}}
}

func loadRules(t *testing.T, fsys fs.FS) *Engine {
	t.Helper()
	e, err := Load(t.Context(), Options{Creator: fsys})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const noFrance = `deny contains {"rule": "france", "message": sprintf("not in %s", [input.job.territory]), "satisfy": "use it in Germany"} if {
	input.job.territory == "FR"
}`

func TestCreatorDenies(t *testing.T) {
	e := loadRules(t, rules(noFrance))
	if d, err := e.Decide(t.Context(), good()); err != nil || !d.Allow {
		t.Fatalf("%+v, %v", d, err)
	}
	r := good()
	r.Job.Territory, r.Job.Epochs = "FR", 9
	d, err := e.Decide(t.Context(), r)
	if err != nil || d.Allow || ruleNames(d.Reasons) != "creator/france entitlement-epochs epochs" {
		t.Fatalf("%+v, %v", d, err)
	}
	if i := slices.IndexFunc(d.Reasons, func(r grant.Reason) bool { return r.Rule == "creator/france" }); d.Reasons[i].Message != "not in FR" {
		t.Errorf("%+v", d.Reasons)
	}
	if d.Obligations.Mode != "" {
		t.Errorf("a denial has obligations: %+v", d.Obligations)
	}
}

func TestCreatorNarrows(t *testing.T) {
	r := good()
	r.Job.Outputs = []string{"metrics", "model"}
	plain, err := load(t).Decide(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	e := loadRules(t, rules(`narrow := {"maxOutput": 10, "epochs": input.terms.maxEpochs - 6, "expires": input.now + 1000, "outputs": ["metrics", "table"]}`))
	d, err := e.Decide(t.Context(), r)
	want := plain.Obligations
	want.MaxOutput, want.Epochs, want.Expires, want.Outputs = 10, 2, r.Now+1000, []string{"metrics"}
	if diff := cmp.Diff(want, d.Obligations); err != nil || !d.Allow || diff != "" {
		t.Errorf("%v %v\n%s", d, err, diff)
	}
}

// TestCreatorCannotWiden: larger limits, other outputs and what a broken rule says change nothing, or deny.
func TestCreatorCannotWiden(t *testing.T) {
	plain, err := load(t).Decide(t.Context(), good())
	if err != nil {
		t.Fatal(err)
	}
	e := loadRules(t, rules(`narrow := {"maxOutput": 100000, "epochs": 100, "expires": input.now * 2, "outputs": ["metrics", "model", "table"]}`))
	if d, err := e.Decide(t.Context(), good()); err != nil || !d.Allow || cmp.Diff(plain.Obligations, d.Obligations) != "" {
		t.Errorf("%+v, %v", d, err)
	}
	denied := good()
	denied.Job.Purpose = "advertising"
	if d, err := e.Decide(t.Context(), denied); err != nil || d.Allow {
		t.Errorf("%+v, %v", d, err)
	}
	for name, body := range map[string]string{
		"negative":        `narrow := {"epochs": -1}`,
		"nothing":         `narrow := {"epochs": 0}`,
		"past":            `narrow := {"expires": 1}`,
		"unknown":         `narrow := {"privacy": 5}`,
		"leaves":          `narrow := {"leaves": [{"first": 0, "count": 99}]}`,
		"text":            `narrow := {"epochs": "8"}`,
		"fraction":        `narrow := {"epochs": 1.5}`,
		"null":            `narrow := {"outputs": null}`,
		"no object":       `narrow := []`,
		"outputs no text": `narrow := {"outputs": [1]}`,
	} {
		d, err := loadRules(t, rules(body)).Decide(t.Context(), good())
		if err != nil || d.Allow || len(d.Reasons) != 1 || d.Cause == nil || !strings.HasPrefix(d.Reasons[0].Rule, "creator/") {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

// TestCreatorCannotReachOtherRules: refused at load, with file and line.
func TestCreatorCannotReachOtherRules(t *testing.T) {
	for name, text := range map[string]string{
		"other package":    "package glovebox.release\n\nallow := true\n",
		"package data":     "package glovebox\n\nrelease.allow := true\n",
		"allow":            "package creator\n\ndeny contains {} if false\n\nallow if true\n",
		"default allow":    "package creator\n\ndeny contains {} if false\n\ndefault allow := true\n",
		"data":             "package creator\n\ndeny contains {} if not data.glovebox.release.allow\n",
		"all data":         "package creator\n\ndeny contains {} if data[x].allow\n",
		"import":           "package creator\n\nimport data.glovebox.release\n\ndeny contains {} if release.allow\n",
		"with":             "package creator\n\ndeny contains {} if input.now > 0 with data.glovebox.x as 1\n",
		"no deny":          "package creator\n\ndenied contains {} if true\n",
		"deny value":       "package creator\n\ndeny := true\n",
		"deny object":      "package creator\n\ndeny[\"x\"] := {}\n",
		"narrow set":       "package creator\n\nnarrow contains 1\n",
		"narrow function":  "package creator\n\nnarrow(x) := x\n",
		"field":            "package creator\n\ndeny contains {} if input.job.purposes == \"x\"\n",
		"http":             "package creator\n\ndeny contains {} if http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1\"})\n",
		"clock":            "package creator\n\ndeny contains {} if time.now_ns() > 0\n",
		"environment":      "package creator\n\ndeny contains {} if opa.runtime().env\n",
		"chance":           "package creator\n\ndeny contains {} if rand.intn(\"x\", 2) == 1\n",
		"names":            "package creator\n\ndeny contains {} if net.lookup_ip_addr(\"x\")\n",
		"range":            "package creator\n\ndeny contains {} if numbers.range(1, 1000000000)[_] == 0\n",
		"large number":     "package creator\n\ndeny contains {} if 1e999999999 * 2 > 1\n",
		"syntax":           "package creator\n\ndeny contains {\n",
		"unused variable":  "package creator\n\ndeny contains {} if {\n\tx := 1\n}\n",
		"recursion":        "package creator\n\ndeny contains {} if f(1)\n\nf(x) if f(x + 1)\n",
		"unknown list":     "package creator\n\nbloked := {\"x\"}\n\ndeny contains {} if input.job.buyer in data.creator.blocked\n",
		"not in unknown":   "package creator\n\ndeny contains {} if not input.job.buyer in data.creator.allowed_buyers\n",
		"unknown limit":    "package creator\n\ndeny contains {} if false\n\nnarrow := {\"epochs\": data.creator.limits.epochs}\n",
		"unknown member":   "package creator\n\nlimits.epochs := 4\n\nnarrow := {\"epochs\": data.creator.limits.epocs}\n",
		"unknown in value": "package creator\n\nlimits := {\"epochs\": 4}\n\nnarrow := {\"epochs\": limits.epocs}\n",
		"unknown import":   "package creator\n\nimport data.creator.places\n\ndeny contains {} if input.job.territory in places.closed\n",
		"unknown in all":   "package creator\n\nl := {x | some x in data.creator.closed}\n\ndeny contains {} if input.job.territory in l\n",
		"unknown lookup":   "package creator\n\ndeny contains {} if data.creator.closed[input.job.territory]\n",
		"unknown mock":     "package creator\n\ndeny contains {} if input.now > 0 with data.creator.x as 1\n",
		"test in disguise": "package creator_test\n\ndeny contains {} if false\n",
	} {
		_, err := Load(t.Context(), Options{Creator: module(text)})
		if !errors.Is(err, ErrCreator) || name != "no deny" && name != "recursion" && !strings.Contains(err.Error(), "rules.rego:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	one := func(name string, f fstest.MapFile) fs.FS {
		return fstest.MapFS{"rules.rego": {Data: []byte("package creator\n\n" + noFrance + "\n")}, name: &f}
	}
	for name, fsys := range map[string]fs.FS{
		"package deny": one("deny.rego", fstest.MapFile{Data: []byte("package creator.deny\n\nx := {}\n")}),
		"upper case":   one("b.REGO", fstest.MapFile{Data: []byte("package creator\n")}),
		"other file":   one("README", fstest.MapFile{}),
		"hidden":       one(".rules.rego.swp", fstest.MapFile{}),
		"subfolder":    one("lib/places.rego", fstest.MapFile{Data: []byte("package creator.places\n\nx := 1\n")}),
		"no files":     one("lib", fstest.MapFile{Mode: fs.ModeDir}),
		"folder":       one("lib.rego", fstest.MapFile{Mode: fs.ModeDir}),
		"link":         one("link.rego", fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("rules.rego")}),
		"empty":        fstest.MapFS{},
		"no rego":      fstest.MapFS{"rules.txt": {Data: []byte("package creator")}},
		"too large":    fstest.MapFS{"rules.rego": {Data: []byte("package creator\n" + strings.Repeat("#", maxRuleBytes))}},
	} {
		if _, err := Load(t.Context(), Options{Creator: fsys}); !errors.Is(err, ErrCreator) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Load(t.Context(), Options{Creator: rules(noFrance), Bundle: &Bundle{}}); !errors.Is(err, ErrCreator) {
		t.Errorf("folder and bundle: %v", err)
	}
}

// TestSyntaxErrorNamesItsPlace, as people fix it.
func TestSyntaxErrorNamesItsPlace(t *testing.T) {
	_, err := Load(t.Context(), Options{Creator: module("package creator\n\ndeny contains x if {\n\tx := \n}\n")})
	if err == nil || !strings.Contains(err.Error(), "rules.rego:5") {
		t.Error(err)
	}
}

// doubling is a chain of rules, each twice as large as the one before.
func doubling(n int, format string) string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "x0 := input.job.purpose\n\n")
	for i := range n {
		fmt.Fprintf(b, "x%d := %s\n\n", i+1, strings.ReplaceAll(format, "X", fmt.Sprint("x", i)))
	}
	return b.String() + fmt.Sprintf("deny contains {\"rule\": \"x\", \"message\": x%d, \"satisfy\": \"x\"} if true", n)
}

// TestEndlessRuleIsBounded: rules that would run for hours, or fill memory, deny within the limit.
func TestEndlessRuleIsBounded(t *testing.T) {
	for name, body := range map[string]string{
		"nested loops": "l := {x | some c in split(\"abcdefghijklmnopqrstuvwxyz\", \"\"); some d in split(\"abcdefghijklmnopqrstuvwxyz\", \"\"); x := concat(\"\", [c, d])}\n\n" +
			"deny contains {\"rule\": a, \"message\": b, \"satisfy\": c} if {\n\tsome a in l\n\tsome b in l\n\tsome c in l\n\tsome d in l\n\tsome e in l\n\tconcat(\"\", [a, b, c, d, e]) == \"never\"\n}",
		"many answers": "l := split(\"abcdefghijklmnopqrstuvwxyz\", \"\")\n\ndeny contains {\"rule\": a, \"message\": concat(\"\", [b, c, d]), \"satisfy\": e} if {\n\tsome a in l\n\tsome b in l\n\tsome c in l\n\tsome d in l\n\tsome e in l\n}",
		"text":         doubling(60, `concat("", [X, X])`),
		"printed":      doubling(60, `sprintf("%v%v", [X, X])`),
		"lists":        doubling(60, `[X, X]`),
		"printed list": doubling(40, `[X, X]`) + "\n\ny := sprintf(\"%v\", [x40])\n\ndeny contains {\"rule\": \"y\", \"message\": y, \"satisfy\": \"y\"} if true",
		"padding":      `deny contains {"rule": "x", "message": sprintf("%1000000d", [1]), "satisfy": "x"}`,
		"padding more": `deny contains {"rule": "x", "message": sprintf("%*d", [1000000, 1]), "satisfy": "x"}`,
		"squares":      strings.Replace(doubling(60, `X * X`), "input.job.purpose", "3", 1),
	} {
		t.Run(name, func(t *testing.T) {
			e := loadRules(t, rules(body))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			d, err := e.Decide(t.Context(), good())
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if err != nil || d.Allow || ruleNames(d.Reasons) != ruleUnusable {
				t.Errorf("%.200v, %v", d, err)
			}
			if d.Cause == nil {
				t.Error("the owner's log learns nothing")
			}
			if took > 5*time.Second || after.TotalAlloc-before.TotalAlloc > 1<<30 {
				t.Errorf("%v, %d MiB", took, (after.TotalAlloc-before.TotalAlloc)>>20)
			}
		})
	}
}

// TestHungRulesAreAskedNoMore: each evaluation that does not stop is a goroutine that computes; few are enough.
func TestHungRulesAreAskedNoMore(t *testing.T) {
	e := loadRules(t, rules(noFrance))
	e.creator.hung.Store(maxHung)
	d, err := e.Decide(t.Context(), good())
	if err != nil || d.Allow || ruleNames(d.Reasons) != ruleUnusable {
		t.Errorf("%+v, %v", d, err)
	}
	e.creator.hung.Store(maxHung - 1)
	if d, err := e.Decide(t.Context(), good()); err != nil || !d.Allow {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestRuleThatFailsDenies: conflicts, built-in errors and answers that are no reasons.
func TestRuleThatFailsDenies(t *testing.T) {
	for name, body := range map[string]string{
		"conflict":    "narrow := {\"epochs\": 1}\n\nnarrow := {\"epochs\": 2}",
		"format":      `deny contains {"rule": "x", "message": substring("x", -1, 1), "satisfy": "y"}`,
		"no reason":   `deny contains "x" if true`,
		"no message":  `deny contains {"rule": "x", "satisfy": "y"}`,
		"empty":       `deny contains {"rule": "", "message": "x", "satisfy": "y"}`,
		"more":        `deny contains {"rule": "x", "message": "x", "satisfy": "y", "allow": true}`,
		"not a text":  `deny contains {"rule": "x", "message": 1, "satisfy": "y"}`,
		"mixed types": `deny contains {"rule": "x", "message": concat("", ["a", input.job.purpose]), "satisfy": ["y"]}`,
	} {
		d, err := loadRules(t, rules(body)).Decide(t.Context(), good())
		if err != nil || d.Allow || ruleNames(d.Reasons) != ruleUnusable || d.Cause == nil {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func TestDigestNamesTheCreatorsRules(t *testing.T) {
	seen := map[string]string{load(t).Digest().String(): "none"}
	for name, fsys := range map[string]fs.FS{
		"one":     rules(noFrance),
		"changed": rules(noFrance + "\n# a comment"),
		"renamed": fstest.MapFS{"other.rego": {Data: []byte("package creator\n\n" + noFrance + "\n")}},
		"split":   fstest.MapFS{"a.rego": {Data: []byte("package creator\n\n" + noFrance + "\n")}, "b.rego": {Data: []byte("package creator\n")}},
	} {
		d := loadRules(t, fsys).Digest().String()
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have one digest", name, other)
		}
		seen[d] = name
	}
	again := loadRules(t, rules(noFrance)).Digest()
	if again != loadRules(t, rules(noFrance)).Digest() {
		t.Error("the digest changes by itself")
	}
}

// TestNarrowUndefinedDenies: an owner who narrows has said how far for every job, if only by a default.
func TestNarrowUndefinedDenies(t *testing.T) {
	const some = "narrow := {\"epochs\": 4} if input.job.commercial"
	r := good()
	r.Job.Commercial = false
	d, err := loadRules(t, rules(some)).Decide(t.Context(), r)
	if err != nil || d.Allow || ruleNames(d.Reasons) != ruleNarrow || d.Cause == nil {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := loadRules(t, rules(some+"\n\ndefault narrow := {}")).Decide(t.Context(), r); err != nil || !d.Allow {
		t.Errorf("%+v, %v", d, err)
	}
	d, err = loadRules(t, rules(`limits := {"training": 4}`+"\n\n"+`narrow := {"epochs": limits[input.job.purpose]}`)).Decide(t.Context(), r)
	if err != nil || d.Allow || ruleNames(d.Reasons) != ruleNarrow {
		t.Errorf("a limit for another purpose: %+v, %v", d, err)
	}
}

// TestReferencesThatResolve: what is there may be referred to in any way.
func TestReferencesThatResolve(t *testing.T) {
	for name, body := range map[string]string{
		"rule":          "blocked := {\"x\"}\n\ndeny contains {} if input.job.buyer in data.creator.blocked",
		"bare":          "blocked := {\"x\"}\n\ndeny contains {} if input.job.buyer in blocked",
		"part":          "limits := {\"a\": {\"b\": 4}}\n\ndeny contains {} if input.job.epochs > limits.a.b + 100",
		"member":        "limits.a := 4\n\nlimits.b := 5\n\ndeny contains {} if input.job.epochs > data.creator.limits.b + 100",
		"whole":         "limits.a := 4\n\nlimits.b := 5\n\ndeny contains {} if input.job.epochs > max([n | some n in data.creator.limits]) + 100",
		"partial":       "limits[p] := n if {\n\tsome p in input.terms.purposes\n\tn := count(p) + 100\n}\n\ndeny contains {} if input.job.epochs > data.creator.limits[input.job.purpose]",
		"function":      "f(x) := x + 100\n\ndeny contains {} if data.creator.f(1) < input.job.epochs",
		"itself":        "deny contains {} if false\n\nnarrow := {} if count(data.creator.deny) == 0",
		"default":       "default closed := false\n\ndeny contains {} if data.creator.closed",
		"comprehension": "l := {\"x\"}\n\nm := {x | some x in data.creator.l}\n\ndeny contains {} if input.job.buyer in m",
	} {
		if d, err := loadRules(t, rules(body)).Decide(t.Context(), good()); err != nil || !d.Allow {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

// TestCreatorLibrariesAndTests: helpers live in packages below creator, tests stay out.
func TestCreatorLibrariesAndTests(t *testing.T) {
	e := loadRules(t, fstest.MapFS{
		"rules.rego":      {Data: []byte("package creator\n\nimport data.creator.places\n\ndeny contains {\"rule\": \"place\", \"message\": \"m\", \"satisfy\": \"s\"} if input.job.territory in places.closed\n")},
		"places.rego":     {Data: []byte("package creator.places\n\nclosed := {\"DE\"}\n")},
		"rules_test.rego": {Data: []byte("package creator_test\n\nimport data.creator\n\ntest_x if count(creator.deny) == 0 with input as {}\n")},
	})
	d, err := e.Decide(t.Context(), good())
	if err != nil || d.Allow || ruleNames(d.Reasons) != "creator/place" {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestCreatorNeverAllowsMore: over generated requests, whatever the creator's rules allow the plain engine allows, with
// obligations at least as wide.
func TestCreatorNeverAllowsMore(t *testing.T) {
	plain, own := load(t), loadRules(t, rules(noFrance+"\n\nnarrow := {\"epochs\": 4, \"maxOutput\": 5000, \"outputs\": [\"metrics\", \"model\"], \"expires\": input.now + 60000} if input.job.commercial"))
	src := newSource(11)
	for range 500 {
		r := generate(src)
		p, perr := plain.Decide(t.Context(), r)
		o, oerr := own.Decide(t.Context(), r)
		if (perr == nil) != (oerr == nil) || o.Allow && !p.Allow {
			t.Fatalf("%+v, %v\n%+v, %v", p, perr, o, oerr)
		}
		a, b := p.Obligations, o.Obligations
		if o.Allow && (b.Epochs > a.Epochs || b.MaxOutput > a.MaxOutput || b.Expires > a.Expires || !cmp.Equal(a.Leaves, b.Leaves) || a.Logs != b.Logs) {
			t.Fatalf("wider: %+v, %+v", a, b)
		}
	}
}
