// SPDX-License-Identifier: Apache-2.0

package train

import (
	"math"
	"slices"
)

// Config is what the code package's train.json says: one flat object of numbers. One that is out of range refuses it, and so does
// a member that was not asked for while the model was made: training on what stands in for a misspelt one would spend what cannot
// be had back.
type Config struct {
	json  []byte
	asked []string
	bad   string
}

// NewConfig is for tests.
func NewConfig(json string) *Config { return &Config{json: []byte(json)} }

// Float is a number, or what it is if not said.
func (c *Config) Float(name string, otherwise float64) float64 {
	c.asked = append(c.asked, name)
	text := c.value(name)
	if text == nil {
		return otherwise
	}
	v, ok := scientific(text)
	if !ok {
		c.refuse(name)
		return otherwise
	}
	return v
}

// Int is a whole number from least to most.
func (c *Config) Int(name string, otherwise, least, most int) int {
	v := c.Float(name, float64(otherwise))
	if !(v >= float64(least) && v <= float64(most)) || v != math.Trunc(v) {
		c.refuse(name)
		return otherwise
	}
	return int(v)
}

func (c *Config) refuse(name string) {
	if c.bad == "" {
		c.bad = name
	}
}

// refused says what is wrong with the configuration once it was asked for everything; "" is nothing.
func (c *Config) refused() string {
	if c.bad != "" {
		return c.bad + " is out of range"
	}
	names, ok := c.members()
	if !ok {
		return "want one flat object of numbers"
	}
	for i, name := range names {
		switch {
		case !slices.Contains(c.asked, name):
			return "the model knows no " + name
		case slices.Contains(names[:i], name):
			return name + " is given twice"
		}
	}
	return ""
}

// members are the names in a flat object of numbers; false if it is none.
func (c *Config) members() (names []string, ok bool) {
	p := c.json
	if !next(&p, '{') {
		return nil, false
	}
	for more := !next(&p, '}'); more; {
		if !next(&p, '"') {
			return nil, false
		}
		key, rest := quoted(p)
		if p = rest; !next(&p, ':') {
			return nil, false
		}
		p = blank(p)
		v := untilEnd(p)
		if _, ok := scientific(v); !ok {
			return nil, false
		}
		names, p = append(names, string(key)), p[len(v):]
		if more = next(&p, ','); !more && !next(&p, '}') {
			return nil, false
		}
	}
	return names, len(blank(p)) == 0
}

// next takes a sign, and whatever is blank before it.
func next(p *[]byte, sign byte) bool {
	b := blank(*p)
	if len(b) == 0 || b[0] != sign {
		return false
	}
	*p = b[1:]
	return true
}

// untilEnd is a value up to where it ends.
func untilEnd(p []byte) []byte {
	n := 0
	for n < len(p) && p[n] != ',' && p[n] != '}' && p[n] > ' ' {
		n++
	}
	return p[:n]
}

// scientific reads a number of JSON.
func scientific(s []byte) (float64, bool) {
	n := 0
	for n < len(s) && s[n] != 'e' && s[n] != 'E' {
		n++
	}
	v, ok := number(s[:n])
	if n == len(s) || !ok {
		return v, ok
	}
	rest := s[n+1:]
	if len(rest) > 0 && rest[0] == '+' {
		rest = rest[1:]
	}
	e, ok := number(rest)
	return v * math.Pow(10, e), ok && e == math.Trunc(e) && math.Abs(e) <= 300
}

// value is the text of a member that is a number; nil if there is none.
func (c *Config) value(name string) []byte {
	for p := c.json; len(p) > 0; {
		if p[0] != '"' {
			p = p[1:]
			continue
		}
		key, rest := quoted(p[1:])
		rest = blank(rest)
		if len(rest) == 0 || rest[0] != ':' {
			p = rest // a text that is a value
			continue
		}
		p = blank(rest[1:])
		if string(key) == name {
			return untilEnd(p)
		}
	}
	return nil
}

// quoted is a text up to its quote, and what comes after it.
func quoted(p []byte) (text, rest []byte) {
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '"':
			return p[:i], p[i+1:]
		}
	}
	return p, nil
}

func blank(p []byte) []byte {
	for len(p) > 0 && (p[0] == ' ' || p[0] == '\t' || p[0] == '\n' || p[0] == '\r') {
		p = p[1:]
	}
	return p
}
