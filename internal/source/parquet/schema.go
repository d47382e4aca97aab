// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/glovebox-dev/glovebox/internal/source"
)

type kind int

const (
	leafNode kind = iota
	groupNode
	listNode // a group around a repeated group around the elements, or around the elements
	mapNode  // a group around a repeated group of key and value
)

// node is a column, or what columns are nested in.
type node struct {
	name     string
	key      []byte // as a member of a JSON object, with colon
	path     string
	kind     kind
	rep      parquet.Repetition
	def      int16 // definition level from which on the node is there
	level    int16 // repetition level
	children []*node
	element  *node // of a list: what is in it. The repeated node itself, or its one child
	leaves   []int // columns below, or the column itself
	format   formatter
	typ      string // for people and for comparing files
}

func (n *node) repeated() bool { return n.rep == parquet.Repetitions.Repeated }
func (n *node) optional() bool { return n.rep == parquet.Repetitions.Optional }

// tree makes nodes of a schema.
type tree struct{ columns int }

func (t *tree) root(s *schema.Schema) (*node, error) {
	root := &node{kind: groupNode, rep: parquet.Repetitions.Required}
	return root, t.fields(root, s.Root())
}

// fields makes the children of a group.
func (t *tree) fields(n *node, g *schema.GroupNode) error {
	if g.NumFields() == 0 {
		return fmt.Errorf("%w: column %q: a group without columns", source.ErrType, n.path)
	}
	names := map[string]bool{}
	for i := range g.NumFields() {
		f := g.Field(i)
		if err := nameable(n.path, f.Name(), i+1, names[f.Name()]); err != nil {
			return err
		}
		names[f.Name()] = true
		c, err := t.node(n, f)
		if err != nil {
			return err
		}
		n.children = append(n.children, c)
		n.leaves = append(n.leaves, c.leaves...)
	}
	return nil
}

// nameable refuses a column, the i-th of the group at a path, that a member of an object cannot be named after.
func nameable(path, name string, i int, taken bool) error {
	where := func() string {
		if path == "" {
			return ""
		}
		return fmt.Sprintf(" of %q", path)
	}
	switch {
	case name == "":
		return fmt.Errorf("%w: column %d%s has no name", source.ErrName, i, where())
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: the name of column %d%s, %q, is not UTF-8", source.ErrName, i, where(), name)
	case taken:
		return fmt.Errorf("%w: column %d%s: %q is there twice", source.ErrName, i, where(), name)
	}
	return nil
}

func (t *tree) node(above *node, f schema.Node) (*node, error) {
	key, err := json.Marshal(f.Name())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", source.ErrName, err)
	}
	n := &node{
		name: f.Name(), key: append(key, ':'), path: strings.TrimPrefix(above.path+"."+f.Name(), "."),
		rep: f.RepetitionType(), def: above.def, level: above.level,
	}
	switch n.rep {
	case parquet.Repetitions.Required:
	case parquet.Repetitions.Optional:
		n.def++
	case parquet.Repetitions.Repeated:
		n.def, n.level = n.def+1, n.level+1
	default:
		return nil, damaged("a column that is neither required, optional nor repeated")
	}
	switch f := f.(type) {
	case *schema.PrimitiveNode:
		n.leaves = []int{t.columns}
		t.columns++
		n.format, n.typ, err = formatOf(f)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", n.path, err)
		}
		return n, nil
	case *schema.GroupNode:
		return n, t.group(n, f)
	}
	return nil, damaged("a column that is neither a value nor a group")
}

// group makes a group, list or map (LogicalTypes.md of the Parquet format, with its rules for older files).
func (t *tree) group(n *node, g *schema.GroupNode) error {
	n.kind = groupNode
	if err := t.fields(n, g); err != nil {
		return err
	}
	switch converted, logical := g.ConvertedType(), g.LogicalType(); {
	case logical.Equals(schema.ListLogicalType{}), converted == schema.ConvertedTypes.List:
		return n.list()
	case logical.Equals(schema.MapLogicalType{}), converted == schema.ConvertedTypes.Map, converted == schema.ConvertedTypes.MapKeyValue && n.isMap():
		return n.mapped()
	case !logical.IsNone() && logical.IsValid():
		return fmt.Errorf("%w: column %q is of the type %s", source.ErrType, n.path, logical)
	}
	n.typ = "group"
	return nil
}

func (n *node) list() error {
	if len(n.children) != 1 || !n.children[0].repeated() {
		return fmt.Errorf("%w: column %q: a list that has no repeated group", source.ErrCorrupt, n.path)
	}
	r := n.children[0]
	n.kind, n.element, n.typ = listNode, r, "list"
	if r.kind == groupNode && len(r.children) == 1 && r.name != "array" && r.name != n.name+"_tuple" && !r.children[0].repeated() {
		n.element = r.children[0]
	}
	return nil
}

func (n *node) isMap() bool {
	return len(n.children) == 1 && n.children[0].repeated() && len(n.children[0].children) == 2
}

func (n *node) mapped() error {
	if !n.isMap() {
		return fmt.Errorf("%w: column %q: a map that is no repeated group of key and value", source.ErrCorrupt, n.path)
	}
	if key := n.children[0].children[0]; key.kind != leafNode || key.repeated() {
		return fmt.Errorf("%w: column %q: a map whose keys are not single values: JSON has none", source.ErrType, n.path)
	}
	n.kind, n.typ = mapNode, "map"
	return nil
}

// describe writes the node's shape: two files go together if theirs are equal.
func (n *node) describe(b *strings.Builder) {
	fmt.Fprintf(b, "%q %s %s(", n.name, n.rep, n.typ)
	for _, c := range n.children {
		c.describe(b)
	}
	b.WriteByte(')')
}
