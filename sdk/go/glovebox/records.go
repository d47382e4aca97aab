// SPDX-License-Identifier: Apache-2.0

package glovebox

import (
	"bytes"
	"errors"
	"io"
	"math/bits"
	"strconv"
)

// Records goes through a dataset one record after the other, in memory bounded by one record (and by nothing but a buffer
// for whole files).
//
//	for r.Next() {
//		use(r.Field(0), r.Field(1))
//	}
//	if err := r.Err(); err != nil { ... }
type Records struct {
	w      *window
	format Format
	closer io.Closer
	index  int64 // of the record at hand
	err    error

	header []string // CSV
	line   []byte   // CSV and JSON Lines: the record at hand
	spans  []span   // CSV: its fields in line. Not slices: see Fields
	fields [][]byte // CSV: what Fields returned last

	name string // files: the file at hand
	size int64
	left int64 // of its bytes, not yet read
	pad  int64 // bytes after it
}

// Records opens the dataset and goes through its records. A second pass is a second call; it uses up an epoch.
func (d Dataset) Records() (*Records, error) {
	f, err := d.Open()
	if err != nil {
		return nil, err
	}
	r, err := NewRecords(f, d.Format)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.closer = f
	return r, nil
}

// NewRecords goes through records that are written in the given format. The error is an [ErrRecord] or the reader's.
func NewRecords(src io.Reader, f Format) (*Records, error) {
	r := &Records{w: newWindow(src), format: f, index: -1}
	switch f {
	case JSONL, Files:
		return r, nil
	case CSV:
	default:
		return nil, wrap(ErrRecord, "format "+strconv.Quote(string(f))+" is unknown")
	}
	line, err := r.w.line(true)
	if err != nil {
		return nil, err
	}
	line = trimLine(bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")))
	if len(line) == 0 {
		return nil, wrap(ErrRecord, "header is missing")
	}
	if r.spans, err = splitCSV(nil, line); err != nil {
		return nil, err
	}
	r.line = line
	for i := range r.spans {
		r.header = append(r.header, string(r.Field(i)))
	}
	return r, nil
}

// span is a part of a line.
type span struct{ from, to int32 }

// Header is the names of a CSV dataset's columns, nil for other formats.
func (r *Records) Header() []string { return r.header }

// Column is the place of a CSV column by its name, -1 if there is none.
func (r *Records) Column(name string) int {
	for i, h := range r.header {
		if h == name {
			return i
		}
	}
	return -1
}

// Next goes to the next record, the first when it is called first. False means that there is none, or that something
// failed; ask [Records.Err].
func (r *Records) Next() bool {
	if r.err != nil {
		return false
	}
	var more bool
	switch r.format {
	case Files:
		more, r.err = r.nextFile()
	default:
		more, r.err = r.nextLine()
	}
	if more {
		r.index++
	}
	return more
}

func (r *Records) nextLine() (bool, error) {
	if r.format != CSV || !r.plainLine() {
		line, err := r.w.line(r.format == CSV)
		if err != nil || len(line) == 0 {
			r.line, r.spans = nil, nil
			return false, r.at(err)
		}
		r.line = trimLine(line)
		if r.format != CSV {
			return true, nil
		}
		if r.spans, err = splitCSV(r.spans[:0], r.line); err != nil {
			return false, r.at(err)
		}
	}
	if len(r.spans) != len(r.header) {
		return false, r.at(wrap(ErrRecord, "has "+strconv.Itoa(len(r.spans))+" fields, the header "+strconv.Itoa(len(r.header))))
	}
	return true, nil
}

// plainLine takes and splits a record without quotes that is held whole, in one pass, eight bytes at a time. It takes
// nothing of any other record.
func (r *Records) plainLine() bool {
	const ones = 0x0101010101010101
	h, spans, start := r.w.held(), r.spans[:0], 0
	for i := 0; i+8 <= len(h); i += 8 {
		x := eightBytes(h[i:])
		for m := zeros(x^(','*ones)) | zeros(x^('\n'*ones)) | zeros(x^('"'*ones)); m != 0; m &= m - 1 {
			at := i + bits.TrailingZeros64(m)/8
			switch h[at] {
			case ',':
				spans, start = append(spans, span{int32(start), int32(at)}), at+1
			case '"':
				return false
			default:
				end := at
				if end > start && h[end-1] == '\r' {
					end--
				}
				r.spans, r.line = append(spans, span{int32(start), int32(end)}), h[:end:end]
				r.w.take(at + 1)
				return true
			}
		}
	}
	return false
}

// zeros has the highest bit of each byte that is zero in x, and no other.
func zeros(x uint64) uint64 {
	const low = 0x7f7f7f7f7f7f7f7f
	return ^((x&low + low) | x | low)
}

// at names the record that an error is about.
func (r *Records) at(err error) error {
	if f, ok := err.(*failure); ok { //nolint:errorlint // ours, not yet wrapped
		return wrap(f.kind, strconv.FormatInt(r.index+1, 10)+" "+f.text)
	}
	return err
}

// Err is why Next ended early, nil at the end of the data.
func (r *Records) Err() error { return r.err }

// Index is the number of the record at hand, from 0.
func (r *Records) Index() int64 { return r.index }

// Len is the number of a CSV record's fields, that of the header.
func (r *Records) Len() int { return len(r.spans) }

// Field is one of a CSV record's fields, without its quotes. It is valid until the next call of Next.
func (r *Records) Field(i int) []byte {
	s := r.spans[i]
	return r.line[s.from:s.to:s.to]
}

// Fields are all fields of a CSV record, valid until the next call of Next. [Records.Field] costs a fraction of it: Go's
// collector seldom gets a turn in a sandbox, and as long as it waits for one, each slice that is stored costs a thousand
// instructions.
func (r *Records) Fields() [][]byte {
	r.fields = r.fields[:0]
	for i := range r.spans {
		r.fields = append(r.fields, r.Field(i))
	}
	return r.fields
}

// Bytes is a CSV or JSON Lines record without its line end; a CSV record's quotes may be gone. It is valid until the next
// call of Next.
func (r *Records) Bytes() []byte { return r.line }

// Name is the path of the file at hand, in a dataset of files.
func (r *Records) Name() string { return r.name }

// Size is the length of the file at hand in bytes.
func (r *Records) Size() int64 { return r.size }

// Read reads the contents of the file at hand, and implements io.Reader. What is not read is passed over.
func (r *Records) Read(p []byte) (int, error) {
	if r.left == 0 || len(p) == 0 {
		return 0, io.EOF
	}
	n, err := r.w.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close closes the dataset. It is not needed at the end of a job.
func (r *Records) Close() error {
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

// trimLine cuts a line's end off.
func trimLine(l []byte) []byte {
	if n := len(l); n > 0 && l[n-1] == '\n' {
		l = l[:n-1]
	}
	if n := len(l); n > 0 && l[n-1] == '\r' {
		l = l[:n-1]
	}
	return l
}

// splitCSV appends the places of a record's fields. Quoted fields are unquoted in place.
func splitCSV(spans []span, line []byte) ([]span, error) {
	for at := 0; ; {
		from, to := at, at
		if at < len(line) && line[at] == '"' {
			n, next, ok := unquote(line[at:])
			if !ok {
				return nil, wrap(ErrRecord, "has a quote in the wrong place")
			}
			to, at = at+n, at+next
		} else {
			if i := bytes.IndexByte(line[at:], ','); i >= 0 {
				at += i
			} else {
				at = len(line)
			}
			to = at
		}
		spans = append(spans, span{int32(from), int32(to)})
		if at == len(line) {
			return spans, nil
		}
		at++
	}
}

// unquote moves the contents of a quoted field to the front of line, and returns their length and where the field ends: at
// a comma or the line's end.
func unquote(line []byte) (n, next int, ok bool) {
	for i := 1; i < len(line); i++ {
		if line[i] == '"' {
			if i+1 == len(line) || line[i+1] == ',' {
				return n, i + 1, true
			}
			if i++; line[i] != '"' {
				return 0, 0, false
			}
		}
		line[n] = line[i]
		n++
	}
	return 0, 0, false
}
