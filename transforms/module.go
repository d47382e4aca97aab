// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"context"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// BatchBytes is how much of records a module is given at once. A larger record goes alone.
const BatchBytes = 64 << 10

// batch is what is gathered for a module.
type batch struct {
	records [][]byte // parts of text
	items   []Item   // where they came from; Raw is not valid
	text    []byte
}

func (b *batch) add(it Item) {
	from := len(b.text)
	b.text = append(b.text, it.Raw...) // never moves: see room
	b.records = append(b.records, b.text[from:len(b.text):len(b.text)])
	b.items = append(b.items, Item{Name: it.Name, At: it.At})
}

// room makes sure that what follows does not move what is there.
func (b *batch) room(n int) bool {
	if len(b.records) == 0 && cap(b.text) < max(n, BatchBytes) {
		b.text = make([]byte, 0, max(n, BatchBytes))
	}
	return len(b.records) == 0 || len(b.text)+n <= BatchBytes
}

func (b *batch) reset() {
	b.records, b.items, b.text = b.records[:0], b.items[:0], b.text[:0]
}

func (b *batch) wipe() {
	clear(b.text[:cap(b.text)])
	b.reset()
}

// gather keeps a record for the module's next batch.
func (s *stage) gather(ctx context.Context, it Item) error {
	if !s.batch.room(len(it.Raw)) {
		if err := s.ask(ctx); err != nil {
			return err
		}
		s.batch.room(len(it.Raw))
	}
	s.batch.add(it)
	return nil
}

// ask gives the module what was gathered.
func (s *stage) ask(ctx context.Context) error {
	if len(s.batch.records) == 0 {
		return nil
	}
	out, report, err := s.module.Batch(ctx, s.batch.records)
	if err == nil {
		err = s.take(ctx, out, &report)
	}
	if err != nil {
		return fmt.Errorf("%s: records from byte %d on: %w", s.spec.Name, s.batch.items[0].At, err)
	}
	s.batch.reset()
	return nil
}

// take hands on what a module made of the batch at hand.
func (s *stage) take(ctx context.Context, out [][]byte, report *ModuleReport) error {
	if err := s.account(report); err != nil {
		return err
	}
	in := len(s.batch.items)
	if s.spec.Shape != dataset.ShapeAny && len(out) != in {
		return fmt.Errorf("%w: %d of %d came back", ErrShape, len(out), in)
	}
	for i, raw := range out {
		if raw == nil {
			if s.spec.Shape == dataset.ShapeMap {
				return fmt.Errorf("%w: one was left out", ErrShape)
			}
			continue
		}
		it := Item{Raw: raw}
		switch {
		case s.spec.Shape != dataset.ShapeAny:
			it.Name, it.At = s.batch.items[i].Name, s.batch.items[i].At
		case in > 0:
			it.Name, it.At = s.batch.items[min(i, in-1)].Name, s.batch.items[0].At
		}
		if err := s.wellFormed(it); err != nil {
			return err
		}
		if err := s.handOn(ctx, it, nil); err != nil {
			return err
		}
	}
	return nil
}

// wellFormed refuses what a module made that is no record: it would become several, or none, further on.
func (s *stage) wellFormed(it Item) error {
	if len(it.Raw) > dataset.MaxRecordBytes && s.out.Format != dataset.FormatFiles || len(it.Raw) > MaxFile {
		return fmt.Errorf("%w: a record of %d bytes", ErrModule, len(it.Raw))
	}
	if err := s.codec.Parse(&s.p.rec, it.Name, it.Raw); err != nil {
		return fmt.Errorf("%w: what came back is no record: %w", ErrModule, err)
	}
	if s.out.Format == dataset.FormatFiles {
		return nil
	}
	return oneLine(it.Raw, s.out.Format)
}

// oneLine refuses a record that a reader would take for more than one, or for none.
func oneLine(raw []byte, f dataset.Format) error {
	quoted := false
	for _, c := range raw {
		switch c {
		case '"':
			quoted = !quoted
		case '\n', '\r':
			if f == dataset.FormatJSONL || !quoted {
				return fmt.Errorf("%w: a record with a line end in it", ErrModule)
			}
		case 0:
			return fmt.Errorf("%w: a record with a zero byte", ErrModule)
		}
	}
	if len(raw) == 0 {
		return fmt.Errorf("%w: an empty line", ErrModule)
	}
	return nil
}

// account adds what a module reports.
func (s *stage) account(report *ModuleReport) error {
	if len(report.Findings) > MaxTypes || report.Fuel < 0 {
		return fmt.Errorf("%w: an impossible report", ErrModule)
	}
	for kind, n := range report.Findings {
		if !dataset.FindingType(kind) {
			return fmt.Errorf("%w: a finding's type that is not 1 to %d of A to Z, 0 to 9 and _", ErrModule, MaxType)
		}
		if n < 0 || n > dataset.MaxAmount {
			return fmt.Errorf("%w: an impossible number of findings", ErrModule)
		}
		if !slices.Contains(s.spec.Findings, kind) {
			kind = dataset.OtherFinding // a name is the module's word too
		}
		s.trace.Count(kind, n)
	}
	s.report.Fuel += report.Fuel
	return nil
}

// flush ends the module's input.
func (s *stage) flush(ctx context.Context) error {
	if err := s.ask(ctx); err != nil {
		return err
	}
	out, report, err := s.module.Flush(ctx)
	if err != nil {
		return err
	}
	if s.spec.Shape != dataset.ShapeAny && len(out) > 0 {
		return fmt.Errorf("%w: %d came after the last", ErrShape, len(out))
	}
	return s.take(ctx, out, &report)
}
