// SPDX-License-Identifier: Apache-2.0

package tabular

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// generaliseField says how the values of a field are made coarser: in exactly one way.
type generaliseField struct {
	fields.Ref
	Width      int64       `json:"width"`      // numbers: ranges of so much, from multiples of it
	Ranges     []rangeOf   `json:"ranges"`     // numbers: these, in order
	Groups     []groupOf   `json:"groups"`     // texts: the group that has it
	IgnoreCase bool        `json:"ignoreCase"` // of groups
	Prefix     int         `json:"prefix"`     // texts: so many characters from the first
	Pad        string      `json:"pad"`        // one character for each that is cut
	Date       *dateFormat `json:"date"`       // dates
	Otherwise  string      `json:"otherwise"`  // a value that none of it fits

	groups map[string]string // by the value, folded
}

// rangeOf has the numbers from From on and below To. The first needs no From, the last no To.
type rangeOf struct {
	From  *decimal.Number `json:"from"`
	To    *decimal.Number `json:"to"`
	Label string          `json:"label"` // "" stands for [from,to), <to or >=from
}

// groupOf has the values that become its name.
type groupOf struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// Bounds.
const (
	maxWidth  = 1_000_000_000_000_000
	maxPrefix = 64
	maxGroups = 100_000 // values of all groups
)

type generalise struct {
	perField
	list []generaliseField
}

// NewGeneralise makes the step that makes values coarser.
func NewGeneralise(config json.RawMessage, _ transforms.Schema, _ *transforms.Env) (transforms.Step, error) {
	var c struct {
		Fields []generaliseField `json:"fields"`
	}
	if err := fields.Decode(config, &c); err != nil {
		return nil, err
	}
	set, err := fields.NewSet(refs(c.Fields, func(f *generaliseField) fields.Ref { return f.Ref }))
	if err != nil {
		return nil, err
	}
	for i := range c.Fields {
		if err := c.Fields[i].check(); err != nil {
			return nil, err
		}
	}
	g := &generalise{list: c.Fields}
	g.perField = perField{set: set, change: g.one}
	return g, nil
}

// check refuses a field with no way, or more than one, and ways that make no sense.
func (c *generaliseField) check() error {
	ways := 0
	for _, set := range []bool{c.Width != 0, c.Ranges != nil, c.Groups != nil, c.Prefix != 0, c.Date != nil} {
		if set {
			ways++
		}
	}
	switch {
	case ways != 1:
		return fields.Bad("field %q: want one of width, ranges, groups, prefix and date, have %d", c.Field, ways)
	case c.Width < 0 || c.Width > maxWidth:
		return fields.Bad("field %q: width %d, want 1 to %d", c.Field, c.Width, maxWidth)
	case c.Prefix < 0 || c.Prefix > maxPrefix:
		return fields.Bad("field %q: prefix of %d characters, want 1 to %d", c.Field, c.Prefix, maxPrefix)
	case c.Pad != "" && (c.Prefix == 0 || utf8.RuneCountInString(c.Pad) != 1):
		return fields.Bad("field %q: pad is one character, for a prefix", c.Field)
	case c.IgnoreCase && c.Groups == nil:
		return fields.Bad("field %q: ignoreCase is for groups", c.Field)
	}
	if err := checkOtherwise(c.Field, &c.Otherwise); err != nil {
		return err
	}
	switch {
	case c.Ranges != nil:
		return c.checkRanges()
	case c.Groups != nil:
		return c.checkGroups()
	case c.Date != nil:
		return c.Date.check(c.Field)
	}
	return nil
}

