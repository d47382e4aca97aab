// SPDX-License-Identifier: Apache-2.0

package tabular

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// dropConfig is the configuration of drop.
type dropConfig struct {
	Fields []fields.Ref `json:"fields"`
}

// drop leaves columns and members out.
type drop struct {
	refs []fields.Ref
	set  *fields.Set
	csv  bool
}

// NewDrop makes the step that leaves columns, or members with all below them, out.
func NewDrop(config json.RawMessage, _ transforms.Schema, _ *transforms.Env) (transforms.Step, error) {
	var c dropConfig
	if err := fields.Decode(config, &c); err != nil {
		return nil, err
	}
	set, err := fields.NewSet(c.Fields)
	return &drop{refs: c.Fields, set: set}, err
}

// Schema is without the columns.
func (d *drop) Schema(in transforms.Schema) (transforms.Schema, error) {
	d.csv = in.Format == dataset.FormatCSV
	if err := d.set.Bind(in); err != nil || !d.csv {
		return in, err
	}
	out := in
	out.Columns = slices.DeleteFunc(slices.Clone(in.Columns), func(c string) bool { return d.set.Index(c) >= 0 })
	if len(out.Columns) == 0 {
		return in, fields.Bad("no column would be left")
	}
	return out, nil
}

// Transform leaves them out, in JSON whatever arrays they are in; and a value in the place of an object that would have them.
func (d *drop) Transform(r *transforms.Record, _ *transforms.Trace) (transforms.Verdict, error) {
	if d.csv {
		for i := range d.refs {
			r.Drop(d.refs[i].Field)
		}
		return transforms.Keep, nil
	}
	d.set.Apply(r, func(int, *transforms.Field) transforms.Fate { return transforms.Cut })
	return transforms.Keep, nil
}

// Finish is an error if a field was in no record.
func (d *drop) Finish(*transforms.Trace) error { return d.set.Finish() }

// keep leaves everything out but what it names.
type keep struct {
	set   *fields.Set
	above map[string]bool // paths that lead to those
}

// NewKeep makes the step that leaves everything out but the columns, or the members with all below them, that it names: also what
// nobody knew of when the configuration was written.
func NewKeep(config json.RawMessage, _ transforms.Schema, _ *transforms.Env) (transforms.Step, error) {
	var c dropConfig
	if err := fields.Decode(config, &c); err != nil {
		return nil, err
	}
	set, err := fields.NewSet(c.Fields)
	if err != nil {
		return nil, err
	}
	k := &keep{set, map[string]bool{}}
	for _, r := range c.Fields {
		for i, ch := range r.Field {
			if i > 0 && (ch == '.' || ch == '[') {
				k.above[r.Field[:i]] = true
			}
		}
	}
	return k, nil
}

// Schema has the columns that stay.
func (k *keep) Schema(in transforms.Schema) (transforms.Schema, error) {
	if err := k.set.Bind(in); err != nil || in.Format != dataset.FormatCSV {
		return in, err
	}
	out := in
	out.Columns = slices.DeleteFunc(slices.Clone(in.Columns), func(c string) bool { return k.set.Index(c) < 0 })
	if len(out.Columns) == 0 {
		return in, fields.Bad("no column would be left")
	}
	return out, nil
}

// Transform leaves the others out.
func (k *keep) Transform(r *transforms.Record, _ *transforms.Trace) (transforms.Verdict, error) {
	k.set.Compound(r)
	r.Keep(func(path string, compound bool) (stays, whole bool) {
		if i := k.set.Exact(path); i >= 0 {
			k.set.See(i)
			return true, true
		}
		return compound && k.above[path], false
	})
	return transforms.Keep, nil
}

// Finish is an error if a field was in no record.
func (k *keep) Finish(*transforms.Trace) error { return k.set.Finish() }

// renameField is a field's new name: of a member, the last part of its path.
type renameField struct {
	fields.Ref
	To string `json:"to"`
}

// rename gives columns and members other names.
type rename struct {
	list  []renameField
	set   *fields.Set
	taken map[string]int // by the path that a renamed member has
	csv   bool
	has   []bool // the record at hand has the field
	other []bool // and has another of its new name
}

