// SPDX-License-Identifier: Apache-2.0

package scan

import "github.com/glovebox-dev/glovebox/transforms/redact/span"

// maxDigits is of E.164.
const maxDigits = 15

// callingCode is how many of the digits are a country calling code that the ITU has assigned; 0 is none.
func callingCode(d []byte) int {
	if len(d) < 3 {
		return 0
	}
	switch d[0] {
	case '1', '7':
		return 1
	case '0':
		return 0
	}
	switch pair := int(d[0]-'0')*10 + int(d[1]-'0'); pair {
	case 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98:
		return 2
	case 21, 22, 23, 24, 25, 26, 29, 35, 37, 38, 42, 50, 59, 67, 68, 69, 80, 85, 87, 88, 96, 97, 99:
		return 3
	}
	return 0
}

// mostDigits is how many digits a number has at most with its calling code, where the plan is closed; 13 covers nearly all others.
func mostDigits(d []byte, code int) int {
	switch string(d[:code]) {
	case "1", "7", "33", "34", "31", "32", "41", "48", "27", "36", "94", "852":
		return 11
	case "45", "47", "65":
		return 10
	case "44", "46", "30", "351", "61", "64", "66", "91", "92", "81", "82", "63", "353", "358", "420", "421", "380", "972", "886", "90", "40", "98":
		return 12
	case "49", "43", "62":
		return maxDigits
	}
	return 13
}

// number is a telephone number being read.
type number struct {
	start, end int
	d          [maxDigits + 1]byte
	n          int  // digits
	last       int  // its last group
	plus       bool // it begins with + or 00, and a calling code follows
	paren      bool // an area code is in parentheses
	more       bool // what follows looks like more of the same number
}

func (p *number) take(digits []byte) bool {
	if p.n+len(digits) > len(p.d) {
		return false
	}
	p.n += copy(p.d[p.n:], digits)
	return true
}

// phone handles a number that may be a telephone's: in the international form of E.164 and E.123, or in a national one.
func (c *cursor) phone(g *groups) bool {
	if g.digits < 6 || g.len(0) > maxDigits {
		return false
	}
	p := number{start: g.start[0]}
	var score, high span.Score
	rule := "phone-national"
	switch {
	case c.peek(p.start-1) == '+':
		p.plus = true
		if p.start--; c.peek(p.start-1) == '(' {
			p.start--
		}
		score, high = c.international(g, &p, 0)
		rule = "phone-international"
	case c.peek(p.start) == '0' && (g.len(0) >= 4 || g.len(0) == 2) && c.peek(p.start+1) == '0':
		p.plus = true
		score, high = c.international(g, &p, 2)
		rule = "phone-international"
	case g.len(0) == 3 && g.n > 3 && c.has(p.start, "011"): // dialled from North America
		p.plus = true
		score, high = c.international(g, &p, 3)
		rule = "phone-international"
	}
	if score == 0 {
		p = number{start: g.start[0]}
		rule = "phone-national"
		if c.peek(p.start-1) == '(' && g.sep[0] == ')' {
			p.start, p.paren = p.start-1, true
		}
		score, high = c.nationalPhone(g, &p)
	}
	if score == 0 {
		return false
	}
	if c.extension(&p) && !p.plus {
		score += 200
	}
	against := c.phoneEdges(&p)
	if score -= against; score < 50 || against >= 1000 {
		return false
	}
	if b := c.peek(p.start - 1); score < 300 && p.last == 0 && class[b]&openClass == 0 && b < 0x80 && b != ':' && b != ',' && b != '(' && b != '.' && b != '/' {
		return false // hardly ever a telephone's, and asking for the words near it costs
	}
	f := span.Finding{Type: span.Phone, Start: p.start, End: p.end, Score: score, Rule: rule}
	if c.weigh(f, high-against, topicPhone, topicOther) < 400 {
		return false
	}
	c.busy = p.end
	return true
}

