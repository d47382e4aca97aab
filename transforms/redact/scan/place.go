// SPDX-License-Identifier: Apache-2.0

package scan

import "github.com/glovebox-dev/glovebox/transforms/redact/span"

// place handles a number that may be the first of a position's: text[s:d] are its digits before the point.
func (c *cursor) place(s, d int, g *groups) bool {
	if d-s > 3 {
		return false
	}
	if c.peek(d) == '.' && g.n >= 2 {
		return c.decimalPlace(s)
	}
	return c.sexagesimal(s, d)
}

// coordinate is half a position.
type coordinate struct {
	start, end int
	fraction   int  // digits after the point
	side       byte // N, S, E or W; 0 if it is not said
}

// decimal reads a coordinate in degrees with a fraction, at i where its sign or first digit is.
func (c *cursor) decimal(i, most int) (co coordinate, ok bool) {
	co.start = i
	if b := c.peek(i); b == '-' || b == '+' {
		i++
	} else if b == 0xE2 && c.peek(i+1) == 0x88 && c.peek(i+2) == 0x92 {
		i += 3
	}
	d := c.digits(i, 3)
	if d == i || d-i > 3 || c.number(i, d) > most || c.peek(d) != '.' {
		return co, false
	}
	e := c.digits(d+1, 15)
	if co.fraction = e - d - 1; co.fraction < 1 || co.fraction > 15 || c.peek(e) == '.' && isDigit(c.peek(e+1)) {
		return co, false
	}
	co.end = e
	i = e
	if c.has(i, "°") || c.has(i, "º") {
		i += 2
		co.end = i
	}
	if j := c.spaces(i); sideByte(c.peek(j)) && !isAlnum(c.peek(j+1)) {
		co.side, co.end = c.peek(j)&^0x20, j+1
	} else if isAlnum(c.peek(co.end)) {
		return co, false
	}
	return co, true
}

func sideByte(b byte) bool {
	switch b &^ 0x20 {
	case 'N', 'S', 'E', 'W', 'O':
		return true
	}
	return false
}

// decimalPlace handles two coordinates in decimal degrees (ISO 6709, annex D).
func (c *cursor) decimalPlace(s int) bool {
	if b := c.peek(s - 1); b == '-' || b == '+' {
		s--
	}
	if b := c.peek(s - 1); isAlnum(b) || b == '_' || b == '$' || b == '-' {
		return false
	}
	a, ok := c.decimal(s, 180)
	if !ok || a.fraction < 3 {
		return false
	}
	i := a.end
	for n := 0; n < 3; n++ {
		if b := c.peek(i); b == ',' || b == ';' || b == ' ' || b == '/' || b == '\t' {
			i++
		}
	}
	i = c.coordinateLabel(i)
	if i == a.end {
		return false
	}
	b, ok := c.decimal(i, 180)
	if !ok || b.fraction < 3 {
		return false
	}
	f := span.Finding{Type: span.GPS, Start: a.start, End: b.end, Score: 400, Rule: "gps-decimal"}
	switch {
	case a.side != 0 && b.side != 0:
		f.Score = 950
	case a.fraction > 3 && b.fraction > 3:
		f.Score = 650
	}
	c.weigh(f, 950, topicPlace, topicOther)
	c.busy = f.End
	return true
}

// coordinateLabel skips the name of the second coordinate: "lat: 48.8566, lon: 2.3522".
func (c *cursor) coordinateLabel(i int) int {
	j := i
	if c.peek(j) == '"' {
		j++
	}
	w := c.wordAfter(j)
	switch string(c.text[j:w]) {
	case "lon", "lng", "long", "longitude", "Lon", "Lng", "Long", "Longitude", "LON", "LONG":
	default:
		return i
	}
	for n := 0; n < 3; n++ {
		if b := c.peek(w); b == ':' || b == '=' || b == ' ' || b == '"' {
			w++
		}
	}
	return w
}

