// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// home is where the creator's rules and data live.
func home() ast.Ref { return ast.Ref{ast.DefaultRootDocument, ast.StringTerm(creatorPolicy)} }

// rulePath is a rule's path below data, and how much of it is its package.
type rulePath struct {
	path ast.Ref
	pkg  int
}

// resolve refuses references to nothing: a misspelt list is undefined, and what is denied to those in it would be allowed. It
// takes compiled modules, whose references are all written out.
func (s *source) resolve(modules map[string]*ast.Module) error {
	var rules []rulePath
	for _, m := range modules {
		if p := m.Package.Path; len(p) == 3 && (p[2].Equal(ast.StringTerm("deny")) || p[2].Equal(ast.StringTerm("narrow"))) {
			return fmt.Errorf("%s: %s is what a rule is called, not a package", m.Package.Loc(), p)
		}
		for _, r := range m.Rules {
			rules = append(rules, rulePath{r.Ref(), len(m.Package.Path)})
		}
	}
	data, err := ast.InterfaceToValue(s.data)
	if err != nil {
		return err
	}
	known := func(ref ast.Ref) bool {
		return slices.ContainsFunc(rules, func(p rulePath) bool { return p.has(ref) }) || holds(data, ref[1:])
	}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		for _, r := range modules[name].Rules {
			if err := resolveRule(r, known); err != nil {
				return err
			}
		}
	}
	return nil
}

func resolveRule(r *ast.Rule, known func(ast.Ref) bool) (err error) {
	ast.WalkRefs(r, func(ref ast.Ref) bool {
		if err != nil || !ref.HasPrefix(home()) || known(ref) {
			return false
		}
		at := ref[0].Loc()
		if at == nil || at.File == "" {
			at = r.Loc()
		}
		err = fmt.Errorf("%s: %s is no rule and no data of the creator's", at, ref)
		return false
	})
	return err
}

// has reports whether a reference can name the rule, a part of its value, or the object that several rules make together.
func (p rulePath) has(ref ast.Ref) bool {
	for i := 1; i < min(len(ref), len(p.path)); i++ {
		if ref[i].IsGround() && p.path[i].IsGround() && !ref[i].Equal(p.path[i]) {
			return false
		}
	}
	return len(ref) > p.pkg
}

// holds reports whether a reference can name something in a bundle's data. What is looked up by a variable may be there or not: that is what looking up is for, but
// something below must have what follows.
func holds(v ast.Value, path ast.Ref) bool {
	if len(path) == 0 {
		return true
	}
	known := path[0].IsGround()
	switch v := v.(type) {
	case ast.Object:
		if known {
			t := v.Get(path[0])
			return t != nil && holds(t.Value, path[1:])
		}
		return v.Len() == 0 || v.Until(func(_, t *ast.Term) bool { return holds(t.Value, path[1:]) })
	case *ast.Array:
		if _, number := path[0].Value.(ast.Number); known && !number {
			return false
		}
		return v.Len() == 0 || v.Until(func(t *ast.Term) bool { return holds(t.Value, path[1:]) })
	}
	return false
}

// narrows reports whether there is a rule narrow.
func narrows(modules map[string]*ast.Module) bool {
	for _, m := range modules {
		if isPackage(m, creatorPolicy) && slices.ContainsFunc(m.Rules, func(r *ast.Rule) bool { return ruleName(r) == "narrow" }) {
			return true
		}
	}
	return false
}
