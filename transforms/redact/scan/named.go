// SPDX-License-Identifier: Apache-2.0

package scan

import "github.com/glovebox-dev/glovebox/transforms/redact/span"

// named is a date with the name of its month.
type named struct {
	start, end int
	month      uint32 // its meaning
	capital    bool   // its name begins with a capital
	short      bool   // its name is an abbreviation
	day, year  bool
	weekday    bool
}

// namedDate handles a number that stands beside the name of a month: its digits are text[s:d], and letters may follow up to e.
func (c *cursor) namedDate(s, d, e int) bool {
	var n named
	v := c.number(s, d)
	isDay, isYear := d-s <= 2 && v >= 1 && v <= 31, d-s == 4 && v >= 1000 && v < 2200
	if !isDay && !isYear {
		return false
	}
	after := e
	if d < e { // 15th, or 15mar
		if c.lexicon.find(c.text[d:e])&ordinal == 0 {
			if c.lexicon.find(c.text[d:c.wordAfter(d)])&monthMask == 0 {
				return false
			}
			after = d
		} else if !isDay {
			return false
		}
	}
	switch {
	case c.monthBefore(s, isYear, &n):
		n.end = after
		if n.day, n.year = isDay, isYear; isDay {
			c.yearAfter(&n, after)
		}
	case c.monthAfter(after, &n):
		n.start = s
		if n.day, n.year = isDay, isYear; isDay {
			c.yearAfter(&n, n.end)
		} else if !c.dayAfter(&n) {
			return false
		}
	default:
		return false
	}
	c.weekdayBefore(&n)
	end, _ := c.timeAfter(n.end)
	if end > n.end && !n.year { // Aug 26 15:50:00 2002
		n.end = end
		c.yearAfter(&n, end)
	}
	n.end = max(n.end, end)
	if isAlnum(c.peek(n.end)) {
		return false
	}
	f := span.Finding{Type: span.Date, Start: n.start, End: n.end, Score: n.score(), Rule: "date-named"}
	return c.dated(f, topicVersion)
}

func (n *named) score() span.Score {
	score := span.Score(600)
	switch {
	case n.day && n.year:
		score = 900
	case n.weekday:
		score = 800
	case n.short && n.month&doubtful == 0:
		score = 500
	}
	switch {
	case n.month&doubtful == 0 || n.day && n.year:
		return score
	case n.capital && n.month&common == 0:
		return score - 100
	}
	return score - 350
}

// setMonth takes the word text[i:end] for the name of the month, if it is one.
func (c *cursor) setMonth(n *named, i, end int) bool {
	if n.month = c.lexicon.find(c.text[i:end]); n.month&monthMask == 0 {
		return false
	}
	n.capital, n.short = isUpper(c.text[i]), end-i <= 4
	return true
}

// monthBefore looks for a month before the number at s: "March 15", "Mar. 15", "March of 1989", "Mar-15".
func (c *cursor) monthBefore(s int, year bool, n *named) bool {
	i := c.spacesBefore(s)
	gap := i < s
	switch c.peek(i - 1) {
	case ',', '.', '-', '/', '\'':
		if c.peek(i-1) == '\'' {
			i = c.spacesBefore(i - 1)
		} else {
			i--
		}
		gap = true
	}
	if !gap {
		return false
	}
	w := c.wordBefore(i)
	if w == i {
		return false
	}
	if c.lexicon.find(c.text[w:i])&linking != 0 && (year || c.has(w, "the")) {
		if j := c.spacesBefore(w); j < w {
			i = j
			w = c.wordBefore(i)
		}
	}
	if w == i || isDigit(c.peek(w-1)) || !c.setMonth(n, w, i) {
		return false
	}
	n.start = w
	return true
}

// monthAfter looks for a month after the number that ends at i: "15 March", "15. März", "15th of March", "15-Mar", "15 de marzo".
func (c *cursor) monthAfter(i int, n *named) bool {
	if b := c.peek(i); b == '.' || b == '-' || b == '/' {
		i++
	} else if b == 0xC2 && (c.peek(i+1) == 0xBA || c.peek(i+1) == 0xAA) { // º, ª
		i += 2
	}
	i = c.spaces(i)
	end := c.wordAfter(i)
	if end == i {
		return false
	}
	if c.lexicon.find(c.text[i:end])&linking != 0 && c.peek(end) == ' ' {
		i = c.spaces(end)
		end = c.wordAfter(i)
	}
	if !c.setMonth(n, i, end) {
		return false
	}
	n.end = end
	if c.peek(end) == '.' && n.short && (isDigit(c.peek(end+1)) || c.peek(end+1) == ' ' && isDigit(c.peek(end+2))) {
		n.end++
	}
	return true
}

// yearAfter looks for a year after i, where the day and month end.
func (c *cursor) yearAfter(n *named, i int) {
	s, dash := i, false
	switch c.peek(s) {
	case ',', '.':
		s++
	case '-', '/':
		s, dash = s+1, true
	}
	s = c.spaces(s)
	if end := c.wordAfter(s); end > s && end-s <= 3 && c.peek(end) == ' ' && c.lexicon.find(c.text[s:end])&linking != 0 {
		s = c.spaces(end)
	}
	if c.peek(s) == '\'' {
		s, dash = s+1, true
	}
	d := c.digits(s, 4)
	switch {
	case s == i && isAlnum(c.peek(i-1)) && isDigit(c.peek(i-1)) || isAlnum(c.peek(d)) || c.peek(d) == ':' && !(dash && d-s == 4):
		return
	case d-s == 4 && c.number(s, d) >= 1000 && c.number(s, d) < 2200, d-s == 2 && (dash || c.number(s, d) > 31):
		n.end, n.year = d, true
	}
}

// dayAfter looks for the day after a year and a month: "2024 March 15", "2024-Mar-15".
func (c *cursor) dayAfter(n *named) bool {
	s := n.end
	if c.peek(s) == '-' || c.peek(s) == ' ' {
		s++
	}
	d := c.digits(s, 2)
	if d == s || d-s > 2 || c.number(s, d) > 31 || isAlnum(c.peek(d)) || c.peek(d) == ':' {
		return false
	}
	n.end, n.day = d, true
	return true
}

// weekdayBefore moves the start back to the day of the week: "Mon, 26 Aug", "Sunday the 15th of March".
func (c *cursor) weekdayBefore(n *named) {
	i := c.spacesBefore(n.start)
	if i < n.start && (c.peek(i-1) == ',' || c.peek(i-1) == '.') {
		i--
	}
	w := c.wordBefore(i)
	if w == i || i == n.start {
		return
	}
	if c.lexicon.find(c.text[w:i])&linking != 0 {
		if i = c.spacesBefore(w); c.peek(i-1) == ',' {
			i--
		}
		w = c.wordBefore(i)
	}
	if w < i && c.lexicon.find(c.text[w:i])&weekday != 0 {
		n.start, n.weekday = w, true
	}
}

// weekday handles the `y` at i, if it ends the name of a day.
func (c *cursor) weekday(i int) int {
	t := c.text
	if i < 3 || t[i-2]|0x20 != 'd' || t[i-1] != 'a' || i+1 < len(t) && isAlnum(t[i+1]) {
		return i + 1
	}
	s := c.wordBefore(i + 1)
	if s < c.busy || c.peek(s-1) == '_' {
		return i + 1
	}
	switch m := c.lexicon.find(t[s : i+1]); {
	case m&weekday != 0:
		c.add(span.Date, s, i+1, 450, 0, "weekday")
	case m&relative != 0:
		c.add(span.Date, s, i+1, 150, 0, "date-relative")
	}
	return i + 1
}
