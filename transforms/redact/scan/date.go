// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"github.com/glovebox-dev/glovebox/transforms/redact/context"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// when handles a number that a date or a time has: text[s:d] are its digits, and letters may follow up to e.
// near is what the words beside it mean.
func (c *cursor) when(s, d, e int, near uint32, g *groups) bool {
	if before := c.peek(s - 1); before == '_' || (before == '/' || before == '-' || before == ':') && isDigit(c.peek(s-2)) {
		return false
	}
	n := d - s
	switch {
	case n > 8:
		return false
	case n <= 4 && g.n >= 3 && c.numericDate(g):
		return true
	case n <= 2 && (near&meridiem != 0 || c.peek(d) == ':') && c.clock(s, d):
		return true
	case n <= 4 && near&(monthMask|linking) != 0 && c.namedDate(s, d, e):
		return true
	case n <= 4 && c.peek(d) >= 0xE0 && c.eastAsianDate(s, d):
		return true
	case n == 8 && d == e && g.n == 1 || n == 8 && c.peek(d) == 'T':
		return c.compactDate(s, d)
	case n == 4 && near&(bornWord|linking) != 0 && d == e && g.n == 1:
		return c.yearOfBirth(s, d)
	case n <= 2 && g.n == 2 && g.sep[0] == '/' && g.len(1) == 4 && !g.glued:
		return c.monthAndYear(g)
	}
	return false
}

// date is what the parts of a numeric date say.
func validDay(day, month int) bool           { return day >= 1 && day <= 31 && month >= 1 && month <= 12 }
func validYear(y int) bool                   { return y >= 1800 && y < 2200 }
func validEither(a, b int) bool              { return validDay(a, b) || validDay(b, a) }
func (c *cursor) group(g *groups, i int) int { return c.number(g.start[i], g.end[i]) }

// numericDate handles three groups: year first as in ISO 8601, or last with day and month in either order.
func (c *cursor) numericDate(g *groups) bool {
	sep := g.sep[0]
	if sep != g.sep[1] || sep != '-' && sep != '/' && sep != '.' && sep != ' ' || g.sep[2] == sep && sep != ' ' || g.len(1) > 2 {
		return false
	}
	start, end := g.start[0], g.end[2]
	if after := c.peek(end); isAlnum(after) && after != 'T' && after != 't' || after == '_' || (after == '-' || after == '/' || after == '.') && isDigit(c.peek(end+1)) {
		return false
	}
	score := span.Score(0)
	switch a, b := c.group(g, 0), c.group(g, 1); {
	case g.len(2) > 4:
	case g.len(0) == 4 && g.len(2) <= 2 && validYear(a) && validDay(c.group(g, 2), b):
		score = 850
		if sep == '.' && (g.len(1) == 1 || g.len(2) == 1) {
			score = 500
		}
	case g.len(0) <= 2 && g.len(2) == 4 && validYear(c.group(g, 2)) && validEither(a, b):
		score = 850
		if sep == '-' {
			score = 800
		}
	case g.len(0) <= 2 && g.len(2) == 2 && validEither(a, b) && sep != ' ':
		score = 400
		if sep == '/' || g.len(0) == 2 && g.len(1) == 2 && sep == '.' {
			score = 550
		}
	}
	if score == 0 {
		return false
	}
	if sep == ' ' {
		score = min(score, 400)
	}
	end, seconds := c.timeAfter(end)
	f := span.Finding{Type: span.Date, Start: start, End: end, Score: score, Rule: "date-numeric"}
	if before := c.peek(start - 1); before == '/' && c.peek(end) == '/' { // a path
		f.Score, f.Why = 250, span.AgainstIt
	} else if seconds && c.logged(start, end) {
		f.Score, f.Why = 400, span.AgainstIt
	}
	return c.dated(f, topicVersion)
}

