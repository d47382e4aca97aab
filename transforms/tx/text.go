// SPDX-License-Identifier: Apache-2.0

package tx

import (
	"bytes"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// text is the form for commands of WASI: records as a file of their format has them, each with its line end, CSV behind its
// header. A file comes alone.
type text struct {
	shape  string
	format dataset.Format
	header []byte // of CSV, without line end
}

func (t *text) most() int {
	if t.format == dataset.FormatFiles {
		return -1
	}
	return TextBytes
}

func (t *text) add(batch, record []byte) []byte {
	if t.format == dataset.FormatFiles {
		return append(batch, record...)
	}
	if len(batch) == 0 && t.header != nil {
		batch = append(append(batch, t.header...), '\n')
	}
	return append(append(batch, record...), '\n')
}

func (t *text) parse(answer []byte, in [][]byte) ([][]byte, error) {
	if t.format == dataset.FormatFiles {
		return [][]byte{append([]byte{}, answer...)}, nil // never nil, which would be a file that is left out
	}
	if t.header != nil {
		rest, same := bytes.CutPrefix(answer, t.header)
		rest, ended := bytes.CutPrefix(bytes.TrimPrefix(rest, []byte{'\r'}), []byte{'\n'})
		if !same || !ended && len(rest) > 0 {
			return nil, fmt.Errorf("%w: another header than came in", ErrAnswer)
		}
		answer = rest
	}
	out, err := t.split(answer)
	switch {
	case err != nil:
		return nil, err
	case t.shape == dataset.ShapeMap && len(out) != len(in):
		return nil, fmt.Errorf("%w: %d records for %d, and the step's shape is %s", ErrAnswer, len(out), len(in), t.shape)
	case t.shape == dataset.ShapeFilter:
		return align(out, in)
	}
	return out, nil
}

// split takes text apart into records; the last line end may be missing. A line end within quotes is part of a CSV record.
func (t *text) split(b []byte) ([][]byte, error) {
	var out [][]byte
	for len(b) > 0 {
		if len(out) == MaxAnswer {
			return nil, fmt.Errorf("%w: more than %d records", ErrAnswer, MaxAnswer)
		}
		end, quotes := 0, 0
		for {
			n := bytes.IndexByte(b[end:], '\n')
			line := b[end:]
			if n >= 0 {
				line = b[end : end+n+1]
			}
			end += len(line)
			if t.format == dataset.FormatCSV {
				quotes += bytes.Count(line, []byte{'"'})
			}
			if quotes%2 == 0 {
				break
			}
			if end == len(b) {
				return nil, fmt.Errorf("%w: a quoted field that never ends", ErrAnswer)
			}
		}
		record := trimReturn(bytes.TrimSuffix(b[:end], []byte{'\n'}))
		out, b = append(out, record[:len(record):len(record)]), b[end:]
	}
	return out, nil
}

func trimReturn(b []byte) []byte { return bytes.TrimSuffix(b, []byte{'\r'}) }

// align finds the records that a filter kept, as they came in, among those that came in.
func align(kept, in [][]byte) ([][]byte, error) {
	out, k := make([][]byte, len(in)), 0
	for i := range in {
		if k < len(kept) && bytes.Equal(kept[k], in[i]) {
			out[i] = kept[k]
			k++
		}
	}
	if k < len(kept) {
		return nil, fmt.Errorf("%w: a filter's record is none of those that came in, or out of order", ErrAnswer)
	}
	return out, nil
}
