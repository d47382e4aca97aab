// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"testing"
	"unicode"
	"unicode/utf8"
)

// TestNext: no byte at which a change may begin is passed over, wherever in eight bytes it stands and whatever stands beside it.
func TestNext(t *testing.T) {
	isSpecial := func(c byte) bool { return c >= 0x80 || bytes.IndexByte([]byte(`%&'(<=[\{|`), c) >= 0 }
	for c := range 256 {
		for at := range 8 {
			for _, fill := range []byte{' ', 'a', '$', ')', ';', '>', ']', 'Z', 0, 0x7f} {
				text := bytes.Repeat([]byte{fill}, 16)
				text[at] = byte(c)
				want := 16
				if isSpecial(byte(c)) {
					want = at
				}
				if got := next(text, 0); got != want {
					t.Fatalf("byte %#x at %d among %q: next is %d, want %d", c, at, fill, got, want)
				}
			}
		}
	}
}

// TestLettersThatEndAsASpaceDoes: of a letter whose last byte is a no-break space or a soft hyphen in Latin-1 (à, í, Š, Р, Э, ậ) nothing
// is taken away, and a name or an address with one is found whole.
func TestLettersThatEndAsASpaceDoes(t *testing.T) {
	d, err := NewDetector(Detect{Types: []string{"EMAIL_ADDRESS"}})
	if err != nil {
		t.Fatal(err)
	}
	v, n := view{}, 0
	for r := rune(utf8.RuneSelf); r <= unicode.MaxRune; r++ {
		letter := string(r)
		if last := letter[len(letter)-1]; last != 0xa0 && last != 0xad || !unicode.IsLetter(r) || fold(r, ' ') != r {
			continue
		}
		n++
		name := "Mart" + letter + "nez"
		for _, ambiguous := range []bool{strict, loose} {
			if v.make([]byte("Mr. "+name+"&nbsp;came"), ambiguous); string(v.text) != "Mr. "+name+" came" {
				t.Fatalf("%U: the view is %q", r, v.text)
			}
		}
		text := []byte("to " + name + "@example.com now")
		if found := d.Find(nil, text); len(found) != 1 || found[0].Start != 3 || found[0].End != len(text)-4 {
			t.Fatalf("%U: found %v in %q", r, found, text)
		}
	}
	if n < 100 {
		t.Errorf("looked at %d letters", n)
	}
}

// TestView: every offset of a view leads to one of its text, in order.
func TestView(t *testing.T) {
	v := view{types: map[string]bool{"A": true}}
	for _, s := range []string{"a&#64;b", "=C3=A9x=\r\ny", "<A><A:aaaaaaaaaaaaaaaaaaaaaaaaaa>", "\u00ad\u00ad1\u20ac2", " (at) [dot] ", `\u0041\n`, "\xa0\xad\xff"} {
		v.make([]byte(s), loose)
		last := 0
		for i := range len(v.text) + 1 {
			if start := v.start(i); start < last || start > len(s) {
				t.Errorf("%q: byte %d of %q begins at %d, the one before at %d", s, i, v.text, start, last)
			} else {
				last = start
			}
			if i > 0 && v.end(i) <= v.start(i-1) || v.end(i) > len(s) {
				t.Errorf("%q: byte %d of %q begins at %d and ends at %d", s, i-1, v.text, v.start(i-1), v.end(i))
			}
		}
	}
}