// dated appends a date, with the words near it weighed.
func (c *cursor) dated(f span.Finding, anti context.Topic) bool {
	c.retract(f.Start)
	c.busy = f.End
	if f.Why&span.AgainstIt != 0 || f.Score > 550 || f.Score < 400 {
		c.add(f.Type, f.Start, f.End, f.Score, f.Why, f.Rule)
		return true
	}
	w := c.words.Near(c.text, f.Start, f.End)
	switch {
	case w.Has(topicBorn):
		f.Score, f.Why = max(f.Score+100, 950), span.ByContext
	case w.Nearest.Has(topicDate):
		f.Score, f.Why = f.Score+50, span.ByContext
	case w.Nearest.Has(anti) && f.Score <= 550:
		f.Score, f.Why = f.Score/2, span.AgainstIt
	}
	c.add(f.Type, f.Start, f.End, f.Score, f.Why, f.Rule)
	return true
}

// logged says whether a time stamp with seconds begins its line or stands in brackets, and the line goes on: it is a machine's.
func (c *cursor) logged(start, end int) bool {
	before, after := c.peek(start-1), c.peek(end)
	return (start == 0 || before == '\n' || before == '[') && after != 0 && after != '\n' && after != '\r'
}

// timeAfter moves the end of a date past the time that follows it.
func (c *cursor) timeAfter(end int) (i int, seconds bool) {
	i = end
	switch b := c.peek(i); b {
	case 'T', 't', ':':
		i++
	default:
		if b == ',' {
			i++
		}
		if i = c.spaces(i); i == end {
			return end, false
		}
		if c.has(i, "at ") || c.has(i, "um ") {
			i += 3
		}
	}
	if d := c.digits(i, 2); d > i && d-i <= 2 {
		if t, seconds := c.timeEnd(i, d); t != 0 {
			return t, seconds
		}
	}
	return end, false
}

// timeEnd is the end of the time of day whose hour is text[i:d], and whether it has seconds; 0 is none.
func (c *cursor) timeEnd(i, d int) (end int, seconds bool) {
	if c.number(i, d) > 24 {
		return 0, false
	}
	end = d
	if c.peek(end) == ':' {
		for part := 0; part < 2 && c.peek(end) == ':'; part++ {
			j := c.digits(end+1, 2)
			if j-end != 3 || c.number(end+1, j) > 60 {
				break
			}
			seconds, end = part == 1, j
		}
		if seconds && (c.peek(end) == '.' || c.peek(end) == ',') {
			if j := c.digits(end+1, 9); j > end+1 && j-end <= 10 {
				end = j
			}
		}
	}
	bare := end == d
	if m := c.halfDay(end); m != 0 {
		return c.zoneEnd(m), seconds
	}
	if bare {
		return 0, false
	}
	if z := c.zoneEnd(end); z > end {
		return z, seconds
	}
	if isAlnum(c.peek(end)) || c.peek(end) == ':' || c.peek(end) == '_' {
		return 0, false
	}
	return end, seconds
}

// halfDay is the end of am, p.m. and so on after a time; 0 is none.
func (c *cursor) halfDay(i int) int {
	i = c.spaces(i)
	if b := c.peek(i) | 0x20; b != 'a' && b != 'p' {
		return 0
	}
	dots := c.peek(i+1) == '.'
	if dots {
		if c.peek(i+2)|0x20 == 'm' && !isAlnum(c.peek(i+3)) {
			if c.peek(i+3) == '.' {
				return i + 4
			}
			return i + 3
		}
		return 0
	}
	if c.peek(i+1)|0x20 == 'm' && !isAlnum(c.peek(i+2)) {
		return i + 2
	}
	return 0
}

