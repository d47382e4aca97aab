// SPDX-License-Identifier: Apache-2.0

package scan

import "unicode/utf8"

// Classes of bytes, for the loops that most of the time is spent in. Bytes beyond ASCII are letters.
const (
	alnumClass  = 1 << iota // letters and digits of ASCII
	hostClass               // of labels of domain names
	localClass              // of the local part of an e-mail address, dots too
	urlClass                // what URLs go on with whatever follows
	openClass               // before a number: no sign, and nothing that it could be a part of
	letterClass             // letters
	closeClass              // after a number: it is whole
	backClass               // between a number and the word before it
)

var class = [256]uint8{
	0x50, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x50, 0x50, 0x00, 0x00, 0x50, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x90, 0x48, 0xd0, 0x08, 0x08, 0x0c, 0x08, 0xdc, 0x80, 0x00, 0x08, 0x0c, 0x80, 0x8e, 0x8c, 0x88,
	0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x88, 0x48, 0x00, 0x88, 0x50, 0x08,
	0x08, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f,
	0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x18, 0x00, 0x48, 0x08, 0x0e,
	0x00, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f,
	0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f, 0x00, 0x00, 0x00, 0x0c, 0x00,
	0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26,
	0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26,
	0xa6, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26,
	0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26,
	0x26, 0x26, 0xa6, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26,
	0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26,
	0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26,
	0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26,
}

func isDigit(b byte) bool { return b-'0' < 10 }
func isUpper(b byte) bool { return b-'A' < 26 }
func isAlpha(b byte) bool { return b|0x20-'a' < 26 }
func isAlnum(b byte) bool { return class[b]&alnumClass != 0 }
func isHex(b byte) bool   { return b-'0' < 10 || b|0x20-'a' < 6 }

// isLetter takes all of UTF-8 beyond ASCII for letters.
func isLetter(b byte) bool { return b|0x20-'a' < 26 || b >= utf8.RuneSelf }

func lower(b byte) byte {
	if isUpper(b) {
		return b | 0x20
	}
	return b
}

// peek is the byte at i, or 0 outside of the text.
func (c *cursor) peek(i int) byte {
	if uint(i) < uint(len(c.text)) {
		return c.text[i]
	}
	return 0
}

// has says whether word, in lower case, stands at i, in whatever case.
func (c *cursor) has(i int, word string) bool {
	if i < 0 || i+len(word) > len(c.text) {
		return false
	}
	for j := range len(word) {
		if lower(c.text[i+j]) != word[j] {
			return false
		}
	}
	return true
}

// digits is the end of the digits at i, at most limit of them; one more is looked at, so that the caller sees there are more.
func (c *cursor) digits(i, limit int) int {
	if i+8 <= len(c.text) {
		if m := notDigits(load(c.text, i)); m != 0 {
			return i + min(first(m), limit+1)
		}
	}
	if i >= len(c.text) {
		return i
	}
	t := c.text[i:min(len(c.text), i+limit+1)]
	for j, b := range t {
		if !isDigit(b) {
			return i + j
		}
	}
	return i + len(t)
}

// number is the value of text[start:end], which is at most nine digits.
func (c *cursor) number(start, end int) int {
	n := 0
	for _, b := range c.text[start:end] {
		n = n*10 + int(b-'0')
	}
	return n
}

// maxWord bounds the words that dates, ages and times look for.
const maxWord = 24

// wordAfter is the word that begins at i: text[i:end]. A longer one than maxWord is none.
func (c *cursor) wordAfter(i int) (end int) {
	if i+8 <= len(c.text) {
		if m := notLetters(load(c.text, i)); m != 0 {
			return i + first(m)
		}
	}
	t := c.text[i:min(len(c.text), i+maxWord+1)]
	for j, b := range t {
		if class[b]&letterClass == 0 {
			return i + j
		}
	}
	if len(t) > maxWord {
		return i
	}
	return i + len(t)
}

// wordBefore is the word that ends at end: text[i:end].
func (c *cursor) wordBefore(end int) (i int) {
	if end >= 8 {
		if m := notLetters(load(c.text, end-8)); m != 0 {
			return end - after(m)
		}
	}
	t := c.text[max(0, end-maxWord-1):end]
	for j := len(t) - 1; j >= 0; j-- {
		if class[t[j]]&letterClass == 0 {
			return end - len(t) + j + 1
		}
	}
	if len(t) > maxWord {
		return end
	}
	return end - len(t)
}

// spaces skips one or two spaces at i, no-break ones too.
func (c *cursor) spaces(i int) int {
	for range 2 {
		switch {
		case c.peek(i) == ' ':
			i++
		case c.peek(i) == 0xC2 && c.peek(i+1) == 0xA0:
			i += 2
		default:
			return i
		}
	}
	return i
}

// spacesBefore is where the one or two spaces that end at i begin.
func (c *cursor) spacesBefore(i int) int {
	for range 2 {
		switch {
		case c.peek(i-1) == ' ':
			i--
		case c.peek(i-1) == 0xA0 && c.peek(i-2) == 0xC2:
			i -= 2
		default:
			return i
		}
	}
	return i
}
