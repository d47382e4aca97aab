// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

//go:embed assurance.rego egress.rego entitlement.rego licence.rego obligations.rego privacy.rego reasons.rego release.rego
var files embed.FS

const policyLabel = "glovebox.dev/policy/v1"

// sources reads every policy file and computes the digest that grants carry.
func sources(fsys fs.FS) (map[string]string, envelope.Digest, error) {
	names, err := fs.Glob(fsys, "*.rego")
	if err != nil {
		return nil, envelope.Digest{}, err
	}
	modules, fields := map[string]string{}, [][]byte{}
	for _, name := range names { // sorted by Glob
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, envelope.Digest{}, err
		}
		modules[name] = string(b)
		fields = append(fields, []byte(name), b)
	}
	if len(modules) == 0 {
		return nil, envelope.Digest{}, fmt.Errorf("%w: no files", ErrPolicy)
	}
	return modules, envelope.Hash(policyLabel, fields...), nil
}

// parse reads modules in Rego version 1.
func parse(sources map[string]string, can *ast.Capabilities) (map[string]*ast.Module, error) {
	modules := map[string]*ast.Module{}
	for name, src := range sources {
		m, err := ast.ParseModuleWithOpts(name, src, ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: can})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
		}
		modules[name] = m
	}
	return modules, nil
}

// compile parses and checks modules in strict mode, against the shape of the document.
func compile(sources map[string]string, can *ast.Capabilities) (*ast.Compiler, error) {
	modules, err := parse(sources, can)
	if err != nil {
		return nil, err
	}
	c := newCompiler(can)
	if c.Compile(modules); c.Failed() {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, c.Errors)
	}
	return c, nil
}

// newCompiler is strict, knows the shape of the document, and admits some built-in functions only.
func newCompiler(can *ast.Capabilities) *ast.Compiler {
	schemas, in := ast.NewSchemaSet(), documentShape()
	schemas.Put(ast.SchemaRootRef, in.schema())
	return ast.NewCompiler().WithStrict(true).WithCapabilities(can).WithSchemas(schemas)
}

func prepare(ctx context.Context, c *ast.Compiler, query string) (rego.PreparedEvalQuery, error) {
	q, err := rego.New(rego.Compiler(c), rego.Query(query), rego.StrictBuiltinErrors(true)).PrepareForEval(ctx)
	if err != nil {
		return q, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	return q, nil
}

// capabilities admits some built-in functions only: none reads the clock, the network, the environment or a random
// source, so a decision depends on its input alone.
func capabilities(names []string) *ast.Capabilities {
	all := ast.CapabilitiesForThisVersion()
	all.Builtins = slices.DeleteFunc(all.Builtins, func(b *ast.Builtin) bool { return !slices.Contains(names, b.Name) })
	all.AllowNet = []string{}
	return all
}

// builtins are those that this build's rules use.
func builtins() []string {
	return []string{
		"assign", "eq", "equal", "neq", "lt", "lte", "gt", "gte", "plus", "mul", "div", "internal.member_2",
		"count", "min", "sort", "concat", "sprintf", "object.get", "is_number", "is_string", "is_array", "is_boolean", "is_object",
	}
}
