// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/types"
)

// The creator's rules run in the broker's process, so no built-in function that they have may do more work in one call
// than a deadline can wait for, or make values that double with each line. Those that could are replaced by bounded ones
// of the same meaning.
const (
	maxText    = 16 << 10 // bytes of one text
	maxNodes   = 20_000   // parts of one value that is printed or answered
	maxLiteral = 18       // characters of a number in a rule
)

// creatorBuiltins are those that a creator's rules may call. They know no clock, network, environment or chance.
func creatorBuiltins() []string {
	return []string{
		"assign", "eq", "equal", "neq", "lt", "lte", "gt", "gte", "plus", "minus", "internal.member_2", "internal.member_3",
		"abs", "ceil", "floor", "round", "rem", "count", "min", "max", "sum", "sort", "any", "all", "and", "or", "intersection",
		"contains", "startswith", "endswith", "lower", "upper", "trim_prefix", "trim_suffix", "trim_space", "substring", "split", "indexof",
		"object.get", "object.keys", "array.slice", "is_number", "is_string", "is_array", "is_boolean", "is_object", "is_set", "is_null",
		"mul", "concat", "sprintf", // replaced, see below
	}
}

func creatorCapabilities() *ast.Capabilities {
	can := capabilities(creatorBuiltins())
	for _, b := range boundedBuiltins() {
		can.Builtins = append(can.Builtins, b)
	}
	return can
}

// replaced says which bounded function stands in for a built-in one.
func replaced() map[string]string {
	return map[string]string{"mul": "glovebox.mul", "concat": "glovebox.concat", "sprintf": "glovebox.sprintf"}
}

func boundedBuiltins() map[string]*ast.Builtin {
	out := map[string]*ast.Builtin{}
	for name, decl := range map[string]*types.Function{
		"glovebox.mul":     ast.Multiply.Decl,
		"glovebox.concat":  ast.Concat.Decl,
		"glovebox.sprintf": ast.Sprintf.Decl,
		"glovebox.bounded": types.NewFunction(types.Args(types.A), types.A),
	} {
		out[name] = &ast.Builtin{Name: name, Decl: decl}
	}
	return out
}

func boundedFunctions() []func(*rego.Rego) {
	decls := boundedBuiltins()
	two := func(name string, f func(a, b *ast.Term) (*ast.Term, error)) func(*rego.Rego) {
		return rego.Function2(&rego.Function{Name: name, Decl: decls[name].Decl}, func(_ rego.BuiltinContext, a, b *ast.Term) (*ast.Term, error) { return f(a, b) })
	}
	bounded := "glovebox.bounded"
	return []func(*rego.Rego){
		two("glovebox.mul", multiply), two("glovebox.concat", concat), two("glovebox.sprintf", sprintf),
		rego.Function1(&rego.Function{Name: bounded, Decl: decls[bounded].Decl}, func(_ rego.BuiltinContext, a *ast.Term) (*ast.Term, error) {
			return a, size(a.Value)
		}),
	}
}

func multiply(a, b *ast.Term) (*ast.Term, error) {
	x, okx := integer(a)
	y, oky := integer(b)
	if !okx || !oky || x != 0 && (x*y)/x != y || x == -1 && y == -y && y != 0 {
		return nil, fmt.Errorf("%w: only integers that fit into 64 bits are multiplied", ErrResult)
	}
	return ast.InternedTerm(x * y), nil
}

func integer(t *ast.Term) (int64, bool) {
	n, ok := t.Value.(ast.Number)
	if !ok {
		return 0, false
	}
	return n.Int64()
}

func concat(sep, list *ast.Term) (*ast.Term, error) {
	if err := size(list.Value); err != nil {
		return nil, err
	}
	s, ok := sep.Value.(ast.String)
	var parts []string
	each := func(t *ast.Term) bool {
		p, isText := t.Value.(ast.String)
		parts = append(parts, string(p))
		return !isText
	}
	switch l := list.Value.(type) {
	case *ast.Array:
		ok = ok && !l.Until(each)
	case ast.Set:
		ok = ok && !l.Until(each)
	default:
		ok = false
	}
	if !ok || len(s)*len(parts) > maxText {
		return nil, fmt.Errorf("%w: concat wants texts, of at most %d bytes", ErrResult, maxText)
	}
	return text(strings.Join(parts, string(s)))
}

func sprintf(format, args *ast.Term) (*ast.Term, error) {
	f, okf := format.Value.(ast.String)
	list, okl := args.Value.(*ast.Array)
	if !okf || !okl || strings.ContainsAny(string(f), "*") || wide(string(f)) {
		return nil, fmt.Errorf("%w: sprintf wants a format without widths, and a list", ErrResult)
	}
	if err := size(list); err != nil {
		return nil, err
	}
	values := make([]any, 0, list.Len())
	list.Foreach(func(t *ast.Term) {
		switch v := t.Value.(type) {
		case ast.String:
			values = append(values, string(v))
		case ast.Number:
			if n, ok := v.Int64(); ok {
				values = append(values, n)
			} else {
				values = append(values, v.String())
			}
		default:
			values = append(values, v.String())
		}
	})
	return text(fmt.Sprintf(string(f), values...))
}

