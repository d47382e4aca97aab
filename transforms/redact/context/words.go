// SPDX-License-Identifier: Apache-2.0

package context

import (
	"math/bits"
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

// What hashes begin with and are multiplied by: an odd number without a pattern.
const (
	basis = 14695981039346656037
	prime = 0x9E3779B97F4A7C15
)

// spelling is the hash of a word's letters, eight at a time: each way to read them comes to the same.
type spelling struct {
	hash   uint64
	chunk  uint64 // letters that are not in hash yet, the first in the lowest byte
	room   uint   // bits that they take
	length int    // letters
}

func (s *spelling) add(c byte) {
	s.chunk |= uint64(c) << s.room
	s.length++
	if s.room += 8; s.room == 64 {
		s.hash, s.chunk, s.room = stir(s.hash, s.chunk), 0, 0
	}
}

// letter adds one letter, or the two that ß and æ stand for. An accent by itself is a letter of a word too, that nothing is written for.
func (s *spelling) letter(folded rune) {
	length := s.length + 1
	for ; folded != 0; folded >>= 8 {
		s.add(byte(folded))
		if folded >= 1<<16 { // of another alphabet
			s.add(byte(folded >> 8))
			s.add(byte(folded>>16) | 0x80)
			break
		}
	}
	s.length = length
}

// sum is the hash of all.
func (s *spelling) sum() uint64 {
	if s.room == 0 {
		return s.hash
	}
	return stir(s.hash, s.chunk)
}

func stir(h, chunk uint64) uint64 {
	h = (h ^ chunk) * prime
	return h ^ h>>29
}

// reader reads words; it keeps the last of them.
type reader struct {
	hashes  [kept]uint64
	order   [kept]uint8 // how many numbers stood before each
	n       int         // words read
	numbers uint8       // numbers read: runs of four digits or more
}

// at is the hash of a word.
func (r *reader) at(i int) uint64 { return r.hashes[i&(kept-1)] }

// near says whether no number is between a word and the end.
func (r *reader) near(i int) bool { return r.order[i&(kept-1)] == r.numbers }

func (r *reader) oldest() int { return max(0, r.n-kept) }

func (r *reader) put(h uint64) {
	r.hashes[r.n&(kept-1)], r.order[r.n&(kept-1)] = h, r.numbers
	r.n++
}

// join makes one hash of a phrase's beginning and its next word.
func join(h, next uint64) uint64 { return (h*prime ^ next) * prime }

// between has what stands between words: 1 for signs, 2 for digits.
var between = func() (t [256]uint8) {
	for c := range byte(utf8.RuneSelf) {
		switch {
		case c-'0' < 10:
			t[c] = 2
		case c|0x20-'a' >= 26:
			t[c] = 1
		}
	}
	return t
}()

// read reads the words of text[i:end]. Most are plain.
func (r *reader) read(text []byte, i, end int) {
	s, lower, digits := spelling{hash: basis}, false, 0
	begun := i // where the word begins
	for i < end {
		c := text[i]
		if between[c] != 0 {
			if s.length > 0 {
				if !scrap(text, begun, i, s.length) {
					r.put(s.sum())
				}
				s = spelling{hash: basis}
			}
			lower = false
			for ; i < end && between[text[i]] != 0; i++ {
				if digits = (digits + 1) * int(between[text[i]]-1); digits == 4 {
					r.numbers++
				}
			}
			continue
		}
		if s.length == 0 {
			if h, n := plain(text, i, end); n > 0 {
				if n > 2 || !scrap(text, i, i+n, n) {
					r.put(h)
				}
				i += n
				lower, digits = false, 0
				continue
			}
		}
		size, folded, kind := 1, rune(c), letter
		if c-'a' >= 26 {
			size, folded, kind = classify(text[i:end])
		}
		if kind == part || kind == alone || kind == upper && lower {
			if s.length > 0 && !scrap(text, begun, i, s.length) {
				r.put(s.sum())
			}
			s = spelling{hash: basis}
		}
		lower = c-'a' < 26
		digits = 0
		switch kind {
		case part:
		case alone:
			r.put(stir(basis, uint64(folded)<<8))
		default:
			if s.length == 0 {
				begun = i
			}
			s.letter(folded)
		}
		i += size
	}
	if s.length > 0 && !scrap(text, begun, i, s.length) {
		r.put(s.sum())
	}
}

// plain is the hash of the word at i and its length, if all of its letters are of ASCII and no capital comes after a small one; else 0.
func plain(text []byte, i, end int) (h uint64, n int) {
	h = basis
	for size := 8; size == 8 && i+n < end; n += size {
		if i+n+8 > len(text) {
			return 0, 0
		}
		x := load(text, i+n)
		low := x&^highs | 0x20*ones
		marks := (^(low + (0x80-'a')*ones) | (low + (0x80-'{')*ones) | x) & highs // what is no letter of ASCII
		size = min(bits.TrailingZeros64(marks)>>3, end-i-n)
		if size == 0 {
			break
		}
		letters := uint64(1)<<(size*8) - 1
		if capitals := ^x & (0x20 * ones) & letters; capitals != 0 && (n > 0 || capitals&(x&(0x20*ones)<<8) != 0) {
			return 0, 0
		}
		h = stir(h, (x|0x20*ones)&letters)
	}
	if i+n < end && text[i+n] >= utf8.RuneSelf {
		return 0, 0
	}
	return h, n
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

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

// always is what ends a clause whatever follows it; a stop does if a space follows.
const always = 2

var closes = [256]uint8{
	'\n': always, '\r': always, ';': always, ',': always, '|': always, '\t': always, '.': 1, '!': 1, '?': 1,
	'0': always, '1': always, '2': always, '3': always, '4': always, '5': always, '6': always, '7': always, '8': always, '9': always,
}

// clauseEnd is where the words after a finding end: at the end of a line, a sentence or an item of a list, at another number, or a bounded way on.
func clauseEnd(text []byte, i int) int {
	limit := min(len(text), i+Forward)
	for j, c := range text[i:limit] {
		if closes[c] == 0 {
			continue
		}
		if at := i + j; closes[c] == always || at+1 >= len(text) || text[at+1] <= ' ' {
			return at
		}
	}
	for limit < len(text) && limit > i && letterByte(text[limit]) && letterByte(text[limit-1]) {
		limit-- // not half a word
	}
	return limit
}
