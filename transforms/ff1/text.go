// SPDX-License-Identifier: Apache-2.0

package ff1

import (
	"fmt"
	"strings"
)

// Alphabets, in the order that the standard's examples use. Letters come after digits.
const (
	Digits       = "0123456789"
	Hex          = "0123456789abcdef"
	Lower        = "abcdefghijklmnopqrstuvwxyz"
	Upper        = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	LowerDigits  = Digits + Lower
	UpperDigits  = Digits + Upper
	Alphanumeric = Digits + Lower + Upper
)

const none = 0xffff

// Text encrypts the numerals of formatted strings and leaves what separates them as it is: "12-34.567" becomes "90-81.245". It is
// safe for use by many goroutines.
type Text struct {
	c       *Cipher
	letters string
	value   [256]uint16 // of a character; none if it has none
	keep    [256]bool   // characters that separate
}

// NewText makes a cipher over an alphabet of ASCII characters, each there once. Separators are characters outside the alphabet;
// texts with any other character are refused: it would stay to be read.
func NewText(key []byte, alphabet, separators string) (*Text, error) {
	c, err := New(key, len(alphabet))
	if err != nil {
		return nil, err
	}
	t := &Text{c: c, letters: alphabet}
	for i := range t.value {
		t.value[i] = none
	}
	for i, ch := range []byte(alphabet) {
		if ch <= ' ' || ch > '~' || t.value[ch] != none {
			return nil, fmt.Errorf("%w: an alphabet has printable ASCII characters, each once", ErrKey)
		}
		t.value[ch] = uint16(i)
	}
	for _, ch := range []byte(separators) {
		if ch < ' ' || ch > '~' || strings.IndexByte(alphabet, ch) >= 0 {
			return nil, fmt.Errorf("%w: separators are ASCII characters outside the alphabet", ErrKey)
		}
		t.keep[ch] = true
	}
	return t, nil
}

// Encrypt appends the encryption of a text to dst. After an error dst has nothing of the text.
func (t *Text) Encrypt(dst, text, tweak []byte) ([]byte, error) {
	return t.crypt(dst, text, tweak, false)
}

// Decrypt is its inverse.
func (t *Text) Decrypt(dst, text, tweak []byte) ([]byte, error) {
	return t.crypt(dst, text, tweak, true)
}

func (t *Text) crypt(dst, text, tweak []byte, back bool) ([]byte, error) {
	var room [64]uint16
	x := room[:0]
	for _, ch := range text {
		switch v := t.value[ch]; {
		case v != none && len(x) < MaxNumerals:
			x = append(x, v)
		case v != none:
			return dst, fmt.Errorf("%w: more than %d", ErrDomain, MaxNumerals)
		case !t.keep[ch]:
			return dst, fmt.Errorf("%w: a character is neither in the alphabet nor a separator", ErrNumeral)
		}
	}
	if err := t.c.crypt(x, tweak, back); err != nil {
		return dst, err
	}
	for _, ch := range text {
		if t.value[ch] != none {
			ch, x = t.letters[x[0]], x[1:]
		}
		dst = append(dst, ch)
	}
	return dst, nil
}
