// SPDX-License-Identifier: Apache-2.0

// Package kanon is the step that leaves out the records that stand out: k-anonymity and distinct l-diversity of a whole dataset.
//
// Trust domain: wherever steps run; it holds hashes of values, never values. Its one job: every combination of quasi-identifiers
// that remains is shared by at least k records, or k contributors, and has at least l values of each sensitive field; or the run
// fails. What it says was achieved is counted again on what it let pass.
package kanon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// Version changes whenever the step's output does.
const Version = "1"

// Errors of this package.
var (
	// ErrSuppressed is a dataset of which more would be left out than the configuration allows.
	ErrSuppressed = errors.New("kanon: too many records would be left out")
	// ErrRecount is what was counted on the records that passed and is not what was promised: they were not the surveyed ones.
	ErrRecount = errors.New("kanon: the records that passed are not those that were surveyed")
)

// Why a record is quarantined.
const (
	reasonNoUnit  = "no-contributor"
	reasonSeveral = "several-values" // of a sensitive field or a contributor: what they have in common would not be seen
)

// Bounds.
const (
	maxK         = 1 << 30
	maxQuasi     = 64
	maxSensitive = 16
	million      = 1_000_000
)

// config is the step's configuration.
type config struct {
	Quasi         []fields.Ref    `json:"quasi"`         // what others may know of a person
	K             int64           `json:"k"`             // at least 2
	Sensitive     []sensitive     `json:"sensitive"`     // what they must not learn
	Unit          *fields.Ref     `json:"unit"`          // the contributor; k counts those then, not records
	MaxSuppressed *decimal.Number `json:"maxSuppressed"` // share of the records that may go; none without it
}

// sensitive is a field that has at least L values wherever the quasi-identifiers are the same.
type sensitive struct {
	fields.Ref
	L int64 `json:"l"`
}

// step is the step.
type step struct {
	c          config
	set        *fields.Set // quasi, sensitive, and the unit, in this order
	unit       int         // its place in set, -1 without
	millionths int64       // of the records that may go
	noise      io.Reader
	hasher     hasher
	row        row
	survey     *tally // of all
	passed     *tally // of those that pass
	rows       int64  // surveyed
	suppressed int64
	promised   figures
	settled    bool
}

// figures are what classes that hold have at least, and how many they are.
type figures struct{ k, l, classes int64 }

// New makes the step.
func New(raw json.RawMessage, _ transforms.Schema, env *transforms.Env) (transforms.Step, error) {
	s := &step{unit: -1}
	if err := fields.Decode(raw, &s.c); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	all := append([]fields.Ref{}, s.c.Quasi...)
	for _, f := range s.c.Sensitive {
		all = append(all, f.Ref)
	}
	if s.c.Unit != nil {
		s.unit = len(all)
		all = append(all, *s.c.Unit)
	}
	var err error
	if s.set, err = fields.NewSet(all); err != nil {
		return nil, err
	}
	if env == nil || env.Noise == nil {
		return nil, fmt.Errorf("%w: random bytes, for the key that values are hashed with", transforms.ErrEnv)
	}
	s.noise = env.Noise
	s.row = row{make([][]byte, len(all)), make([][]byte, len(all))}
	return s, nil
}

func (s *step) check() error {
	c := &s.c
	switch {
	case len(c.Quasi) == 0 || len(c.Quasi) > maxQuasi:
		return fields.Bad("%d quasi-identifiers, want 1 to %d", len(c.Quasi), maxQuasi)
	case c.K < 2 || c.K > maxK:
		return fields.Bad("k is %d, want at least 2", c.K)
	case c.Sensitive != nil && len(c.Sensitive) == 0 || len(c.Sensitive) > maxSensitive:
		return fields.Bad("%d sensitive fields, want 1 to %d, or no such member", len(c.Sensitive), maxSensitive)
	case c.Unit != nil && c.Unit.Optional:
		return fields.Bad("the contributor cannot be optional")
	}
	for _, f := range c.Sensitive {
		if f.L < 2 || f.L > maxK {
			return fields.Bad("field %q: l is %d, want at least 2", f.Field, f.L)
		}
	}
	if n := c.MaxSuppressed; n != nil {
		share, exact, ok := n.Scaled(6)
		if !ok || !exact || share < 0 || share > million {
			return fields.Bad("maxSuppressed %s, want a share from 0 to 1 with at most six digits", n.Literal)
		}
		s.millionths = share
	}
	return nil
}

// Schema begins: it draws the key of the hashes.
func (s *step) Schema(in transforms.Schema) (transforms.Schema, error) {
	if err := s.set.Bind(in); err != nil {
		return in, err
	}
	var key [32]byte
	if _, err := io.ReadFull(s.noise, key[:]); err != nil {
		return in, fmt.Errorf("%w: random bytes: %w", transforms.ErrEnv, err)
	}
	s.hasher.key = key
	s.survey, s.passed = newTally(len(s.c.Sensitive)), newTally(len(s.c.Sensitive))
	return in, nil
}

