// SPDX-License-Identifier: Apache-2.0

// Package nn is small networks that classify, and the gradient of one record's loss: the same models as in ../c, in plain Go.
//
// Trust domain: the buyer's; it is part of guests. Its one job: gradients that a check by finite differences finds right, without
// an allocation for a record.
package nn

import (
	"errors"
	"math"

	"github.com/glovebox-dev/glovebox/sdk/go/glovebox/train"
)

// errScale is a train.json whose "scale" divides nothing.
var errScale = errors.New("scale is more than 0")

// layer computes out from in, and back.
type layer interface {
	sizes() (in, out, params int)
	// fill draws initial parameters.
	fill(w []float32, c *train.Chance)
	forward(w, in, out []float32)
	// backward adds to the gradient of the parameters, and to that of in unless that is empty, by that of out. Activations have
	// parameters nowhere and are never first.
	backward(w, in, out, dOut, g, dIn []float32)
}

// Net is layers, softmax and cross entropy. A record is a CSV line, its first column the class; prepared it is floats, the class
// and then the inputs over the scale.
type Net struct {
	layers  []layer
	scale   float32
	params  []float32
	at      []int       // where each layer's parameters begin
	values  [][]float32 // what layers compute; the first is the record
	derived [][]float32 // the loss's derivative by them
}

// Linear is softmax regression: "inputs" (784), "classes" (10), "scale" (255).
func Linear(c *train.Config) (*Net, error) {
	return build(c, &dense{in: c.Int("inputs", 784, 1, 100_000), out: c.Int("classes", 10, 2, 1000), zero: true})
}

// MLP has one hidden layer of rectified units: "hidden" (128), "seed", and what Linear has.
func MLP(c *train.Config) (*Net, error) {
	in, hidden := c.Int("inputs", 784, 1, 100_000), c.Int("hidden", 128, 1, 10_000)
	return build(c, &dense{in: in, out: hidden, gain: 2}, &activation{n: hidden, rectified: true}, &dense{in: hidden, out: c.Int("classes", 10, 2, 1000), gain: 1})
}

// CNN is the small network of Papernot et al. 2021 for images of 28 by 28: "classes" (10), "scale" (255), "seed".
func CNN(c *train.Config) (*Net, error) {
	return build(c,
		&conv{side: 28, channels: 1, kernels: 16, size: 8, pad: 3, n: 14}, &activation{n: 14 * 14 * 16}, &pool{n: 14, channels: 16},
		&conv{side: 13, channels: 16, kernels: 32, size: 4, n: 5}, &activation{n: 5 * 5 * 32}, &pool{n: 5, channels: 32},
		&dense{in: 4 * 4 * 32, out: 32, gain: 1}, &activation{n: 32}, &dense{in: 32, out: c.Int("classes", 10, 2, 1000), gain: 1})
}

func build(c *train.Config, layers ...layer) (*Net, error) {
	n := &Net{layers: layers, scale: float32(c.Float("scale", 255))}
	if !(n.scale > 0) {
		return nil, errScale
	}
	total := 0
	in, _, _ := layers[0].sizes()
	n.values, n.derived = [][]float32{make([]float32, in)}, [][]float32{nil}
	for _, l := range layers {
		_, out, params := l.sizes()
		n.at = append(n.at, total)
		n.values, n.derived = append(n.values, make([]float32, out)), append(n.derived, make([]float32, out))
		total += params
	}
	n.at = append(n.at, total)
	n.params = make([]float32, total)
	chance := train.Chance(c.Int("seed", 1, 0, math.MaxInt32))
	for i, l := range layers {
		l.fill(n.params[n.at[i]:n.at[i+1]], &chance)
	}
	return n, nil
}

// Params are all parameters, layer by layer.
func (n *Net) Params() []float32 { return n.params }

// Prepare makes a line class and inputs.
func (n *Net) Prepare(line, room []byte) ([]byte, bool) {
	size := 4 * (len(n.values[0]) + 1)
	if size > len(room) {
		return nil, false
	}
	x := train.Floats(room[:size])
	if !train.ParseFloats(line, x) || !(x[0] >= 0 && int(x[0]) < len(n.logits())) {
		return nil, false
	}
	for i := range x[1:] {
		x[1+i] /= n.scale
	}
	return room[:size], true
}

func (n *Net) logits() []float32 { return n.values[len(n.values)-1] }

// forward computes all layers of a prepared record.
func (n *Net) forward(record []byte) (class int, ok bool) {
	x := train.Floats(record)
	if len(x) != len(n.values[0])+1 {
		return 0, false
	}
	copy(n.values[0], x[1:])
	for i, l := range n.layers {
		l.forward(n.params[n.at[i]:n.at[i+1]], n.values[i], n.values[i+1])
	}
	return int(x[0]), true
}

// Loss is the cross entropy of a prepared record, for tests.
func (n *Net) Loss(record []byte) float64 {
	class, _ := n.forward(record)
	return n.softmax(class)
}

// softmax fills the loss's derivative by the logits.
func (n *Net) softmax(class int) (loss float64) {
	logits, d := n.logits(), n.derived[len(n.derived)-1]
	most, sum := logits[0], 0.0
	for _, v := range logits {
		most = max(most, v)
	}
	for _, v := range logits {
		sum += math.Exp(float64(v - most))
	}
	for k, v := range logits {
		d[k] = float32(math.Exp(float64(v-most)) / sum)
	}
	d[class]--
	return math.Log(sum) + float64(most-logits[class])
}

// Gradient fills the gradient of one record's loss.
func (n *Net) Gradient(record []byte, gradient []float32) bool {
	class, ok := n.forward(record)
	if !ok {
		return false
	}
	n.softmax(class)
	for i := len(n.layers) - 1; i >= 0; i-- {
		a, b := n.at[i], n.at[i+1]
		clear(n.derived[i])
		n.layers[i].backward(n.params[a:b], n.values[i], n.values[i+1], n.derived[i+1], gradient[a:b], n.derived[i])
	}
	return true
}

// Predict is 1 if the most likely class is the record's.
func (n *Net) Predict(record []byte) float32 {
	class, ok := n.forward(record)
	best, logits := 0, n.logits()
	for k := range logits {
		if logits[k] > logits[best] {
			best = k
		}
	}
	if !ok || best != class {
		return 0
	}
	return 1
}
