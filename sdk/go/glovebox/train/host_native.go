// SPDX-License-Identifier: Apache-2.0

//go:build !wasip1

package train

import (
	"errors"
	"fmt"
	"math"
)

// Serve does nothing outside of the sandbox.
func Serve(func(*Config) (Model, error)) bool { return true }

// maxRecord is how long a record of the stand-in may be.
const maxRecord = 1 << 20

// errConfig is a train.json that the model refuses.
var errConfig = errors.New("train: the configuration is refused")

// Open makes a model of a configuration as the sandbox does.
func Open(open func(*Config) (Model, error), c *Config) (Model, error) {
	m, err := open(c)
	if err != nil {
		return nil, err
	}
	if why := c.refused(); why != "" {
		return nil, fmt.Errorf("%w: %s", errConfig, why)
	}
	if len(m.Params()) == 0 {
		return nil, fmt.Errorf("%w: the model has no parameters", errConfig)
	}
	return m, nil
}

// Result is what a stand-in's training comes to.
type Result struct {
	Records int     // that could be prepared
	Score   float64 // mean of Predict over them
}

// Run is the sandbox's stand-in for tests, without privacy or noise: passes over the records in order, in lots of 32, gradients
// clipped to norm 1, plain steps of the rate.
func Run(open func(*Config) (Model, error), c *Config, passes int, rate float64, records ...string) (*Result, error) {
	m, err := Open(open, c)
	if err != nil {
		return nil, err
	}
	var ready [][]byte
	for _, r := range records {
		b := aligned(len(r))
		copy(b, r)
		if p, ok := m.(Preparer); ok {
			if b, ok = p.Prepare(b, aligned(maxRecord)); !ok {
				continue // a header, for example
			}
			b = append(aligned(len(b))[:0], b...)
		}
		ready = append(ready, b)
	}
	sum, gradient := make([]float64, len(m.Params())), make([]float32, len(m.Params()))
	for range passes {
		for i := 0; i < len(ready); i += 32 {
			step(m, ready[i:min(i+32, len(ready))], sum, gradient, rate)
		}
	}
	out := &Result{Records: len(ready)}
	if p, ok := m.(Predictor); ok {
		for _, r := range ready {
			out.Score += float64(p.Predict(r)) / float64(len(ready))
		}
	}
	return out, nil
}

// step takes one step on a lot.
func step(m Model, lot [][]byte, sum []float64, gradient []float32, rate float64) {
	clear(sum)
	for _, r := range lot {
		clear(gradient)
		if !m.Gradient(r, gradient) {
			continue
		}
		square := 0.0
		for _, g := range gradient {
			square += float64(g) * float64(g)
		}
		factor := 1 / max(1, math.Sqrt(square))
		for k, g := range gradient {
			sum[k] += factor * float64(g)
		}
	}
	for k, p := range m.Params() {
		m.Params()[k] = p - float32(rate*sum[k]/float64(len(lot)))
	}
}