// NewRename makes the step that gives columns and members other names. All are renamed at once: two may swap names.
func NewRename(config json.RawMessage, _ transforms.Schema, _ *transforms.Env) (transforms.Step, error) {
	var c struct {
		Fields []renameField `json:"fields"`
	}
	if err := fields.Decode(config, &c); err != nil {
		return nil, err
	}
	set, err := fields.NewSet(refs(c.Fields, func(f *renameField) fields.Ref { return f.Ref }))
	if err != nil {
		return nil, err
	}
	s := &rename{list: c.Fields, set: set, taken: map[string]int{}, has: make([]bool, len(c.Fields)), other: make([]bool, len(c.Fields))}
	for i, f := range c.Fields {
		if f.To == "" || len(f.To) > dataset.MaxStepName*4 || strings.ContainsAny(f.To, "\x00\r\n") {
			return nil, fields.Bad("field %q: new name %q", f.Field, f.To)
		}
		to := s.path(&f)
		if _, twice := s.taken[to]; twice {
			return nil, fields.Bad("two fields would be %q", to)
		}
		s.taken[to] = i
	}
	return s, nil
}

// path is where a renamed member is.
func (s *rename) path(f *renameField) string {
	return f.Field[:strings.LastIndexByte(f.Field, '.')+1] + f.To
}

// Schema has the columns' new names.
func (s *rename) Schema(in transforms.Schema) (transforms.Schema, error) {
	if err := s.set.Bind(in); err != nil {
		return in, err
	}
	if s.csv = in.Format == dataset.FormatCSV; !s.csv {
		for _, f := range s.list {
			if strings.HasSuffix(f.Field, "[]") {
				return in, fields.Bad("field %q: elements of an array have no names", f.Field)
			}
		}
		return in, nil
	}
	out, seen := in, map[string]bool{}
	out.Columns = slices.Clone(in.Columns)
	for k, c := range out.Columns {
		if i := s.set.Index(c); i >= 0 {
			out.Columns[k] = s.list[i].To
		}
		if seen[out.Columns[k]] {
			return in, fields.Bad("two columns would be named %q", out.Columns[k])
		}
		seen[out.Columns[k]] = true
	}
	return out, nil
}

// Transform renames them. A record that has a member of the new name is quarantined: of two, readers would see one or the other.
func (s *rename) Transform(r *transforms.Record, t *transforms.Trace) (transforms.Verdict, error) {
	all := r.Fields()
	if s.csv {
		for k := range all {
			if i := s.set.Index(all[k].Path); i >= 0 {
				all[k].Path = s.list[i].To
			}
		}
		return transforms.Keep, nil
	}
	clear(s.has)
	clear(s.other)
	s.set.Compound(r)
	shaped := s.set.Instead(r)
	for path, shape := range r.Compounds() {
		i, _ := s.set.At(path, shape, nil, false)
		shaped = s.note(path, i) || shaped
	}
	for k := range all {
		shaped = s.note(all[k].Path, s.set.Index(all[k].Path)) || shaped
	}
	if shaped { // under the old name, steps that follow would not see it
		t.Reason(fields.OtherShape)
		return transforms.Quarantine, nil
	}
	for i := range s.list {
		if s.has[i] && s.other[i] {
			t.Reason(reasonTaken)
			return transforms.Quarantine, nil
		}
	}
	for i, f := range s.list {
		if s.has[i] {
			r.Rename(f.Field, f.To)
		}
	}
	return transforms.Keep, nil
}

// note notes that the record has a path, which is the field at i, and reports whether it is one in another shape.
func (s *rename) note(path string, i int) (shaped bool) {
	if i >= 0 {
		s.set.See(i)
		s.has[i] = true
		for s.set.Exact(path) != i && strings.HasSuffix(path, "[]") { // what is in it goes with it
			path = path[:len(path)-2]
		}
		return s.set.Exact(path) != i
	}
	if i, ok := s.taken[path]; ok {
		s.other[i] = true
	}
	return false
}

// Finish is an error if a field was in no record.
func (s *rename) Finish(*transforms.Trace) error { return s.set.Finish() }
