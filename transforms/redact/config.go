// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"encoding/json"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// Config is the configuration of the step redact.
type Config struct {
	Fields   []string `json:"fields,omitempty"`   // paths; every field if absent
	Except   []string `json:"except,omitempty"`   // paths that are not looked at
	Optional bool     `json:"optional,omitempty"` // no error if no record has one of fields
	Keys     *bool    `json:"keys,omitempty"`     // names of members too; if absent, where every field is looked at
	Detect
	Operators map[string]Operator `json:"operators,omitempty"` // by type, and "default"
}

// Operator says what is done to findings of a type.
type Operator struct {
	Op     string  `json:"op"`
	Text   *string `json:"text,omitempty"`   // of replace: instead of <TYPE>
	Char   string  `json:"char,omitempty"`   // of mask: "*" if absent
	First  int     `json:"first,omitempty"`  // of mask: letters and digits kept at the start
	Last   int     `json:"last,omitempty"`   // of mask: and at the end
	Scope  string  `json:"scope,omitempty"`  // of hash, encrypt, surrogate and shift: "dataset" if absent, or "grant"
	Days   int     `json:"days,omitempty"`   // of shift and of surrogates of dates: at most so many; 365 if absent
	By     string  `json:"by,omitempty"`     // of shift: the field that says whose date it is
	Order  string  `json:"order,omitempty"`  // of dates such as 3/4/2021: "mdy" if absent, or "dmy"
	Width  int     `json:"width,omitempty"`  // of bucket: of ranges of numbers and ages; 10 if absent
	Date   string  `json:"date,omitempty"`   // of bucket: "month" if absent, or "year"
	Prefix int     `json:"prefix,omitempty"` // of bucket: characters kept of anything else; none if absent
}

// Default names the operator of types that have none of their own.
const Default = "default"

// Members are the members of the step's configuration and what they mean.
func Members() [][2]string {
	return append([][2]string{
		{"fields", "paths of the fields to look at; a name ends in .* for all below it; every field if absent"},
		{"except", "paths of fields that are not looked at"},
		{"optional", "true: no error if no record has one of fields"},
		{"keys", "true: names of JSON members are looked at too; true if absent and every field is looked at"},
		{"operators", `what is done to each type: {"EMAIL_ADDRESS": {"op": "hash"}, "default": {"op": "replace"}}`},
	}, detectMembers()...)
}

func detectMembers() [][2]string {
	return [][2]string{
		{"detect", `types and groups to find, e.g. ["contact", "US_SSN"], ["all", "-DATE_TIME"]; all if absent`},
		{"minScore", "how sure a finding must be, 0 to 1; 0.5 if absent"},
		{"thresholds", "the same for single types"},
		{"patterns", "regular expressions (RE2): name, type, regexp, score"},
		{"words", "lists of words and phrases: type, words, score"},
		{"allow", "texts that are no findings, compared without case"},
	}
}

// Redact is the step.
type Redact struct {
	step
	operators map[span.Type]operator
	fallback  operator
	out       []byte // what fields were set to, of the record at hand
	again     []span.Finding
	match     match
	by        []string          // the fields that operators read
	whose     map[string][]byte // and what they were
	seams     []seam
	actions   []string
	taken     map[string]string // names of members that were made, and of what
	count     map[string]int64  // how often one was made
	files     map[string]int64  // names of files that were made; none if alone
	alone     bool              // what becomes of a record depends on no other: see transforms.Env.Alone
}

// Schema also refuses operators that read a column which is not there.
func (s *Redact) Schema(in transforms.Schema) (transforms.Schema, error) {
	if in.Format == dataset.FormatCSV {
		for _, by := range s.by {
			if !slices.Contains(in.Columns, by) {
				return in, invalid("by: there is no column %q%s", by, hint(by, in.Columns))
			}
		}
	}
	return s.step.Schema(in)
}

// New makes the step. Its errors wrap transforms.ErrConfig or transforms.ErrEnv.
func New(raw json.RawMessage, _ transforms.Schema, env *transforms.Env) (transforms.Step, error) {
	var c Config
	if err := decode(raw, Members(), &c); err != nil {
		return nil, err
	}
	return NewRedact(&c, env)
}

// NewRedact makes the step from a configuration that is not JSON.
func NewRedact(c *Config, env *transforms.Env) (*Redact, error) {
	d, err := NewDetector(c.Detect)
	if err != nil {
		return nil, err
	}
	f, err := newSelected(c.Fields, c.Except)
	if err != nil {
		return nil, err
	}
	s := &Redact{
		step: step{finder: d, fields: f, optional: c.Optional, keys: keysToo(c.Keys, c.Fields), under: c.Keys == nil, paths: map[string]string{}}, operators: map[span.Type]operator{}, fallback: replace{},
		taken: map[string]string{}, count: map[string]int64{}, files: map[string]int64{}, whose: map[string][]byte{},
		alone: env != nil && env.Alone,
	}
	known := []string{Default}
	for t := range d.want {
		known = append(known, string(t))
	}
	slices.Sort(known)
	for _, t := range sortedKeys(c.Operators) {
		if !slices.Contains(known, t) {
			return nil, invalid("operators: %q is no type that the step finds%s", t, hint(t, known))
		}
		op := c.Operators[t]
		made, err := op.compile(env)
		if err != nil {
			return nil, invalidIn("operators: "+t, err)
		}
		if op.By != "" && !slices.Contains(s.by, op.By) {
			s.by = append(s.by, op.By)
		}
		if t == Default {
			s.fallback = made
		} else {
			s.operators[span.Type(t)] = made
		}
	}
	return s, nil
}
