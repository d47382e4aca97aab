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

// Model is the network's weights, row by row. The zero Model is untrained and useless: start with [NewModel].
type Model struct {
	W1 [Pixels * Hidden]float32
	B1 [Hidden]float32
	W2 [Hidden * Digits]float32
	B2 [Digits]float32
}

// NewModel draws small random weights, scaled to the number of inputs a unit sees (He et al., 2015).
func NewModel(r *rand.Rand) *Model {
	m := &Model{}
	for i := range m.W1 {
		m.W1[i] = float32(r.NormFloat64() * 0.0505) // √(2/784)
	}
	for i := range m.W2 {
		m.W2[i] = float32(r.NormFloat64() * 0.25) // √(2/32)
	}
	return m
}

// Predict returns the most likely digit.
func (m *Model) Predict(img *Image) int {
	b := &batch{}
	b.fill([]Image{*img}, []int32{0})
	m.forward(b)
	return argmax(b.p[:Digits])
}

func argmax(p []float32) int {
	best := 0
	for i := range p {
		if p[i] > p[best] {
			best = i
		}
	}
	return best
}
