// SPDX-License-Identifier: Apache-2.0

// Package policies decides, in Rego, whether a package's key may be released, and under which obligations.
//
// Trust domain: the owner's side; the enclave never imports it. Its one job: a [Decision] that allows is backed by every
// condition in release.rego, and one that does not says why. Errors deny.
package policies

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Errors of this package. Each means: not released.
var (
	ErrPolicy  = errors.New("policies: policy does not compile")
	ErrRequest = errors.New("policies: unusable request")
	ErrResult  = errors.New("policies: policy gave no usable decision")
)

//go:embed assurance.rego obligations.rego reasons.rego release.rego shape.rego
var files embed.FS

const (
	policyLabel = "glovebox.dev/policy/v1"
	query       = `decision := {
		"allow": data.glovebox.release.allow,
		"reasons": data.glovebox.release.reasons,
		"obligations": [o | o := data.glovebox.release.obligations],
	}`
	maxResult = 1 << 20
)

// Engine holds the compiled policy. It is safe for concurrent use.
type Engine struct {
	query  rego.PreparedEvalQuery
	digest envelope.Digest
}

// Decision is what the policy says. The zero Decision denies.
type Decision struct {
	Allow       bool
	Reasons     []grant.Reason // every condition not met; empty when allowed
	Obligations grant.Obligations
}

// Load compiles the policy that is part of this build, in strict mode and with nothing but pure built-in functions.
func Load(ctx context.Context) (*Engine, error) {
	modules, digest, err := sources(files)
	if err != nil {
		return nil, err
	}
	c, err := compile(modules)
	if err != nil {
		return nil, err
	}
	q, err := rego.New(rego.Compiler(c), rego.Query(query), rego.StrictBuiltinErrors(true)).PrepareForEval(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	return &Engine{q, digest}, nil
}

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

func compile(modules map[string]string) (*ast.Compiler, error) {
	parsed := map[string]*ast.Module{}
	for name, src := range modules {
		m, err := ast.ParseModuleWithOpts(name, src, ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: capabilities()})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
		}
		parsed[name] = m
	}
	c := ast.NewCompiler().WithStrict(true).WithCapabilities(capabilities())
	if c.Compile(parsed); c.Failed() {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, c.Errors)
	}
	return c, nil
}

// capabilities admits the built-in functions that the policy uses: none reads the clock, the network, the environment or
// a random source, so a decision depends on its input alone.
func capabilities() *ast.Capabilities {
	all := ast.CapabilitiesForThisVersion()
	all.Builtins = slices.DeleteFunc(all.Builtins, func(b *ast.Builtin) bool { return !slices.Contains(builtins(), b.Name) })
	all.AllowNet = []string{}
	return all
}

func builtins() []string {
	return []string{
		"assign", "eq", "equal", "neq", "lt", "lte", "gt", "gte", "plus", "mul", "internal.member_2",
		"count", "min", "sort", "concat", "sprintf", "object.get", "is_number", "is_string", "is_array",
	}
}

// Digest identifies the policy; grants carry it.
func (e *Engine) Digest() envelope.Digest { return e.digest }

// Decide evaluates one request. An error denies, and the Decision with it is zero.
func (e *Engine) Decide(ctx context.Context, r Request) (Decision, error) {
	if e == nil || e.digest.IsZero() {
		return Decision{}, fmt.Errorf("%w: no policy loaded", ErrPolicy)
	}
	if err := r.Validate(); err != nil {
		return Decision{}, err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // integers stay integers
	var input map[string]any
	if err := dec.Decode(&input); err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return e.evaluate(ctx, input)
}

// evaluate runs the query and believes an allow only with obligations and without reasons.
func (e *Engine) evaluate(ctx context.Context, input any) (Decision, error) {
	rs, err := e.query.Eval(ctx, rego.EvalInput(input))
	if err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrResult, err)
	}
	if len(rs) != 1 {
		return Decision{}, fmt.Errorf("%w: undefined", ErrResult)
	}
	b, err := json.Marshal(rs[0].Bindings["decision"])
	if err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrResult, err)
	}
	var out struct {
		Allow       bool                `json:"allow"`
		Reasons     []grant.Reason      `json:"reasons"`
		Obligations []grant.Obligations `json:"obligations"`
	}
	if err := envelope.DecodeStrict(b, maxResult, &out); err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrResult, err)
	}
	slices.SortFunc(out.Reasons, func(a, b grant.Reason) int { return cmp.Compare(a.Rule, b.Rule) })
	if !out.Allow {
		return denied(out.Reasons)
	}
	if len(out.Reasons) != 0 || len(out.Obligations) != 1 {
		return Decision{}, fmt.Errorf("%w: allowed with %d reasons and %d obligations", ErrResult, len(out.Reasons), len(out.Obligations))
	}
	if err := out.Obligations[0].Validate(); err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrResult, err)
	}
	return Decision{Allow: true, Obligations: out.Obligations[0]}, nil
}

func denied(reasons []grant.Reason) (Decision, error) {
	if len(reasons) == 0 {
		return Decision{}, fmt.Errorf("%w: denied without a reason", ErrResult)
	}
	return Decision{Reasons: reasons[:min(len(reasons), grant.MaxReasons)]}, nil
}
