// SPDX-License-Identifier: Apache-2.0

// Package parquet reads Apache Parquet files as JSON Lines or CSV.
//
// Trust domain: the creator's side. Its one job: every row becomes one line that has all of its values, exactly, or the file
// is refused with the column that has none. Decimals and times are strings: no digit is lost to a reader's floats. The
// mapping is in docs/sources.md.
//
// Values are decoded by arrow-go, in one goroutine and within [MaxMemory]. Because that library believes what a file says of
// lengths, this package looks at the metadata first, reads and decompresses pages itself, and puts records together itself.
package parquet

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/source"
)

// Ext is how a file of this format is called.
const Ext = ".parquet"

// Options say what a [Reader] writes.
type Options struct {
	CSV bool // instead of JSON Lines; nested columns are refused
}

// Column is a top-level column.
type Column struct {
	Name string
	Type string // of schema.org, as Croissant has it: sc:Text, sc:Integer, sc:Float, sc:Boolean or sc:Date
}

// Reader gives a file, or all files of a folder in the order of their names, as text. It is used by one goroutine.
type Reader struct {
	dir    string
	names  []string // still to come, the one at hand included
	cur    *part
	opts   Options
	shape  string
	root   *node
	out    []byte
	at     int
	size   int64 // of all files
	rows   int64 // of all files, as they say
	made   int64 // bytes of text
	header bool  // still to be written
	err    error
	floor  int64 // bombFloor; less in tests
}

// Open opens a file or a folder of files. It reads their metadata, and refuses files whose columns differ. Errors wrap those of
// package source.
func Open(path string, opts Options) (*Reader, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	r := &Reader{dir: filepath.Dir(path), names: []string{filepath.Base(path)}, opts: opts, header: opts.CSV, floor: bombFloor}
	if st.IsDir() {
		r.dir = path
		if r.names, err = parts(path); err != nil {
			return nil, err
		}
	}
	for i, name := range r.names {
		if err := r.look(name, i == 0); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// parts are the files of a folder, without those that writers put beside them.
func parts(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range list {
		name := e.Name()
		switch {
		case Beside(name):
			continue
		case e.IsDir():
			return nil, fmt.Errorf("%w: %s has the folder %q: what its name says would be lost; write the columns into the files, or pack the folders one by one", source.ErrMixed, dir, name)
		case !e.Type().IsRegular(), !strings.EqualFold(filepath.Ext(name), Ext):
			return nil, fmt.Errorf("%w: %s has %q, which is no %s file", source.ErrMixed, dir, name, Ext)
		}
		out = append(out, name)
	}
	switch {
	case len(out) == 0:
		return nil, fmt.Errorf("%w: %s has no %s file", source.ErrMixed, dir, Ext)
	case len(out) > MaxFiles:
		return nil, fmt.Errorf("%w: %d files, at most %d", source.ErrLimit, len(out), MaxFiles)
	}
	return out, nil
}

// Beside reports whether a name is one that writers give to what is no data: marks, checksums, summaries.
func Beside(name string) bool { return strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") }

// look opens a file once, to see whether it belongs to the others.
func (r *Reader) look(name string, first bool) (err error) {
	p, err := openPart(filepath.Join(r.dir, name), name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	var b strings.Builder
	for _, c := range p.root.children {
		c.describe(&b)
	}
	switch {
	case first:
		r.shape, r.root = b.String(), p.root
		if r.opts.CSV {
			if err := flat(r.root); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	case b.String() != r.shape:
		return fmt.Errorf("%w: %s has other columns or types than %s; bring them to one schema, or pack them as two datasets", source.ErrMixed, name, r.names[0])
	}
	n := p.in.NumRows()
	if n < 0 || r.rows > math.MaxInt64-n {
		return fmt.Errorf("%w: %s says it has %d rows", source.ErrCorrupt, name, n)
	}
	r.size, r.rows = r.size+p.size, r.rows+n
	return nil
}

// Size is the length of all files in bytes.
func (r *Reader) Size() int64 { return r.size }

// Rows are how many the files say they have, for progress only.
func (r *Reader) Rows() int64 { return r.rows }

// Columns are the top-level columns, in order.
func (r *Reader) Columns() []Column {
	var out []Column
	for _, c := range r.root.children {
		out = append(out, Column{c.name, c.croissant()})
	}
	return out
}

// croissant is the data type of a column for people who search; the text's, where JSON has it as one.
func (n *node) croissant() string {
	switch {
	case n.kind != leafNode || n.repeated():
		return "sc:Text"
	case n.typ == "boolean":
		return "sc:Boolean"
	case n.typ == "integer", strings.HasPrefix(n.typ, "int"), strings.HasPrefix(n.typ, "uint"):
		return "sc:Integer"
	case strings.HasPrefix(n.typ, "float"), n.typ == "double":
		return "sc:Float"
	case n.typ == "date", strings.HasPrefix(n.typ, "timestamp"):
		return "sc:Date"
	}
	return "sc:Text"
}

// Read implements [io.Reader].
func (r *Reader) Read(b []byte) (int, error) {
	for r.at == len(r.out) {
		if r.err != nil {
			return 0, r.err
		}
		r.out, r.at = r.out[:0], 0
		r.err = r.fill()
	}
	n := copy(b, r.out[r.at:])
	r.at += n
	return n, nil
}

// fill makes some text; io.EOF after the last.
func (r *Reader) fill() error {
	if r.header {
		r.header = false
		r.out = appendNames(r.out, r.root)
	}
	for len(r.out) < readAhead {
		if r.cur == nil {
			if len(r.names) == 0 {
				return io.EOF
			}
			p, err := openPart(filepath.Join(r.dir, r.names[0]), r.names[0])
			if err != nil {
				return err
			}
			r.cur, r.names = p, r.names[1:]
		}
		before := len(r.out)
		var err error
		if r.out, err = r.cur.next(r.out, r.opts.CSV); err != nil {
			return err
		}
		if n := int64(len(r.out) - before); n == 0 {
			if err := r.Close(); err != nil {
				return err
			}
		} else if r.made += n; r.made > r.floor && r.made/bombFactor > r.size {
			return fmt.Errorf("%w: the text is more than %d times as long as the files; if that is meant, write it as JSON Lines and pack those", source.ErrLimit, bombFactor)
		}
	}
	return nil
}

// Close lets go of the file at hand.
func (r *Reader) Close() error {
	p := r.cur
	r.cur = nil
	if p == nil {
		return nil
	}
	return p.Close()
}