// sexagesimal handles positions in degrees, minutes and seconds, one coordinate or two.
func (c *cursor) sexagesimal(s, d int) bool {
	first := c.degrees(s, d)
	if first == 0 {
		return false
	}
	f := span.Finding{Type: span.GPS, Start: s, End: first, Score: 700, Rule: "gps-degrees"}
	i := first
	for n := 0; n < 2; n++ {
		if b := c.peek(i); b == ',' || b == ' ' || b == '/' {
			i++
		}
	}
	if e := c.digits(i, 3); e > i && e-i <= 3 {
		if second := c.degrees(i, e); second != 0 {
			f.End, f.Score = second, 950
		}
	}
	c.weigh(f, 950, topicPlace, topicOther)
	c.busy = f.End
	return true
}

// degrees is the end of the coordinate whose degrees are text[s:d]; 0 is none. Degrees alone may be an angle or a temperature: without
// minutes and a side there is none.
func (c *cursor) degrees(s, d int) int {
	i := d
	switch {
	case c.has(i, "°") || c.has(i, "º"):
		i += 2
	case c.has(i, " deg"):
		i += 4
	default:
		return 0
	}
	if c.number(s, d) > 180 {
		return 0
	}
	i = c.spaces(i)
	m := c.digits(i, 2)
	if m == i || m-i > 2 || c.number(i, m) > 59 {
		return 0
	}
	i = c.fraction(m)
	i = c.mark(i)
	if i == 0 {
		return 0
	}
	j := c.spaces(i)
	if sec := c.digits(j, 2); sec > j && sec-j <= 2 && c.number(j, sec) < 60 {
		if k := c.mark(c.fraction(sec)); k != 0 {
			i = k
		}
	}
	if j := c.spaces(i); sideByte(c.peek(j)) && !isAlnum(c.peek(j+1)) {
		return j + 1
	}
	return i
}

// fraction is the end of the fraction at i, if there is one.
func (c *cursor) fraction(i int) int {
	if c.peek(i) == '.' || c.peek(i) == ',' {
		if j := c.digits(i+1, 8); j > i+1 && j-i <= 9 {
			return j
		}
	}
	return i
}

// mark is the end of the sign for minutes or seconds at i; 0 is none.
func (c *cursor) mark(i int) int {
	switch b := c.peek(i); {
	case b == '\'' && c.peek(i+1) == '\'':
		return i + 2
	case b == '\'' || b == '"' || b == '`':
		return i + 1
	case b == 0xC2 && c.peek(i+1) == 0xB4:
		return i + 2
	case b == 0xE2 && c.peek(i+1) == 0x80 && (c.peek(i+2) >= 0x98 && c.peek(i+2) <= 0x9D || c.peek(i+2) >= 0xB2 && c.peek(i+2) <= 0xB3):
		return i + 3
	}
	return 0
}

// geoURI handles the colon of a geo URI at i (RFC 5870).
func (c *cursor) geoURI(i int) int {
	a, ok := c.uriNumber(i + 1)
	if !ok || c.peek(a) != ',' {
		return i + 1
	}
	end, ok := c.uriNumber(a + 1)
	if !ok {
		return i + 1
	}
	if c.peek(end) == ',' {
		if z, ok := c.uriNumber(end + 1); ok {
			end = z
		}
	}
	c.add(span.GPS, i-3, end, span.Certain, 0, "gps-uri")
	c.floor, c.busy = end, end
	return end
}

func (c *cursor) uriNumber(i int) (end int, ok bool) {
	if c.peek(i) == '-' {
		i++
	}
	d := c.digits(i, 6)
	if d == i || d-i > 6 {
		return 0, false
	}
	return c.fraction2(d), true
}

// fraction2 is fraction for a form whose numbers commas part.
func (c *cursor) fraction2(i int) int {
	if c.peek(i) == '.' {
		return c.fraction(i)
	}
	return i
}
