// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// TestSpecialisedRulesDecideAlike: what OPA evaluated beforehand allows what the rules as they stand allow, with the same
// obligations, over generated requests of both kinds.
func TestSpecialisedRulesDecideAlike(t *testing.T) {
	e := load(t)
	modules, _, err := sources(files)
	if err != nil {
		t.Fatal(err)
	}
	c, err := compile(modules, capabilities(builtins()))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := prepare(t.Context(), c, "x := data.glovebox.release.obligations")
	if err != nil {
		t.Fatal(err)
	}
	src, allowing := newSource(23), map[string]int{}
	for range 3000 {
		r := generate(src)
		doc := document(&r, r.Released())
		want, err := one(t.Context(), &plain, doc)
		if err != nil {
			t.Fatal(err)
		}
		got, err := one(t.Context(), e.obligations[r.Package.Kind], doc)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v, %v, want %v of %+v", got, err, want, r)
		}
		if want != nil {
			allowing[string(r.Package.Kind)]++
		}
	}
	if allowing["dataset"] < 20 || allowing["code"] < 20 {
		t.Errorf("too few are allowed to tell: %v", allowing)
	}
}

// TestPackageOfNoKind: the rules for one kind do not ask for the kind, so one that is neither is asked of none.
func TestPackageOfNoKind(t *testing.T) {
	e, r := load(t), good()
	r.Package.Kind = "model"
	for _, doc := range []ast.Value{document(&r, r.Released()), ast.NewObject(), ast.String("dataset")} {
		if o, err := e.allowed(t.Context(), doc); o != nil || err != nil {
			t.Errorf("%v, %v", o, err)
		}
	}
}
