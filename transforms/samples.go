// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// sampleSource takes a tar stream of samples apart. A record is the part of the stream that a sample is: whoever gets it reads tar.
type sampleSource struct {
	in   *countingReader
	tar  *tar.Reader
	next *tar.Header // of the sample that begins, already read
	at   int64       // of its header
	done bool
	size int64 // of the files of the sample at hand
	buf  bytes.Buffer
	out  *tar.Writer
}

func (s *sampleSource) Schema() Schema { return Schema{Format: dataset.FormatSamples} }

// entry reads the next header, -1 after the last.
func (s *sampleSource) entry(before int) (*tar.Header, int, error) {
	h, err := s.tar.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, -1, nil
	case err != nil:
		return nil, 0, fmt.Errorf("%w: not a tar stream", ErrRecord)
	}
	n, err := dataset.SampleIndex(h, before)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: not a stream of samples", ErrRecord)
	}
	return h, n, nil
}

// Next implements [Source].
func (s *sampleSource) Next() (Item, error) {
	if s.next == nil && !s.done {
		h, n, err := s.entry(-1)
		if err != nil {
			return Item{}, err
		}
		s.next, s.at, s.done = h, s.in.n-blockSize, n < 0
	}
	if s.done {
		return Item{}, io.EOF
	}
	it := Item{Name: s.next.Name, At: s.at}
	clear(s.buf.Bytes())
	s.buf.Reset()
	s.out = tar.NewWriter(&s.buf)
	for h, n := s.next, 0; ; {
		if err := s.add(h, n); err != nil {
			return Item{}, err
		}
		var err error
		if h, n, err = s.entry(n); err != nil {
			return Item{}, err
		}
		if n <= 0 {
			s.next, s.at, s.done = h, s.in.n-blockSize, n < 0
			it.Raw = s.buf.Bytes()
			return it, nil
		}
	}
}

// add writes a file to the record as it was packed.
func (s *sampleSource) add(h *tar.Header, n int) error {
	if n == 0 {
		s.size = 0
	}
	if s.size += h.Size; s.size > dataset.MaxSampleBytes {
		return fmt.Errorf("%w: a sample of more than %d bytes", ErrRecord, dataset.MaxSampleBytes)
	}
	if err := s.out.WriteHeader(dataset.SampleHeader(h.Name, h.Size, n)); err != nil {
		return fmt.Errorf("%w: a file's name", ErrRecord)
	}
	if _, err := io.Copy(s.out, s.tar); err != nil {
		return fmt.Errorf("%w: a file that ends early", ErrRecord)
	}
	return s.out.Flush()
}