// checkRanges refuses ranges that are empty, overlap, or are out of order, and makes their labels.
func (c *generaliseField) checkRanges() error {
	if len(c.Ranges) == 0 {
		return fields.Bad("field %q: no ranges", c.Field)
	}
	for i := range c.Ranges {
		r := &c.Ranges[i]
		last := i == len(c.Ranges)-1
		switch {
		case r.From == nil && r.To == nil:
			return fields.Bad("field %q: range %d has every number", c.Field, i+1)
		case r.From == nil && i > 0 || r.To == nil && !last:
			return fields.Bad("field %q: only the first range can be without \"from\", and the last without \"to\"", c.Field)
		case r.From != nil && r.To != nil && r.From.Cmp(&r.To.Decimal) >= 0:
			return fields.Bad("field %q: range %d is empty", c.Field, i+1)
		case i > 0 && r.From.Cmp(&c.Ranges[i-1].To.Decimal) < 0:
			return fields.Bad("field %q: ranges %d and %d overlap, or are not in order", c.Field, i, i+1)
		}
		switch {
		case r.Label != "":
		case r.From == nil:
			r.Label = "<" + r.To.Literal
		case r.To == nil:
			r.Label = ">=" + r.From.Literal
		default:
			r.Label = "[" + r.From.Literal + "," + r.To.Literal + ")"
		}
	}
	return nil
}

// checkGroups refuses groups without names or values, and a value in two of them.
func (c *generaliseField) checkGroups() error {
	c.groups = map[string]string{}
	if len(c.Groups) == 0 {
		return fields.Bad("field %q: no groups", c.Field)
	}
	for i, g := range c.Groups {
		if g.Name == "" || len(g.Values) == 0 {
			return fields.Bad("field %q: group %d has no name or no values", c.Field, i+1)
		}
		for _, v := range g.Values {
			v = c.fold(v)
			if _, twice := c.groups[v]; twice {
				return fields.Bad("field %q: value %q is there twice", c.Field, v)
			}
			c.groups[v] = g.Name
		}
	}
	if len(c.groups) > maxGroups {
		return fields.Bad("field %q: %d values, at most %d", c.Field, len(c.groups), maxGroups)
	}
	return nil
}

func (c *generaliseField) fold(v string) string {
	if c.IgnoreCase {
		return strings.ToLower(v)
	}
	return v
}

// one makes a value coarser.
func (g *generalise) one(i int, f *transforms.Field) string {
	if missing(f) {
		return ""
	}
	c := &g.list[i]
	from := len(g.buf)
	var ok bool
	if g.buf, ok = c.append(g.buf, f.Text); !ok {
		return orElse(c.Otherwise, f, reasonNoRange)
	}
	f.Set(g.buf[from:len(g.buf):len(g.buf)])
	return ""
}

// append appends what a value becomes.
func (c *generaliseField) append(dst, text []byte) ([]byte, bool) {
	switch {
	case c.Width != 0:
		return c.appendWidth(dst, text)
	case c.Ranges != nil:
		return c.appendRange(dst, text)
	case c.Groups != nil:
		name, ok := c.groups[c.fold(string(text))]
		return append(dst, name...), ok
	case c.Prefix != 0:
		return c.appendPrefix(dst, text)
	default:
		return c.Date.append(dst, text)
	}
}

func (c *generaliseField) appendWidth(dst, text []byte) ([]byte, bool) {
	d, ok := decimal.Parse(text)
	if !ok {
		return dst, false
	}
	n, _, ok := d.Scaled(0)
	if !ok {
		return dst, false
	}
	below := n % c.Width
	if below < 0 {
		below += c.Width
	}
	dst = decimal.AppendFixed(append(dst, '['), n-below, 0)
	return append(decimal.AppendFixed(append(dst, ','), n-below+c.Width, 0), ')'), true
}

func (c *generaliseField) appendRange(dst, text []byte) ([]byte, bool) {
	d, ok := decimal.Parse(text)
	if !ok {
		return dst, false
	}
	for i := range c.Ranges {
		r := &c.Ranges[i]
		if (r.From == nil || d.Cmp(&r.From.Decimal) >= 0) && (r.To == nil || d.Cmp(&r.To.Decimal) < 0) {
			return append(dst, r.Label...), true
		}
	}
	return dst, false
}

// appendPrefix cuts a text. One that is not longer than the prefix would stay as it is, and does not fit.
func (c *generaliseField) appendPrefix(dst, text []byte) ([]byte, bool) {
	at := 0
	for range c.Prefix {
		_, n := utf8.DecodeRune(text[at:])
		if at += n; at == len(text) {
			return dst, false
		}
	}
	dst = append(dst, text[:at]...)
	if c.Pad != "" {
		for range utf8.RuneCount(text[at:]) {
			dst = append(dst, c.Pad...)
		}
	}
	return dst, true
}
