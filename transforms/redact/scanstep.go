// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// Act says what the step scan does with a record in which something was found.
const (
	Report     = "report"
	Quarantine = "quarantine"
	Fail       = "fail"
)

// ScanConfig is the configuration of the step scan.
type ScanConfig struct {
	Fields   []string `json:"fields,omitempty"`
	Except   []string `json:"except,omitempty"`
	Optional bool     `json:"optional,omitempty"`
	Keys     *bool    `json:"keys,omitempty"`
	Detect
	Act string `json:"act"`
}

// ScanMembers are the members of scan's configuration and what they mean.
func ScanMembers() [][2]string {
	own := [][2]string{{"act", `what becomes of a record in which something is found: "report", "quarantine" or "fail"`}}
	for _, m := range Members() {
		if m[0] != "operators" {
			own = append(own, m)
		}
	}
	return own
}

// Scan is the step scan.
type Scan struct {
	step
	act     string
	columns []column // in whose names something was found, until it is told
}

// column is a column of CSV with what was found in its name.
type column struct {
	name  string
	found []span.Finding
}

// NewScan makes the step scan. Its errors wrap transforms.ErrConfig.
func NewScan(raw json.RawMessage, _ transforms.Schema, _ *transforms.Env) (transforms.Step, error) {
	var c ScanConfig
	if err := decode(raw, ScanMembers(), &c); err != nil {
		return nil, err
	}
	acts := []string{Report, Quarantine, Fail}
	if !slices.Contains(acts, c.Act) {
		return nil, invalid("act: %q, want report, quarantine or fail%s", c.Act, hint(c.Act, acts))
	}
	d, err := NewDetector(c.Detect)
	if err != nil {
		return nil, err
	}
	f, err := newSelected(c.Fields, c.Except)
	if err != nil {
		return nil, err
	}
	return &Scan{step: step{finder: d, fields: f, optional: c.Optional, keys: keysToo(c.Keys, c.Fields), under: c.Keys == nil, paths: map[string]string{}}, act: c.Act}, nil
}

// Onlooks implements transforms.Onlooker.
func (s *Scan) Onlooks() bool { return s.act == Report }

// Schema looks at the names of columns where names are looked at: no record is there to be left out for them.
func (s *Scan) Schema(in transforms.Schema) (transforms.Schema, error) {
	if s.act != Report {
		return s.step.Schema(in)
	}
	s.fields.note(in.Columns)
	if err := s.bind(in); err != nil || !s.keys {
		return in, err
	}
	for _, name := range in.Columns {
		if found := s.finder.findInName(nil, []byte(name)); len(found) > 0 {
			s.columns = append(s.columns, column{name, found})
		}
	}
	return in, nil
}

// Finish tells what was found in names of columns that have no records.
func (s *Scan) Finish(t *transforms.Trace) error {
	s.tellColumns(nil, t)
	return s.step.Finish(t)
}

// tellColumns counts what was found in names of columns, once, with the first record.
func (s *Scan) tellColumns(r *transforms.Record, t *transforms.Trace) {
	for _, c := range s.columns {
		s.tell(t, r, ofName, []byte(c.name), c.found, func(*span.Finding) string { return "" })
	}
	s.columns = nil
}

// Transform looks and decides.
func (s *Scan) Transform(r *transforms.Record, t *transforms.Trace) (transforms.Verdict, error) {
	s.tellColumns(r, t)
	total, whole, hidden := 0, true, false
	look := func(path string, text []byte, found []span.Finding) {
		total += len(found)
		s.tell(t, r, path, text, found, func(*span.Finding) string { return "" })
	}
	text, err := s.each(r, func(f *transforms.Field) error {
		whole, hidden = whole && plain(f.Text), hidden || hasZero(f.Text)
		if found := s.find(f); len(found) > 0 {
			look(f.Path, f.Text, found)
		}
		return nil
	})
	if err != nil {
		return transforms.Refused, err
	}
	parts := strings.Split(r.Name, "/")
	for i, p := range parts {
		if found, _ := s.inName(p, i == len(parts)-1); len(found) > 0 {
			look(ofName, []byte(p), found)
		}
	}
	switch {
	case s.act == Report:
		if !text || !whole {
			t.Unread()
		}
		return transforms.Keep, nil
	case !text || hidden:
		t.Reason("not-text")
	case total == 0:
		return transforms.Keep, nil
	default:
		t.Reason("personal-data")
	}
	if s.act == Fail {
		return transforms.Refused, ErrFound
	}
	return transforms.Quarantine, nil
}
