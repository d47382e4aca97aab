// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
)

// csvState says where in a field the scanner stands (RFC 4180).
type csvState int

const (
	csvFieldStart csvState = iota
	csvPlain
	csvQuoted
	csvQuoteInQuoted // a quote inside a quoted field: its end, or the first of two
	csvReturn        // a carriage return after a quoted field: a line end must follow
)

// csvScanner splits CSV into records without holding one: it counts fields as bytes pass. Errors name a line and counts,
// never contents.
type csvScanner struct {
	out     emit
	state   csvState
	line    int64 // of the byte at hand, from 1
	opened  int64 // line where the record began
	fields  int   // complete fields of the record at hand
	width   int   // fields of the header
	size    int64 // bytes of the record at hand
	records int64
	keep    bool   // keep the header
	header  []byte // as it was read
	prior   []byte // header of the version before: the same is expected, and not emitted again
}

// scanCSV emits the header, which starts no record, and then each record. Every record must have as many fields as the
// header. It returns the header when keep is set. With prior set, the source adds records to a stream that has a header:
// its own must be the same, and is not emitted.
func scanCSV(r io.Reader, keep bool, prior []byte, out emit) ([]byte, error) {
	s := &csvScanner{out: out, line: 1, opened: 1, keep: keep || prior != nil, prior: prior}
	in := bufio.NewReaderSize(r, readBuffer)
	for {
		part, err := in.ReadSlice('\n')
		if len(part) > 0 {
			if err := s.take(part); err != nil {
				return nil, err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return s.header, s.finish()
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// take scans a line or, where the line is longer than the buffer, a part of one.
func (s *csvScanner) take(part []byte) error {
	starts := s.size == 0
	s.size += int64(len(part))
	switch {
	case bytes.IndexByte(part, 0) >= 0:
		return fmt.Errorf("%w: line %d has a zero byte", ErrNotText, s.line)
	case s.size > MaxRecordBytes:
		return fmt.Errorf("%w: the record at line %d has no end within %d bytes", ErrRecordSize, s.opened, MaxRecordBytes)
	case starts && len(bytes.TrimRight(part, "\r\n")) == 0:
		return fmt.Errorf("%w: line %d is blank", ErrRagged, s.line)
	}
	if s.width == 0 && s.keep {
		s.header = append(s.header, part...)
	}
	if s.width > 0 || s.prior == nil {
		if err := s.out(part, starts && s.width > 0); err != nil {
			return err
		}
	}
	ended, err := s.scan(part)
	if err != nil {
		return err
	}
	if part[len(part)-1] == '\n' {
		s.line++
	}
	if ended {
		return s.endRecord()
	}
	return nil
}

// scan advances the state over part and reports whether the record ends with it.
func (s *csvScanner) scan(part []byte) (bool, error) {
	if s.state <= csvPlain && bytes.IndexByte(part, '"') < 0 { // by far the most
		s.fields += bytes.Count(part, []byte{','})
		s.state = csvPlain
		if last := part[len(part)-1]; last == ',' {
			s.state = csvFieldStart
		} else if last == '\n' {
			return true, nil
		}
		return false, nil
	}
	for i := 0; i < len(part); i++ {
		if s.state == csvQuoted { // nothing but a quote means anything there
			n := bytes.IndexByte(part[i:], '"')
			if n < 0 {
				break
			}
			i += n
		}
		if !s.step(part[i]) {
			return false, fmt.Errorf("%w: line %d: a quote inside a field must be doubled, and the field quoted", ErrCSV, s.line)
		}
	}
	return part[len(part)-1] == '\n' && s.state != csvQuoted, nil
}

// step takes one byte; false means that no CSV has it there.
func (s *csvScanner) step(c byte) bool {
	switch s.state {
	case csvQuoted:
		if c == '"' {
			s.state = csvQuoteInQuoted
		}
		return true
	case csvReturn:
		s.state = csvPlain
		return c == '\n'
	case csvQuoteInQuoted:
		switch c {
		case '"':
			s.state = csvQuoted
			return true
		case '\r':
			s.state = csvReturn
			return true
		case ',', '\n':
		default:
			return false
		}
	}
	switch c {
	case ',':
		s.fields++
		s.state = csvFieldStart
	case '"':
		if s.state != csvFieldStart {
			return false
		}
		s.state = csvQuoted
	default:
		s.state = csvPlain
	}
	return true
}

func (s *csvScanner) endRecord() error {
	n := s.fields + 1
	if s.width == 0 {
		s.width = n
		if s.prior != nil && !bytes.Equal(bytes.TrimRight(s.header, "\r\n"), bytes.TrimRight(s.prior, "\r\n")) {
			return otherHeader(s.header, s.prior)
		}
	} else {
		if n != s.width {
			return fmt.Errorf("%w: the record at line %d has %d fields, the header has %d", ErrRagged, s.opened, n, s.width)
		}
		s.records++
	}
	s.fields, s.size, s.state, s.opened = 0, 0, csvFieldStart, s.line
	return nil
}

// otherHeader says where a header departs from the one of the version before.
func otherHeader(now, before []byte) error {
	a, aerr := csv.NewReader(bytes.NewReader(now)).Read()
	b, berr := csv.NewReader(bytes.NewReader(before)).Read()
	if aerr != nil || berr != nil {
		return fmt.Errorf("%w: it is not the one of the version before", ErrHeader)
	}
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	if i == max(len(a), len(b)) {
		return fmt.Errorf("%w: it has the columns of the version before, but is written otherwise: compare quotes and spaces", ErrHeader)
	}
	return fmt.Errorf("%w: it has %d columns, the version before has %d; they differ from column %d on", ErrHeader, len(a), len(b), i+1)
}

// finish closes a last record without a line end.
func (s *csvScanner) finish() error {
	if s.state == csvQuoted {
		return fmt.Errorf("%w: the record at line %d has a quoted field that never ends", ErrCSV, s.opened)
	}
	if s.size > 0 {
		if err := s.endRecord(); err != nil {
			return err
		}
	}
	if s.records == 0 {
		return fmt.Errorf("%w: only a header line, or nothing", ErrEmpty)
	}
	return nil
}
