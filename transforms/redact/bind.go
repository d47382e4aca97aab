// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// every reports whether every field is looked at but those excepted.
func every(only []string) bool { return only == nil || slices.Contains(only, "*") }

// keysToo is what "keys" says, or whether every field is looked at: what was asked to find all finds it in names of members too.
func keysToo(keys *bool, only []string) bool {
	if keys != nil {
		return *keys
	}
	return every(only)
}

// under reports whether members of an object are below a field that is named and not excepted.
func (s *selected) under(path string) bool {
	path = strings.TrimSuffix(path, "{}") // the object whose member it is
	for _, p := range s.except {
		if below(path, p) {
			return false
		}
	}
	for _, p := range s.only {
		if !s.columns && leads(fields.Plain(strings.TrimSuffix(p, ".*")), fields.Plain(path)) {
			return true
		}
	}
	return false
}

// bind refuses fields that records of a schema cannot have, once the columns of CSV were noted: a misspelt one would let data through.
func (s *step) bind(in transforms.Schema) error {
	s.lines = in.Format == dataset.FormatJSONL
	only := s.fields.only
	switch {
	case s.optional || s.lines:
	case in.Format == dataset.FormatFiles:
		if !every(only) {
			return invalid("fields: files have none: nothing would be looked at; leave it out")
		}
	default:
		for i, p := range append(slices.Clone(only), s.fields.except...) {
			if !s.fields.seen[i] && p != "*" {
				return invalid(`fields, except: there is no column %q%s ("optional": true allows it)`, p, hint(p, in.Columns))
			}
		}
	}
	return nil
}

// missing is an error if there were records of JSON, and a path that is to be looked at was in none.
func (s *step) missing() error {
	if s.optional || !s.lines || !s.some {
		return nil
	}
	var names []string
	for i, p := range s.fields.only {
		if !s.fields.seen[i] && p != "*" {
			names = append(names, p)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return invalid(`fields: no record has %q: is it spelt right? "optional": true allows it`, names)
}
