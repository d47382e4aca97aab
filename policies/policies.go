// SPDX-License-Identifier: Apache-2.0

// Package policies decides, in Rego, whether a package's key may be released, and under which obligations.
//
// Trust domain: the owner's side; the enclave never imports it. Its one job: a [Decision] that allows is backed by every
// condition in release.rego and by no objection of the creator's own rules, and one that does not says why. Errors deny.
// docs/spec/policy.md lists the rules and the document they read.
package policies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/policies/input"
)

// Errors of this package. Each means: not released.
var (
	ErrPolicy  = errors.New("policies: policy does not compile")
	ErrRequest = input.ErrRequest
	ErrResult  = errors.New("policies: policy gave no usable decision")
)

// The queries. Reasons are asked for only where there are no obligations, and obligations are defined only where release
// is allowed.
const (
	obligationsQuery = "x = data.glovebox.release.obligations"
	reasonsQuery     = "x := data.glovebox.release.reasons"
)

// Engine holds the compiled policy. It is safe for concurrent use.
type Engine struct {
	obligations map[dataset.Kind]*rego.PreparedEvalQuery // see specialise
	reasons     rego.PreparedEvalQuery
	creator     *creator // nil: no rules of the creator's own
	digest      envelope.Digest
	shape       shape
}

// Decision is what the policy says. The zero Decision denies.
type Decision struct {
	Allow       bool
	Reasons     []grant.Reason // every condition not met; empty when allowed
	Obligations grant.Obligations
	Cause       error // for the owner's log: why rules of her own gave no answer; nil otherwise
}

// Load compiles the policy that is part of this build, in strict mode and with nothing but pure built-in functions, and
// rules of the creator's own, if o has any, which can only narrow what those allow.
func Load(ctx context.Context, o Options) (*Engine, error) {
	modules, digest, err := sources(files)
	if err != nil {
		return nil, err
	}
	c, err := compile(modules, capabilities(builtins()))
	if err != nil {
		return nil, err
	}
	e := &Engine{digest: digest, shape: documentShape(), obligations: map[dataset.Kind]*rego.PreparedEvalQuery{}}
	for _, kind := range []dataset.Kind{dataset.KindDataset, dataset.KindCode} {
		if e.obligations[kind], err = specialise(ctx, modules, kind); err != nil {
			return nil, err
		}
	}
	if e.reasons, err = prepare(ctx, c, reasonsQuery); err != nil {
		return nil, err
	}
	if e.creator, err = o.load(ctx); err != nil {
		return nil, err
	}
	if e.creator != nil {
		e.digest = envelope.Hash(policyLabel, e.digest[:], e.creator.digest[:])
	}
	return e, nil
}

// Revision is that of the creator's bundle, 0 without one. A later one must not be lower.
func (e *Engine) Revision() int64 {
	if e.creator == nil {
		return 0
	}
	return e.creator.revision
}

// Digest identifies the policy, the creator's own rules included; grants carry it.
func (e *Engine) Digest() envelope.Digest { return e.digest }

// Decide evaluates one request. An error denies, and the Decision with it is zero.
func (e *Engine) Decide(ctx context.Context, r Request) (Decision, error) {
	if e == nil || e.digest.IsZero() {
		return Decision{}, fmt.Errorf("%w: no policy loaded", ErrPolicy)
	}
	if err := r.Validate(); err != nil {
		return Decision{}, err
	}
	released := r.Released()
	doc := document(&r, released)
	d, err := e.evaluate(ctx, doc, released)
	if err != nil {
		return Decision{}, err
	}
	if e.creator != nil {
		if d, err = e.creator.judge(ctx, doc, r.Now, d); err != nil {
			return Decision{}, err
		}
	}
	return d.sorted(), nil
}

// evaluate asks this build's rules. A document that is not of the shape never reaches them.
func (e *Engine) evaluate(ctx context.Context, doc ast.Value, released grant.Ranges) (Decision, error) {
	if !e.shape.fits(doc) {
		return Decision{}, fmt.Errorf("%w: a field is missing, unknown or of another type", ErrRequest)
	}
	o, err := e.allowed(ctx, doc)
	switch {
	case err != nil:
		return Decision{}, err
	case o == nil:
		return e.denied(ctx, doc)
	}
	o.Leaves = released
	if err := o.Validate(); err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrResult, err)
	}
	return Decision{Allow: true, Obligations: *o}, nil
}

// allowed returns the obligations, nil where the rules do not allow. No rule allows a package of another kind.
func (e *Engine) allowed(ctx context.Context, doc ast.Value) (*grant.Obligations, error) {
	q := e.obligations[kindOf(doc)]
	if q == nil {
		return nil, nil
	}
	v, err := one(ctx, q, doc, unhindered())
	if v == nil || err != nil {
		return nil, err
	}
	return obligations(v)
}

func (e *Engine) denied(ctx context.Context, doc ast.Value) (Decision, error) {
	v, err := one(ctx, &e.reasons, doc, unhindered())
	if err != nil {
		return Decision{}, err
	}
	reasons, err := reasonList(v)
	if err != nil {
		return Decision{}, err
	}
	if len(reasons) == 0 {
		return Decision{}, fmt.Errorf("%w: denied without a reason", ErrResult)
	}
	return Decision{Reasons: reasons}, nil
}

// sorted orders the reasons and bounds their number. A decision that allows has none.
func (d Decision) sorted() Decision {
	slices.SortFunc(d.Reasons, func(a, b grant.Reason) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message))
	})
	d.Reasons = d.Reasons[:min(len(d.Reasons), grant.MaxReasons)]
	return d
}

// kindOf is the package's kind as the document says it.
func kindOf(doc ast.Value) dataset.Kind {
	kind, err := doc.Find(kindPath)
	if err != nil {
		return ""
	}
	s, _ := kind.(ast.String)
	return dataset.Kind(s)
}

var kindPath = ast.Ref{ast.StringTerm("package"), ast.StringTerm("kind")}

// unhindered is for this build's rules, which end by themselves: watching the context takes a goroutine for each evaluation.
func unhindered() rego.EvalOption { return rego.EvalExternalCancel(topdown.NewCancel()) }

// one evaluates a query with one answer, nil where it is undefined.
func one(ctx context.Context, q *rego.PreparedEvalQuery, doc ast.Value, options ...rego.EvalOption) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResult, err)
	}
	rs, err := q.Eval(ctx, append(options, rego.EvalParsedInput(doc), rego.EvalMetrics(metrics.NoOp()))...)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrResult, err)
	case len(rs) == 0:
		return nil, nil
	case len(rs) > 1:
		return nil, fmt.Errorf("%w: %d answers", ErrResult, len(rs))
	}
	return rs[0].Bindings["x"], nil
}