// row is what of a record counts.
type row struct {
	values  [][]byte // encoded, by place in the set; nil: not there
	buffers [][]byte // what values have their bytes in
}

// read finds the fields of a record. With a reason it cannot be counted.
func (s *step) read(r *transforms.Record) (reason string) {
	clear(s.row.values)
	reason = s.set.Walk(r, func(i int, f *transforms.Field) string {
		exact := i < len(s.c.Quasi)
		var loose []byte
		if !exact {
			if f.Kind != transforms.Null {
				loose = fold(f.Text)
			}
			if len(loose) == 0 {
				return "" // no value: it adds nothing to how many there are
			}
		}
		if !exact && s.row.values[i] != nil {
			return reasonSeveral
		}
		to := s.row.values[i] // a quasi-identifier that is there more than once has all its values
		if to == nil {
			to = s.row.buffers[i][:0]
		}
		if exact {
			to = appendExact(to, f)
		} else {
			to = appendLoose(to, loose)
		}
		s.row.values[i], s.row.buffers[i] = to, to
		return ""
	})
	if reason == "" && s.unit >= 0 && s.row.values[s.unit] == nil {
		return reasonNoUnit
	}
	return reason
}

// count counts the row at hand and gives its class.
func (s *step) count(t *tally) *class {
	quasi := s.row.values[:len(s.c.Quasi)]
	id := s.hasher.sum(0, id{}, quasi...)
	c := t.class(id)
	if c.rows++; s.unit < 0 {
		c.people++
	} else if t.first(s.hasher.sum(1, id, s.row.values[s.unit])) {
		c.people++
	}
	for i := range s.c.Sensitive {
		if v := s.row.values[len(quasi)+i]; v != nil && t.first(s.hasher.sum(byte(2+i), id, v)) {
			c.distinct[i]++
		}
	}
	return c
}

// Survey counts a record.
func (s *step) Survey(r *transforms.Record) error {
	s.rows++
	if s.read(r) != "" {
		return nil // Transform says why
	}
	s.count(s.survey)
	return s.survey.full()
}

// holds reports whether a class has what is asked for.
func (s *step) holds(c *class) bool {
	for i, f := range s.c.Sensitive {
		if c.distinct[i] < f.L {
			return false
		}
	}
	return c.people >= s.c.K
}

// Settle decides which classes stay.
func (s *step) Settle(t *transforms.Trace) error {
	if s.survey == nil {
		return fmt.Errorf("%w: a survey before a schema", transforms.ErrShape)
	}
	left := int64(0)
	for _, c := range s.survey.classes {
		if s.holds(c) {
			left += c.rows
		}
	}
	s.promised = s.achieved(s.survey)
	s.suppressed = s.rows - left
	if s.suppressed*million > s.rows*s.millionths && s.suppressed > 0 {
		return fmt.Errorf("%w: %d of %d, and at most %d millionths may: make the quasi-identifiers coarser, ask for a smaller k or l, or allow more",
			ErrSuppressed, s.suppressed, s.rows, s.millionths)
	}
	s.survey.forget()
	s.settled = true
	s.tell(t)
	return nil
}

// achieved is what the classes have that hold.
func (s *step) achieved(t *tally) (f figures) {
	for _, c := range t.classes {
		if !s.holds(c) {
			continue
		}
		f.classes++
		if f.k == 0 || c.people < f.k {
			f.k = c.people
		}
		for _, n := range c.distinct {
			if f.l == 0 || n < f.l {
				f.l = n
			}
		}
	}
	return f
}

// tell keeps the figures for the manifest.
func (s *step) tell(t *transforms.Trace) {
	t.Figure("k", s.promised.k)
	t.Figure("classes", s.promised.classes)
	t.Figure("suppressed", s.suppressed)
	if len(s.c.Sensitive) > 0 {
		t.Figure("l", s.promised.l)
	}
}

// Transform lets a record of a class that holds pass, and leaves the others out.
func (s *step) Transform(r *transforms.Record, t *transforms.Trace) (transforms.Verdict, error) {
	if !s.settled {
		return transforms.Refused, fmt.Errorf("%w: a record before the survey's end", transforms.ErrShape)
	}
	if why := s.read(r); why != "" {
		t.Reason(why)
		return transforms.Quarantine, nil
	}
	id := s.hasher.sum(0, id{}, s.row.values[:len(s.c.Quasi)]...)
	c, ok := s.survey.classes[id]
	if !ok {
		return transforms.Refused, ErrRecount
	}
	if !s.holds(c) {
		return transforms.Drop, nil
	}
	s.count(s.passed)
	return transforms.Keep, nil
}

// Finish counts again: what passed has what was promised.
func (s *step) Finish(t *transforms.Trace) error {
	if err := s.set.Finish(); err != nil {
		return err
	}
	for _, c := range s.passed.classes {
		if !s.holds(c) {
			return ErrRecount
		}
	}
	if s.achieved(s.passed) != s.promised {
		return ErrRecount
	}
	s.tell(t)
	s.survey, s.passed = nil, nil
	return nil
}
