// SPDX-License-Identifier: Apache-2.0

package scan

import "unicode/utf8"

const (
	maxGroups = 10
	maxGroup  = 24 // digits
)

// groups is a number as it is written: groups of digits with one separator between each two.
type groups struct {
	n      int
	digits int
	start  [maxGroups]int
	end    [maxGroups]int
	sep    [maxGroups]byte // after the group: ' ', '-', '.', '/', or '(' and ')' with the spaces and dashes around them; 0 after the last
	glued  bool            // letters follow the last group at once
}

func (g *groups) len(i int) int { return g.end[i] - g.start[i] }

// gather reads the number that begins at s.
func (c *cursor) gather(s int, g *groups) {
	g.n, g.digits, g.glued = 0, 0, false
	for g.n < maxGroups {
		e := c.digits(s, maxGroup)
		g.start[g.n], g.end[g.n], g.sep[g.n] = s, e, 0
		g.digits += e - s
		g.n++
		if e-s > maxGroup || isAlpha(c.peek(e)) || c.peek(e) == '_' {
			g.glued = true
			return
		}
		sep, next := c.separator(e)
		if sep == 0 || g.n == maxGroups {
			return
		}
		g.sep[g.n-1] = sep
		s = next
	}
}

// whole says whether a group of digits that ends at i is the last, by the two bytes that follow. Whether it is one that no letter
// follows, the caller knows.
func (c *cursor) whole(i int) bool {
	if i+2 > len(c.text) {
		return false
	}
	r := c.text[i+1]
	switch c.text[i] {
	case ' ':
		return !isDigit(r) && r != '(' && r != '-' && r != '/'
	case '.', '-', '(':
		return !isDigit(r)
	case '/':
		return !isDigit(r) && r != ' '
	}
	return false
}

// separator reads what parts two groups of digits, and gives where the next begins; 0 is none.
func (c *cursor) separator(i int) (sep byte, next int) {
	b := c.peek(i)
	switch b {
	case '-', '.', '/':
		if b == '/' && c.peek(i+1) == ' ' && isDigit(c.peek(i+2)) {
			return b, i + 2
		}
		next = i + 1
	case ')':
		next = i + 1
		switch c.peek(next) {
		case ' ', '-', '.', '/':
			next++
		}
	case '(':
		next = i + 1
	case ' ':
		next = i + 1
		switch c.peek(next) {
		case '(':
			b, next = '(', next+1
		case '-', '/':
			if c.peek(next+1) == ' ' {
				b, next = c.peek(next), next+2
			}
		}
	default:
		if b < utf8.RuneSelf {
			return 0, 0
		}
		if b, next = c.wideSeparator(i); b == 0 {
			return 0, 0
		}
	}
	if !isDigit(c.peek(next)) {
		return 0, 0
	}
	return b, next
}

// wideSeparator reads a space or a dash beyond ASCII.
func (c *cursor) wideSeparator(i int) (sep byte, next int) {
	switch a, b := c.peek(i+1), c.peek(i+2); {
	case c.text[i] == 0xC2 && a == 0xA0:
		return ' ', i + 2
	case c.text[i] == 0xE2 && a == 0x80 && (b >= 0x80 && b <= 0x8A || b == 0xAF):
		return ' ', i + 3
	case c.text[i] == 0xE2 && (a == 0x80 && b >= 0x90 && b <= 0x94 || a == 0x88 && b == 0x92):
		return '-', i + 3
	}
	return 0, 0
}

// run handles the maximal run of letters and digits whose first digit is at i.
func (c *cursor) run(i int) int {
	t := c.text
	if i >= 4 && i >= c.busy && class[t[i-1]]&openClass != 0 {
		if e := c.ordinary(i); e != 0 {
			c.floor = e
			if c.national != nil {
				c.dst = c.national(c.dst, t, i, e)
			}
			return e
		}
	}
	s := i
	for s > c.floor && class[t[s-1]]&alnumClass != 0 {
		s--
	}
	d, e := c.extent(i)
	c.floor = e
	if s >= c.busy {
		sealed := 0
		if s < i {
			sealed = c.lettered(s, i, d, e)
		} else {
			sealed = c.figures(s, d, e)
		}
		if sealed != 0 {
			return max(e, sealed)
		}
	}
	if c.national != nil {
		c.dst = c.national(c.dst, t, s, e)
	}
	return e
}

