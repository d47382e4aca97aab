// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Origin is where a piece of terms was written: a line of a file, or a flag.
type Origin struct {
	Line, Column int
	Flag         string
}

func (o Origin) String() string {
	switch {
	case o.Flag != "":
		return o.Flag
	case o.Line > 0:
		return "line " + strconv.Itoa(o.Line)
	}
	return "the file"
}

// value is a piece of terms: a text, a list or a section, by kind. Texts are as written: what they mean is for the key
// to say, so that the country code NO stays a country and 1e3 is no number.
type value struct {
	kind   kind
	text   string
	items  []*value
	keys   []string // in the order written
	fields map[string]*value
	at     Origin
}

type kind string

const (
	isText    kind = "one value"
	isList    kind = "a list"
	isSection kind = "a section"
)

func section(at Origin) *value { return &value{kind: isSection, fields: map[string]*value{}, at: at} }

// parseYAML reads one document of at most MaxFile bytes into a section. It takes the plain part of YAML: no anchors,
// aliases, tags, merge keys, empty values or second documents.
func parseYAML(b []byte) (*value, *Problems) {
	var p Problems
	switch {
	case len(b) > MaxFile:
		p.add(Problem{Message: fmt.Sprintf("%d bytes, at most %d", len(b), MaxFile)})
		return nil, &p
	case !utf8.Valid(b):
		p.add(Problem{Message: "the file is not UTF-8"})
		return nil, &p
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	var doc yaml.Node
	if err := d.Decode(&doc); err != nil {
		p.add(yamlProblem(err))
		return nil, &p
	}
	var more yaml.Node
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		p.add(Problem{Line: max(1, more.Line), Message: "a second document; terms are one"})
		return nil, &p
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		p.add(Problem{Line: 1, Message: "terms are keys with values"})
		return nil, &p
	}
	v := p.read(doc.Content[0], "", 0)
	return v, &p
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// yamlProblem takes the line out of the parser's message.
func yamlProblem(err error) Problem {
	if errors.Is(err, io.EOF) {
		return Problem{Line: 1, Message: "the file is empty"}
	}
	text := err.Error()
	m := yamlLine.FindStringSubmatch(text)
	out := Problem{Message: "not YAML: " + strings.TrimPrefix(text, "yaml: ")}
	if m != nil {
		out.Line, _ = strconv.Atoi(m[1]) //nolint:errcheck // no line is 0
		out.Message = "not YAML: " + text[len(m[0]):]
	}
	return out
}

// read turns a node into a value, noting what is not plain.
func (p *Problems) read(n *yaml.Node, path string, depth int) *value {
	at := Origin{Line: n.Line, Column: n.Column}
	bad := func(f string, a ...any) *value {
		p.add(Problem{Line: n.Line, Column: n.Column, Path: path, Message: fmt.Sprintf(f, a...)})
		return nil
	}
	switch {
	case depth > maxDepth:
		return bad("nested deeper than %d", maxDepth)
	case n.Kind == yaml.AliasNode, n.Anchor != "":
		return bad("anchors and aliases are not read; write the value out (a text that begins with & or * needs quotes)")
	case n.Style&yaml.TaggedStyle != 0:
		return bad("tags are not read; write the value plainly")
	}
	switch n.Kind {
	case yaml.MappingNode:
		return p.readSection(n, path, depth, at)
	case yaml.SequenceNode:
		v := &value{kind: isList, at: at}
		for i, c := range n.Content {
			if item := p.read(c, fmt.Sprintf("%s[%d]", path, i), depth+1); item != nil {
				v.items = append(v.items, item)
			}
		}
		if len(n.Content) > maxValues {
			return bad("%d values, at most %d", len(n.Content), maxValues)
		}
		return v
	}
	if n.Value == "" || n.Style == 0 && (n.Value == "null" || n.Value == "~") {
		return bad("has no value; leave the key out, or say one")
	}
	if len(n.Value) > maxText {
		return bad("%d bytes, at most %d", len(n.Value), maxText)
	}
	return &value{kind: isText, text: n.Value, at: at}
}

func (p *Problems) readSection(n *yaml.Node, path string, depth int, at Origin) *value {
	v := section(at)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		where := Problem{Line: k.Line, Column: k.Column, Path: join(path, k.Value)}
		switch {
		case k.Kind != yaml.ScalarNode || k.Value == "" || len(k.Value) > 128 || k.Anchor != "" || k.Style&yaml.TaggedStyle != 0 || k.Value == "<<":
			where.Path, where.Message = path, "a key must be a plain word"
			p.add(where)
			continue
		case v.fields[k.Value] != nil:
			where.Message = fmt.Sprintf("is there twice; first at %s", v.fields[k.Value].at)
			p.add(where)
			continue
		}
		item := p.read(n.Content[i+1], where.Path, depth+1)
		if item == nil {
			item = &value{} // kept, so that its absence is not reported as well
		}
		item.at = Origin{Line: k.Line, Column: k.Column}
		v.keys, v.fields[k.Value] = append(v.keys, k.Value), item
	}
	return v
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