// zoneEnd is the end of the time zone at i: +01:00, -0700 (PDT), Z, UTC; i, if there is none.
func (c *cursor) zoneEnd(i int) int {
	j := c.spaces(i)
	if b := c.peek(j); b == '+' || b == '-' {
		h := c.digits(j+1, 4)
		switch {
		case h-j == 5:
		case h-j == 3 && c.peek(h) == ':' && c.digits(h+1, 2)-h == 3:
			h += 3
		case h-j == 3 && j == i:
		default:
			return i
		}
		if isAlnum(c.peek(h)) || c.peek(h) == '-' {
			return i
		}
		if k := c.spaces(h); c.peek(k) == '(' {
			if w := c.wordAfter(k + 1); c.lexicon.find(c.text[k+1:w])&zone != 0 && c.peek(w) == ')' {
				return w + 1
			}
		}
		return h
	}
	if b := c.peek(j); !isUpper(b) && b != 'z' {
		return i
	}
	w := c.wordAfter(j)
	if c.lexicon.find(c.text[j:w])&zone != 0 && !isDigit(c.peek(w)) && (j == i || w-j > 1) {
		return w
	}
	return i
}

// clock handles a time of day by itself. It is hardly anybody's, and scores low.
func (c *cursor) clock(s, d int) bool {
	end, _ := c.timeEnd(s, d)
	if end == 0 {
		return false
	}
	if b := c.peek(s - 1); isAlnum(b) || b == '.' || b == '$' {
		return false
	}
	score := span.Score(250)
	if isAlpha(c.peek(end-1)) || c.peek(end-1) == '.' {
		score = 350
	}
	c.add(span.Date, s, end, score, 0, "time")
	c.busy = end
	return true
}

// compactDate handles eight digits that may be a date of ISO 8601's basic format.
func (c *cursor) compactDate(s, d int) bool {
	if !plausibleStamp(c.text[s:d]) {
		return false
	}
	if c.peek(d) == 'T' {
		if e := c.digits(d+1, 6); e-d == 7 {
			if c.peek(e) == 'Z' {
				e++
			}
			if !isAlnum(c.peek(e)) {
				c.add(span.Date, s, e, 600, 0, "date-compact")
				c.busy = e
				return true
			}
		}
		return false
	}
	if w := c.words.Near(c.text, s, d); w.Nearest.Has(topicBorn) {
		c.add(span.Date, s, d, 800, span.ByContext, "date-compact")
		c.busy = d
		return true
	}
	return false
}

// yearOfBirth handles a year by itself, which is personal data if it is one of birth.
func (c *cursor) yearOfBirth(s, d int) bool {
	if y := c.number(s, d); y < 1900 || y > 2100 || isAlnum(c.peek(s-1)) {
		return false
	}
	for i, n := s, 0; n < 3; n++ { // "born in the year 1987"
		j := c.skipBack(i)
		i = c.wordBefore(j)
		m := c.lexicon.find(c.text[i:j])
		if m&bornWord != 0 {
			c.add(span.Date, s, d, 600, span.ByContext, "year-of-birth")
			c.busy = d
			return true
		}
		if m&linking == 0 {
			break
		}
	}
	return false
}

// monthAndYear handles a month and a year in figures: of a birth, or when a card expires.
func (c *cursor) monthAndYear(g *groups) bool {
	if m := c.group(g, 0); m < 1 || m > 12 || !validYear(c.group(g, 1)) || isAlnum(c.peek(g.start[0]-1)) || c.peek(g.end[1]) == '/' {
		return false
	}
	f := span.Finding{Type: span.Date, Start: g.start[0], End: g.end[1], Score: 400, Rule: "date-numeric"}
	return c.dated(f, topicOther)
}

// eastAsianDate handles dates of the form year, month, day, each with its character, in Chinese, Japanese and Korean.
func (c *cursor) eastAsianDate(s, d int) bool {
	units := [...][3]string{{"年", "月", "日"}, {"년", "월", "일"}}
	for _, u := range units {
		i, parts := d, 0
		for parts < 3 && c.has(i, u[parts]) {
			parts++
			i += len(u[0])
			j := c.digits(c.spaces(i), 2)
			if parts == 3 || j == c.spaces(i) || !c.has(j, u[parts]) {
				break
			}
			i = j
		}
		if parts >= 2 && d-s >= 2 {
			return c.dated(span.Finding{Type: span.Date, Start: s, End: i, Score: 700 + span.Score(parts)*50, Rule: "date-named"}, topicOther)
		}
	}
	return false
}
