// SPDX-License-Identifier: Apache-2.0

package glovebox

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"sort"
	"strconv"
)

// ErrTensor is wrapped by errors about a tensor.
var ErrTensor = errors.New("tensor")

// Tensor is a named array of 32-bit floats, row by row.
type Tensor struct {
	Name  string
	Shape []int // empty for one number
	Data  []float32
}

// metadataKey is the header's member that is no tensor.
const metadataKey = "__metadata__"

// WriteSafetensors writes a model in the safetensors format: eight bytes of header length, a JSON header that gives each
// tensor its type, shape and place, padded with spaces to a multiple of eight, then the numbers, little-endian, in the
// order given. The same model always has the same bytes. metadata, which may be nil, is text about the model. The error
// is an [ErrTensor] when a name is empty, repeated or reserved or a shape does not fit its data, else the writer's.
func WriteSafetensors(w io.Writer, metadata map[string]string, tensors ...Tensor) error {
	h, err := safetensorsHeader(metadata, tensors)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	_, _ = out.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(h)))) // Flush returns the first error
	_, _ = out.Write(h)
	var four [4]byte
	for _, t := range tensors {
		for _, v := range t.Data {
			binary.LittleEndian.PutUint32(four[:], math.Float32bits(v))
			_, _ = out.Write(four[:])
		}
	}
	return out.Flush()
}

func safetensorsHeader(metadata map[string]string, tensors []Tensor) ([]byte, error) {
	h := appendMetadata([]byte{'{'}, metadata)
	seen, at := map[string]bool{metadataKey: true, "": true}, 0
	for _, t := range tensors {
		if seen[t.Name] {
			return nil, wrap(ErrTensor, strconv.Quote(t.Name)+" has no name, a reserved one, or one that is taken")
		}
		seen[t.Name] = true
		if !fits(t.Shape, len(t.Data)) {
			return nil, wrap(ErrTensor, t.Name+" has another shape than its "+strconv.Itoa(len(t.Data))+" numbers")
		}
		if len(h) > 1 {
			h = append(h, ',')
		}
		h = appendText(h, t.Name)
		h = append(h, `:{"dtype":"F32","shape":[`...)
		for i, d := range t.Shape {
			if i > 0 {
				h = append(h, ',')
			}
			h = strconv.AppendInt(h, int64(d), 10)
		}
		h = append(h, `],"data_offsets":[`...)
		h = strconv.AppendInt(h, int64(at), 10)
		h = append(h, ',')
		at += 4 * len(t.Data)
		h = strconv.AppendInt(h, int64(at), 10)
		h = append(h, `]}`...)
	}
	h = append(h, '}')
	for len(h)%8 != 0 {
		h = append(h, ' ')
	}
	return h, nil
}

func appendMetadata(h []byte, metadata map[string]string) []byte {
	if len(metadata) == 0 {
		return h
	}
	keys := make([]string, 0, len(metadata))
	for k := range metadata {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	h = append(appendText(h, metadataKey), ":{"...)
	for i, k := range keys {
		if i > 0 {
			h = append(h, ',')
		}
		h = append(appendText(h, k), ':')
		h = appendText(h, metadata[k])
	}
	return append(h, '}')
}

// fits reports whether n numbers fill the shape.
func fits(shape []int, n int) bool {
	count := int64(1)
	for _, d := range shape {
		if d < 0 || count > math.MaxInt32 {
			return false
		}
		count *= int64(d)
	}
	return count == int64(n)
}

// appendText writes a JSON string.
func appendText(h []byte, s string) []byte {
	const hex = "0123456789abcdef"
	h = append(h, '"')
	for _, r := range s { // what is not UTF-8 becomes U+FFFD
		switch {
		case r == '"' || r == '\\':
			h = append(h, '\\', byte(r))
		case r < 0x20:
			h = append(h, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			h = append(h, string(r)...)
		}
	}
	return append(h, '"')
}
