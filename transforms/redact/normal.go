// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"encoding/binary"
	"math/bits"
	"sort"
	"unicode/utf8"
)

// view is a text as recognisers should see it: what hides personal data from them, or is only a way to write it, is undone.
// Soft hyphens and characters of no width go, full-width and other scripts' digits, odd spaces and dashes become ASCII, HTML entities
// and backslash escapes are decoded, "(at)" is an at sign. Offsets lead back to the text.
type view struct {
	types  map[string]bool // whose tokens are known
	values bool            // tokens with a value are too
	text   []byte
	buf    []byte
	spare  []byte // of an encoded word
	marks  []mark
	pairs  bool // a loose view would be another
}

// mark says where a part of the view comes from. From view byte at on, the text is as in the raw text from byte raw on; a
// fixed part was written anew, and is one with its raw bytes as a whole.
type mark struct {
	at, raw int
	fixed   bool
}

// Ways to write a character that plain text may have by chance ("a=20", "50%40") are undone only in a second view.
const (
	strict = false
	loose  = true
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks, with the high bit, the bytes of eight at which a change may begin: those beyond ASCII, % & ( < = [ { and \, and the
// apostrophe and the bar, which stand beside them.
func special(x uint64) uint64 {
	low := x &^ highs
	percent := (low + (0x80-'%')*ones) &^ (low + (0x80-'('-1)*ones)
	high := low | 0x20*ones // [ as {, \ as |
	bracket := (high + (0x80-'{')*ones) &^ (high + (0x80-'|'-1)*ones)
	less := ^(low&^ones ^ '<'*ones + 0x7f*ones)
	return (x | percent | bracket | less) & highs
}

// next is the first byte from i on at which a change may begin, or the end. The last few bytes are all looked at.
func next(text []byte, i int) int {
	for ; i+8 <= len(text); i += 8 {
		if m := special(binary.LittleEndian.Uint64(text[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	return i
}

// make makes the view of a text. It reports whether anything is different; if not, the view lends the text itself.
func (v *view) make(text []byte, ambiguous bool) bool {
	v.text, v.buf, v.marks, v.pairs = text, v.buf[:0], v.marks[:0], false
	done := 0
	for i := next(text, 0); i < len(text); i = next(text, i) {
		if n := v.word(text, i, done); n > 0 {
			i += n
			done = i
			continue
		}
		r, n := v.decode(text, i, done, ambiguous)
		if n == 0 { // all of the character: the last byte of some is what a no-break space is in Latin-1
			_, n = utf8.DecodeRune(text[i:])
			i += n
			continue
		}
		c, from := text[i], i
		i += n
		if c == '(' || c == '[' || c == '{' { // "jane (at) example (dot) com"
			if from > done && text[from-1] == ' ' {
				from--
			}
			if i < len(text) && text[i] == ' ' {
				i++
			}
		}
		v.buf = append(v.buf, text[done:from]...)
		v.put(r, from, i)
		done = i
	}
	if len(v.marks) == 0 {
		return false
	}
	v.buf = append(v.buf, text[done:]...)
	v.text = v.buf
	return true
}

// word puts in place of an encoded word of a mail's header (RFC 2047) what it says. It is how many bytes the word has; 0 if there is none.
func (v *view) word(text []byte, i, done int) int {
	if text[i] != '=' {
		return 0
	}
	decoded, size := encodedWord(v.spare[:0], text[i:])
	if v.spare = decoded; size == 0 || len(decoded) == 0 {
		return 0
	}
	v.buf = append(v.buf, text[done:i]...)
	at := len(v.buf)
	v.buf = append(v.buf, decoded...)
	v.marks = append(v.marks, mark{at, i, true}, mark{len(v.buf), i + size, false})
	return size
}

// Signs that decode gives in place of a character.
const (
	nothing rune = -1 // the bytes go
	token   rune = -2 // a token that an operator wrote
)

func (v *view) put(r rune, from, to int) {
	at := len(v.buf)
	switch r {
	case nothing:
	case token:
		v.buf = append(v.buf, "<0>"...)
	default:
		v.buf = utf8.AppendRune(v.buf, r)
	}
	if len(v.buf) > at {
		v.marks = append(v.marks, mark{at, from, true})
	}
	v.marks = append(v.marks, mark{len(v.buf), to, false})
}

// decode says what the bytes at i stand for, and how many they are; none if they stand for themselves.
func (v *view) decode(text []byte, i, done int, ambiguous bool) (r rune, n int) {
	b := text[i:]
	switch c := b[0]; {
	case c == '&':
		return entity(b)
	case c == '\\':
		return backslash(b)
	case c == '(' || c == '[' || c == '{':
		return spelledOut(b)
	case c == '<':
		return token, tokenLen(b, v.types, v.values)
	case c == '=' || c == '%':
		if r, n = hexPairs(b, c); !ambiguous {
			v.pairs, n = v.pairs || n > 0, 0
		}
		return r, n
	case c < utf8.RuneSelf:
		return 0, 0
	}
	r, n = utf8.DecodeRune(b)
	if r == utf8.RuneError && n == 1 { // Latin-1, perhaps
		switch b[0] {
		case 0xa0:
			return ' ', 1
		case 0xad:
			return nothing, 1
		}
		return 0, 0
	}
	before := byte(' ')
	if i > done {
		before = text[i-1]
	} else if len(v.buf) > 0 {
		before = v.buf[len(v.buf)-1]
	}
	f := fold(r, before)
	if f == r {
		return 0, 0
	}
	return f, n
}

// start is the raw byte where what begins at a byte of the view begins.
func (v *view) start(at int) int {
	k := sort.Search(len(v.marks), func(k int) bool { return v.marks[k].at > at }) - 1
	if k < 0 {
		return at
	}
	if m := &v.marks[k]; m.fixed {
		return m.raw
	}
	return v.marks[k].raw + at - v.marks[k].at
}

// end is the raw byte where what ends before a byte of the view ends.
func (v *view) end(at int) int {
	k := sort.Search(len(v.marks), func(k int) bool { return v.marks[k].at >= at }) - 1
	if k < 0 {
		return at
	}
	if m := &v.marks[k]; m.fixed {
		return v.marks[k+1].raw
	}
	return v.marks[k].raw + at - v.marks[k].at
}
