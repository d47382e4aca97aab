// SPDX-License-Identifier: Apache-2.0

// Package fields finds the fields that a step's configuration names.
//
// Trust domain: wherever steps run; pure. Its one job: a name that is misspelt lets no data through. Of CSV, a column that is not
// there is refused before the first record; of JSON, whose records need not all have a member, a name that no record had is
// an error after the last.
package fields

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
)

// NotScalar is why a record is quarantined whose field is an object or an array where only a value can be dealt with.
const NotScalar = "not-scalar"

// OtherShape is why a record is quarantined that has a value where an object or array must be for a field to be in it.
const OtherShape = "other-shape"

// Bounds.
const (
	// MaxFields bounds the fields of one step.
	MaxFields = 1024
	// maxMemo bounds what is remembered of datasets whose members have names without end.
	maxMemo     = 4096
	maxMemoPath = 256 // bytes
)

// Ref names a field: a column, or a path in JSON.
type Ref struct {
	Field    string `json:"field"`
	Optional bool   `json:"optional"` // no error if there is none
}

// Decode reads a step's configuration strictly. Its errors wrap ErrConfig.
func Decode(config json.RawMessage, v any) error {
	return transforms.DecodeConfig(config, v)
}

// Bad makes an error that wraps ErrConfig.
func Bad(format string, a ...any) error {
	return fmt.Errorf("%w: %s", transforms.ErrConfig, fmt.Sprintf(format, a...))
}

// Set is the fields of one step. It is for one goroutine.
type Set struct {
	refs    []Ref
	at      map[string]int
	plain   map[string]int // by the path without arrays; above for those that lead to one
	memo    map[string]int // of paths in records
	seen    []bool
	missing int // of those that must be there
	json    bool
	records int64
}

// NewSet refuses no fields at all, a field without a name, and one that is named twice.
func NewSet(refs []Ref) (*Set, error) {
	if len(refs) == 0 || len(refs) > MaxFields {
		return nil, Bad("%d fields, want 1 to %d", len(refs), MaxFields)
	}
	s := &Set{refs: refs, at: make(map[string]int, len(refs)), plain: map[string]int{}, memo: map[string]int{}, seen: make([]bool, len(refs))}
	for i, r := range refs {
		if r.Field == "" || len(r.Field) >= transforms.MaxPath {
			return nil, Bad("field %d has a name of %d bytes, want 1 to %d", i+1, len(r.Field), transforms.MaxPath-1)
		}
		if _, twice := s.at[r.Field]; twice {
			return nil, Bad("field %q is there twice", r.Field)
		}
		s.at[r.Field] = i
		if !r.Optional {
			s.missing++
		}
	}
	s.plan()
	return s, nil
}

// plan lists what the fields are without arrays, and what leads to them.
func (s *Set) plan() {
	s.plain[""] = above
	for _, r := range s.refs {
		name := Plain(r.Field)
		for i := range len(name) {
			if name[i] == '.' {
				s.plain[name[:i]] = above
			}
		}
	}
	for i := len(s.refs) - 1; i >= 0; i-- { // of two the first
		s.plain[Plain(s.refs[i].Field)] = i
	}
}

// Bind refuses records of a schema that cannot have the fields.
func (s *Set) Bind(in transforms.Schema) error {
	switch in.Format {
	case dataset.FormatJSONL:
		s.json = true
		return nil
	case dataset.FormatCSV:
	default:
		return Bad("records of format %q have no fields", in.Format)
	}
	have := make(map[string]bool, len(in.Columns))
	for _, c := range in.Columns {
		have[c] = true
	}
	for _, r := range s.refs {
		if !have[r.Field] && !r.Optional {
			return Bad("there is no column %q%s", r.Field, Near(r.Field, in.Columns))
		}
	}
	return nil
}

// Plain is a path without its arrays: "user.ssn", "user[].ssn" and "[].user.ssn" name one thing in records of three shapes. Whoever
// writes records chooses the shape.
func Plain(path string) string {
	if !strings.Contains(path, "[]") {
		return path
	}
	top := strings.HasPrefix(path, "[]")
	if path = strings.ReplaceAll(path, "[]", ""); top {
		path = strings.TrimPrefix(path, ".")
	}
	return path
}

// What Index and place give for a path that is none of the fields.
const (
	none  = -1
	above = -2 // it leads to one
)

// Exact is the place of the field that has just this path in the configuration, -1 if none has.
func (s *Set) Exact(path string) int {
	if i, ok := s.at[path]; ok {
		return i
	}
	return none
}

// Index is the place of the field that a path is, however many arrays there are on the way; -1 if it is none.
func (s *Set) Index(path string) int { return max(s.place(path), none) }

