// SPDX-License-Identifier: Apache-2.0

package tabular

import (
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// codeField bounds the numbers of a field: what is below Bottom or above Top becomes the bound, or its label.
type codeField struct {
	fields.Ref
	Bottom      *decimal.Number `json:"bottom"`
	BottomLabel string          `json:"bottomLabel"`
	Top         *decimal.Number `json:"top"`
	TopLabel    string          `json:"topLabel"`
	Otherwise   string          `json:"otherwise"` // a value that is no number
}

type code struct {
	perField
	list []codeField
}

// NewCode makes the step that bounds numbers: top and bottom coding.
func NewCode(config json.RawMessage, _ transforms.Schema, _ *transforms.Env) (transforms.Step, error) {
	var c struct {
		Fields []codeField `json:"fields"`
	}
	if err := fields.Decode(config, &c); err != nil {
		return nil, err
	}
	set, err := fields.NewSet(refs(c.Fields, func(f *codeField) fields.Ref { return f.Ref }))
	if err != nil {
		return nil, err
	}
	for i := range c.Fields {
		f := &c.Fields[i]
		switch {
		case f.Bottom == nil && f.Top == nil:
			return nil, fields.Bad("field %q: neither bottom nor top", f.Field)
		case f.Bottom != nil && f.Top != nil && f.Bottom.Cmp(&f.Top.Decimal) > 0:
			return nil, fields.Bad("field %q: bottom is above top", f.Field)
		case f.Bottom == nil && f.BottomLabel != "" || f.Top == nil && f.TopLabel != "":
			return nil, fields.Bad("field %q: a label without its bound", f.Field)
		}
		if err := checkOtherwise(f.Field, &f.Otherwise); err != nil {
			return nil, err
		}
	}
	s := &code{list: c.Fields}
	s.perField = perField{set: set, change: s.one}
	return s, nil
}

func (s *code) one(i int, f *transforms.Field) string {
	if missing(f) {
		return ""
	}
	c := &s.list[i]
	d, ok := decimal.Parse(f.Text)
	switch {
	case !ok:
		return orElse(c.Otherwise, f, reasonNoNumber)
	case c.Bottom != nil && d.Cmp(&c.Bottom.Decimal) < 0:
		bound(f, c.Bottom, c.BottomLabel)
	case c.Top != nil && d.Cmp(&c.Top.Decimal) > 0:
		bound(f, c.Top, c.TopLabel)
	}
	return ""
}

// bound sets a field to a bound: to a number where there was one.
func bound(f *transforms.Field, n *decimal.Number, label string) {
	switch {
	case label != "":
		f.Set([]byte(label))
	case f.Kind == transforms.Number:
		f.SetNumber([]byte(n.Literal))
	default:
		f.Set([]byte(n.Literal))
	}
}

// suppressField says which values of a field are left out: all, or those that one of the conditions holds for.
type suppressField struct {
	fields.Ref
	Equals []string        `json:"equals"` // those that are one of these
	Except []string        `json:"except"` // those that are none of these
	Below  *decimal.Number `json:"below"`  // numbers below it
	Above  *decimal.Number `json:"above"`  // numbers above it
	Longer int             `json:"longer"` // those of more characters
}

type suppress struct {
	list []suppressField
	set  *fields.Set
	csv  bool
}

// NewSuppress makes the step that empties fields.
func NewSuppress(config json.RawMessage, _ transforms.Schema, _ *transforms.Env) (transforms.Step, error) {
	var c struct {
		Fields []suppressField `json:"fields"`
	}
	if err := fields.Decode(config, &c); err != nil {
		return nil, err
	}
	set, err := fields.NewSet(refs(c.Fields, func(f *suppressField) fields.Ref { return f.Ref }))
	if err != nil {
		return nil, err
	}
	for i := range c.Fields {
		f := &c.Fields[i]
		if f.Equals != nil && len(f.Equals) == 0 || f.Except != nil && len(f.Except) == 0 || f.Longer < 0 {
			return nil, fields.Bad("field %q: an empty list, or a negative length", f.Field)
		}
		slices.Sort(f.Equals)
		slices.Sort(f.Except)
	}
	return &suppress{list: c.Fields, set: set}, nil
}

// Schema refuses columns that are not there.
func (s *suppress) Schema(in transforms.Schema) (transforms.Schema, error) {
	s.csv = in.Format == dataset.FormatCSV
	return in, s.set.Bind(in)
}

// Transform empties the fields. No condition can be seen to fail for an object or array, nor for a value in the place of one: it goes, whole.
func (s *suppress) Transform(r *transforms.Record, _ *transforms.Trace) (transforms.Verdict, error) {
	if !s.csv {
		s.set.Apply(r, s.fate)
		return transforms.Keep, nil
	}
	all := r.Fields()
	for k := range all {
		if i := s.set.Exact(all[k].Path); i >= 0 && s.fate(i, &all[k]) == transforms.Empty {
			all[k].SetNull()
		}
	}
	return transforms.Keep, nil
}

func (s *suppress) fate(i int, f *transforms.Field) transforms.Fate {
	if i < 0 || f == nil || !missing(f) && s.list[i].holds(f.Text) {
		return transforms.Empty
	}
	return transforms.Stay
}

// Finish is an error if a field was in no record.
func (s *suppress) Finish(*transforms.Trace) error { return s.set.Finish() }

// holds reports whether one of the conditions holds, or there is none. Bounds hold for what is no number.
func (c *suppressField) holds(text []byte) bool {
	if c.Equals == nil && c.Except == nil && c.Below == nil && c.Above == nil && c.Longer == 0 {
		return true
	}
	in := func(list []string) bool {
		_, ok := slices.BinarySearchFunc(list, text, func(s string, t []byte) int { return compare(s, t) })
		return ok
	}
	if c.Equals != nil && in(c.Equals) || c.Except != nil && !in(c.Except) || c.Longer > 0 && utf8.RuneCount(text) > c.Longer {
		return true
	}
	if c.Below == nil && c.Above == nil {
		return false
	}
	d, ok := decimal.Parse(text)
	return !ok || c.Below != nil && d.Cmp(&c.Below.Decimal) < 0 || c.Above != nil && d.Cmp(&c.Above.Decimal) > 0
}

// compare is strings.Compare without a copy.
func compare(s string, t []byte) int {
	switch {
	case s < string(t):
		return -1
	case s > string(t):
		return 1
	}
	return 0
}
