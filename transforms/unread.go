// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"bytes"
	"context"
	"errors"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// Onlooker is a step that may change nothing and take nothing away: what it cannot look at passes it, and is counted as unread.
type Onlooker interface {
	Step
	// Onlooks reports whether the step, as it is configured, only looks.
	Onlooks() bool
}

// Unread says that the record at hand could not be looked at, or not all of it, though it passes.
func (t *Trace) Unread() { t.unread++ }

// why is the reason that a record is left out for which could not be taken apart.
func why(err error) string {
	if errors.Is(err, errComplex) {
		return "too-complex"
	}
	return "unreadable"
}

// blank is a record without a value, for pipelines with noise: how many records there are must not tell of one that cannot be taken
// apart, and the steps do with it as with any that lacks their fields.
func (s *stage) blank() []byte {
	switch {
	case s.in.Format == dataset.FormatJSONL:
		return []byte(`{}`)
	case len(s.in.Columns) == 1:
		return []byte(`""`)
	default:
		return bytes.Repeat([]byte{','}, max(0, len(s.in.Columns)-1))
	}
}

// unreadable is what becomes of a record that a step cannot hold or take apart: it passes one that only looks, and is left out by all
// others. Of a file that is too long, the name is looked at.
func (s *stage) unreadable(ctx context.Context, it Item, why string) error {
	switch {
	case s.looks:
	case s.p.noisy && !it.TooLong:
		s.trace.Unread()
		it.Raw = s.blank()
		if err := s.codec.Parse(&s.p.rec, it.Name, it.Raw); err != nil {
			return err
		}
		return s.visit(ctx, it, &s.p.rec)
	default:
		s.trace.Reason(why)
		s.trace.quarantine()
		return nil
	}
	s.trace.Unread()
	if !it.TooLong {
		return s.handOn(ctx, it, nil)
	}
	if err := s.codec.Parse(&s.p.rec, it.Name, nil); err != nil {
		return err
	}
	return s.transform(ctx, it, &s.p.rec)
}
