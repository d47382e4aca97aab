// SPDX-License-Identifier: Apache-2.0

package mnist

import (
	"encoding/binary"
	"math"
	"strconv"
)

// Format names the model in the file's metadata.
const Format = "glovebox-mnist-mlp/1"

// tensor is one named array of 32-bit floats.
type tensor struct {
	name  string
	shape []int
	data  []float32
}

// tensors lists the weights in the order of the file: names ascending.
func (m *Model) tensors() []tensor {
	t := []tensor{
		{"hidden.bias", []int{Hidden}, m.B1[:]},
		{"hidden.weight", []int{Pixels, Hidden}, make([]float32, 0, Pixels*Hidden)},
		{"output.bias", []int{Digits}, m.B2[:]},
		{"output.weight", []int{Hidden, Digits}, make([]float32, 0, Hidden*Digits)},
	}
	for i := range m.W1 {
		t[1].data = append(t[1].data, m.W1[i][:]...)
	}
	for i := range m.W2 {
		t[3].data = append(t[3].data, m.W2[i][:]...)
	}
	return t
}

// MarshalSafetensors encodes the model as a safetensors file: eight bytes of header length, a JSON header that gives
// each tensor its type, shape and place, padded with spaces to a multiple of eight, then the numbers, little-endian.
// The same model always has the same bytes.
func (m *Model) MarshalSafetensors() []byte {
	h := []byte(`{"__metadata__":{"format":"` + Format + `"}`)
	var body []byte
	for _, t := range m.tensors() {
		start := len(body)
		for _, v := range t.data {
			body = binary.LittleEndian.AppendUint32(body, math.Float32bits(v))
		}
		h = append(h, `,"`+t.name+`":{"dtype":"F32","shape":[`...)
		for i, d := range t.shape {
			if i > 0 {
				h = append(h, ',')
			}
			h = strconv.AppendInt(h, int64(d), 10)
		}
		h = append(h, `],"data_offsets":[`...)
		h = strconv.AppendInt(h, int64(start), 10)
		h = append(h, ',')
		h = strconv.AppendInt(h, int64(len(body)), 10)
		h = append(h, `]}`...)
	}
	h = append(h, '}')
	for len(h)%8 != 0 {
		h = append(h, ' ')
	}
	out := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+len(h)+len(body)), uint64(len(h)))
	return append(append(out, h...), body...)
}
