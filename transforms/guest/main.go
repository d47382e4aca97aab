// SPDX-License-Identifier: Apache-2.0

// Command guest is the catalogue of package builtin as a module of tx/1: the same source, run by whoever has an engine. Its
// configuration names the step: {"step": "filter", "config": {…}}.
//
// Trust domain: that of the code it is run beside; it is lent nothing. Steps that need keys or noise are refused: a module never
// gets a key, neither of a dataset nor of a grant, and what it would draw is known to everybody. Those are native only. So are
// steps that change which columns there are, because a module's records have those that came in.
//
// A record that a step quarantines is left out, so that the step's shape is filter at least. `make transforms` builds it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/sdk/go/glovebox/tx"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

var _ = tx.Serve(open)

func main() {}

// config is the module's configuration.
type config struct {
	Step   string          `json:"step"`
	Config json.RawMessage `json:"config"`
}

// guest is a pipeline of one built-in step.
type guest struct {
	pipeline *transforms.Pipeline
	told     map[string]int64 // findings that were told, by type
	put      func(transforms.Item) error
	name     string // of files
	record   *tx.Record
}

func open(c *tx.Config) (tx.Transform, error) {
	var q config
	if err := envelope.DecodeStrict(c.JSON, dataset.MaxStepConfig, &q); err != nil {
		return nil, err
	}
	if q.Config == nil {
		q.Config = json.RawMessage("{}")
	}
	step, err := builtin.Pin(q.Step, q.Config)
	if err != nil {
		return nil, err
	}
	in := transforms.Schema{Format: dataset.Format(c.Format), Columns: c.Columns}
	p, err := transforms.New(context.Background(), []dataset.Step{step}, in, builtin.New, &transforms.Env{})
	if err != nil {
		return nil, err
	}
	if !slices.Equal(p.Out().Columns, c.Columns) {
		return nil, errors.New("the step changes columns, which a module cannot")
	}
	g := &guest{pipeline: p, told: map[string]int64{}}
	if in.Format == dataset.FormatFiles {
		g.name = fileName
	}
	g.put = func(it transforms.Item) error {
		g.record.Put(it.Raw)
		return nil
	}
	return g, nil
}

// Record implements tx.Transform.
func (g *guest) Record(r *tx.Record) error {
	g.record = r
	return g.pipeline.Push(context.Background(), transforms.Item{Raw: r.Text(), Name: g.name}, g.put)
}

// fileName is what every file is called here: a module is not told.
const fileName = "file"

// Batch implements tx.Batcher.
func (g *guest) Batch(r *tx.Record) {
	for _, f := range g.pipeline.Reports()[0].Findings {
		for ; g.told[f.Name] < f.Count; g.told[f.Name]++ {
			r.Found(f.Name, 0, 0, 0)
		}
	}
}

// End implements tx.Ender.
func (g *guest) End(r *tx.Record) error {
	g.record = r
	if err := g.pipeline.End(context.Background(), g.put); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	return nil
}
