// SPDX-License-Identifier: Apache-2.0

package kanon

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/glovebox-dev/glovebox/transforms/decimal"
)

// fold gives a text the one form of all that look alike: spaces, case, characters of no width, how letters with accents are put together,
// and how a number is written make no other value or contributor of it, as two that are one in truth would count as more than there
// are. It is empty where there is nothing to see. Letters of two scripts that look alike stay two.
func fold(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && n == 1: // no UTF-8: as it is
			out = append(out, text[i])
		case !invisible(r):
			out = append(out, text[i:i+n]...)
		}
		i += n
	}
	out = norm.NFKD.Bytes(out)
	out = bytes.Join(bytes.Fields(bytes.ToLower(bytes.ToUpper(out))), []byte(" "))
	out = bytes.Map(func(r rune) rune { // of what was taken apart, and what that puts between marks
		if r != utf8.RuneError && invisible(r) {
			return -1
		}
		return r
	}, out)
	if d, ok := decimal.Parse(out); ok {
		return d.AppendKey(nil)
	}
	return out
}

// invisible reports whether a character has nothing to see and is no space.
func invisible(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' && !unicode.IsSpace(r) || r == 0x7f
	}
	return unicode.In(r, unicode.Cf, unicode.Cc, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) && !unicode.IsSpace(r)
}
