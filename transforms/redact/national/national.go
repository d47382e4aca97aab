// SPDX-License-Identifier: Apache-2.0

// Package national recognises the numbers that states, registries and health systems give to people, vehicles and firms: social
// security and tax numbers, passports, licences, plates. docs/transforms/identifiers.md lists them.
//
// Trust domain: pure; it runs natively and inside WebAssembly. Its one job: from the form of a run of letters and digits, its check digits and
// the words around it, say which identifier it most likely is. Only the form must fit. A wrong check digit or a broken rule of the
// issuer's lowers the score, since a mistyped number is personal data too; a word near it raises it.
//
// A call looks a bounded way back and forward, so that a text costs time in proportion to its length.
package national

import (
	"sync"

	"github.com/glovebox-dev/glovebox/transforms/redact/context"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// Options choose among the recognisers. The zero value is all of them.
type Options struct {
	Types     []span.Type // only these, where there are any
	Countries []string    // only these, as ISO 3166-1 alpha-2, and those of no country; where there are any
}

// Matcher is recognisers that were chosen. Any number of goroutines may use it.
type Matcher struct {
	shapes  []shape                     // sorted by length, and by the kind
	from    [kinds*(reach+1) + 1]uint16 // shapes[from[i]:from[i+1]] are of bucket i
	layouts layouts
	alone   [2]uint64                       // lengths of shapes of one group, as bits, by its class
	pairs   [2][2][reach + 1]uint64         // lengths that the second of two neighbouring groups has, by their classes and the length of the first
	twos    [4][2][2][reach + 1]uint64      // of shapes of two groups by their separator: lengths of the second, by their classes and the length of the first
	more    [4][2][2][reach + 1]uint64      // as twos, of the first two groups of shapes that have more
	most    [kinds * (reach + 1)]span.Score // what shapes of each bucket score at most without words
	words   *context.Set
	topics  []context.Bits // what each of table listens to
	rules   []string       // what findings are said to be found by, for each of table
}

// all is compiled when it is first asked for: a start that has no use for it does not pay for it.
var all = sync.OnceValue(func() *Matcher { return New(Options{}) })

// Match finds with all recognisers. See [Matcher.Match].
func Match(dst []span.Finding, text []byte, start, end int) []span.Finding {
	return all().Match(dst, text, start, end)
}

// reach is how many characters an identifier has at most, separators not counted.
const reach = 40

// maxGroups is how many groups an identifier has at most.
const maxGroups = 9

// Match appends the identifier that text[start:end] is or begins, if any: the likeliest one. The range must be a maximal run of ASCII letters and
// digits that holds a digit; the identifier may begin with groups of capitals before it, and go on after it. A finding has at least
// [span.Weak] for its score: what is only a number and has no words around it is no finding.
func (m *Matcher) Match(dst []span.Finding, text []byte, start, end int) []span.Finding {
	if m == nil || start < 0 || end > len(text) || end <= start || !m.may(text, start, end) {
		return dst
	}
	f, _ := m.match(text, start, end)
	if f.Score >= span.Weak {
		dst = append(dst, f)
	}
	return dst
}

// may says whether there is a shape that the run and the groups beside it could be. It decides for most numbers of a text, so it is quick
// rather than exact: what it lets through is looked at in full.
func (m *Matcher) may(text []byte, start, end int) bool {
	n := end - start
	if n > reach {
		return false
	}
	first, both := class(text[start:end])
	if both {
		return false
	}
	if m.alone[first]>>n&1 != 0 {
		return true
	}
	if start > 1 {
		switch text[start-1] {
		case ' ', '-', '.', '/', 0xA0:
			switch c := text[start-2]; {
			case c-'0' < 10 && text[start-1] != ' ':
				return false // a row of groups was looked at from its beginning
			case c >= 0x80:
				return true
			case c-'A' < 26:
				i := start - 2
				for i > 0 && start-i < 7 && text[i-1]-'A' < 26 {
					i--
				}
				if k := start - 1 - i; i > 0 && text[i-1] >= 0x80 || m.pairs[mixed][first][k]>>n&1 != 0 {
					return true
				}
			}
		}
	}
	if end+1 >= len(text) {
		return false
	}
	switch text[end] {
	case 0xC2, 0xE2:
		return true
	case ' ':
		if c := text[end+1]; c|0x20-'a' < 26 && end+2 < len(text) && text[end+2]-'a' < 26 {
			return false // a word
		}
	case '-', '.', '/':
	default:
		return false
	}
	i := end + 1
	for i < len(text) && i-end <= reach && alnum(text[i]) {
		i++
	}
	second := i - end - 1
	kind, _ := class(text[end+1 : i])
	by := parting(text[end])
	if m.twos[by][first][kind][n]>>second&1 != 0 {
		return true
	}
	if m.more[by][first][kind][n]>>second&1 == 0 {
		return false
	}
	sep, size := separator(text, i) // there must be a third group
	return sep != 0 && continues(text, i+size, sep)
}

// parting is the place of a separator in twos and more.
func parting(sep byte) int {
	switch sep {
	case ' ':
		return 0
	case '-':
		return 1
	case '.':
		return 2
	}
	return 3
}

// class is numeric or mixed, and whether there are both capitals and small letters: no identifier has them.
func class(group []byte) (kind int, both bool) {
	letters := byte(0)
	for _, c := range group {
		if c-'0' >= 10 {
			letters |= 1 << (c >> 5 & 3)
		}
	}
	if letters == 0 {
		return numeric, false
	}
	return mixed, letters == 1<<2|1<<3
}

// match is the likeliest finding, and how many steps it took to find: characters read, shapes looked at, words asked for.
func (m *Matcher) match(text []byte, start, end int) (best span.Finding, steps int) {
	c := candidate{m: m, text: text}
	c.scan(start, end)
	for at, i := start, 0; i < 2; i++ {
		before, ok := capitalsBefore(text, at)
		if !ok {
			break
		}
		at = before
		c.scan(at, end)
	}
	if c.checked != nil {
		buffers.Put(c.checked)
	}
	return c.best, c.steps
}

// buffers are what checks read identifiers from. They are called by value of a table, so what they are given cannot stay on the stack.
var buffers = sync.Pool{New: func() any { return new([reach]byte) }}

// candidate is an identifier as it grows group by group, and the best finding yet.
type candidate struct {
	m    *Matcher
	text []byte

	id             [reach]byte // in capitals, without separators
	n              int
	digits         uint64 // which of id are digits
	seps           uint64 // before which of id there is a separator
	sep            [maxGroups]byte
	groups         int
	small, capital bool // letters it has

	start, end int
	near       context.Words
	before     bool         // near has what stands before this candidate
	after      bool         // and after it
	wordless   bool         // no topic is near
	glue       int          // how it hangs on to what is around
	checked    *[reach]byte // nil until a check is called

	best  span.Finding
	order uint8
	steps int
}

// scan grows a candidate from text[start:] and tries it at the end of each group from text[must-1] on.
func (c *candidate) scan(start, must int) {
	c.n, c.digits, c.seps, c.groups, c.small, c.capital = 0, 0, 0, 0, false, false
	c.start, c.before = start, false
	i := start
	for {
		i = c.group(i)
		if i < 0 {
			return
		}
		if i >= must {
			c.end, c.after = i, false
			c.steps += i - start
			c.try()
		}
		sep, size := separator(c.text, i)
		if sep == 0 || c.groups == maxGroups-1 || c.n == reach || i >= must && !continues(c.text, i+size, sep) {
			return
		}
		c.sep[c.groups] = sep
		c.groups++
		c.seps |= 1 << c.n
		i += size
	}
}

// group takes in the run of letters and digits at text[i:] and says where it ends, or -1 where it is too long.
func (c *candidate) group(i int) int {
	for ; i < len(c.text); i++ {
		b := c.text[i]
		switch {
		case b-'0' < 10:
			if c.n == reach {
				return -1
			}
			c.digits |= 1 << c.n
		case b-'A' < 26:
			c.capital = true
		case b-'a' < 26:
			c.small = true
			b -= 0x20
		default:
			u := umlaut(c.text, i)
			if u == 0 {
				return i
			}
			c.capital = true
			b = u
			i++
		}
		if c.n == reach {
			return -1
		}
		c.id[c.n] = b
		c.n++
	}
	return i
}

// umlaut is the letter under the dots of a capital Ä, Ö or Ü at text[i:], which German plates have; else 0.
func umlaut(text []byte, i int) byte {
	if text[i] != 0xC3 || i+1 >= len(text) {
		return 0
	}
	switch text[i+1] {
	case 0x84:
		return 'A'
	case 0x96:
		return 'O'
	case 0x9C:
		return 'U'
	}
	return 0
}

// separator reads what parts two groups: a space, dash, stop or slash, or their like beyond ASCII.
func separator(text []byte, i int) (sep byte, size int) {
	if i >= len(text) {
		return 0, 0
	}
	switch c := text[i]; c {
	case ' ', '-', '.', '/':
		return c, 1
	case 0xC2:
		if i+1 < len(text) && text[i+1] == 0xA0 { // no-break space
			return ' ', 2
		}
	case 0xE2:
		if i+2 < len(text) && text[i+1] == 0x80 {
			switch d := text[i+2]; {
			case d >= 0x90 && d <= 0x93: // hyphen to en dash
				return '-', 3
			case d == 0x89 || d == 0xAF: // thin spaces
				return ' ', 3
			}
		}
	}
	return 0, 0
}

// continues says whether an identifier may go on at text[i:]: with a group that holds a digit, or with few letters.
func continues(text []byte, i int, sep byte) bool {
	small := false
	for n := 0; n <= 12 && i+n < len(text); n++ {
		switch c := text[i+n]; {
		case c-'0' < 10:
			return true
		case c-'A' < 26:
		case c-'a' < 26:
			small = true
		default:
			return n > 0 && n <= 4 && (!small || sep == '-' || n == 1)
		}
		if n > 4 {
			return false
		}
	}
	return i < len(text) && len(text)-i <= 4 && (!small || sep == '-' || len(text)-i == 1)
}

// capitalsBefore is where the group of capitals starts that a single separator parts from text[at:].
func capitalsBefore(text []byte, at int) (start int, ok bool) {
	i := at - 1
	if i < 1 {
		return 0, false
	}
	switch c := text[i]; {
	case c == ' ' || c == '-' || c == '.' || c == '/':
	case c == 0xA0 && text[i-1] == 0xC2:
		i--
	default:
		return 0, false
	}
	n := 0
	for i > 0 && n < 5 {
		if c := text[i-1]; c-'A' < 26 {
			i--
		} else if i > 1 && umlaut(text, i-2) != 0 {
			i -= 2
		} else {
			break
		}
		n++
	}
	if n == 0 || n > 4 || i > 0 && (text[i-1]-'0' < 10 || text[i-1]|0x20-'a' < 26) {
		return 0, false
	}
	return i, true
}

// try asks every recogniser whose form the candidate has.
func (c *candidate) try() {
	if c.small && c.capital || c.seps != 0 && !c.m.layouts.has(c.n, c.seps) {
		return
	}
	if c.glue = c.hangs(); c.glue == firmly && c.seps != 0 {
		return // groups out of a longer row of them
	}
	all := uint64(1)<<c.n - 1
	letters := all &^ c.digits
	kind := mixed
	switch {
	case c.seps != 0:
		kind = parted
	case letters == 0:
		kind = numeric
	}
	m, at := c.m, bucket(c.n, kind)
	c.steps += int(m.from[at+1] - m.from[at])
	for i := m.from[at]; i < m.from[at+1]; i++ {
		s := &m.shapes[i]
		if s.seps != c.seps || s.digits&letters != 0 || s.letters&c.digits != 0 {
			continue
		}
		if s.literal != "" && !s.begins(c.id[:c.n]) || s.seps != 0 && !s.parted(c.sep[:c.groups]) {
			continue
		}
		if c.ask(); c.wordless && m.most[at] < span.Weak {
			return // no form of this length is anything without words
		}
		c.judge(s)
	}
}
