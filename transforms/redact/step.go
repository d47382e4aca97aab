// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"errors"
	"strconv"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// ErrFound ends a run of the step scan that must not find anything.
var ErrFound = errors.New("redact: personal data was found")

// maxRounds is how often a text is looked at again after something in it was replaced.
const maxRounds = 8

// Transform redacts a record.
func (s *Redact) Transform(r *transforms.Record, t *transforms.Trace) (transforms.Verdict, error) {
	s.out = s.out[:0]
	clear(s.taken)
	clear(s.count)
	s.remember(r)
	text, err := s.each(r, func(f *transforms.Field) error { return s.field(r, f, t) })
	switch {
	case errors.Is(err, errUnstable):
		t.Reason("unstable")
		return transforms.Quarantine, nil
	case !text || errors.Is(err, errNotText):
		t.Reason("not-text")
		return transforms.Quarantine, nil
	case err != nil:
		return transforms.Refused, err
	}
	return s.fileName(r, t)
}

// remember keeps the fields that operators read, before the first of them is changed. What the step writes goes elsewhere.
func (s *Redact) remember(r *transforms.Record) {
	clear(s.whose)
	for _, path := range s.by {
		if f := r.Field(path); f != nil && f.Kind != transforms.Null {
			s.whose[path] = f.Text
		}
	}
}

// errNotText is a field with zero bytes: it is in UTF-16, or hides something from recognisers. Single bytes that are no UTF-8 are no such
// sign; what is around them is found.
var errNotText = errors.New("redact: zero bytes in a text")

// errUnstable is a text that shows personal data again whenever some of it is replaced.
var errUnstable = errors.New("redact: no end of findings")

// field redacts one field.
func (s *Redact) field(r *transforms.Record, f *transforms.Field, t *transforms.Trace) error {
	if hasZero(f.Text) {
		return errNotText
	}
	found := s.find(f)
	if len(found) == 0 {
		return nil
	}
	out, err := s.replace(r, f.Path, f.Text, found, t)
	if err != nil {
		return err
	}
	switch {
	case f.Kind == transforms.Bytes:
		f.SetFile(out)
	case f.Kind == transforms.Key:
		f.Set(s.member(f.Path, string(f.Text), out))
	case f.Kind == transforms.Number && number(out):
		f.SetNumber(out)
	default:
		f.Set(out)
	}
	return nil
}

// number reports whether a text is digits that JSON takes for a number, and no number that a reader would round.
func number(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 15 && (len(b) == 1 || b[0] != '0')
}

// seam is where a replacement stands in a new text.
type seam struct{ start, end int }

// replace makes a text without what was found. It stays as it is until the next record.
func (s *Redact) replace(r *transforms.Record, path string, text []byte, found []span.Finding, t *transforms.Trace) ([]byte, error) {
	s.seams, s.actions = s.seams[:0], s.actions[:0]
	from, at, all := len(s.out), 0, true
	for i := range found {
		f := &found[i]
		s.out = append(s.out, text[at:f.Start]...)
		start := len(s.out)
		op := s.operator(f.Type)
		var ok bool
		s.match = match{f.Type, text[f.Start:f.End], s.finder.custom[f.Type], s.whose}
		if s.out, ok = op.apply(s.out, &s.match); !ok {
			op = replace{}
			s.out, _ = op.apply(s.out[:start], &s.match)
		}
		at = f.End
		if len(s.out) == start && joins(s.out[from:], text[at:]) {
			s.out = append(s.out, ' ')
		}
		all = all && op.token()
		s.actions = append(s.actions, op.name())
		s.seams = append(s.seams, seam{start - from, len(s.out) - from})
	}
	s.out = append(s.out, text[at:]...)
	out := s.out[from:len(s.out):len(s.out)]
	n := -1
	s.tell(t, r, path, text, found, func(*span.Finding) string { n++; return s.actions[n] })
	look := s.finder.Find
	if all {
		look = s.finder.findStructured
	}
	return s.recheck(r, out, s.seams, look, t)
}

