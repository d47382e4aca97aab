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

// Shape is what a JSON value is made of.
type Shape uint8

// Shapes.
const (
	Leaf Shape = iota + 1
	Object
	Array
)

func (n *node) shape() Shape {
	switch n.kind {
	case '{':
		return Object
	case '[':
		return Array
	}
	return Leaf
}

// Compounds are the paths of a record's JSON objects and arrays: values that have no text of their own.
func (r *Record) Compounds() iter.Seq2[string, Shape] {
	return func(yield func(string, Shape) bool) {
		for i := range r.nodes {
			if n := &r.nodes[i]; n.kind != 0 && !yield(n.path, n.shape()) {
				return
			}
		}
	}
}

// Fate is what [Record.Prune] does with a value.
type Fate uint8

// Fates. The zero Fate takes away.
const (
	Cut   Fate = iota // it is left out with all below it
	Empty             // it becomes null
	Stay              // it stays as it is, but for what is below it
)

// Prune asks what becomes of each value of a JSON record, from the top down: f is nil for objects and arrays. The whole record is not
// left out: it becomes an empty object or array, or null.
func (r *Record) Prune(fate func(path string, s Shape, f *Field) Fate) {
	if len(r.nodes) > 0 {
		r.prune(0, fate)
	}
}

func (r *Record) prune(at int32, fate func(path string, s Shape, f *Field) Fate) {
	n := &r.nodes[at]
	var f *Field
	if n.kind == 0 {
		f = &r.fields[n.field]
	}
	what := fate(n.path, n.shape(), f)
	switch {
	case what == Stay:
		for i := n.child; i >= 0; i = r.nodes[i].next {
			r.prune(i, fate)
		}
	case what == Cut && n.parent >= 0:
		n.dropped = true
		r.touch(n.parent)
	case f != nil:
		f.SetNull()
	case what == Cut:
		for i := n.child; i >= 0; i = r.nodes[i].next {
			r.nodes[i].dropped = true
			r.touch(at)
		}
	default:
		n.nulled = true
		r.touch(at)
	}
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
