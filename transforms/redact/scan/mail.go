// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// Bounds of RFC 5321, with room for what is written wrongly.
const (
	maxLocal = 128
	maxHost  = 255
)

// mail handles the `@` at i.
func (c *cursor) mail(at int) int {
	start := c.local(at)
	if start == at {
		return at + 1
	}
	end, tld := c.mailHost(at + 1)
	if end == at+1 {
		return at + 1
	}
	f := span.Finding{Type: span.Email, Start: start, End: end, Score: 850, Rule: "email", Why: span.ByForm}
	switch known := c.tlds.find(c.text[tld:end]); {
	case tld == end: // a host without a dot
		f.Score = 400
	case known == notTLD:
		f.Score, f.Why = span.Weak, f.Why|span.AgainstIt
	case known != 0 || c.text[at+1] == '[':
		f.Score = span.Certain
	}
	if c.messageID(start, at, end) {
		f.Score, f.Why = min(f.Score, 400), f.Why|span.AgainstIt
	}
	c.retract(start)
	c.dst = append(c.dst, f)
	c.floor, c.busy, c.address = end, end, end
	return end
}

// local is where the part before the `@` begins; at, if there is none.
func (c *cursor) local(at int) int {
	t := c.text
	if c.peek(at-1) == '"' {
		for i := at - 2; i >= max(c.address, at-maxLocal) && t[i] >= ' '; i-- {
			if t[i] == '"' && i < at-2 {
				return i
			}
		}
		return at
	}
	least := max(c.address, at-maxLocal-1)
	i, wide := at, false
	for i > least {
		if i >= least+8 {
			if n := after(notAlnums(load(t, i-8))); n > 0 {
				i -= n
				continue
			}
		}
		b := t[i-1]
		if class[b]&localClass == 0 || b == '.' && i < at && t[i] == '.' {
			break
		}
		wide = wide || b >= 0x80
		i--
	}
	if at-i > maxLocal {
		return at
	}
	for i < at && !isAlnum(t[i]) && t[i] != '_' && t[i] < 0x80 {
		i++
	}
	if wide {
		return c.quoteBefore(i, at)
	}
	return i
}

// quoteBefore moves the start past typographic quotes, dashes and spaces, which are beyond ASCII but no letters.
func (c *cursor) quoteBefore(start, at int) int {
	for i := at - 1; i >= start; i-- {
		if c.text[i] < utf8.RuneSelf {
			continue
		}
		if n := punctuation(c.text[i:at]); n != 0 {
			return i + n
		}
	}
	return start
}

// punctuation is the length of the character that begins b if it is beyond ASCII and ends words; otherwise 0.
func punctuation(b []byte) int {
	switch {
	case len(b) >= 2 && b[0] == 0xC2 && b[1] < 0xC0: // Latin-1's signs: no-break space, guillemets
		return 2
	case len(b) < 3:
		return 0
	case b[0] == 0xE2 && b[1] <= 0x81, b[0] == 0xE3 && b[1] == 0x80: // general punctuation; that of East Asia
		return 3
	case b[0] == 0xEF && (b[1] == 0xBC && (b[2] <= 0x8F || b[2] >= 0x9A && b[2] <= 0xA0) || b[1] == 0xBB && b[2] == 0xBF): // full-width signs; byte order mark
		return 3
	}
	return 0
}

// mailHost is the end of the host at i, and where its last label begins: at the end, if it has one label only. An end that is i
// means that there is no host.
func (c *cursor) mailHost(i int) (end, tld int) {
	t := c.text
	if c.peek(i) == '[' {
		if j := c.literal(i + 1); j != 0 && c.peek(j) == ']' {
			return j + 1, i
		}
		return i, i
	}
	end, tld = c.hostEnd(i)
	if end-i < 2 || end-tld == 0 && !isAlpha(t[i]) {
		return i, i
	}
	if tld == i {
		return end, end
	}
	if numeric := isDigit(t[tld]); numeric || end-tld < 2 {
		if j, ok := c.ip4(i); ok && j == end {
			return end, tld
		}
		return i, i
	}
	return end, tld
}

// hostEnd is the end of the labels at i, and the start of the last one. A last label that begins the next sentence is left out.
func (c *cursor) hostEnd(i int) (end, tld int) {
	t := c.text
	end, tld = i, i
	prev := i // start of the label before the last
	t = t[:min(len(t), i+maxHost+1)]
	for end < len(t) {
		if end+8 <= len(t) {
			if n := first(notAlnums(load(t, end))); n > 0 {
				end += n
				continue
			}
		}
		b := t[end]
		if class[b]&hostClass != 0 {
			if b >= 0x80 && punctuation(t[end:]) != 0 {
				break
			}
			end++
			continue
		}
		if b != '.' || end+1 >= len(t) || class[t[end+1]]&hostClass == 0 || t[end+1] == '-' || end == tld {
			break
		}
		end++
		prev, tld = tld, end
	}
	for end > tld && (t[end-1] == '-' || t[end-1] == '_') {
		end--
	}
	if tld > prev && prev > i && isUpper(t[tld]) && end-tld >= 2 && !isUpper(t[tld+1]) && !isUpper(t[prev]) && c.tlds.find(t[prev:tld-1]) != 0 {
		return tld - 1, prev
	}
	return end, tld
}

func hostByte(b byte) bool { return class[b]&hostClass != 0 }

// messageID says whether the address is likelier the name of a message than of a mailbox: it stands in angle brackets, and
// before the `@` is a long number with a point and more behind it. A number alone, or a word with a number, may well be a mailbox.
func (c *cursor) messageID(start, at, end int) bool {
	t := c.text
	before := c.peek(start - 1)
	if before == '$' || before == '#' || before == '!' {
		return true
	}
	if before != '<' || c.peek(end) != '>' {
		return false
	}
	i := start
	for i < at && isDigit(t[i]) {
		i++
	}
	return i-start >= 8 && i+1 < at && t[i] == '.'
}
