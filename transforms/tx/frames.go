// SPDX-License-Identifier: Apache-2.0

package tx

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// A frame is a length, four bytes, lowest first, and as many bytes. In an answer the length leftOut stands for a record that
// was left out.
const (
	frameHead = 4
	leftOut   = math.MaxUint32
)

// AppendFrame appends a record to a batch.
func AppendFrame(dst, record []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(record))), record...)
}

// ParseAnswer takes the answer to a batch of n records apart: as many as the shape allows, nil for one that is left out. The
// records are parts of b, and one without a byte is not nil.
func ParseAnswer(b []byte, n int, shape string) ([][]byte, error) {
	most := n
	if shape == dataset.ShapeAny {
		most = MaxAnswer
	}
	out := make([][]byte, 0, n)
	for len(b) > 0 {
		if len(out) == most {
			return nil, fmt.Errorf("%w: more than %d records for %d", ErrAnswer, most, n)
		}
		if len(b) < frameHead {
			return nil, fmt.Errorf("%w: its frames do not add up", ErrAnswer)
		}
		size := binary.LittleEndian.Uint32(b)
		b = b[frameHead:]
		switch {
		case size == leftOut && shape == dataset.ShapeFilter:
			out = append(out, nil)
			continue
		case size == leftOut:
			return nil, fmt.Errorf("%w: a record is left out, and the step's shape is %s", ErrAnswer, shape)
		case uint64(size) > uint64(len(b)):
			return nil, fmt.Errorf("%w: its frames do not add up", ErrAnswer)
		}
		out, b = append(out, b[:size:size]), b[size:]
	}
	if shape != dataset.ShapeAny && len(out) != n {
		return nil, fmt.Errorf("%w: %d records for %d, and the step's shape is %s", ErrAnswer, len(out), n, shape)
	}
	return out, nil
}

// Frames is how many records a batch has; those that do not add up count as one.
func Frames(batch []byte) (n int) {
	for ; len(batch) > 0; n++ {
		size := uint64(frameHead)
		if len(batch) >= frameHead {
			size += uint64(binary.LittleEndian.Uint32(batch))
		}
		batch = batch[min(size, uint64(len(batch))):]
	}
	return n
}
