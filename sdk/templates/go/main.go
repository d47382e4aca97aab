// SPDX-License-Identifier: Apache-2.0

// This job learns to predict a CSV column of 0 and 1 from the others (logistic regression), beside data that it cannot
// carry away. Start here, and make it yours.
//
// Parameters: DATASET (default: the only one), TARGET (the column to predict, default: the last), EPOCHS, RATE.
// Outputs: model.safetensors and metrics.json.
package main

import (
	"errors"
	"math"
	"os"
	"strconv"

	"github.com/glovebox-dev/glovebox/sdk/go/glovebox"
)

func main() { glovebox.Main(job) }

func job() error {
	p := glovebox.Parameters()
	name, target := p.String("DATASET", ""), p.String("TARGET", "")
	epochs, rate := p.Int("EPOCHS", 200, 1, 100_000), p.Float("RATE", 1, 0, 100)
	if err := p.Err(); err != nil {
		return err
	}
	d, err := glovebox.Find(name)
	if err != nil {
		return err
	}
	t, err := load(d, target)
	if err != nil {
		return err
	}
	t.standardise()
	m := &model{weights: make([]float32, t.columns)}
	loss, accuracy := m.train(t, epochs, float32(rate))
	return m.write(t, epochs, loss, accuracy)
}

// table is the whole dataset as numbers, row by row: bytes would need less memory where that matters.
type table struct {
	columns     int
	x           []float32
	y           []float32
	mean, scale []float32 // of each column, before it was standardised
}

func load(d glovebox.Dataset, target string) (*table, error) {
	if d.Format != glovebox.CSV {
		return nil, errors.New("dataset " + d.Name + " is not CSV")
	}
	r, err := d.Records()
	if err != nil {
		return nil, err
	}
	t := &table{columns: len(r.Header()) - 1}
	last := len(r.Header()) - 1
	if target != "" {
		if last = r.Column(target); last < 0 {
			return nil, errors.New("parameter TARGET: there is no column " + strconv.Quote(target))
		}
	}
	if t.columns < 1 {
		return nil, errors.New("there is nothing to learn from in one column")
	}
	for r.Next() {
		for i := range r.Len() {
			v, err := glovebox.ParseFloat(r.Field(i))
			switch {
			case err != nil:
				return nil, err
			case i != last:
				t.x = append(t.x, float32(v))
			case v != 0 && v != 1:
				return nil, errors.New("column " + r.Header()[i] + " is to be predicted, and holds more than 0 and 1")
			default:
				t.y = append(t.y, float32(v))
			}
		}
	}
	if r.Err() == nil && len(t.y) == 0 {
		return nil, errors.New("there are no records")
	}
	return t, r.Err()
}

// standardise gives every column mean 0 and deviation 1, as the one who uses the model must do with what it remembers.
func (t *table) standardise() {
	n := float64(len(t.y))
	for c := range t.columns {
		var sum, squares float64
		for i := c; i < len(t.x); i += t.columns {
			sum += float64(t.x[i])
		}
		mean := sum / n
		for i := c; i < len(t.x); i += t.columns {
			d := float64(t.x[i]) - mean
			squares += float64(d * d) // the conversion forbids fused multiply-add: the same bits everywhere
		}
		scale := math.Sqrt(squares / n)
		if scale == 0 {
			scale = 1
		}
		for i := c; i < len(t.x); i += t.columns {
			t.x[i] = float32((float64(t.x[i]) - mean) / scale)
		}
		t.mean, t.scale = append(t.mean, float32(mean)), append(t.scale, float32(scale))
	}
}

type model struct {
	weights []float32
	bias    float32
}

// train takes epochs steps of gradient descent over the whole table. Sgemv and Sexp run outside the guest, vectorised.
func (m *model) train(t *table, epochs int, rate float32) (loss, accuracy float64) {
	n := len(t.y)
	p, gradient := make([]float32, n), make([]float32, t.columns)
	for e := range epochs {
		glovebox.Sgemv(false, n, t.columns, -1, t.x, t.columns, m.weights, 1, 0, p, 1) // p = -x·w
		for i := range p {
			p[i] -= m.bias
		}
		glovebox.Sexp(n, p, p)
		var right int
		var slope float64
		loss = 0
		for i, y := range t.y {
			p[i] = 1 / (1 + p[i])
			if (p[i] > 0.5) == (y == 1) {
				right++
			}
			d := p[i] - y
			loss += float64(d) * float64(d)
			p[i] = d
			slope += float64(d)
		}
		loss, accuracy = loss/float64(n), float64(right)/float64(n)
		glovebox.Sgemv(true, n, t.columns, 1/float32(n), t.x, t.columns, p, 1, 0, gradient, 1)
		glovebox.Saxpy(t.columns, -rate, gradient, 1, m.weights, 1)
		m.bias -= float32(rate * float32(slope/float64(n)))
		if e%50 == 49 {
			say("epoch " + strconv.Itoa(e+1) + " accuracy " + strconv.FormatFloat(accuracy, 'f', 3, 64))
		}
	}
	return loss, accuracy
}

// say is for run-local: in a real job the buyer sees it only where the data's terms seal logs.
func say(text string) { _, _ = os.Stdout.WriteString(text + "\n") }

func (m *model) write(t *table, epochs int, loss, accuracy float64) error {
	o, err := glovebox.Create("model.safetensors")
	if err != nil {
		return err
	}
	err = glovebox.WriteSafetensors(o, map[string]string{"format": "logistic-regression/1"},
		glovebox.Tensor{Name: "bias", Data: []float32{m.bias}},
		glovebox.Tensor{Name: "mean", Shape: []int{t.columns}, Data: t.mean},
		glovebox.Tensor{Name: "scale", Shape: []int{t.columns}, Data: t.scale},
		glovebox.Tensor{Name: "weights", Shape: []int{t.columns}, Data: m.weights})
	if err := errors.Join(err, o.Close()); err != nil {
		return err
	}
	var metrics glovebox.Metrics
	metrics.Set("accuracy", accuracy)
	metrics.Set("epochs", float64(epochs))
	metrics.Set("loss", loss) // mean squared error
	metrics.Set("records", float64(len(t.y)))
	return metrics.Write()
}