// wide reports a verb with digits before it: padding to any width.
func wide(format string) bool {
	for i, c := range format {
		if c == '%' && i+1 < len(format) && strings.ContainsRune("0123456789+-# .[", rune(format[i+1])) {
			return true
		}
	}
	return false
}

func text(s string) (*ast.Term, error) {
	if len(s) > maxText {
		return nil, fmt.Errorf("%w: a text of %d bytes", ErrResult, len(s))
	}
	return ast.StringTerm(s), nil
}

// size refuses a value that is too large when written out. Values share parts, so that a few lines can make one that
// has more parts than there is memory.
func size(v ast.Value) error {
	nodes, bytes := maxNodes, maxText*16
	var walk func(v ast.Value) bool
	visit := func(t *ast.Term) bool { return !walk(t.Value) }
	walk = func(v ast.Value) bool {
		nodes--
		switch v := v.(type) {
		case ast.String:
			bytes -= len(v)
		case ast.Number:
			bytes -= len(v)
		case *ast.Array:
			if v.Until(visit) {
				return false
			}
		case ast.Set:
			if v.Until(visit) {
				return false
			}
		case ast.Object:
			if v.Until(func(k, x *ast.Term) bool { return visit(k) || visit(x) }) {
				return false
			}
		}
		return nodes > 0 && bytes > 0
	}
	if !walk(v) {
		return fmt.Errorf("%w: a value of more than %d parts or %d bytes", ErrResult, maxNodes, maxText*16)
	}
	return nil
}

// parse reads the creator's files, and refuses what cannot only narrow: rules in another package, references to data
// that is not hers, and a rule that would allow.
func (s *source) parse() (map[string]*ast.Module, error) {
	modules, asks := map[string]*ast.Module{}, false
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		m, err := ast.ParseModuleWithOpts(name, s.files[name], ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: creatorCapabilities()})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCreator, err) // names file and line
		}
		if strings.HasSuffix(name, "_test.rego") && isPackage(m, creatorPolicy+"_test") {
			continue // the creator's own tests
		}
		if err := check(m); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCreator, err)
		}
		if isPackage(m, creatorPolicy) {
			asks = asks || slices.ContainsFunc(m.Rules, func(r *ast.Rule) bool { return ruleName(r) == "deny" || ruleName(r) == "narrow" })
		}
		modules[name] = bound(m)
	}
	if !asks {
		return nil, fmt.Errorf("%w: no rule called deny or narrow in package %s", ErrCreator, creatorPolicy)
	}
	return modules, nil
}

func isPackage(m *ast.Module, name string) bool {
	return len(m.Package.Path) == 2 && m.Package.Path[1].Equal(ast.StringTerm(name))
}

func ruleName(r *ast.Rule) string {
	if ref := r.Head.Ref(); len(ref) > 0 {
		return strings.Trim(ref[0].String(), `"`)
	}
	return ""
}

// check refuses what a creator's module must not say, with its place.
func check(m *ast.Module) (err error) {
	refuse := func(at *ast.Location, f string, a ...any) {
		if err == nil {
			err = fmt.Errorf("%s: %s", at, fmt.Sprintf(f, a...))
		}
	}
	if p := m.Package.Path; len(p) < 2 || !p[1].Equal(ast.StringTerm(creatorPolicy)) {
		refuse(m.Package.Loc(), "want package %s, not %s", creatorPolicy, m.Package.Path)
	}
	top := isPackage(m, creatorPolicy)
	for _, r := range m.Rules {
		switch name := ruleName(r); {
		case top && name == "allow":
			refuse(r.Loc(), "these rules can deny and narrow; nothing they say allows")
		case top && name == "deny" && (r.Head.RuleKind() != ast.MultiValue || len(r.Head.Ref()) != 1):
			refuse(r.Loc(), `want deny contains {"rule": …, "message": …, "satisfy": …} if …`)
		case top && name == "narrow" && (r.Head.RuleKind() != ast.SingleValue || len(r.Head.Ref()) != 1 || len(r.Head.Args) > 0):
			refuse(r.Loc(), `want narrow := {"epochs": …} if …`)
		}
	}
	ast.WalkRefs(m, func(ref ast.Ref) bool {
		if ref.HasPrefix(ast.DefaultRootRef) && !ref.HasPrefix(ast.Ref{ast.DefaultRootDocument, ast.StringTerm(creatorPolicy)}) {
			refuse(ref[0].Loc(), "%s is not the creator's", ref)
		}
		return err != nil
	})
	ast.WalkTerms(m, func(t *ast.Term) bool {
		if n, ok := t.Value.(ast.Number); ok && (len(n) > maxLiteral || strings.ContainsAny(string(n), "eE")) {
			refuse(t.Loc(), "number %.20s: want at most %d digits", n, maxLiteral)
		}
		return err != nil
	})
	return err
}

// bound puts the bounded functions in place of those they stand in for.
func bound(m *ast.Module) *ast.Module {
	names := replaced()
	ast.WalkTerms(m, func(t *ast.Term) bool {
		if ref, ok := t.Value.(ast.Ref); ok {
			if name, ok := names[ref.String()]; ok {
				t.Value = ast.MustParseRef(name)
			}
		}
		return false
	})
	return m
}
