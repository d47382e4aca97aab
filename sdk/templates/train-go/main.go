// SPDX-License-Identifier: Apache-2.0

// Softmax regression on a CSV of numbers, to be trained with differential privacy. Start here, and make it yours. The first
// column is the class, from 0 on. train.json has "inputs" (the other columns), "classes" and "scale" (what they are divided by).
package main

import (
	"errors"
	"math"

	"github.com/glovebox-dev/glovebox/sdk/go/glovebox/train"
)

var _ = train.Serve(open)

type softmax struct {
	inputs, classes int
	scale           float32
	params          []float32 // a row of weights for each class, then its biases
	p               []float64 // how likely each class is
}

func open(c *train.Config) (train.Model, error) {
	m := &softmax{inputs: c.Int("inputs", 4, 1, 100_000), classes: c.Int("classes", 3, 2, 1000), scale: float32(c.Float("scale", 1))}
	if !(m.scale > 0) {
		return nil, errors.New("scale is more than 0")
	}
	m.params, m.p = make([]float32, (m.inputs+1)*m.classes), make([]float64, m.classes)
	return m, nil
}

func (m *softmax) Params() []float32 { return m.params }

// Prepare makes a line its class and inputs as numbers, once, before training.
func (m *softmax) Prepare(line, room []byte) ([]byte, bool) {
	n := 4 * (m.inputs + 1)
	if n > len(room) {
		return nil, false
	}
	x := train.Floats(room[:n])
	if !train.ParseFloats(line, x) || !(x[0] >= 0 && x[0] < float32(m.classes)) {
		return nil, false
	}
	for i := range x[1:] {
		x[1+i] /= m.scale
	}
	return room[:n], true
}

func (m *softmax) forward(x []float32) {
	biases, most, sum := m.params[m.inputs*m.classes:], math.Inf(-1), 0.0
	for k := range m.p {
		s := float64(biases[k])
		for i, w := range m.params[k*m.inputs : (k+1)*m.inputs] {
			s += float64(w) * float64(x[i])
		}
		m.p[k], most = s, max(most, s)
	}
	for k := range m.p {
		m.p[k] = math.Exp(m.p[k] - most)
		sum += m.p[k]
	}
	for k := range m.p {
		m.p[k] /= sum
	}
}

func (m *softmax) Gradient(record []byte, gradient []float32) bool {
	x := train.Floats(record)
	if len(x) != m.inputs+1 {
		return false
	}
	class, x := int(x[0]), x[1:]
	m.forward(x)
	for k := range m.p {
		d := float32(m.p[k])
		if k == class {
			d = float32(m.p[k] - 1)
		}
		row := gradient[k*m.inputs : (k+1)*m.inputs]
		for i := range row {
			row[i] = d * x[i]
		}
		gradient[m.inputs*m.classes+k] = d
	}
	return true
}

func (m *softmax) Predict(record []byte) float32 {
	x := train.Floats(record)
	if len(x) != m.inputs+1 {
		return 0
	}
	m.forward(x[1:])
	best := 0
	for k := range m.p {
		if m.p[k] > m.p[best] {
			best = k
		}
	}
	if best == int(x[0]) {
		return 1
	}
	return 0
}

func main() {}