// extent is where the digits at i end, and where the letters and digits do.
func (c *cursor) extent(i int) (d, e int) {
	t := c.text
	if i+8 <= len(t) {
		x := load(t, i)
		if m := notAlnums(x); m != 0 {
			return i + first(notDigits(x)), i + first(m)
		}
	}
	d = i + 1
	for d < len(t) && isDigit(t[d]) {
		d++
	}
	e = d
	for e < len(t) && class[t[e]]&alnumClass != 0 {
		e++
	}
	return d, e
}

// ordinary is the end of the digits at i if they are a short number between words that say nothing about it; 0 if they may be more.
// Most numbers in prose are such, and it is cheap. The caller knows that nothing touches them from before.
func (c *cursor) ordinary(i int) int {
	t := c.text
	if i+8 > len(t) {
		return 0
	}
	x := load(t, i)
	n := first(notDigits(x))
	if n > 4 {
		return 0
	}
	after := x >> (n * 8)
	switch q := byte(after); {
	case class[q]&closeClass != 0:
	case q == ' ':
		if r := byte(after >> 8); class[r]&letterClass == 0 && r != '\n' && r != '"' || c.lexicon.begins(r, byte(after>>16), byte(after>>24)) {
			return 0
		}
	case q == ',' || q == '.' || q == '?':
		if r := byte(after >> 8); r != ' ' && r != '\n' || n == 1 || q != '.' && c.lexicon.begins(byte(after>>16), byte(after>>24), byte(after>>32)) {
			return 0
		}
	default:
		return 0
	}
	if t[i-1] != ' ' && t[i-1] != '"' {
		return i + n
	}
	if b := t[i-2]; class[b]&letterClass == 0 && b != '\n' && b != ' ' || c.lexicon.ends(t[i-4], t[i-3], b) {
		return 0
	}
	return i + n
}

// lettered handles a run that begins with a letter: its first digits are text[i:d]. What it returns is the end of an
// address, in which no national identifier can be, or 0.
func (c *cursor) lettered(s, i, d, e int) int {
	if e-s <= 4 {
		switch c.peek(e) {
		case ':', '-', '.':
			if end := c.hexRun(s, e); end != 0 {
				return end
			}
		}
	}
	switch n := e - s; {
	case i-s == 2 && d-i >= 2 && c.iban(s):
		return 0
	case n >= minCoin && c.coin(s, e):
		return 0
	case (n == 8 || n == 11) && i-s >= 4 && c.bic(s, e):
		return 0
	case n == 8 && c.peek(e) == '-':
		return c.uuid(s)
	}
	return 0
}

// hexRun handles a short run that an address may begin with.
func (c *cursor) hexRun(s, e int) int {
	for _, b := range c.text[s:e] {
		if !isHex(b) {
			return 0
		}
	}
	if c.peek(e) == '.' {
		if e-s == 4 {
			return c.cisco(s)
		}
		return 0
	}
	return c.hexAddress(s)
}