func (s *Set) place(path string) int {
	if i := s.Exact(path); i >= 0 || !s.json {
		return i
	}
	if i, ok := s.memo[path]; ok {
		return i
	}
	i, ok := s.plain[Plain(path)]
	if !ok {
		i = none
	}
	if len(s.memo) < maxMemo && len(path) <= maxMemoPath {
		s.memo[strings.Clone(path)] = i
	}
	return i
}

// At tells where a value of a JSON record stands: which field of the set it is, -1 if none; and whether it is in the place of an
// object or array that leads to one. root says whether the record is a value alone.
func (s *Set) At(path string, shape transforms.Shape, f *transforms.Field, root bool) (i int, instead bool) {
	i = s.place(path)
	switch {
	case i == above:
		return none, shape == transforms.Leaf && f.Kind != transforms.Null && (path != "" || root)
	case i >= 0 && shape == transforms.Array && s.Exact(path) < 0:
		return none, false // its elements are
	}
	return i, false
}

// Walk calls leaf for each value of the set's fields that a record has, until it gives a reason; and gives that, or NotScalar or
// OtherShape, and calls nothing, where a field is an object or an array, or a value stands where one must be.
func (s *Set) Walk(r *transforms.Record, leaf func(i int, f *transforms.Field) (reason string)) (reason string) {
	if s.Compound(r) {
		reason = NotScalar
	} else if s.Instead(r) {
		reason = OtherShape
	}
	all := r.Fields()
	for k := range all {
		if i := s.Index(all[k].Path); i >= 0 {
			if s.See(i); reason == "" {
				reason = leaf(i, &all[k])
			}
		}
	}
	return reason
}

// Compound reports whether a field of the set is an object or an array in a record. Walk calls it; it counts the record.
func (s *Set) Compound(r *transforms.Record) (found bool) {
	s.records++
	if !s.json {
		return false
	}
	for path, shape := range r.Compounds() {
		if i, _ := s.At(path, shape, nil, false); i >= 0 {
			s.See(i)
			found = true
		}
	}
	return found
}

// Instead reports whether a value stands where an object or array leads to a field of the set: what would be in the field may be
// in the value.
func (s *Set) Instead(r *transforms.Record) bool {
	if !s.json {
		return false
	}
	root := Alone(r)
	all := r.Fields()
	for k := range all {
		if _, instead := s.At(all[k].Path, transforms.Leaf, &all[k], root); instead {
			return true
		}
	}
	return false
}

// Alone reports whether a JSON record is a value alone: no object and no array.
func Alone(r *transforms.Record) bool {
	for range r.Compounds() {
		return false
	}
	return true
}

// Apply asks what becomes of each value of a JSON record that is a field of the set, or stands where one must be, and counts the
// record. Steps use it that can quarantine none. i is -1 for what stands in the place of another.
func (s *Set) Apply(r *transforms.Record, fate func(i int, f *transforms.Field) transforms.Fate) {
	s.records++
	root := Alone(r)
	r.Prune(func(path string, shape transforms.Shape, f *transforms.Field) transforms.Fate {
		i, instead := s.At(path, shape, f, root)
		switch {
		case i >= 0:
			s.See(i)
			return fate(i, f)
		case instead:
			return fate(none, f)
		}
		return transforms.Stay
	})
}

// See notes that a record has the field.
func (s *Set) See(i int) {
	if !s.seen[i] {
		s.seen[i] = true
		if !s.refs[i].Optional {
			s.missing--
		}
	}
}

// Finish is an error if records were seen and one of the fields was in none.
func (s *Set) Finish() error {
	if !s.json || s.missing == 0 || s.records == 0 {
		return nil
	}
	var names []string
	for i, r := range s.refs {
		if !s.seen[i] && !r.Optional {
			names = append(names, r.Field)
		}
	}
	return Bad("no record has a field %q: is it spelt right? \"optional\": true allows it", names)
}

// Near names, for the end of an error, those of some names that are most like one that is not among them.
func Near(name string, among []string) string {
	most := 1 + min(len(name)/4, 1) // letters that may differ
	best, near := most+1, []string(nil)
	for _, s := range among {
		d := 0
		if !strings.EqualFold(strings.TrimSpace(s), strings.TrimSpace(name)) {
			d = distance(name, s, best)
		}
		if d < best {
			best, near = d, nil
		}
		if d == best && d <= most && len(near) < 3 {
			near = append(near, s)
		}
	}
	if len(near) == 0 {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", near)
}

// distance counts the letters to insert, delete and change (Levenshtein), as far as limit.
func distance(a, b string, limit int) int {
	x, y := []rune(strings.ToLower(a)), []rune(strings.ToLower(b))
	if len(x) > 128 || len(y) > 128 || max(len(x)-len(y), len(y)-len(x)) > limit {
		return limit + 1
	}
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		diagonal := row[0]
		row[0] = i + 1
		for j := range y {
			cost := diagonal
			if x[i] != y[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(y)]
}
