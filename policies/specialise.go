// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"context"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// specialise prepares the obligations for packages of one kind: OPA evaluates beforehand what does not depend on the request
// but for the kind, so that a decision asks the remaining comparisons only. Reasons are asked of the rules as they stand.
func specialise(ctx context.Context, sources map[string]string, kind dataset.Kind) (*rego.PreparedEvalQuery, error) {
	can := capabilities(builtins())
	modules, err := parse(sources, can)
	if err != nil {
		return nil, err
	}
	withoutDefaults(modules, kind)
	c := newCompiler(can)
	if c.Compile(modules); c.Failed() {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, c.Errors)
	}
	known := ast.NewObject(ast.Item(ast.StringTerm("package"), ast.ObjectTerm(ast.Item(ast.StringTerm("kind"), ast.StringTerm(string(kind))))))
	partly, err := rego.New(rego.Compiler(c), rego.Query(obligationsQuery), rego.ParsedInput(known), rego.Unknowns(unknowns()),
		rego.DisableInlining(manifold()), rego.StrictBuiltinErrors(true)).Partial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	if len(partly.Queries) != 1 {
		return nil, fmt.Errorf("%w: %d cases of obligations for %s, want 1", ErrPolicy, len(partly.Queries), kind)
	}
	for i, m := range append(partly.Support, residue(partly.Queries[0])) {
		modules[fmt.Sprintf("partial%d.rego", i)] = m
	}
	whole := newCompiler(can).WithStrict(false) // what OPA writes has names that nobody uses
	if whole.Compile(modules); whole.Failed() {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, whole.Errors)
	}
	q, err := prepare(ctx, whole, residueQuery)
	return &q, err
}

const residueQuery = "x := data.partial.residue.obligations"

// residue is a module with what is left to evaluate.
func residue(body ast.Body) *ast.Module {
	m := &ast.Module{Package: &ast.Package{Path: ast.MustParseRef("data.partial.residue")}}
	m.Rules = []*ast.Rule{{Head: ast.NewHead("obligations", nil, ast.VarTerm("x")), Body: body, Module: m}}
	return m
}

// manifold are rules without a default that have several cases, by definition or by looking something up. They stay rules:
// multiplied out, the cases of all of them would be thousands.
func manifold() []string {
	return []string{"data.glovebox.release.assurance_ok", "data.glovebox.release.entitlement_end", "data.glovebox.egress.logs", "data.glovebox.entitlement.required"}
}

// unknowns are all parts of the document but the package's kind.
func unknowns() []string {
	var out []string
	in := documentShape()
	for i, p := range in.members {
		if in.name(i) != "package" {
			out = append(out, "input."+in.name(i))
			continue
		}
		for j := range p.members {
			if p.name(j) != "kind" {
				out = append(out, `input["package"].`+p.name(j))
			}
		}
	}
	return out
}

// withoutDefaults takes the default false from conditions with one definition for the kind. Where a condition is one of a
// conjunction, undefined fails as false does, and OPA can then put the definition in its place. Others keep theirs: they
// would be multiplied out.
func withoutDefaults(modules map[string]*ast.Module, kind dataset.Kind) {
	for _, m := range modules {
		definitions := map[string]int{}
		for _, r := range m.Rules {
			if !r.Default && !otherKind(r, kind) {
				definitions[ruleName(r)]++
			}
		}
		m.Rules = slices.DeleteFunc(m.Rules, func(r *ast.Rule) bool {
			return r.Default && r.Head.Value.Equal(ast.BooleanTerm(false)) && definitions[ruleName(r)] == 1
		})
	}
}

// otherKind reports whether a rule asks for another kind first.
func otherKind(r *ast.Rule, kind dataset.Kind) bool {
	for _, e := range r.Body {
		if len(e.Operands()) != 2 || e.Operator().String() != ast.Equal.Name && e.Operator().String() != ast.Equal.Infix {
			continue
		}
		a, b := e.Operand(0), e.Operand(1)
		if a.String() == `input["package"].kind` {
			v, ok := b.Value.(ast.String)
			return ok && string(v) != string(kind)
		}
	}
	return false
}
