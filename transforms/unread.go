// SPDX-License-Identifier: Apache-2.0

package transforms

import "context"

// Onlooker is a step that may change nothing and take nothing away: what it cannot look at passes it, and is counted as unread.
type Onlooker interface {
	Step
	// Onlooks reports whether the step, as it is configured, only looks.
	Onlooks() bool
}

// Unread says that the record at hand could not be looked at, or not all of it, though it passes.
func (t *Trace) Unread() { t.unread++ }

// unreadable is what becomes of a record that a step cannot hold or take apart: it passes one that only looks, and is left out by all
// others. Of a file that is too long, the name is looked at.
func (s *stage) unreadable(ctx context.Context, it Item, why string) error {
	if !s.looks {
		s.trace.Reason(why)
		s.trace.quarantine()
		return nil
	}
	s.trace.Unread()
	if !it.TooLong {
		return s.handOn(ctx, it, nil)
	}
	if err := s.codec.Parse(&s.rec, it.Name, nil); err != nil {
		return err
	}
	return s.transform(ctx, it, &s.rec)
}
