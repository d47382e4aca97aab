// SPDX-License-Identifier: Apache-2.0

// Package localdp has the steps that make single fields differentially private, each record by itself: k-rr, discrete-laplace and
// discrete-gaussian.
//
// Trust domain: whoever answers for the privacy of the records: the enclave process, or the creator at ingest; pure, but for the
// random bytes it is lent. Its one job: what comes out of a field would be about as likely whatever had stood in it: another
// value, one out of bounds, one of another type, or none. So a step here never quarantines or leaves out a record, counts nothing
// by what it saw, and writes its fields in one form and one place.
package localdp

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// Version is that of all steps of this package. It changes whenever the distribution or the form of an output does.
const Version = "1"

const (
	million    = 1_000_000
	maxEpsilon = 1000 * million // of a step, in millionths
)

// noisy is one field of a step.
type noisy interface {
	// draw appends a noisy form of a value to dst. f is nil where the record has none.
	draw(dst []byte, f *transforms.Field, s *sampler.Source) ([]byte, error)
	ref() fields.Ref
	spends() int64 // millionths of epsilon
	check() error
}

// config is the configuration of a step for fields of a type.
type config[F any] interface {
	noisy
	*F
}

// step is what the steps share.
type step struct {
	refs   []fields.Ref
	set    *fields.Set
	list   []noisy
	form   transforms.Kind
	source *sampler.Source
	refuse error // at Schema: what the caller does not account for

	at   []int // of each field, in the record at hand; -1: none
	buf  []byte
	json bool
}

// newStep makes a step of a configuration.
func newStep[F any, P config[F]](raw json.RawMessage, form transforms.Kind, env *transforms.Env) (*step, error) {
	list, err := decode[F, P](raw)
	if err != nil {
		return nil, err
	}
	s := &step{list: list, form: form, at: make([]int, len(list))}
	for _, f := range list {
		s.refs = append(s.refs, f.ref())
	}
	if s.set, err = fields.NewSet(s.refs); err != nil {
		return nil, err
	}
	if env == nil || env.Noise == nil {
		return nil, fmt.Errorf("%w: noise", transforms.ErrEnv)
	}
	s.source = sampler.NewSource(env.Noise)
	return s, nil
}

// decode reads a configuration strictly.
func decode[F any, P config[F]](raw json.RawMessage) ([]noisy, error) {
	var c struct {
		Fields []F `json:"fields"`
	}
	if err := fields.Decode(raw, &c); err != nil {
		return nil, err
	}
	if len(c.Fields) == 0 || len(c.Fields) > fields.MaxFields {
		return nil, fields.Bad("%d fields, want 1 to %d", len(c.Fields), fields.MaxFields)
	}
	var list []noisy
	for i := range c.Fields {
		f := P(&c.Fields[i])
		if err := f.check(); err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	if total := spent(list); total > maxEpsilon {
		return nil, fields.Bad("the fields spend %d millionths of epsilon together, at most %d", total, int64(maxEpsilon))
	}
	return list, nil
}

// spent is what the fields of one record spend together, in millionths of epsilon.
func spent(list []noisy) (total int64) {
	for _, f := range list {
		total += f.spends()
	}
	return total
}

// epsilon is the same of a configuration.
func epsilon[F any, P config[F]](raw json.RawMessage) (int64, error) {
	list, err := decode[F, P](raw)
	return spent(list), err
}

// Schema refuses columns that are not there, and members that are not the record's own: one of them could be missing in a way
// that shows.
func (s *step) Schema(in transforms.Schema) (transforms.Schema, error) {
	if err := s.set.Bind(in); err != nil {
		return in, err
	}
	if s.json = in.Format == dataset.FormatJSONL; s.json {
		for _, r := range s.refs {
			if strings.ContainsAny(r.Field, ".[]{}") {
				return in, fields.Bad("field %q: only members of the record itself can be made private one by one", r.Field)
			}
		}
	}
	return in, s.refuse
}

// Transform puts noisy values in place of the fields, whatever the record has there.
func (s *step) Transform(r *transforms.Record, _ *transforms.Trace) (transforms.Verdict, error) {
	s.set.Compound(r)
	for i := range s.at {
		s.at[i] = -1
	}
	all := r.Fields()
	for k := range all {
		if i := s.set.Exact(all[k].Path); i >= 0 {
			s.set.See(i)
			s.at[i] = k // of several the last, as most readers do
		}
	}
	s.buf = s.buf[:0]
	for i, one := range s.list {
		var f *transforms.Field
		if k := s.at[i]; k >= 0 {
			f = &all[k]
		} else if !s.json {
			continue // an optional column that the dataset does not have
		}
		from := len(s.buf)
		var err error
		if s.buf, err = one.draw(s.buf, f, s.source); err != nil {
			return transforms.Refused, fmt.Errorf("%w: %w", transforms.ErrEnv, err)
		}
		r.Put(s.refs[i].Field, s.form, s.buf[from:len(s.buf):len(s.buf)])
	}
	return transforms.Keep, nil
}

// Finish is an error if a field was in no record: it is spelt wrong, and the one that was meant has no noise. What is optional
// is never an error.
func (s *step) Finish(*transforms.Trace) error { return s.set.Finish() }

// epsilonOf reads an epsilon in millionths.
func epsilonOf(field string, n *decimal.Number) (int64, error) {
	if n == nil {
		return 0, fields.Bad("field %q: no epsilon", field)
	}
	e, exact, ok := n.Scaled(6)
	if !ok || !exact || e <= 0 || e > maxEpsilon {
		return 0, fields.Bad("field %q: epsilon %s, want more than 0, at most %d, and no more than six digits after the point", field, n.Literal, maxEpsilon/million)
	}
	return e, nil
}
