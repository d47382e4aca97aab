// SPDX-License-Identifier: Apache-2.0

package tx

import (
	"bytes"
	"context"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
)

// Conversation is a module that runs: in a worker, or in a child process that has one. The answers are valid until the next
// call. An error, or a result with a reason, is the end.
type Conversation interface {
	Batch(ctx context.Context, batch []byte, n int) (Result, []byte, error)
	Flush(ctx context.Context) (Result, []byte, error)
	Close() error
}

// ModuleError is how a module ended. Its text says nothing that the module could have chosen; Detail does, for the creator's
// eyes.
type ModuleError struct{ Reason, Detail string }

// Error implements error.
func (e *ModuleError) Error() string { return fmt.Sprintf("%v: %s", transforms.ErrModule, e.Reason) }

// Unwrap gives [transforms.ErrModule].
func (e *ModuleError) Unwrap() error { return transforms.ErrModule }

// module is a conversation in batches.
type module struct {
	c     Conversation
	form  form
	shape string
	ended error
	batch []byte
}

// NewModule is a step's module for records of a schema, by a conversation that was begun for it. A file's text is its
// bytes.
func NewModule(s *dataset.Step, in transforms.Schema, c Conversation) (transforms.Module, error) {
	m := &module{c: c, shape: s.Shape, form: frames{shape: s.Shape}}
	if s.ABI == dataset.ABIWASI {
		t := &text{shape: s.Shape, format: in.Format}
		if in.Format == dataset.FormatFiles && s.Shape != dataset.ShapeMap {
			return nil, fmt.Errorf("%w: a command of WASI that takes files has shape %s", transforms.ErrConfig, dataset.ShapeMap)
		}
		if in.Format == dataset.FormatCSV {
			t.header = transforms.AppendHeader(nil, in.Columns)
		}
		m.form = t
	}
	return m, nil
}

// form is how records go to a module and come back.
type form interface {
	// most is how many bytes the records of a batch have together, where it is not one record alone.
	most() int
	add(batch, record []byte) []byte
	// parse takes the answer to a batch of records apart; the records it gives are parts of answer.
	parse(answer []byte, in [][]byte) ([][]byte, error)
}

// frames are the form of tx/1.
type frames struct{ shape string }

func (frames) most() int { return BatchBytes }

func (frames) add(batch, record []byte) []byte { return AppendFrame(batch, record) }

func (f frames) parse(answer []byte, in [][]byte) ([][]byte, error) {
	return ParseAnswer(answer, len(in), f.shape)
}

// Batch implements transforms.Module.
func (m *module) Batch(ctx context.Context, in [][]byte) (out [][]byte, report transforms.ModuleReport, err error) {
	if m.ended != nil {
		return nil, report, m.ended
	}
	report.Findings = map[string]int64{}
	for len(in) > 0 {
		n, err := m.fill(in)
		if err != nil {
			return nil, report, m.end(err)
		}
		r, answer, err := m.c.Batch(ctx, m.batch, n)
		if err := m.take(r, err, &report); err != nil {
			return nil, report, err
		}
		made, err := m.form.parse(bytes.Clone(answer), in[:n])
		if err != nil {
			return nil, report, m.end(fmt.Errorf("%w: %w", transforms.ErrModule, err))
		}
		out, in = append(out, made...), in[n:]
	}
	return out, report, nil
}

// fill puts the first n of the records into a batch.
func (m *module) fill(in [][]byte) (n int, err error) {
	m.batch = m.batch[:0]
	for left := m.form.most(); n < len(in) && n < MaxBatch && (n == 0 || len(in[n]) <= left); n++ {
		if len(in[n]) > MaxRecord {
			return 0, fmt.Errorf("%w: %d bytes, at most %d", transforms.ErrRecord, len(in[n]), MaxRecord)
		}
		left -= len(in[n])
		m.batch = m.form.add(m.batch, in[n])
	}
	return n, nil
}

// Flush implements transforms.Module.
func (m *module) Flush(ctx context.Context) (out [][]byte, report transforms.ModuleReport, err error) {
	if m.ended != nil {
		return nil, report, m.ended
	}
	report.Findings = map[string]int64{}
	if _, isText := m.form.(*text); isText {
		return nil, report, nil // a command keeps nothing from one batch to the next
	}
	r, answer, err := m.c.Flush(ctx)
	if err := m.take(r, err, &report); err != nil {
		return nil, report, err
	}
	if out, err = m.form.parse(bytes.Clone(answer), nil); err != nil {
		return nil, report, m.end(fmt.Errorf("%w: %w", transforms.ErrModule, err))
	}
	return out, report, nil
}

// take adds what a batch used to the report, or gives how the module ended.
func (m *module) take(r Result, err error, report *transforms.ModuleReport) error {
	report.Fuel += r.Fuel
	for _, f := range r.Findings {
		report.Findings[f.Type] += f.Count
	}
	switch {
	case err != nil:
		return m.end(fmt.Errorf("%w: %w", transforms.ErrModule, err))
	case r.Reason != "":
		return m.end(&ModuleError{r.Reason, r.Detail})
	}
	return nil
}

func (m *module) end(err error) error {
	m.ended = err
	_ = m.c.Close() // nothing can be asked of it any more
	return err
}

// Close implements transforms.Module.
func (m *module) Close() error {
	clear(m.batch[:cap(m.batch)])
	return m.c.Close()
}
