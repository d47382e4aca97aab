// SPDX-License-Identifier: Apache-2.0

package mnist

import (
	"bytes"
	"errors"
	"io"
)

// readBytes is how much is read at a time, and maxLine bounds a line: 785 numbers of at most three digits.
const (
	readBytes = 256 << 10
	maxLine   = 8 << 10
	maxImages = 1 << 20
)

// ReadCSV reads a table with a header line, the label in its first column and 784 pixels of 0 to 255 after it. Images
// are kept as bytes: a float for each pixel would take four times the memory of a sandbox.
func ReadCSV(r io.Reader) ([]Image, error) {
	var images []Image
	buf, rest, header := make([]byte, readBytes), []byte(nil), true
	line := func(l []byte) error {
		l = bytes.TrimSuffix(l, []byte("\r"))
		switch {
		case header:
			header = false
			if !bytes.HasPrefix(l, []byte("label,")) {
				return ErrRecords
			}
			return nil
		case len(l) == 0:
			return nil
		case len(images) == maxImages:
			return ErrRecords
		}
		images = append(images, Image{})
		return images[len(images)-1].parse(l)
	}
	for {
		n, err := r.Read(buf)
		rest = append(rest, buf[:n]...)
		for i := bytes.IndexByte(rest, '\n'); i >= 0; i = bytes.IndexByte(rest, '\n') {
			if err := line(rest[:i]); err != nil {
				return nil, err
			}
			rest = rest[i+1:]
		}
		switch {
		case errors.Is(err, io.EOF):
			if len(rest) > 0 {
				if err := line(rest); err != nil {
					return nil, err
				}
			}
			if len(images) == 0 {
				return nil, ErrRecords
			}
			return images, nil
		case err != nil:
			return nil, err
		case len(rest) > maxLine:
			return nil, ErrRecords
		}
		rest = bytes.Clone(rest)
	}
}

// parse reads one line of 785 numbers.
func (m *Image) parse(l []byte) error {
	field, v, digits := 0, 0, 0
	for i := 0; i <= len(l); i++ {
		if i < len(l) && l[i] != ',' {
			c := l[i] - '0'
			if c > 9 || digits == 3 {
				return ErrRecords
			}
			v, digits = 10*v+int(c), digits+1
			continue
		}
		switch {
		case digits == 0 || v > 255 || field > Pixels || (field == 0 && v >= Digits):
			return ErrRecords
		case field == 0:
			m.Label = uint8(v)
		default:
			m.Pixels[field-1] = uint8(v)
		}
		field, v, digits = field+1, 0, 0
	}
	if field != Pixels+1 {
		return ErrRecords
	}
	return nil
}