func (s *Redact) operator(t span.Type) operator {
	if op, ok := s.operators[t]; ok {
		return op
	}
	return s.fallback
}

// joins reports whether what was apart would become one thing.
func joins(before, after []byte) bool {
	if len(before) == 0 || len(after) == 0 {
		return false
	}
	space := func(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }
	return !space(before[len(before)-1]) && !space(after[0])
}

// recheck looks at a new text again, for what is found once its neighbour is gone: it becomes a token, until nothing is found outside of
// what operators wrote. Names are looked for again only where an operator wrote something else than tokens: a token joins no names.
func (s *Redact) recheck(r *transforms.Record, out []byte, seams []seam, look func([]span.Finding, []byte) []span.Finding, t *transforms.Trace) ([]byte, error) {
	s.finder.written(true)
	defer s.finder.written(false)
	for range maxRounds {
		s.again = look(s.again[:0], out)
		rest := outside(s.again, seams, out)
		if len(rest) == 0 {
			return out, nil
		}
		out, seams = s.cover(r, out, seams, rest, t)
	}
	return nil, errUnstable
}

// outside are the parts of findings that operators did not write. Where they wrote nothing but space, there is only a seam to look over.
func outside(found []span.Finding, seams []seam, text []byte) (rest []span.Finding) {
	k := 0
	for _, f := range found {
		from := f.Start
		for k < len(seams) && seams[k].end <= from {
			k++
		}
		for j := k; from < f.End; j++ {
			to, next := f.End, f.End
			if j < len(seams) && seams[j].start < f.End {
				if to, next = seams[j].start, seams[j].end; blank(text[to:next]) {
					continue
				}
			}
			part := f
			if part.Start, part.End = trim(text, from, max(from, to)); part.Start < part.End {
				rest = append(rest, part)
			}
			from = max(from, next)
		}
	}
	return rest
}

func blank(b []byte) bool { return len(b) == 0 || len(b) == 1 && b[0] == ' ' }

// cover puts tokens in place of findings, and moves the seams along.
func (s *Redact) cover(r *transforms.Record, text []byte, seams []seam, rest []span.Finding, t *transforms.Trace) ([]byte, []seam) {
	from, at, k := len(s.out), 0, 0
	var moved []seam
	shift := func(upTo int) { // seams before a finding
		for ; k < len(seams) && seams[k].start < upTo; k++ {
			if d := len(s.out) - from - at; seams[k].start >= at {
				moved = append(moved, seam{seams[k].start + d, seams[k].end + d})
			}
		}
	}
	for i := range rest {
		f := &rest[i]
		shift(f.Start)
		s.out = append(s.out, text[at:f.Start]...)
		start := len(s.out)
		s.match = match{f.Type, text[f.Start:f.End], s.finder.custom[f.Type], s.whose}
		s.out = s.tokenFor(s.out, &s.match)
		moved = append(moved, seam{start - from, len(s.out) - from})
		at = f.End
		t.Count(string(f.Type), 1)
	}
	shift(len(text) + 1)
	s.out = append(s.out, text[at:]...)
	return s.out[from:len(s.out):len(s.out)], moved
}

// tokenFor writes the token of the type's operator, or the plain one where that writes something else.
func (s *Redact) tokenFor(dst []byte, m *match) []byte {
	if op := s.operator(m.kind); op.token() {
		if out, ok := op.apply(dst, m); ok {
			return out
		}
	}
	dst, _ = replace{}.apply(dst, m)
	return dst
}

// member makes sure that two members of a record that had two names have two names again.
func (s *Redact) member(path, was string, out []byte) []byte {
	key := path + "\x00" + was
	if name, ok := s.taken[key]; ok {
		return []byte(name)
	}
	name := string(out)
	counted := path + "\x00" + name
	if s.count[counted]++; s.count[counted] > 1 {
		name += "_" + strconv.FormatInt(s.count[counted], 10)
	}
	s.taken[key] = name
	return []byte(name)
}