// international reads a number with its calling code, after skip digits of prefix. A zero score is that there is none.
func (c *cursor) international(g *groups, p *number, skip int) (score, high span.Score) {
	most, code := maxDigits, 0
	for i := range g.n {
		d := c.text[g.start[i]:g.end[i]]
		if i == 0 {
			d = d[skip:]
		}
		if i > 0 && len(d) == 1 && d[0] == '0' && g.sep[i-1] == '(' { // +44 (0)20: the prefix of national calls is not dialled
			p.last, p.end = i, g.end[i]
			continue
		}
		if i > 0 && (p.n+len(d) > most || g.sep[i-1] == '/' && code == 0) {
			break
		}
		if !p.take(d) {
			return 0, 0
		}
		p.last, p.end = i, g.end[i]
		if code == 0 && p.n >= 3 {
			if code = callingCode(p.d[:p.n]); code == 0 {
				break
			}
			most = mostDigits(p.d[:p.n], code)
		}
	}
	switch {
	case p.n < 8 || p.n > maxDigits:
		return 0, 0
	case code == 0:
		return 450, 800
	case p.n > most:
		return 400, 700
	case skip > 0 && p.last == 0: // 00 and one group may be any number
		return 400, 850
	case skip > 0:
		return 750, 950
	}
	return 900, span.Certain
}

// nationalPhone reads a number without a calling code.
func (c *cursor) nationalPhone(g *groups, p *number) (score, high span.Score) {
	if k := c.northAmerican(g); k >= 0 {
		p.end, p.last = g.end[k+2], k+2
		for i := range k + 3 {
			p.take(c.text[g.start[i]:g.end[i]])
		}
		score = 650
		if area, exchange := c.text[g.start[k]], c.text[g.start[k+1]]; area < '2' || exchange < '2' {
			score = 600
		}
		if k == 1 || p.paren {
			score += 150
		}
		return score, 950
	}
	const most = 12
	changed := false
	for i := range g.n {
		if i > 1 && g.sep[i-1] != g.sep[i-2] && g.sep[i-2] != ')' && g.sep[i-2] != '(' && i > 2 {
			if changed || g.sep[i-1] != '-' {
				break
			}
			changed = true
		}
		if i > 0 && p.n+g.len(i) > most {
			p.more = g.sep[i-1] != ' ' || g.len(i) == g.len(i-1)
			break
		}
		if !p.take(c.text[g.start[i]:g.end[i]]) {
			return 0, 0
		}
		p.last, p.end = i, g.end[i]
	}
	if p.last == 0 {
		return c.oneGroup(p)
	}
	return c.manyGroups(g, p)
}

// northAmerican is the index of the area code in a number of the form 3-3-4, or -1 (North American Numbering Plan).
func (c *cursor) northAmerican(g *groups) int {
	k := 0
	if g.len(0) == 1 && c.peek(g.start[0]) == '1' || g.len(0) == 3 && g.n > 3 && c.has(g.start[0], "001") {
		k = 1
	}
	if g.n < k+3 || g.len(k) != 3 || g.len(k+1) != 3 || g.len(k+2) != 4 || g.sep[k] == '/' && g.sep[k+1] == '/' {
		return -1
	}
	if s := g.sep[k+2]; s != 0 && s != ' ' && s != '(' && (s == g.sep[k+1] || s == '-') || s == ' ' && g.sep[k+1] == ' ' && g.len(k+3) == 4 {
		return -1
	}
	return k
}

// oneGroup scores a number without separators.
func (c *cursor) oneGroup(p *number) (score, high span.Score) {
	d := p.d[:p.n]
	switch {
	case p.n < 7 || p.n > 13:
		return 0, 0
	case p.n >= 8 && p.n != 10 && p.n != 11 && plausibleStamp(d):
		return 100, 500
	case p.n == 10 && d[0] >= '2' && d[3] >= '2':
		return 400, 850
	case p.n == 11 && d[0] == '1' && d[1] >= '3', p.n >= 9 && p.n <= 12 && d[0] == '0':
		return 350, 850
	case p.n == 10:
		return 300, 800
	case p.n > 11:
		return 100, 600
	}
	return 200, 700
}

// plausibleStamp says whether digits begin as a date does, year first.
func plausibleStamp(d []byte) bool {
	if len(d) < 8 || d[0] != '1' && d[0] != '2' || d[0] == '1' && d[1] != '9' || d[0] == '2' && d[1] != '0' {
		return false
	}
	month, day := int(d[4]-'0')*10+int(d[5]-'0'), int(d[6]-'0')*10+int(d[7]-'0')
	return month >= 1 && month <= 12 && day >= 1 && day <= 31
}

