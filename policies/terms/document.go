// SPDX-License-Identifier: Apache-2.0

// Package terms turns what a creator writes into what is enforced: a readable terms.yaml, a listed licence, an ODRL
// offer and the flags of the command line, all through one path, into dataset.Terms.
//
// Trust domain: the creator's, before she signs. Its one job: what compiles allows no more than every source of it said;
// what cannot be expressed or is not enforced is refused with the line it stands on.
package terms

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/jwk"
)

// Document is terms as written, not yet judged.
type Document struct {
	root *value
	bad  Problems
}

// New is a document that says nothing.
func New() *Document { return &Document{root: section(Origin{})} }

// Parse reads a terms file. What is wrong with it is reported by [Document.Compile], with everything else.
func Parse(b []byte) *Document {
	root, bad := parseYAML(b)
	d := &Document{root: root, bad: *bad}
	if root == nil {
		d.root = section(Origin{})
	}
	return d
}

// Set writes values at a path of the schema, as the flag says. What the document says already may not be said again.
func (d *Document) Set(path, flag string, values ...string) {
	if old := d.get(path); old != nil {
		d.bad.add(Problem{Line: old.at.Line, Path: path, Message: fmt.Sprintf("is said at %s and by %s", old.at, flag), Hint: "say it once"})
		return
	}
	d.put(path, Origin{Flag: flag}, values)
}

// Default writes values where the document says nothing.
func (d *Document) Default(path, flag string, values ...string) {
	if d.get(path) == nil {
		d.put(path, Origin{Flag: flag}, values)
	}
}

// SetMode writes a privacy mode with its parameters, as the flag says. Modes that the document itself names may not be added to.
func (d *Document) SetMode(name, flag string, params map[string][]string) {
	old, at := d.get("modes"), Origin{Flag: flag}
	if old != nil && (old.at.Flag == "" || old.kind != isSection || old.fields[name] != nil) {
		d.bad.add(Problem{Line: old.at.Line, Path: "modes." + name, Message: fmt.Sprintf("is said at %s and by %s", old.at, flag), Hint: "say it once"})
		return
	}
	if old == nil {
		old = section(at)
		d.root.keys, d.root.fields["modes"] = append(d.root.keys, "modes"), old
	}
	mode := section(at)
	for _, k := range slices.Sorted(maps.Keys(params)) {
		v := &value{kind: isList, at: at}
		for _, s := range params[k] {
			v.items = append(v.items, &value{kind: isText, text: s, at: at})
		}
		if k == stepsParam && len(v.items) == 1 {
			v = v.items[0]
		}
		mode.keys, mode.fields[k] = append(mode.keys, k), v
	}
	old.keys, old.fields[name] = append(old.keys, name), mode
}

// Says reports whether a path has a value.
func (d *Document) Says(path string) bool { return d.get(path) != nil }

func (d *Document) get(path string) *value {
	v := d.root
	for _, k := range strings.Split(path, ".") {
		if v == nil || v.kind != isSection {
			return nil
		}
		v = v.fields[k]
	}
	return v
}

func (d *Document) put(path string, at Origin, values []string) {
	spec, ok := lookup(path)
	if !ok {
		panic("terms: no key " + path)
	}
	v := &value{kind: isText, at: at}
	if spec.list {
		v.kind = isList
		for _, s := range values {
			v.items = append(v.items, &value{kind: isText, text: s, at: at})
		}
	} else {
		v.text = strings.Join(values, ",")
	}
	parent := d.root
	first, rest, ok := strings.Cut(path, ".")
	if ok {
		if parent.fields[first] == nil {
			parent.keys, parent.fields[first] = append(parent.keys, first), section(at)
		}
		parent, first = parent.fields[first], rest
		if parent.kind != isSection {
			return // the file has something else there, which is reported
		}
	}
	parent.keys, parent.fields[first] = append(parent.keys, first), v
}

// Config is what compiling needs from outside.
type Config struct {
	Now  time.Time
	File func(name string, limit int64) ([]byte, error) // reads a file beside the terms; nil: there are none
	// Keys reads a JWKS by file name or URL; nil: there are none. With pins, which are RFC 7638 thumbprints, it returns
	// only those keys; without, what it returns is believed.
	Keys func(reference string, pins []string) ([]jwk.JWK, error)
	// Steps pins the steps of a mode: those of a steps file, or, where file is nil, those that the mode's parameters make.
	// Nil: modes with steps cannot be compiled here.
	Steps func(p *Plan, file []byte) ([]dataset.Step, error)
}

// Compiled is terms that can be enforced.
type Compiled struct {
	Terms dataset.Terms
	Test  bool
	Plans []Plan   // one for each mode
	Notes []string // where the strictest of several clauses was taken, and what was read strictly
}

// Compile judges the document. The error is [*Problems]: everything that is wrong, at once.
func (d *Document) Compile(cfg Config) (*Compiled, error) {
	c := &compiler{Document: d, cfg: cfg, out: Compiled{}, problems: Problems{List: append([]Problem{}, d.bad.List...), more: d.bad.more}}
	if len(d.root.keys) == 0 && len(c.problems.List) > 0 {
		return nil, c.problems.err() // it could not be read at all
	}
	c.shape()
	c.read()
	c.modes()
	c.licence()
	c.contradictions()
	if err := c.problems.err(); err != nil {
		return nil, err
	}
	if err := c.out.Terms.Validate(c.out.Test); err != nil {
		c.problem(Origin{}, "", err.Error(), "")
		return nil, c.problems.err()
	}
	slices.Sort(c.out.Notes)
	return &c.out, nil
}
