// SPDX-License-Identifier: Apache-2.0

package context

import (
	"unicode"
	"unicode/utf8"
)

// How far Near looks.
const (
	Back    = 72 // bytes before a finding
	Forward = 40 // bytes after it
	ahead   = 5  // words after it
	kept    = 32 // words before it: a power of two; a word of a script without spaces is one character
)

// FNV-1a, 64 bits.
const (
	basis = 14695981039346656037
	prime = 1099511628211
)

// word is a word that was read.
type word struct {
	hash    uint64
	numbers int // how many numbers stood before it
}

// reader reads words; it keeps the last of them.
type reader struct {
	words   [kept]word
	n       int // words read
	numbers int // numbers read: runs of four digits or more
}

func (r *reader) at(i int) *word { return &r.words[i&(kept-1)] }

func (r *reader) oldest() int { return max(0, r.n-kept) }

func (r *reader) put(h uint64) {
	r.words[r.n&(kept-1)] = word{h, r.numbers}
	r.n++
}

// join makes one hash of a phrase's beginning and its next word.
func join(h, next uint64) uint64 { return (h*prime ^ next) * prime }

// read reads the words of text[i:end].
func (r *reader) read(text []byte, i, end int) {
	h, letters, lower, digits := uint64(basis), 0, false, 0
	begun := i // where the word begins
	for i < end {
		c := text[i]
		if c-'a' < 26 {
			if letters == 0 {
				begun = i
			}
			h = (h ^ uint64(c)) * prime
			letters, lower, digits = letters+1, true, 0
			i++
			continue
		}
		if c < utf8.RuneSelf && c-'A' >= 26 { // between words
			if letters > 0 {
				if !scrap(text, begun, i, letters) {
					r.put(h)
				}
				h, letters = basis, 0
			}
			lower = false
			if c-'0' >= 10 {
				digits = 0
			} else if digits++; digits == 4 {
				r.numbers++
			}
			i++
			continue
		}
		size, folded, kind := classify(text[i:end])
		if kind == part || kind == alone || kind == upper && lower {
			if letters > 0 && !scrap(text, begun, i, letters) {
				r.put(h)
			}
			h, letters = basis, 0
		}
		lower = false
		switch kind {
		case part:
			digits = 0
		case alone:
			r.put((basis ^ uint64(folded)) * prime)
			digits = 0
		default:
			if letters == 0 {
				begun = i
			}
			for ; folded != 0; folded >>= 8 { // one letter, or the two that ß and æ stand for
				h = (h ^ uint64(folded&0xFF)) * prime
				if folded >= 1<<16 { // of another alphabet
					h = (h ^ uint64(folded>>8)) * prime
					break
				}
			}
			letters, digits = letters+1, 0
		}
		i += size
	}
	if letters > 0 && !scrap(text, begun, i, letters) {
		r.put(h)
	}
}

// scrap says whether text[begun:end] is no word: the s of "driver's", or one or two letters out of digits, as hexadecimal numbers have.
func scrap(text []byte, begun, end, letters int) bool {
	if letters > 2 {
		return false
	}
	if begun > 0 && text[begun-1]-'0' < 10 || end < len(text) && text[end]-'0' < 10 {
		return true
	}
	if letters != 1 || text[begun]|0x20 != 's' || begun == 0 {
		return false
	}
	return text[begun-1] == '\'' || begun >= 3 && text[begun-3] == 0xE2 && text[begun-2] == 0x80 && text[begun-1] == 0x99
}

// Kinds of characters.
const (
	part   = iota // between words
	letter        // of a word
	upper         // of a word; a new one begins when a small letter is before it
	alone         // a word by itself
)

// folds has U+00C0 to U+017F without accents and case. A dot is no letter; a digit says that it stands for two, see pairs.
const folds = "aaaaaa0ceeeeiiiidnooooo.ouuuuy11aaaaaa0ceeeeiiiidnooooo.ouuuuy1y" +
	"aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii22jjkkklllllll" +
	"lllnnnnnnnnnoooooo33rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"

// pairs has the first letter in its low byte, as read takes them.
var pairs = [4]rune{'a' | 'e'<<8, 's' | 's'<<8, 'i' | 'j'<<8, 'o' | 'e'<<8}

// classify reads the first character of a text, which is an ASCII capital or none of ASCII.
func classify(text []byte) (size int, folded rune, kind int) {
	c := text[0]
	if c < utf8.RuneSelf {
		return 1, rune(c | 0x20), upper
	}
	r, size := utf8.DecodeRune(text)
	if r == utf8.RuneError && size == 1 {
		r = rune(c) // text in Latin-1
	}
	switch {
	case r < 0xC0:
		return size, 0, part
	case r >= 0x300 && r < 0x370: // an accent by itself
		return size, 0, letter
	case r < 0x180:
		f := folds[r-0xC0]
		switch {
		case f == '.':
			return size, 0, part
		case f < 'a':
			return size, pairs[f-'0'], letter
		}
		return size, rune(f), letter
	case solitary(r):
		return size, r, alone
	case unicode.IsLetter(r) || unicode.IsMark(r):
		return size, unicode.ToLower(r) + 1<<16, letter // apart from ASCII letters whatever its low byte
	}
	return size, 0, part
}

// solitary says whether the character is of a script that is written without spaces, or glues endings to words.
func solitary(r rune) bool {
	switch {
	case r < 0x0E00:
		return false
	case r < 0x0F00: // Thai, Lao
		return r < 0x0E4F || r > 0x0E7F
	case r < 0x3040:
		return r >= 0x1000 && r < 0x10A0 || r >= 0x1780 && r < 0x1800 // Myanmar, Khmer
	}
	// Kana, Han, Hangul.
	return r < 0x3100 || r >= 0x3400 && r < 0xA000 || r >= 0xAC00 && r < 0xD7A4 || r >= 0xF900 && r < 0xFB00 || r >= 0x20000 && r < 0x32000
}

// wordStart moves i forward past a word that began before it: half a word means something else.
func wordStart(text []byte, i int) int {
	if i == 0 {
		return 0
	}
	for n := 0; i < len(text) && n < Back && letterByte(text[i-1]) && letterByte(text[i]); n++ {
		if text[i] >= 0xE0 && utf8.RuneStart(text[i]) {
			return i // of a script that may have no spaces
		}
		i++
	}
	return i
}

func letterByte(c byte) bool { return c|0x20-'a' < 26 || c >= utf8.RuneSelf }

// clauseEnd is where the words after a finding end: at the end of a line, a sentence or an item of a list, at another number, or a bounded way on.
func clauseEnd(text []byte, i int) int {
	limit := min(len(text), i+Forward)
	for at := i; at < limit; at++ {
		switch c := text[at]; {
		case c == '\n' || c == '\r' || c == ';' || c == ',' || c == '|' || c == '\t' || c-'0' < 10:
			return at
		case (c == '.' || c == '!' || c == '?') && (at+1 >= len(text) || text[at+1] <= ' '):
			return at
		}
	}
	for limit < len(text) && limit > i && letterByte(text[limit]) && letterByte(text[limit-1]) {
		limit-- // not half a word
	}
	return limit
}
