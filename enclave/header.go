// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
	"github.com/glovebox-dev/glovebox/transforms/dp/release"
)

// findColumns refuses queries of columns that records do not have. It looks at headers alone, which are of no record, so that what is
// refused is as if it had never been asked: nothing is delivered, and no use is counted.
func (r *attempt) findColumns(ctx context.Context, q *release.Queries) error {
	for _, p := range r.packages[1:] {
		s, err := r.schemaOf(ctx, p)
		if err != nil {
			return err
		}
		if err := q.Bind(s); err != nil {
			return fmt.Errorf("%w: %w", errModule, err)
		}
	}
	return nil
}

// schemaOf is what records of p are like after their steps. Only of CSV something is read for that: batches up to the end of the
// header. They are wiped and read again when the records are, and counted then.
func (r *attempt) schemaOf(ctx context.Context, p *pack) (none transforms.Schema, err error) {
	if p.m.Format != dataset.FormatCSV {
		return transforms.Schema{Format: p.m.Format}, nil
	}
	if !p.grant.Predicate.Obligations.Leaves.Contains(0) {
		return none, fmt.Errorf("%w: the header of %s is not granted", ErrGrant, p.id)
	}
	if err := r.gate(ctx, p); err != nil {
		return none, err
	}
	s, err := dataset.OpenStream(ctx, p.m, r.e.c.Host, p.keys.Package, dataset.StreamOptions{
		Leaves: p.grant.Predicate.Obligations.Leaves.Spans(), Units: p.keys.ByID(),
	})
	if err != nil {
		return none, err
	}
	in := &streamReader{ctx: ctx, s: s}
	defer in.close()
	line, err := r.lineOver(ctx, p, in)
	switch {
	case context.Cause(ctx) != nil: // what was stopped may fail in any way
		return none, context.Cause(ctx)
	case in.err != nil:
		return none, in.err
	case err != nil:
		return none, fmt.Errorf("%w: %w", errTransform, err)
	}
	return line.Out(), line.Close()
}

// lineOver is the steps of a package over what in reads, of which no more is read than the header.
func (r *attempt) lineOver(ctx context.Context, p *pack, in *streamReader) (*transforms.Pipeline, error) {
	src, err := transforms.NewSource(in, p.m.Format)
	if err != nil {
		return nil, err
	}
	env, err := r.lend(p)
	if err != nil {
		return nil, err
	}
	return transforms.New(ctx, p.m.Terms.StepsFor(p.grant.Predicate.Obligations.Mode), src.Schema(), builtin.New, env)
}
