// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// maxWord bounds an encoded word: RFC 2047 allows 75 bytes, mail programs write more.
const maxWord = 256

// encodedWord appends what the encoded word says that b begins with, in UTF-8, and gives the bytes it has; 0 if b begins with none, or with
// one in a charset that is neither UTF-8 nor Latin-1.
func encodedWord(dst, b []byte) ([]byte, int) {
	if len(b) < 9 || b[1] != '?' {
		return dst, 0
	}
	b = b[:min(len(b), maxWord)]
	charset, rest, ok := bytes.Cut(b[2:], []byte{'?'})
	if !ok || len(charset) > 20 || len(rest) < 3 || rest[1] != '?' {
		return dst, 0
	}
	body, _, ok := bytes.Cut(rest[2:], []byte("?="))
	if !ok || bytes.ContainsAny(body, " \r\n") {
		return dst, 0
	}
	var raw []byte
	switch rest[0] | 0x20 {
	case 'b':
		raw = make([]byte, base64.StdEncoding.DecodedLen(len(body)))
		n, err := base64.StdEncoding.Decode(raw, body)
		if err != nil {
			return dst, 0
		}
		raw = raw[:n]
	case 'q':
		raw = quoted(body)
	default:
		return dst, 0
	}
	return inCharset(dst, charset, raw), 2 + len(charset) + 3 + len(body) + 2
}

// quoted undoes the Q encoding.
func quoted(body []byte) []byte {
	raw := make([]byte, 0, len(body))
	for i := 0; i < len(body); i++ {
		c := body[i]
		if c == '_' {
			c = ' '
		} else if p := hexPair(body[i+1:]); c == '=' && p >= 0 {
			c = byte(p)
			i += 2
		}
		raw = append(raw, c)
	}
	return raw
}

// inCharset appends the text in UTF-8, or nothing.
func inCharset(dst, charset, raw []byte) []byte {
	switch {
	case bytes.EqualFold(charset, []byte("utf-8")), bytes.EqualFold(charset, []byte("us-ascii")):
		if utf8.Valid(raw) {
			return append(dst, raw...)
		}
	case bytes.HasPrefix(bytes.ToLower(charset), []byte("iso-8859-1")), bytes.EqualFold(charset, []byte("windows-1252")):
		for _, c := range raw {
			dst = utf8.AppendRune(dst, rune(c))
		}
	}
	return dst
}
