// SPDX-License-Identifier: Apache-2.0

package choose

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// FilterConfig is the configuration of filter: a record stays if all of it holds. What a record lacks does not hold, nor does what
// cannot be read.
type FilterConfig struct {
	Where    []Condition `json:"where,omitempty"`
	Consent  *Consent    `json:"consent,omitempty"`
	Length   *Length     `json:"length,omitempty"`
	Language *Language   `json:"language,omitempty"`
}

// Condition is on one field; exactly one member beside field and not says what. A field "a[]" has the elements of an array as its
// values, and one that holds is enough. Where a value cannot be compared, or is an object or in other arrays than the field says, nobody
// can tell: the record does not hold, with not and without.
type Condition struct {
	Field  string   `json:"field"`
	Equals *string  `json:"equals,omitempty"`
	In     []string `json:"in,omitempty"`
	Exists *bool    `json:"exists,omitempty"`
	Range  *Range   `json:"range,omitempty"`
	// Not turns it round. A record without the field still does not hold.
	Not bool `json:"not,omitempty"`

	set *fields.Set // of the field alone, in JSON; nil elsewhere
}

// Range holds for values from Min to Max: both numbers, or both texts, which are compared byte by byte as ISO dates are.
type Range struct {
	Min json.RawMessage `json:"min,omitempty"`
	Max json.RawMessage `json:"max,omitempty"`

	numbers  bool
	min, max decimal.Decimal
	low      string
	high     string
}

// Consent holds for records whose person agreed to all of Scopes: the field is an array of scopes, or a text that lists them.
type Consent struct {
	Field     string   `json:"field"`
	Scopes    []string `json:"scopes"`
	Separator string   `json:"separator,omitempty"` // of a text: ";" unless given

	elements string // the path of the array's, in JSON; "" elsewhere
}

// Length holds for records whose field, or whose text as a whole if none is named, has so many code points.
type Length struct {
	Field string `json:"field,omitempty"`
	Min   int    `json:"min,omitempty"`
	Max   int    `json:"max,omitempty"` // 0: no bound
}

// Language holds for records whose fields are in one of these languages, together.
type Language struct {
	Fields  []string `json:"fields"`
	In      []string `json:"in"`
	Unknown string   `json:"unknown,omitempty"` // what becomes of a record whose language nobody can tell: "drop" (the default) or "keep"
}

type filter struct {
	c    FilterConfig
	text []byte
}

// Bounds of a configuration.
const (
	maxConditions = 64
	maxValues     = 4096
)

// NewFilter makes a filter step.
func NewFilter(config json.RawMessage, _ transforms.Schema, _ *transforms.Env) (transforms.Step, error) {
	s := &filter{}
	if err := decode("filter", config, &s.c); err != nil {
		return nil, err
	}
	c := &s.c
	if len(c.Where) == 0 && c.Consent == nil && c.Length == nil && c.Language == nil {
		return nil, wrong("filter", "no condition: give where, consent, length or language")
	}
	if len(c.Where) > maxConditions {
		return nil, wrong("filter", "%d conditions, at most %d", len(c.Where), maxConditions)
	}
	for i := range c.Where {
		if err := c.Where[i].check(); err != nil {
			return nil, err
		}
	}
	if l := c.Length; l != nil && (l.Min < 0 || l.Max < 0 || l.Min == 0 && l.Max == 0 || l.Max > 0 && l.Max < l.Min) {
		return nil, wrong("filter", "length from %d to %d", l.Min, l.Max)
	}
	if k := c.Consent; k != nil {
		if len(k.Scopes) == 0 || len(k.Scopes) > maxValues || slices.Contains(k.Scopes, "") {
			return nil, wrong("filter", "consent names no scopes")
		}
		if k.Separator == "" {
			k.Separator = ";"
		}
	}
	return s, c.Language.check()
}

func (c *Condition) check() error {
	n := 0
	for _, given := range []bool{c.Equals != nil, len(c.In) > 0, c.Exists != nil, c.Range != nil} {
		if given {
			n++
		}
	}
	if n != 1 {
		return wrong("filter", "the condition on %q needs exactly one of equals, in, exists and range", c.Field)
	}
	if c.Exists != nil && c.Not {
		return wrong("filter", "the condition on %q says exists and not: write exists false", c.Field)
	}
	if len(c.In) > maxValues {
		return wrong("filter", "the condition on %q lists more than %d values", c.Field, maxValues)
	}
	if c.Range != nil {
		return c.Range.check(c.Field)
	}
	return nil
}

