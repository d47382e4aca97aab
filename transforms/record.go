// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// Kind says what a field holds.
type Kind uint8

// Kinds. A CSV field is Text, whatever it looks like.
const (
	Text   Kind = iota + 1 // UTF-8, decoded; it may be invalid where the source was
	Number                 // of JSON, as it was written
	Bool                   // true or false
	Null                   // of JSON
	Key                    // the name of a member of a JSON object
	Bytes                  // a file
)

// Field is one value of a record: a CSV field, a leaf of a JSON value, the name of a member, or a file.
type Field struct {
	// Path names it: the column; "a.b" for JSON {"a":{"b":…}}, with "[]" for any element of an array: "a[].b"; "a{}" for the
	// names of a's members; "" for a file, and for a JSON value that is no object and no array.
	Path string
	Kind Kind
	Text []byte // valid until the next record; not to be written to

	r    *Record
	node int32 // of JSON
	set  bool
	form Kind // of what was set
}

// Set replaces the field's value by text: in JSON a string, or the member's name. The text is not copied.
func (f *Field) Set(text []byte) { f.replace(text, Text) }

// SetNumber replaces the value by a number, as JSON writes it.
func (f *Field) SetNumber(literal []byte) { f.replace(literal, Number) }

// SetNull replaces the value by null; in CSV by an empty field.
func (f *Field) SetNull() { f.replace(nil, Null) }

// SetFile replaces a file's bytes.
func (f *Field) SetFile(b []byte) { f.replace(b, Bytes) }

func (f *Field) replace(text []byte, form Kind) {
	f.Text, f.set, f.form = text, true, form
	if f.Kind != Key {
		f.Kind = form
	}
	f.r.touch(f.node)
}

// Record is one record of a dataset, taken apart. It is reused: everything it lends is valid until the next one.
type Record struct {
	Name string // of a file; "" in other formats

	codec   *Codec
	raw     []byte // as it came
	fields  []Field
	keys    []Field
	nodes   []node // of JSON
	added   []member
	emptied bool   // of JSON: it became an empty object
	buf     []byte // of decoded texts
	changed bool
}

// Fields are its values, in order. A change goes through the methods of [Field].
func (r *Record) Fields() []Field { return r.fields }

// Keys are the names of all members of its JSON objects, in order.
func (r *Record) Keys() []Field { return r.keys }

// Field is the first field of a path, nil if there is none.
func (r *Record) Field(path string) *Field {
	for i := range r.fields {
		if r.fields[i].Path == path {
			return &r.fields[i]
		}
	}
	return nil
}

// Drop leaves a column, or the members of a path with all below them, out. In CSV the step's schema must say so too. It reports
// whether there was one.
func (r *Record) Drop(path string) bool {
	found := false
	if r.codec.schema.Format == dataset.FormatCSV {
		kept := r.fields[:0]
		for i := range r.fields {
			if r.fields[i].Path == path {
				found = true
				continue
			}
			kept = append(kept, r.fields[i])
		}
		r.fields, r.changed = kept, r.changed || found
		return found
	}
	for i := range r.nodes {
		if n := &r.nodes[i]; n.path == path && n.parent >= 0 && !n.dropped {
			found, n.dropped = true, true
			r.touch(n.parent)
		}
	}
	return found
}

// Rename gives a column, or the members of a path, another name: the last part of the path. In CSV the step's schema must say
// so too.
func (r *Record) Rename(path, name string) bool {
	found := false
	if r.codec.schema.Format == dataset.FormatCSV {
		for i := range r.fields {
			if r.fields[i].Path == path {
				r.fields[i].Path, found = name, true
			}
		}
		return found
	}
	for i := range r.nodes {
		if n := &r.nodes[i]; n.path == path && n.key >= 0 {
			k := &r.keys[n.key]
			k.Set([]byte(name))
			found = true
		}
	}
	return found
}

// Append appends the record as text, as a file of its format has it without the line end: what came in, where nothing was changed.
func (r *Record) Append(dst []byte) []byte {
	if !r.changed {
		return append(dst, r.raw...)
	}
	switch r.codec.schema.Format {
	case dataset.FormatCSV:
		return r.appendCSV(dst)
	case dataset.FormatJSONL:
		return r.appendJSON(dst, 0)
	default:
		return append(dst, r.fields[0].Text...)
	}
}

