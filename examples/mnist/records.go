// SPDX-License-Identifier: Apache-2.0

package mnist

import (
	"errors"
	"io"

	"github.com/glovebox-dev/glovebox/sdk/go/glovebox"
)

// maxImages bounds a table; as bytes, it has 800 MB.
const maxImages = 1 << 20

// ReadCSV reads a table with a header line, the label in its first column and 784 pixels of 0 to 255 after it.
func ReadCSV(r io.Reader) ([]Image, error) {
	records, err := glovebox.NewRecords(r, glovebox.CSV)
	if err != nil {
		return nil, malformed(err)
	}
	return ReadRecords(records)
}

// ReadRecords is [ReadCSV] for records that are open. Images are kept as bytes: a float for each pixel would take four
// times the memory of a sandbox.
func ReadRecords(r *glovebox.Records) ([]Image, error) {
	if r.Column("label") != 0 || len(r.Header()) != Pixels+1 {
		return nil, ErrRecords
	}
	var images []Image
	for r.Next() {
		if len(images) == maxImages {
			return nil, ErrRecords
		}
		images = append(images, Image{})
		if err := images[len(images)-1].parse(r); err != nil {
			return nil, err
		}
	}
	if r.Err() == nil && len(images) == 0 {
		return nil, ErrRecords
	}
	return images, malformed(r.Err())
}

// malformed tells a table that is none from one that cannot be read.
func malformed(err error) error {
	if errors.Is(err, glovebox.ErrRecord) {
		return errors.Join(ErrRecords, err)
	}
	return err
}

// parse reads 785 numbers.
func (m *Image) parse(r *glovebox.Records) error {
	for i := range Pixels + 1 {
		f, v := r.Field(i), 0
		for _, c := range f {
			if c < '0' || c > '9' {
				return ErrRecords
			}
			v = 10*v + int(c-'0')
		}
		switch {
		case len(f) == 0 || len(f) > 3 || v > 255 || (i == 0 && v >= Digits):
			return ErrRecords
		case i == 0:
			m.Label = uint8(v)
		default:
			m.Pixels[i-1] = uint8(v)
		}
	}
	return nil
}
