// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// node is a JSON value that knows its path. Exactly one of the fields after path is set, by kind.
type node struct {
	path   string // as JSONPath: $.permission[0].action
	text   string // of a string or number
	number bool
	flag   *bool
	items  []*node
	list   bool
	keys   []string // in the order written
	fields map[string]*node
}

// parseJSON reads one JSON value of at most MaxFile bytes. A repeated key, null, deep nesting or trailing data is an error.
func parseJSON(b []byte) (*node, error) {
	if len(b) > MaxFile {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrODRL, len(b), MaxFile)
	}
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrODRL)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	n, err := readNode(d, "$", 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the JSON value", ErrODRL)
	}
	return n, nil
}

func readNode(d *json.Decoder, path string, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: %s: nested deeper than %d", ErrODRL, path, maxDepth)
	}
	tok, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrODRL, path, err)
	}
	n := &node{path: path}
	switch t := tok.(type) {
	case string:
		n.text = t
	case json.Number:
		n.text, n.number = t.String(), true
	case bool:
		n.flag = &t
	case json.Delim:
		if t == '[' {
			n.list = true
			return n, n.readItems(d, depth)
		}
		n.fields = map[string]*node{}
		return n, n.readFields(d, depth)
	default:
		return nil, fmt.Errorf("%w: %s: null says nothing; leave it out", ErrODRL, path)
	}
	return n, nil
}

func (n *node) readItems(d *json.Decoder, depth int) error {
	for d.More() {
		item, err := readNode(d, fmt.Sprintf("%s[%d]", n.path, len(n.items)), depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	return n.end(d)
}

func (n *node) readFields(d *json.Decoder, depth int) error {
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return fmt.Errorf("%w: %s: %v", ErrODRL, n.path, err)
		}
		key, ok := tok.(string)
		if !ok {
			return fmt.Errorf("%w: %s: a key is not a string", ErrODRL, n.path)
		}
		if n.fields[key] != nil {
			return fmt.Errorf("%w: %s: key %q is there twice", ErrODRL, n.path, key)
		}
		v, err := readNode(d, n.path+"."+key, depth+1)
		if err != nil {
			return err
		}
		n.keys, n.fields[key] = append(n.keys, key), v
	}
	return n.end(d)
}

func (n *node) end(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("%w: %s: %v", ErrODRL, n.path, err)
	}
	return nil
}

// many is a list's items, or the value alone: JSON-LD writes a list of one as its item.
func (n *node) many() []*node {
	if n.list {
		return n.items
	}
	return []*node{n}
}