// figures handles a run that begins with a digit; its first digits are text[s:d]. What it returns is as with lettered.
func (c *cursor) figures(s, d, e int) int {
	if e-s <= 4 {
		switch next := c.peek(e); {
		case next == ':' && c.secondColon(e) || next == '-' && e-s == 2:
			if end := c.hexRun(s, e); end != 0 {
				return end
			}
		case next == '.':
			if e-s == 4 {
				if end := c.cisco(s); end != 0 {
					return end
				}
			}
			if d == e && e-s <= 3 {
				if end := c.ipv4(s); end != 0 {
					return 0
				}
			}
		}
	}
	if e-s == 8 && c.peek(e) == '-' {
		if end := c.uuid(s); end != 0 {
			return end
		}
	}
	if d < e && e-s >= minCoin && c.coin(s, e) || c.continues(s, e) {
		return 0
	}
	q := c.peek(d)
	g := &c.groups
	if class[q]&closeClass != 0 || d == e && c.whole(d) {
		g.n, g.digits, g.glued, g.sep[0], g.start[0], g.end[0] = 1, d-s, false, 0, s, d
	} else {
		c.gather(s, g)
	}
	near := uint32(0)
	if d-s <= 4 {
		if near = c.beside(s, d, e); near == 0 && g.n == 1 && q != ':' && q < 0x80 {
			return 0
		}
	}
	switch {
	case c.when(s, d, e, near, g):
	case (q == '.' && g.n > 1 && g.len(1) > 2 || q >= 0x80 || q == ' ' && c.peek(d+1) == 'd') && c.place(s, d, g):
	case d-s <= 3 && near&ageMask != 0 && c.age(s, d, e):
	case g.digits >= minCard && c.card(g):
	case g.digits >= 6:
		c.phone(g)
	}
	return 0
}

const ageMask = yearUnit | ageUnit | smallUnit | oldWord | ageWord | linking | ageSign

// beside is what the word before a number means and what the word after it means: most numbers are nothing, and are done with here.
func (c *cursor) beside(s, d, e int) uint32 {
	i := c.skipBack(s)
	m := c.lexicon.find(c.text[c.wordBefore(i):i])
	if d < e { // 15th, 15mar, 34yo
		end := c.wordAfter(d)
		m |= c.lexicon.find(c.text[d:end]) | ageSign
		d = end
	}
	for n := 0; n < 3; n++ {
		switch b := c.peek(d); {
		case b == ' ' || b == '.' || b == '-' || b == '/':
			d++
		case b == 0xC2 && c.peek(d+1)&0xC0 == 0x80 && c.peek(d+1) != 0xB0:
			d += 2
		case b >= 0xE5: // a character that counts years
			return m | ageSign
		}
	}
	end := c.wordAfter(d)
	if end == d {
		return m
	}
	if b := c.peek(end); b == '/' || b == '.' || end-d == 2 { // y/o, y.o., yo
		if c.text[d]|0x20 == 'y' {
			m |= ageSign
		}
	}
	return m | c.lexicon.find(c.text[d:end])
}

// skipBack is where the spaces and signs that end at i begin, a few at most.
func (c *cursor) skipBack(i int) int {
	least := max(i-4, 0)
	for i > least && class[c.text[i-1]]&backClass != 0 {
		i--
	}
	return i
}

// secondColon says whether another colon follows the one at i, as in every address and not in most times.
func (c *cursor) secondColon(i int) bool {
	j := i + 1
	for j < len(c.text) && j-i <= 4 && isHex(c.text[j]) {
		j++
	}
	return c.peek(j) == ':'
}

// continues says whether the digits at s are the later part of a number that was looked at as a whole: of a decimal, of a version,
// of thousands.
func (c *cursor) continues(s, e int) bool {
	switch c.peek(s - 1) {
	case '.':
		return isDigit(c.peek(s - 2))
	case ',':
		return isDigit(c.peek(s-2)) && e-s == 3 && (isDigit(c.peek(s-3)) || !isAlnum(c.peek(s-3))) && c.peek(e) != '-' && c.peek(e) != ' '
	case '_':
		return true
	}
	return false
}

// uuid is the end of the UUID that begins at s; 0 is none (RFC 9562). It is nobody's identifier by its form.
func (c *cursor) uuid(s int) int {
	const n = 36
	if s+n > len(c.text) || isAlnum(c.peek(s+n)) {
		return 0
	}
	for i, b := range c.text[s : s+n] {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (b == '-') || !dash && !isHex(b) {
			return 0
		}
	}
	c.busy, c.floor = s+n, s+n
	return s + n
}
