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
