// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// Item is a record on its way: its text, and where it began in the source's stream.
type Item struct {
	Raw  []byte // valid until the next item
	Name string // of a file
	At   int64
	// TooLong is a file of more than MaxFile bytes: Raw is empty, and it passes only steps that change nothing. Whoever takes it reads
	// its Size bytes from Long, once and before the next item.
	TooLong bool
	Long    io.Reader
	Size    int64
}

// size is the length of the record.
func (it *Item) size() int64 {
	if it.TooLong {
		return it.Size
	}
	return int64(len(it.Raw))
}

// copyTo writes the record.
func (it *Item) copyTo(w io.Writer) error {
	if !it.TooLong {
		_, err := w.Write(it.Raw)
		return err
	}
	if it.Long == nil {
		return fmt.Errorf("%w: a file too long to be held, and no way to read it", ErrRecord)
	}
	n, err := io.Copy(w, io.LimitReader(it.Long, it.Size+1))
	switch {
	case errors.Is(err, tar.ErrWriteTooLong) || err == nil && n != it.Size:
		return fmt.Errorf("%w: a file changed its size while it was read", dataset.ErrFile)
	default:
		return err
	}
}

// Source gives the records of a dataset, in order; io.EOF after the last.
type Source interface {
	Schema() Schema
	Next() (Item, error)
}

const sourceBuffer = 256 << 10

// NewSource reads the plaintext stream of a dataset: CSV with its header, JSON Lines, or a tar of files.
func NewSource(r io.Reader, f dataset.Format) (Source, error) {
	switch f {
	case dataset.FormatFiles:
		c := &countingReader{r: r}
		return &tarSource{in: c, tar: tar.NewReader(c)}, nil
	case dataset.FormatSamples:
		c := &countingReader{r: r}
		return &sampleSource{in: c, tar: tar.NewReader(c)}, nil
	case dataset.FormatCSV, dataset.FormatJSONL:
	default:
		return nil, fmt.Errorf("%w: format %q", ErrRecord, f)
	}
	s := &lineSource{in: bufio.NewReaderSize(r, sourceBuffer), schema: Schema{Format: f}}
	if f == dataset.FormatCSV {
		it, err := s.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: CSV without a header", ErrRecord)
		}
		if err != nil {
			return nil, err
		}
		if s.schema.Columns, err = ParseHeader(it.Raw); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// lineSource splits CSV and JSON Lines.
type lineSource struct {
	in     *bufio.Reader
	schema Schema
	buf    []byte
	at     int64
}

func (s *lineSource) Schema() Schema { return s.schema }

func (s *lineSource) Next() (Item, error) {
	s.buf = s.buf[:0]
	at, quotes := s.at, 0
	for {
		part, err := s.in.ReadSlice('\n')
		s.buf, s.at = append(s.buf, part...), s.at+int64(len(part))
		if len(s.buf) > dataset.MaxRecordBytes {
			return Item{}, fmt.Errorf("%w: no end within %d bytes", ErrRecord, dataset.MaxRecordBytes)
		}
		if s.schema.Format == dataset.FormatCSV {
			quotes += bytes.Count(part, []byte{'"'})
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull), err == nil && quotes%2 != 0: // the line end is inside quotes
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return Item{}, err
		case err != nil && quotes%2 != 0:
			return Item{}, fmt.Errorf("%w: a quoted field that never ends", ErrRecord)
		case len(s.buf) == 0:
			return Item{}, io.EOF
		}
		return Item{Raw: trimEnd(s.buf), At: at}, nil
	}
}

func trimEnd(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b
}

// tarSource takes a tar stream apart. Its end needs no mark: a later version of a dataset goes on behind it.
type tarSource struct {
	in  *countingReader
	tar *tar.Reader
	buf bytes.Buffer
}

func (s *tarSource) Schema() Schema { return Schema{Format: dataset.FormatFiles} }

func (s *tarSource) Next() (Item, error) {
	h, err := s.tar.Next()
	switch {
	case errors.Is(err, io.EOF):
		return Item{}, io.EOF
	case err != nil:
		return Item{}, fmt.Errorf("%w: not a tar stream", ErrRecord)
	case h.Typeflag != tar.TypeReg || h.Size < 0:
		return Item{}, fmt.Errorf("%w: an entry of the tar stream is not a file", ErrRecord)
	}
	it := Item{Name: h.Name, At: s.in.n - blockSize, TooLong: h.Size > MaxFile}
	if it.TooLong {
		it.Long, it.Size = s.tar, h.Size
		return it, nil
	}
	clear(s.buf.Bytes())
	s.buf.Reset()
	if _, err := io.CopyN(&s.buf, s.tar, h.Size); err != nil {
		return Item{}, fmt.Errorf("%w: a file that ends early", ErrRecord)
	}
	it.Raw = s.buf.Bytes()
	return it, nil
}

// blockSize is the unit of tar. A record begins with the last block of its header or before: close enough to say which batch
// it is of only because a batch never begins inside a header.
const blockSize = 512

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// Writer makes the plaintext stream of a dataset out of records.
type Writer struct {
	out    io.Writer
	schema Schema
	tar    *tar.Writer
	begun  bool
	buf    []byte
}

// NewWriter writes records of a schema.
func NewWriter(w io.Writer, s Schema) *Writer { return &Writer{out: w, schema: s} }

// Begin writes what comes before the first record: the header of CSV. It is called by Write where it was not before.
func (w *Writer) Begin() error {
	if w.begun {
		return nil
	}
	w.begun = true
	if w.schema.Format != dataset.FormatCSV {
		return nil
	}
	_, err := w.out.Write(append(AppendHeader(nil, w.schema.Columns), '\n'))
	return err
}

// Write writes a record.
func (w *Writer) Write(it Item) error {
	if err := w.Begin(); err != nil {
		return err
	}
	if w.schema.Format == dataset.FormatSamples {
		_, err := w.out.Write(it.Raw)
		return err
	}
	if w.schema.Format != dataset.FormatFiles {
		w.buf = append(append(w.buf[:0], it.Raw...), '\n')
		_, err := w.out.Write(w.buf)
		return err
	}
	if w.tar == nil {
		w.tar = tar.NewWriter(w.out)
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: it.Name, Size: it.size(), Mode: 0o644, ModTime: time.Unix(0, 0)}
	if err := w.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("%w: a file's name", ErrRecord)
	}
	if err := it.copyTo(w.tar); err != nil {
		return err
	}
	return w.tar.Flush()
}
