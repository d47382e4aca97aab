// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"bytes"
	"fmt"
)

// parseCSV takes a record apart (RFC 4180). A record with another number of fields than the header is refused.
func (r *Record) parseCSV() error {
	b := r.raw
	for at := 0; ; {
		text, end, ok := r.csvField(b, at)
		if !ok {
			return fmt.Errorf("%w: a quote inside a field must be doubled, and the field quoted", ErrRecord)
		}
		if len(r.fields) >= MaxValues {
			return fmt.Errorf("%w: more than %d fields", errComplex, MaxValues)
		}
		r.fields = append(r.fields, Field{Path: r.codec.column(len(r.fields)), Kind: Text, Text: text, r: r, node: -1})
		if end == len(b) {
			break
		}
		at = end + 1
	}
	if want := len(r.codec.schema.Columns); want > 0 && len(r.fields) != want {
		return fmt.Errorf("%w: %d fields, the header has %d", ErrRecord, len(r.fields), want)
	}
	return nil
}

// csvField decodes the field that begins at a byte, and gives where the comma after it stands, or the end.
func (r *Record) csvField(b []byte, at int) (text []byte, end int, ok bool) {
	if at >= len(b) || b[at] != '"' {
		end = len(b)
		if n := bytes.IndexByte(b[at:], ','); n >= 0 {
			end = at + n
		}
		return b[at:end], end, bytes.IndexByte(b[at:end], '"') < 0
	}
	from := len(r.buf)
	for i := at + 1; ; {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return nil, 0, false
		}
		r.buf = append(r.buf, b[i:i+n]...)
		i += n + 1
		switch {
		case i < len(b) && b[i] == '"':
			r.buf = append(r.buf, '"')
			i++
		case i == len(b) || b[i] == ',':
			return r.buf[from:len(r.buf):len(r.buf)], i, true
		default:
			return nil, 0, false
		}
	}
}

// appendCSV writes the fields with as few quotes as are needed.
func (r *Record) appendCSV(dst []byte) []byte {
	for i := range r.fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendCSV(dst, r.fields[i].Text)
	}
	if len(r.fields) == 1 && len(r.fields[0].Text) == 0 {
		dst = append(dst, `""`...) // an empty line is no record
	}
	return dst
}

// AppendCSV appends one field of CSV, quoted where it must be.
func AppendCSV(dst, text []byte) []byte {
	if !bytes.ContainsAny(text, ",\"\r\n") {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	for len(text) > 0 {
		n := bytes.IndexByte(text, '"')
		if n < 0 {
			dst = append(dst, text...)
			break
		}
		dst = append(append(dst, text[:n+1]...), '"')
		text = text[n+1:]
	}
	return append(dst, '"')
}

// AppendHeader appends the header line of CSV, without its end.
func AppendHeader(dst []byte, columns []string) []byte {
	for i, c := range columns {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendCSV(dst, []byte(c))
	}
	return dst
}

// ParseHeader reads the header line of CSV, without its end.
func ParseHeader(line []byte) ([]string, error) {
	var r Record
	if err := NewCodec(Schema{Format: "csv"}).Parse(&r, "", line); err != nil {
		return nil, err
	}
	out, seen := make([]string, 0, len(r.fields)), map[string]bool{}
	for i := range r.fields {
		name := string(r.fields[i].Text)
		if i == 0 {
			name = string(bytes.TrimPrefix(r.fields[i].Text, []byte("\ufeff")))
		}
		if seen[name] {
			return nil, fmt.Errorf("%w: the header has two columns of one name", ErrRecord)
		}
		seen[name] = true
		out = append(out, name)
	}
	return out, nil
}