// Changed reports whether anything was changed.
func (r *Record) Changed() bool { return r.changed }

// Free lets go of what one large record took, so that the small ones after it do not keep it. The record is not to be used until the
// next is taken apart.
func (r *Record) Free() {
	const keep = 1 << 12 // values
	if cap(r.fields) > keep || cap(r.keys) > keep || cap(r.nodes) > keep {
		r.fields, r.keys, r.nodes, r.added = nil, nil, nil, nil
	}
	if r.raw = nil; cap(r.buf) > keepBytes {
		clear(r.buf[:cap(r.buf)])
		r.buf = nil
	}
}

// keepBytes is how much of texts is kept for the next record.
const keepBytes = 1 << 20

// touch marks a node and all above it as changed.
func (r *Record) touch(node int32) {
	r.changed = true
	for n := node; n >= 0 && int(n) < len(r.nodes) && !r.nodes[n].dirty; n = r.nodes[n].parent {
		r.nodes[n].dirty = true
	}
}

// Codec takes records of a dataset apart. It is for one goroutine.
type Codec struct {
	schema Schema
	paths  map[[2]string]string // of JSON, by the path above and the name
	held   int                  // bytes of them
	spent  int                  // bytes of paths of the record at hand that are not there
}

// NewCodec makes a codec for records of a schema.
func NewCodec(s Schema) *Codec { return &Codec{schema: s, paths: map[[2]string]string{}} }

// Parse takes the text of a record apart. The text must stay as it is until the next one. Its errors wrap ErrRecord.
func (c *Codec) Parse(r *Record, name string, raw []byte) error {
	*r = Record{
		Name: name, codec: c, raw: raw, fields: r.fields[:0], keys: r.keys[:0], nodes: r.nodes[:0],
		added: r.added[:0], buf: r.buf[:0],
	}
	c.spent = 0
	if cap(r.buf) < len(raw) { // decoded texts are never longer, and must not move
		r.buf = make([]byte, 0, len(raw)+len(raw)/4+64)
	}
	switch c.schema.Format {
	case dataset.FormatCSV:
		return r.parseCSV()
	case dataset.FormatJSONL:
		return r.parseJSON()
	default:
		r.fields = append(r.fields, Field{Kind: Bytes, Text: raw, r: r, node: -1})
		return nil
	}
}

// path is the path of a member, made once. It is cut where it is too long: what is below has the same one then.
func (c *Codec) path(above, name string) string {
	if len(above) >= MaxPath {
		return above
	}
	k := [2]string{above, name}
	if p, ok := c.paths[k]; ok {
		return p
	}
	p := name
	if above != "" && name != "[]" && name != "{}" {
		p = above + "." + name
	} else if above != "" || name == "[]" {
		p = above + name
	}
	if len(p) > MaxPath {
		p = strings.Clone(p[:MaxPath])
	} else if len(c.paths) < maxPaths && c.held < maxPathBytes {
		c.paths[k] = p
		c.held += len(p) + len(name)
		return p
	}
	c.spent += len(p)
	return p
}

// MaxValues bounds the values of a record: columns, or JSON values at any depth. A record with more is left out as too complex: one of
// a few bytes each would take a hundred times its size.
const MaxValues = 1 << 18

// errComplex is a record that would take too much to take apart.
var errComplex = fmt.Errorf("%w: too complex", ErrRecord)

// MaxPath bounds the bytes of a path; no step should name a longer one.
const MaxPath = 4096

const (
	// maxPaths bounds what is remembered of datasets whose members have names without end.
	maxPaths     = 4096
	maxPathBytes = 4 << 20
	// pathsShare bounds the bytes of paths that are not remembered, for each byte of a record: a long name above many short ones
	// would take its length times their number.
	pathsShare = 8
	pathsFloor = 4 << 20
)

// Runes gives the code points before two bytes of a text; invalid bytes count as one each.
func Runes(text []byte, start, end int) (from, to int) {
	from = utf8.RuneCount(text[:start])
	return from, from + utf8.RuneCount(text[start:end])
}

// column names a CSV field that the header does not.
func (c *Codec) column(i int) string {
	if i < len(c.schema.Columns) {
		return c.schema.Columns[i]
	}
	return "#" + strconv.Itoa(i+1)
}