// manyGroups scores a number by how its groups look.
func (c *cursor) manyGroups(g *groups, p *number) (score, high span.Score) {
	least, threes, twos := maxGroup, true, g.len(0) == 2
	slashes, dots, zero := 0, 0, p.d[0] == '0'
	for i := 1; i <= p.last; i++ {
		if i < p.last || g.sep[i-1] != '-' || !zero { // 089/123456-0: an extension may be one digit
			least = min(least, g.len(i))
		}
		threes = threes && g.len(i) == 3
		twos = twos && g.len(i) == 2
		switch g.sep[i-1] {
		case '/':
			slashes++
		case '.':
			dots++
		}
	}
	area := p.paren || p.last > 1 && g.sep[0] == '('
	first, second := g.len(0), g.len(1)
	switch {
	case p.n < 6 || p.n > 12 || least < 2 || slashes > 1 || slashes == 1 && g.sep[0] != '/' || first > 5 && p.last > 1:
		return 0, 0
	case p.more:
		return 150, 300
	case dots > 0 && (dots != p.last || p.last < 2 || threes && !zero && first <= 3): // an amount, a decimal
		return 100, 400
	case p.n == 6:
		if twos || area {
			return 200, 650
		}
		return 0, 600
	case p.last == 1 && first == 5 && second == 4, p.last == 2 && first == 3 && second == 2 && g.len(2) == 4:
		return 100, 450 // forms of a postal code and of a national identifier of the United States
	case area:
		return 650, 950
	case twos && p.n == 10 && zero:
		return 750, 950
	case zero && p.n >= 9 && p.last >= 2:
		return 600, 950
	case zero && p.n >= 9 && first <= 5:
		return 550, 950
	case zero && slashes == 1 && p.n >= 7:
		return 500, 900
	case p.n == 11 && first == 1 && p.d[0] == '8' && p.last >= 3: // as dialled in Russia and its neighbours
		return 500, 950
	case p.n == 10 && first == 5 && second == 5 && p.d[0] >= '6': // as mobile numbers are written in India
		return 450, 900
	case p.n == 7 && first == 3 && second == 4:
		return 350, 850
	case threes && first <= 3 && g.sep[0] == ' ':
		return 250, 800
	case p.n == 8 && (p.last == 1 && first == 4 || twos), p.n == 9 && threes:
		return 300, 850
	}
	return 250, 750
}

// extension moves the end past an extension: x818, ext. 5, extension 12.
func (c *cursor) extension(p *number) bool {
	i := c.spaces(p.end)
	if c.peek(i) == ',' {
		i = c.spaces(i + 1)
	}
	end := c.wordAfter(i)
	switch w := c.text[i:end]; {
	case len(w) == 1 && w[0]|0x20 == 'x':
	case c.has(i, "ext") && (len(w) == 3 || len(w) == 4 && c.has(end-1, "n") || c.has(i, "extension") && len(w) == 9):
	default:
		return false
	}
	if b := c.peek(end); b == '.' || b == ':' {
		end++
	}
	s := c.spaces(end)
	e := c.digits(s, 6)
	if e == s || e-s > 6 || isAlpha(c.peek(e)) {
		return false
	}
	p.end = e
	return true
}

// phoneEdges says how much what touches the number speaks against it: 1000 is that it is none.
func (c *cursor) phoneEdges(p *number) span.Score {
	const none = 1000
	against := span.Score(0)
	before, beyond := c.peek(p.start-1), isAlnum(c.peek(p.start-2))
	switch {
	case isAlnum(before) || before == '_' || before == '%' || before == '\\' || before == '@' || before == '+':
		return none
	case (before == '.' || before == '-') && isDigit(c.peek(p.start-2)):
		return none
	case (before == '-' || before == '/') && beyond:
		against = 250
	case before == '$' || before == '#' || before == 0xA3 || before == 0xAC && c.peek(p.start-3) == 0xE2 || before == '*' || before == '^':
		against = 300
	case before == ':' && isDigit(c.peek(p.start-2)):
		against = 200
	}
	after, next := c.peek(p.end), c.peek(p.end+1)
	switch {
	case isAlnum(after) || after == '_' || after == '@' || after == '%' || after == '=' || (after == '.' || after == ':') && isDigit(next):
		return none
	case after == '-' && isAlnum(next) && (isDigit(next) || !isAlpha(c.peek(p.end+2))):
		against += 300
	case after == '/' && isDigit(next) && !p.plus:
		against += 150
	case after == '$' || after == 0xC2 && next == 0xB0 || after == 0xE2 && next == 0x82:
		against += 300
	}
	return against
}