func (r *Range) check(field string) error {
	for i, raw := range []json.RawMessage{r.Min, r.Max} {
		if raw == nil {
			continue
		}
		var number decimal.Number
		var text string
		isNumber := json.Unmarshal(raw, &number) == nil
		if !isNumber && json.Unmarshal(raw, &text) != nil || string(raw) == "null" {
			return wrong("filter", "the range of %q has bounds that are no numbers and no texts", field)
		}
		if i == 1 && r.Min != nil && r.numbers != isNumber {
			return wrong("filter", "the range of %q has a number and a text as bounds", field)
		}
		r.numbers = isNumber
		if i == 0 {
			r.min, r.low = number.Decimal, text
		} else {
			r.max, r.high = number.Decimal, text
		}
	}
	if r.Min == nil && r.Max == nil {
		return wrong("filter", "the range of %q has neither min nor max", field)
	}
	return nil
}

func (l *Language) check() error {
	if l == nil {
		return nil
	}
	if len(l.Fields) == 0 || len(l.In) == 0 {
		return wrong("filter", "language needs fields and in")
	}
	for _, code := range l.In {
		if !slices.Contains(Languages(), code) {
			return wrong("filter", "language %q is not known; there are %s", code, strings.Join(Languages(), ", "))
		}
	}
	if l.Unknown != "" && l.Unknown != "drop" && l.Unknown != "keep" {
		return wrong("filter", "unknown is %q, want drop or keep", l.Unknown)
	}
	return nil
}

// Schema is unchanged; fields that no record can have are refused.
func (s *filter) Schema(in transforms.Schema) (transforms.Schema, error) {
	var named []string
	for i := range s.c.Where {
		c := &s.c.Where[i]
		if named = append(named, c.Field); in.Format == dataset.FormatJSONL && c.Field != "" {
			var err error
			if c.set, err = fields.NewSet([]fields.Ref{{Field: c.Field, Optional: true}}); err != nil {
				return in, err
			}
			if err := c.set.Bind(in); err != nil {
				return in, err
			}
		}
	}
	if s.c.Consent != nil {
		if in.Format == dataset.FormatJSONL {
			s.c.Consent.elements = s.c.Consent.Field + "[]"
		}
		named = append(named, s.c.Consent.Field)
	}
	if s.c.Length != nil && s.c.Length.Field != "" {
		named = append(named, s.c.Length.Field)
	}
	if s.c.Language != nil {
		named = append(named, s.c.Language.Fields...)
	}
	for _, f := range named {
		if err := checkField("filter", f, in); err != nil {
			return in, err
		}
	}
	return in, nil
}

// Transform keeps or drops a record.
func (s *filter) Transform(r *transforms.Record, _ *transforms.Trace) (transforms.Verdict, error) {
	for i := range s.c.Where {
		if !s.c.Where[i].holds(r) {
			return transforms.Drop, nil
		}
	}
	if s.c.Consent != nil && !s.c.Consent.holds(r) || s.c.Length != nil && !s.c.Length.holds(r) || s.c.Language != nil && !s.language(r) {
		return transforms.Drop, nil
	}
	return transforms.Keep, nil
}

func (c *Condition) holds(r *transforms.Record) bool {
	there, shaped := c.shape(r)
	if c.Exists == nil && shaped {
		return false
	}
	found, read, values := false, true, 0
	each(r, c.Field, func(text []byte, k transforms.Kind) bool {
		if k == transforms.Null {
			return true
		}
		there = true
		if c.Exists == nil {
			is, ok := c.value(text, k)
			if values++; values > 1 && c.set != nil && !strings.Contains(c.Field, "[]") { // two members of one name: readers differ on which counts
				read = false
				return false
			}
			found, read = found || is, read && ok
		}
		return read
	})
	switch {
	case c.Exists == nil:
		return there && read && found != c.Not
	case there:
		return *c.Exists
	}
	return !*c.Exists && !shaped
}

