// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"sort"
	"unicode/utf8"
)

// fold is the ASCII character that a character is another form of, nothing if it has no width, else itself. The byte before it decides what
// a Japanese long-vowel mark is.
func fold(r rune, before byte) rune {
	switch {
	case r < 0x80:
		return r
	case r == 0xa0 || r >= 0x2000 && r <= 0x200a || r == 0x202f || r == 0x205f || r == 0x3000 || r == 0x1680:
		return ' '
	case r == 0xad || r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2060 && r <= 0x206f,
		r == 0xfeff || r >= 0xfe00 && r <= 0xfe0f || r == 0x180e || r == 0x034f || r == 0x3164 || r == 0x115f || r == 0x1160:
		return nothing
	case r >= 0x2010 && r <= 0x2015 || r == 0x2212 || r == 0x2043 || r == 0xfe58 || r == 0xfe63:
		return '-'
	case r == 0x30fc && before >= '0' && before <= '9':
		return '-'
	case r >= 0xff01 && r <= 0xff5e:
		return r - 0xff01 + '!'
	case r >= 0x1d400 && r <= 0x1d6a3:
		if n := (r - 0x1d400) % 52; n >= 26 {
			return 'a' + n - 26
		}
		return 'A' + (r-0x1d400)%52
	case r >= 0x1d7ce && r <= 0x1d7ff:
		return '0' + (r-0x1d7ce)%10
	}
	switch r {
	case 0xfe6b:
		return '@'
	case 0x2024, 0xfe52, 0xff61:
		return '.'
	case 0x2236, 0xfe55:
		return ':'
	case 0x2044, 0x2215:
		return '/'
	case 0x207a, 0xfe62:
		return '+'
	case 0xfe59:
		return '('
	case 0xfe5a:
		return ')'
	}
	return digit(r)
}

// zeros are the characters for zero of the scripts that have digits of their own; one to nine follow them.
var zeros = [...]uint16{
	0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6, 0x0e50, 0x0ed0, 0x0f20,
	0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0,
	0xa9f0, 0xaa50, 0xabf0,
}

func digit(r rune) rune {
	if r < rune(zeros[0]) || r > 0xabf9 || r >= 0x2000 && r < 0xa620 {
		return r
	}
	k := sort.Search(len(zeros), func(k int) bool { return rune(zeros[k]) > r }) - 1
	if k >= 0 && r-rune(zeros[k]) <= 9 {
		return '0' + r - rune(zeros[k])
	}
	return r
}

// entities are those of HTML's names that stand for a character which personal data has.
var entities = [...]struct {
	name string
	r    rune
}{
	{"nbsp;", ' '},
	{"ensp;", ' '},
	{"emsp;", ' '},
	{"thinsp;", ' '},
	{"shy;", nothing},
	{"zwj;", nothing},
	{"zwnj;", nothing},
	{"amp;", '&'},
	{"lt;", '<'},
	{"gt;", '>'},
	{"quot;", '"'},
	{"apos;", '\''},
	{"commat;", '@'},
	{"period;", '.'},
	{"colon;", ':'},
	{"sol;", '/'},
	{"plus;", '+'},
	{"num;", '#'},
	{"lpar;", '('},
	{"rpar;", ')'},
	{"lowbar;", '_'},
	{"hyphen;", '-'},
	{"dash;", '-'},
	{"ndash;", '-'},
	{"mdash;", '-'},
	{"NewLine;", '\n'},
	{"Tab;", '\t'},
}

// entity decodes an HTML entity.
func entity(b []byte) (r rune, n int) {
	if len(b) < 4 {
		return 0, 0
	}
	if b[1] == '#' {
		return numericEntity(b)
	}
	for i := range entities {
		e := &entities[i]
		if len(b) > len(e.name) && b[1] == e.name[0] && string(b[1:1+len(e.name)]) == e.name {
			return e.r, 1 + len(e.name)
		}
	}
	return 0, 0
}

func numericEntity(b []byte) (r rune, n int) {
	i, base := 2, rune(10)
	if b[2]|0x20 == 'x' {
		i, base = 3, 16
	}
	first := i
	for ; i < len(b) && i < first+9; i++ {
		d := hexDigit(b[i])
		if d < 0 || d >= base {
			break
		}
		if r = r*base + d; r > utf8.MaxRune {
			return 0, 0
		}
	}
	if i == first || r < ' ' && r != '\n' && r != '\t' && r != '\r' {
		return 0, 0
	}
	if i < len(b) && b[i] == ';' {
		i++
	}
	if r >= 0xd800 && r < 0xe000 {
		return 0, 0
	}
	return fold(r, ' '), i
}

func hexDigit(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10
	}
	return -1
}

func hexPair(b []byte) rune {
	if len(b) < 2 {
		return -1
	}
	high, low := hexDigit(b[0]), hexDigit(b[1])
	if high < 0 || low < 0 {
		return -1
	}
	return high<<4 | low
}

// backslash decodes the escapes of JSON and programs, where one is in a text.
func backslash(b []byte) (r rune, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case 'n', 'r':
		return '\n', 2
	case 't':
		return '\t', 2
	case '/', '"':
		return rune(b[1]), 2
	case 'x':
		if r = hexPair(b[2:]); r >= ' ' && r < utf8.RuneSelf {
			return r, 4
		}
	case 'u':
		high, low := hexPair(b[2:]), rune(-1)
		if len(b) >= 6 {
			low = hexPair(b[4:])
		}
		if r = high<<8 | low; high >= 0 && low >= 0 && r >= ' ' && (r < 0xd800 || r >= 0xe000) {
			return fold(r, ' '), 6
		}
	}
	return 0, 0
}

// hexPairs decodes quoted-printable ("=40") or a URL's escapes ("%40"): one character of up to four bytes, or a soft line break.
func hexPairs(b []byte, sign byte) (r rune, n int) {
	if sign == '=' && len(b) > 1 && (b[1] == '\n' || b[1] == '\r' && len(b) > 2 && b[2] == '\n') {
		if b[1] == '\n' {
			return nothing, 2
		}
		return nothing, 3
	}
	var raw [utf8.UTFMax]byte
	k := 0
	for ; k < len(raw) && 3*k < len(b) && b[3*k] == sign; k++ {
		p := hexPair(b[3*k+1:])
		if p < 0 {
			break
		}
		raw[k] = byte(p)
		if utf8.FullRune(raw[:k+1]) {
			k++
			break
		}
	}
	if k == 0 {
		return 0, 0
	}
	r, n = utf8.DecodeRune(raw[:k])
	if r == utf8.RuneError && n == 1 && sign == '=' && raw[0] >= 0xc0 { // Latin-1
		return rune(raw[0]), 3
	}
	if r == utf8.RuneError || r < ' ' && r != '\n' && r != '\t' && r != '\r' {
		return 0, 0
	}
	return fold(r, ' '), 3 * n
}

// spelledOut reads "(at)", "[at]", "{at}", "(dot)", "[dot]", "[.]" and the like.
func spelledOut(b []byte) (r rune, n int) {
	closing := b[0] + 2 // of '['
	if b[0] == '(' {
		closing = ')'
	}
	switch {
	case len(b) >= 3 && b[2] == closing && (b[1] == '.' || b[1] == '@'):
		return rune(b[1]), 3
	case len(b) >= 4 && b[3] == closing && b[1]|0x20 == 'a' && b[2]|0x20 == 't':
		return '@', 4
	case len(b) >= 5 && b[4] == closing && b[1]|0x20 == 'd' && b[2]|0x20 == 'o' && b[3]|0x20 == 't':
		return '.', 5
	}
	return 0, 0
}
