// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// words is where the code's words go. A terminal obeys what is written to it, so it gets them without control characters;
// files and pipes get them as they are. end writes what is left when the code has ended.
func words(w io.Writer) (_ io.Writer, end func()) {
	if f, ok := w.(*os.File); ok {
		if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
			v := &visible{w: w}
			return v, v.end
		}
	}
	return w, func() {}
}

// visible shows control characters, and whatever else cannot be seen, instead of passing them on: all but newlines and tabs.
type visible struct {
	w    io.Writer
	rest []byte // the beginning of a character
}

// Write implements io.Writer.
func (v *visible) Write(p []byte) (int, error) {
	b := append(v.rest, p...)
	var out []byte
	for len(b) > 0 && utf8.FullRune(b) {
		r, n := utf8.DecodeRune(b)
		out = appendVisible(out, r, b[:n])
		b = b[n:]
	}
	v.rest = append([]byte(nil), b...)
	_, err := v.w.Write(out)
	return len(p), err
}

func (v *visible) end() {
	for _, c := range v.rest {
		fmt.Fprintf(v.w, `\x%02x`, c)
	}
	v.rest = nil
}

// appendVisible adds a character, which is raw in UTF-8 or a byte that is none.
func appendVisible(out []byte, r rune, raw []byte) []byte {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		return fmt.Appendf(out, `\x%02x`, raw[0])
	case r == '\n' || r == '\t' || unicode.IsGraphic(r):
		return append(out, raw...)
	case r < ' ' || r == 0x7f:
		return append(out, '^', byte(r)^0x40)
	}
	return append(out, strings.Trim(strconv.QuoteRuneToASCII(r), "'")...)
}
