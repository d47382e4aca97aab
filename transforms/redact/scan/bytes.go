// SPDX-License-Identifier: Apache-2.0

package scan

import "unicode/utf8"

func isDigit(b byte) bool { return b-'0' < 10 }
func isUpper(b byte) bool { return b-'A' < 26 }
func isAlpha(b byte) bool { return b|0x20-'a' < 26 }
func isAlnum(b byte) bool { return b|0x20-'a' < 26 || b-'0' < 10 }
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
	j := i
	for j < len(c.text) && j-i <= limit && isDigit(c.text[j]) {
		j++
	}
	return j
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
	for end = i; end < len(c.text) && isLetter(c.text[end]); end++ {
		if end-i >= maxWord {
			return i
		}
	}
	return end
}

// wordBefore is the word that ends at end: text[i:end].
func (c *cursor) wordBefore(end int) (i int) {
	for i = end; i > 0 && isLetter(c.text[i-1]); i-- {
		if end-i >= maxWord {
			return end
		}
	}
	return i
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
