// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/glovebox-dev/glovebox/internal/source"
)

// flat refuses what a line of CSV cannot hold.
func flat(root *node) error {
	for _, c := range root.children {
		if c.kind != leafNode || c.repeated() {
			return fmt.Errorf("%w: column %q is nested, and CSV is flat; pack it as JSON Lines", source.ErrType, c.path)
		}
	}
	return nil
}

// appendField writes a field of CSV (RFC 4180). The empty string is in quotes: null is not.
func appendField(dst, text []byte) []byte {
	if len(text) > 0 && !bytes.ContainsAny(text, "\",\r\n") {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	for _, c := range text {
		if c == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

func appendNames(dst []byte, root *node) []byte {
	for i, c := range root.children {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendField(dst, []byte(c.name))
	}
	return append(dst, '\n')
}

// line appends a record as CSV. Its only field is in quotes when it is null: a blank line would be no record.
func (r *rows) line(root *node) error {
	out := r.buf
	defer func() { r.buf = out }()
	for i, c := range root.children {
		if i > 0 {
			out = append(out, ',')
		}
		r.buf = r.scratch[:0]
		err := r.node(c)
		r.scratch = r.buf[:0]
		if err != nil {
			return err
		}
		switch text := r.buf; {
		case string(text) == "null" && c.typ != "json":
			if len(root.children) == 1 {
				out = append(out, `""`...)
			}
		case text[0] == '"' && c.typ != "json":
			out = appendField(out, unquote(text))
		default:
			out = appendField(out, text)
		}
		if err := r.room(); err != nil {
			return err
		}
	}
	return nil
}

// unquote takes back what appendString did, in place.
func unquote(s []byte) []byte {
	s = s[1 : len(s)-1]
	out := s[:0]
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' {
			i++
			switch c = s[i]; c {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			case 'u':
				n, _ := strconv.ParseUint(string(s[i+1:i+5]), 16, 8) // appendString wrote it
				c, i = byte(n), i+4
			}
		}
		out = append(out, c)
	}
	return out
}
