// SPDX-License-Identifier: Apache-2.0

// This job learns one model from all datasets of the job together: whether a treatment worked, from age and dose
// (logistic regression, one step a record). Each creator's records are read where they are, in every round.
//
// Parameters: ROUNDS (default 200), WORK (useless work a record, to make the job long; default 0).
// Outputs: model.json and metrics.json.
package main

import (
	"errors"
	"fmt"
	"math"

	"github.com/glovebox-dev/glovebox/sdk/go/glovebox"
)

func main() { glovebox.Main(job) }

// model predicts from age in decades and dose in hundreds.
type model struct {
	Bias, Age, Dose float64

	records, right int
}

func job() error {
	p := glovebox.Parameters()
	rounds, work := p.Int("ROUNDS", 200, 1, 1_000_000), p.Int("WORK", 0, 0, 1_000_000_000)
	if err := p.Err(); err != nil {
		return err
	}
	list, err := glovebox.Datasets()
	if err != nil {
		return err
	}
	m := &model{}
	for range rounds {
		m.records, m.right = 0, 0
		for _, d := range list {
			if err := m.pass(d, work); err != nil {
				return err
			}
		}
	}
	return m.write(len(list))
}

// pass takes one step for each record of a dataset.
func (m *model) pass(d glovebox.Dataset, work int) error {
	r, err := d.Records()
	if err != nil {
		return err
	}
	age, dose, worked := r.Column("age"), r.Column("dose"), r.Column("worked")
	if age < 0 || dose < 0 || worked < 0 {
		return errors.New("dataset " + d.Name + " has not the columns age, dose and worked")
	}
	for r.Next() {
		var v [3]float64
		for i, c := range []int{age, dose, worked} {
			if v[i], err = glovebox.ParseFloat(r.Field(c)); err != nil {
				return err
			}
		}
		m.step(v[0]/10, v[1]/100, v[2])
		m.Bias += burn(work)
	}
	return r.Err()
}

func (m *model) step(age, dose, worked float64) {
	const rate = 0.05
	p := 1 / (1 + math.Exp(-(m.Bias + m.Age*age + m.Dose*dose)))
	m.records++
	if (p > 0.5) == (worked == 1) {
		m.right++
	}
	d := rate * (worked - p)
	m.Bias, m.Age, m.Dose = m.Bias+d, m.Age+float64(d*age), m.Dose+float64(d*dose)
}

// burn does n units of nothing. Its result is 0, which the compiler cannot know.
func burn(n int) float64 {
	x := uint32(1)
	for range n {
		x = x*1664525 + 1013904223
	}
	if x == 0 {
		return 1e-300
	}
	return 0
}

func (m *model) write(datasets int) error {
	o, err := glovebox.Create("model.json")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o, "{\"bias\":%.6f,\"age\":%.6f,\"dose\":%.6f}\n", m.Bias, m.Age, m.Dose)
	if err := errors.Join(err, o.Close()); err != nil {
		return err
	}
	var metrics glovebox.Metrics
	metrics.Set("datasets", float64(datasets))
	metrics.Set("records", float64(m.records))
	metrics.Set("accuracy", float64(m.right)/float64(max(m.records, 1)))
	return metrics.Write()
}
