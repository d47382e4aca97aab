// SPDX-License-Identifier: Apache-2.0

// Package mnist is the story of the first example: handwritten digits, a small network, one training job.
//
// Trust domain: the buyer's. The guest (folder guest) trains the network of this package inside a sandbox, where it sees
// the images and cannot keep them; the buyer evaluates the model she gets back with [Evaluate]. The package's one job is
// that both agree on the network and on the file it travels in.
package mnist

import (
	"errors"
	"math/rand/v2"
)

// The network: 784 pixels, one hidden layer of rectified units, ten digits.
const (
	Pixels = 28 * 28
	Hidden = 32
	Digits = 10
)

// Errors of this package.
var (
	ErrRecords = errors.New("mnist: not a table of labelled 28 by 28 images")
	ErrModel   = errors.New("mnist: not a model of this example")
)

// Image is one record: the digit it shows and its pixels, row by row.
type Image struct {
	Label  uint8
	Pixels [Pixels]uint8
}

// Model is the network's weights. The zero Model is untrained and useless: start with [NewModel].
type Model struct {
	W1 [Pixels][Hidden]float32
	B1 [Hidden]float32
	W2 [Hidden][Digits]float32
	B2 [Digits]float32
}

// NewModel draws small random weights, scaled to the number of inputs a unit sees (He et al., 2015).
func NewModel(r *rand.Rand) *Model {
	m := &Model{}
	for i := range m.W1 {
		for j := range m.W1[i] {
			m.W1[i][j] = float32(r.NormFloat64() * 0.0505) // √(2/784)
		}
	}
	for i := range m.W2 {
		for j := range m.W2[i] {
			m.W2[i][j] = float32(r.NormFloat64() * 0.25) // √(2/32)
		}
	}
	return m
}

// Predict returns the most likely digit.
func (m *Model) Predict(x *[Pixels]uint8) int {
	var h [Hidden]float32
	var p [Digits]float32
	m.forward(x, &h, &p)
	return argmax(&p)
}

func argmax(p *[Digits]float32) int {
	best := 0
	for i := range p {
		if p[i] > p[best] {
			best = i
		}
	}
	return best
}

// forward computes the hidden layer and the outputs before softmax. Four of five pixels are white: their weights are
// not touched, which makes this five times as fast.
func (m *Model) forward(x *[Pixels]uint8, h *[Hidden]float32, p *[Digits]float32) {
	*h = m.B1
	for i, v := range x {
		if v == 0 {
			continue
		}
		addScaled(h, &m.W1[i], float32(v)*(1.0/255))
	}
	*p = m.B2
	for j, a := range h {
		if a <= 0 {
			h[j] = 0
			continue
		}
		w := &m.W2[j]
		for k := range p {
			p[k] += float32(a * w[k])
		}
	}
}

// addScaled adds s·w to h, unrolled by eight: WebAssembly engines do not unroll loops. The conversions forbid fused
// multiply-add, so that every machine computes the same model.
func addScaled(h, w *[Hidden]float32, s float32) {
	for j := 0; j < Hidden; j += 8 {
		a, b := h[j:j+8:j+8], w[j:j+8:j+8]
		a[0] += float32(s * b[0])
		a[1] += float32(s * b[1])
		a[2] += float32(s * b[2])
		a[3] += float32(s * b[3])
		a[4] += float32(s * b[4])
		a[5] += float32(s * b[5])
		a[6] += float32(s * b[6])
		a[7] += float32(s * b[7])
	}
}