// shape looks at a JSON record for the condition's field in another shape: whether there is something, and whether it is something that
// the condition cannot read.
func (c *Condition) shape(r *transforms.Record) (there, shaped bool) {
	if c.set == nil {
		return false, false
	}
	for path, s := range r.Compounds() {
		if i, _ := c.set.At(path, s, nil, false); i >= 0 {
			return true, true
		}
		if c.set.Index(path) >= 0 && !strings.HasPrefix(c.Field, path+"[]") { // not an array on the way
			there, shaped = true, true
		}
	}
	root, all := fields.Alone(r), r.Fields()
	for k := range all {
		f := &all[k]
		i, instead := c.set.At(f.Path, transforms.Leaf, f, root)
		shaped = shaped || instead
		if i >= 0 && f.Kind != transforms.Null && c.set.Exact(f.Path) < 0 {
			there, shaped = true, true
		}
	}
	return there, shaped
}

// value reports whether the condition holds for a value, and whether anybody can tell.
func (c *Condition) value(text []byte, k transforms.Kind) (is, ok bool) {
	switch {
	case c.Equals != nil:
		return equal(text, k, *c.Equals), true
	case len(c.In) > 0:
		return slices.ContainsFunc(c.In, func(v string) bool { return equal(text, k, v) }), true
	}
	return c.Range.holds(text, k)
}

// equal compares texts as they are, and numbers of JSON by what they say: 17 and 17.0 are one.
func equal(text []byte, k transforms.Kind, want string) bool {
	if string(text) == want || k != transforms.Number {
		return string(text) == want
	}
	a, ok := decimal.Parse(text)
	b, is := decimal.Parse([]byte(want))
	return ok && is && a.Cmp(&b) == 0
}

func (r *Range) holds(text []byte, k transforms.Kind) (is, ok bool) {
	if !r.numbers {
		return (r.Min == nil || string(text) >= r.low) && (r.Max == nil || string(text) <= r.high), k == transforms.Text || k == transforms.Bytes
	}
	n, ok := decimal.Parse(text)
	if !ok || k != transforms.Text && k != transforms.Number {
		return false, false
	}
	return (r.Min == nil || n.Cmp(&r.min) >= 0) && (r.Max == nil || n.Cmp(&r.max) <= 0), true
}

// holds reports whether every scope was agreed to.
func (c *Consent) holds(r *transforms.Record) bool {
	for _, scope := range c.Scopes {
		given := false
		look := func(text []byte, k transforms.Kind) bool {
			given = k == transforms.Text && lists(text, c.Separator, scope)
			return !given
		}
		if each(r, c.Field, look); !given && c.elements != "" {
			each(r, c.elements, look)
		}
		if !given {
			return false
		}
	}
	return true
}

// lists reports whether a text that lists scopes has one.
func lists(text []byte, separator, scope string) bool {
	for {
		part, rest, more := bytes.Cut(text, []byte(separator))
		if string(bytes.TrimSpace(part)) == scope {
			return true
		}
		if !more {
			return false
		}
		text = rest
	}
}

func (l *Length) holds(r *transforms.Record) bool {
	n, there := 0, false
	if l.Field == "" {
		all := r.Fields()
		for i := range all {
			n, there = n+utf8.RuneCount(all[i].Text), true
		}
	} else {
		each(r, l.Field, func(text []byte, _ transforms.Kind) bool {
			n, there = n+utf8.RuneCount(text), true
			return true
		})
	}
	return there && n >= l.Min && (l.Max == 0 || n <= l.Max)
}

func (s *filter) language(r *transforms.Record) bool {
	l := s.c.Language
	s.text = s.text[:0]
	for _, field := range l.Fields {
		each(r, field, func(text []byte, k transforms.Kind) bool {
			if k == transforms.Text || k == transforms.Bytes {
				s.text = append(append(s.text, text[:min(len(text), LanguageBytes)]...), ' ')
			}
			return len(s.text) < LanguageBytes
		})
	}
	code := Detect(s.text)
	if code == "" {
		return l.Unknown == "keep"
	}
	return slices.Contains(l.In, code)
}

// A filter may leave records out, and changes none.
var _ transforms.Step = (*filter)(nil)

// Shape of all steps of this package.
const Shape = dataset.ShapeFilter
