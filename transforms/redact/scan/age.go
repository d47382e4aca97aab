// SPDX-License-Identifier: Apache-2.0

package scan

import "github.com/glovebox-dev/glovebox/transforms/redact/span"

const maxAge = 130

// age handles a number that may be somebody's age: its digits are text[s:d], and letters may follow up to e.
func (c *cursor) age(s, d, e int) bool {
	if b := c.peek(s - 1); d-s > 3 || c.number(s, d) > maxAge || b == '$' || b == '.' || b == '_' || (b == '-' || b == '/' || b == ',') && isAlnum(c.peek(s-2)) {
		return false
	}
	f := span.Finding{Type: span.Age, Start: s, End: d, Rule: "age"}
	f.End, f.Score = c.ageUnit(s, d, e)
	if f.Score < span.Strong && (d == e || f.End > d) && c.ageBefore(s) {
		if f.Score == 0 { // the number alone, unless it goes on
			if b := c.peek(d); isAlnum(b) || (b == '.' || b == '/' || b == ':' || b == '-' || b == ',') && isDigit(c.peek(d+1)) || b == '%' {
				return false
			}
			f.End = d
		}
		f.Score, f.Why = max(f.Score, 800), span.ByContext
	}
	if f.Score == 0 {
		return false
	}
	c.add(f.Type, f.Start, f.End, f.Score, f.Why, f.Rule)
	c.busy = f.End
	return true
}

// ageUnit reads what follows the number of an age: "-year-old", " years of age", "yo", "y/o", " Jahre alt", "-jährig", " ans".
func (c *cursor) ageUnit(s, d, e int) (end int, score span.Score) {
	i := d
	if b := c.peek(i); b == '-' {
		i++
	} else {
		i = c.spaces(i)
	}
	end = c.wordAfter(i)
	w := c.text[i:end]
	switch {
	case len(w) == 2 && c.has(i, "yo") || len(w) == 3 && (c.has(i, "yrs") || c.has(i, "y o")) && i == d && d < e:
		return end, 850
	case len(w) == 1 && c.has(i, "y/o") && !isAlnum(c.peek(i+3)):
		return i + 3, 900
	case len(w) == 1 && c.has(i, "y.o") && !isAlnum(c.peek(i+3)):
		if c.peek(i+3) == '.' {
			return i + 4, 900
		}
		return i + 3, 900
	}
	if c.has(i, "歳") || c.has(i, "岁") || c.has(i, "歲") || c.has(i, "세") {
		return i + 3, 700
	}
	m := c.lexicon.find(w)
	switch {
	case m&oldWord != 0 && c.peek(d) == '-' && len(w) > 3: // 34-jährig
		return end, 900
	case m&(yearUnit|ageUnit|smallUnit) == 0:
		return d, 0
	}
	if o := c.oldAfter(end); o != 0 {
		return o, 950
	}
	if m&ageUnit != 0 {
		score = 550
		if c.number(s, d) < 14 || w[0]|0x20 == 'j' || w[0]|0x20 == 'l' { // often a time that something took
			score = 400
		}
		return end, score
	}
	if c.ageBefore(s) && m&yearUnit != 0 {
		return end, 800
	}
	return d, 0
}

// oldAfter is the end of what makes years an age: " old", "-old", " of age", " de edad", " alt"; 0 is none.
func (c *cursor) oldAfter(i int) int {
	if b := c.peek(i); b == '-' {
		i++
	} else if b == ' ' {
		i = c.spaces(i)
	} else {
		return 0
	}
	for range 2 {
		end := c.wordAfter(i)
		m := c.lexicon.find(c.text[i:end])
		switch {
		case m&oldWord != 0, m&ageWord != 0 && i > 0 && end-i <= 5:
			return end
		case m&linking == 0 || c.peek(end) != ' ':
			return 0
		}
		i = c.spaces(end)
	}
	return 0
}

// ageBefore says whether a word right before the number says that it is an age: "aged 34", "age: 34", "âgé de 34", "im Alter von 34".
func (c *cursor) ageBefore(s int) bool {
	i := c.spacesBefore(s)
	switch c.peek(i - 1) {
	case ':', '=', '(', '"', ',':
		i = c.spacesBefore(i - 1)
		if c.peek(i-1) == '"' {
			i--
		}
	}
	for range 2 {
		w := c.wordBefore(i)
		switch m := c.lexicon.find(c.text[w:i]); {
		case m&ageWord != 0:
			return true
		case m&linking == 0:
			return false
		}
		if i = c.spacesBefore(w); i == w {
			return false
		}
	}
	return false
}
