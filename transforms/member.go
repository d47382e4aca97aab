// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"encoding/json"
	"iter"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// member is a member that a step gave a JSON record.
type member struct {
	name, text []byte
	form       Kind
}

// Compounds are the paths of a record's JSON objects and arrays: values that have no text of their own.
func (r *Record) Compounds() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range r.nodes {
			if r.nodes[i].kind != 0 && !yield(r.nodes[i].path) {
				return
			}
		}
	}
}

// Null replaces every value of a path by null, objects and arrays with all below them; in CSV by an empty field. It reports
// whether there was one.
func (r *Record) Null(path string) bool {
	found := false
	for i := range r.fields {
		if r.fields[i].Path == path {
			r.fields[i].SetNull()
			found = true
		}
	}
	for i := range r.nodes {
		if n := &r.nodes[i]; n.kind != 0 && n.path == path {
			n.nulled, found = true, true
			r.touch(int32(i))
		}
	}
	return found
}

// Put gives a record's own member, or its column, a new value, as a string or, with form Number, a number. In JSON it comes last,
// and once: what was there of that name goes, so that nothing tells whether there was such a member. A JSON record that is no
// object becomes one. Name and text are not copied.
func (r *Record) Put(name string, form Kind, text []byte) {
	if r.codec.schema.Format != dataset.FormatJSONL {
		for i := range r.fields {
			if r.fields[i].Path == name {
				r.fields[i].replace(text, form)
			}
		}
		return
	}
	for i := range r.nodes {
		if n := &r.nodes[i]; n.parent >= 0 && n.path == name {
			n.dropped = true
			r.touch(n.parent)
		}
	}
	r.added = append(r.added, member{[]byte(name), text, form})
	r.touch(0)
}

// Keep leaves out what want does not: columns, members and elements. It is asked from the top down, about what is inside an object or
// array only where it wants that, but not whole. A JSON record that is no object and no array becomes an empty object.
func (r *Record) Keep(want func(path string, compound bool) (keep, whole bool)) {
	switch {
	case r.codec.schema.Format == dataset.FormatCSV:
		kept := r.fields[:0]
		for i := range r.fields {
			if keep, _ := want(r.fields[i].Path, false); keep {
				kept = append(kept, r.fields[i])
			}
		}
		r.changed = r.changed || len(kept) < len(r.fields)
		r.fields = kept
	case len(r.nodes) == 0:
	case r.nodes[0].kind == 0:
		r.emptied = true
		r.touch(0)
	default:
		r.keep(0, want)
	}
}

func (r *Record) keep(at int32, want func(path string, compound bool) (keep, whole bool)) {
	for i := r.nodes[at].child; i >= 0; i = r.nodes[i].next {
		n := &r.nodes[i]
		keep, whole := want(n.path, n.kind != 0)
		switch {
		case !keep:
			n.dropped = true
			r.touch(at)
		case !whole && n.kind != 0:
			r.keep(i, want)
		}
	}
}

// appendAdded writes the members that were put, into an object that has some or none yet.
func (r *Record) appendAdded(dst []byte, first bool) []byte {
	for _, m := range r.added {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(AppendString(dst, m.name), ':')
		if m.form == Number && json.Valid(m.text) {
			dst = append(dst, m.text...)
			continue
		}
		dst = AppendString(dst, m.text)
	}
	return dst
}
