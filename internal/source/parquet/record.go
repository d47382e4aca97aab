// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"bytes"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/source"
)

// rows puts records together again from their columns (Dremel: Melnik et al., VLDB 2010, section 4.3). All columns have to agree
// on what is there and how often: one that does not is damage.
type rows struct {
	columns []*column
	buf     []byte
	text    []byte // room for it
	scratch []byte // room for a field of CSV
}

func (r *rows) disagree(n *node) error {
	return fmt.Errorf("%w: the columns of %q disagree about how much there is of it", source.ErrCorrupt, n.path)
}

// room refuses a record that is larger than a package takes, while it is made.
func (r *rows) room() error {
	if len(r.buf) > dataset.MaxRecordBytes {
		return fmt.Errorf("%w: more than %d bytes as text", dataset.ErrRecordSize, dataset.MaxRecordBytes)
	}
	return nil
}

// here reports whether n is there, in the record at hand; all its columns must say the same.
func (r *rows) here(n *node) (bool, error) {
	first := r.columns[n.leaves[0]].def() >= n.def
	for _, i := range n.leaves {
		c := r.columns[i]
		if c.at >= c.n || (c.def() >= n.def) != first {
			return false, r.disagree(n)
		}
	}
	return first, nil
}

// pass leaves n out, which is not there.
func (r *rows) pass(n *node) error {
	for _, i := range n.leaves {
		if err := r.columns[i].pass(); err != nil {
			return err
		}
	}
	return nil
}

// begin moves all columns to the next level and checks that a record begins there.
func (r *rows) begin() error {
	for _, c := range r.columns {
		ok, err := c.more()
		if err != nil {
			return err
		}
		if !ok || c.rep() != 0 {
			return fmt.Errorf("%w: column %q has fewer rows than its row group, or more", source.ErrCorrupt, c.path)
		}
	}
	return nil
}

// end checks that no column goes on.
func (r *rows) end() error {
	for _, c := range r.columns {
		if c.in == nil { // it has no page
			continue
		}
		if ok, err := c.more(); err != nil || ok {
			return fmt.Errorf("%w: column %q has more rows than its row group", source.ErrCorrupt, c.path)
		}
	}
	return nil
}

// object appends a record, or a group in one.
func (r *rows) object(n *node) error {
	r.buf = append(r.buf, '{')
	for i, c := range n.children {
		if i > 0 {
			r.buf = append(r.buf, ',')
		}
		r.buf = append(r.buf, c.key...)
		if err := r.node(c); err != nil {
			return err
		}
	}
	r.buf = append(r.buf, '}')
	return r.room()
}

// node appends a field's value, or null.
func (r *rows) node(n *node) error {
	if n.repeated() {
		return r.array(n, n)
	}
	if ok, err := r.here(n); err != nil {
		return err
	} else if !ok {
		if !n.optional() {
			return r.disagree(n)
		}
		r.buf = append(r.buf, "null"...)
		return r.pass(n)
	}
	return r.value(n)
}

// value appends what is there.
func (r *rows) value(n *node) error {
	switch n.kind {
	case listNode:
		return r.array(n.children[0], n.element)
	case mapNode:
		return r.mapped(n.children[0])
	case groupNode:
		return r.object(n)
	}
	v, err := r.columns[n.leaves[0]].take()
	if err != nil {
		return err
	}
	if r.buf, err = n.format(r.buf, v); err != nil {
		return fmt.Errorf("column %q: %w", n.path, err)
	}
	return r.room()
}

// each calls f for every repetition of n.
func (r *rows) each(n *node, f func(i int) error) error {
	ok, err := r.here(n)
	if err != nil {
		return err
	}
	if !ok {
		return r.pass(n)
	}
	for i := 0; ; i++ {
		if err := f(i); err != nil {
			return err
		}
		if again, err := r.again(n); err != nil || !again {
			return err
		}
	}
}

// again reports whether n is repeated once more, in all columns or none.
func (r *rows) again(n *node) (bool, error) {
	yes := 0
	for _, i := range n.leaves {
		c := r.columns[i]
		ok, err := c.more()
		if err != nil {
			return false, err
		}
		switch {
		case ok && c.rep() > n.level:
			return false, r.disagree(n)
		case ok && c.rep() == n.level:
			yes++
		}
	}
	if yes != 0 && yes != len(n.leaves) {
		return false, r.disagree(n)
	}
	return yes > 0, nil
}

func (r *rows) array(repeated, element *node) error {
	r.buf = append(r.buf, '[')
	err := r.each(repeated, func(i int) error {
		if i > 0 {
			r.buf = append(r.buf, ',')
		}
		if err := r.room(); err != nil {
			return err
		}
		if element == repeated {
			return r.value(element)
		}
		return r.node(element)
	})
	r.buf = append(r.buf, ']')
	return err
}

// mapped appends a map as an object. A key that is no string is written as one.
func (r *rows) mapped(pairs *node) error {
	key, val := pairs.children[0], pairs.children[1]
	seen := map[string]bool{}
	r.buf = append(r.buf, '{')
	err := r.each(pairs, func(i int) error {
		if i > 0 {
			r.buf = append(r.buf, ',')
		}
		at := len(r.buf)
		if err := r.node(key); err != nil {
			return err
		}
		text := r.buf[at:]
		switch {
		case bytes.Equal(text, []byte("null")), text[0] == '{', text[0] == '[':
			return fmt.Errorf("column %q: %w", key.path, refused("a key that is null, or no single value"))
		case text[0] != '"':
			quoted := append(append([]byte{'"'}, text...), '"')
			r.buf = append(r.buf[:at], quoted...)
		}
		if k := string(r.buf[at:]); seen[k] {
			return fmt.Errorf("column %q: %w", key.path, refused("a key that is twice in one map"))
		} else {
			seen[k] = true
		}
		r.buf = append(r.buf, ':')
		return r.node(val)
	})
	r.buf = append(r.buf, '}')
	return err
}
