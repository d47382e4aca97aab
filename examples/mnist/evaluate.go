// SPDX-License-Identifier: Apache-2.0

package mnist

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
)

// maxSafetensorsHeader bounds the JSON header of a model.
const maxSafetensorsHeader = 64 << 10

// Evaluate loads a model from a safetensors file and returns the share of images in testCSV that it recognises, and
// their number. Errors are [ErrModel] and [ErrRecords], or the reader's.
func Evaluate(model []byte, testCSV io.Reader) (accuracy float64, n int, err error) {
	m, err := ParseSafetensors(model)
	if err != nil {
		return 0, 0, err
	}
	images, err := ReadCSV(testCSV)
	if err != nil {
		return 0, 0, err
	}
	right := 0
	for i := range images {
		if m.Predict(&images[i]) == int(images[i].Label) {
			right++
		}
	}
	return float64(right) / float64(len(images)), len(images), nil
}

// place is one tensor in a safetensors header.
type place struct {
	Dtype   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// ParseSafetensors reads a model that any writer of the format may have made: tensors in any order, without gaps,
// overlaps, strangers or numbers that are not finite.
func ParseSafetensors(b []byte) (*Model, error) {
	bad := func(f string, a ...any) (*Model, error) {
		return nil, fmt.Errorf("%w: %s", ErrModel, fmt.Sprintf(f, a...))
	}
	if len(b) < 8 {
		return bad("%d bytes", len(b))
	}
	size := binary.LittleEndian.Uint64(b)
	if size > maxSafetensorsHeader || size > uint64(len(b)-8) {
		return bad("header of %d bytes", size)
	}
	head, body := b[8:8+size], b[8+size:]
	raw := map[string]json.RawMessage{}
	if err := json.Unmarshal(head, &raw); err != nil {
		return bad("header: %v", err)
	}
	meta := map[string]string{}
	if err := json.Unmarshal(raw["__metadata__"], &meta); err != nil || meta["format"] != Format {
		return bad("format %q, want %q", meta["format"], Format)
	}
	delete(raw, "__metadata__")
	m := &Model{}
	want := m.tensors()
	if len(raw) != len(want) {
		return bad("%d tensors, want %d", len(raw), len(want))
	}
	var used [][2]int64
	for _, t := range want {
		values, at, err := readTensor(raw[t.Name], t.Shape, body)
		if err != nil {
			return bad("%s: %v", t.Name, err)
		}
		used = append(used, at)
		copy(t.Data, values)
	}
	slices.SortFunc(used, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	end := int64(0)
	for _, u := range used {
		if u[0] != end {
			return bad("gap or overlap at byte %d", end)
		}
		end = u[1]
	}
	if end != int64(len(body)) {
		return bad("%d bytes of data, want %d", len(body), end)
	}
	return m, nil
}

// readTensor checks one header entry and decodes its numbers.
func readTensor(entry json.RawMessage, shape []int, body []byte) (values []float32, at [2]int64, err error) {
	var p place
	d := json.NewDecoder(bytes.NewReader(entry))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, at, err
	}
	count := int64(1)
	for _, n := range shape {
		count *= int64(n)
	}
	start, end := p.Offsets[0], p.Offsets[1]
	if p.Dtype != "F32" || !slices.Equal(p.Shape, shape) || start < 0 || end > int64(len(body)) || end-start != 4*count {
		return nil, at, fmt.Errorf("%s %v at %v", p.Dtype, p.Shape, p.Offsets)
	}
	out := make([]float32, count)
	for i := range out {
		v := math.Float32frombits(binary.LittleEndian.Uint32(body[start+int64(4*i):]))
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, at, fmt.Errorf("value %d is not a number", i)
		}
		out[i] = v
	}
	return out, p.Offsets, nil
}
