// SPDX-License-Identifier: Apache-2.0

// Package tabular has the steps for columns of CSV and members of JSON: drop, rename, generalise, code, suppress, fpe, tokenise.
//
// Trust domain: wherever steps run; pure, and holds the keys that pseudonyms are made with. Its one job: what a configuration names
// is changed wherever a record has it, or the record does not pass. docs/transforms/tabular.md has the configurations.
package tabular

import (
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// Version is that of all steps of this package. It changes whenever the output of one does.
const Version = "1"

// Why a record is quarantined.
const (
	reasonNoRange   = "no-range"   // generalise: no range, group or date fits the value
	reasonNoNumber  = "no-number"  // code: the value is none
	reasonTooShort  = "too-short"  // fpe: the value has too few characters to hide
	reasonCharacter = "character"  // fpe: the value has a character that is neither encrypted nor a separator
	reasonTaken     = "name-taken" // rename: the record has a member of the new name
)

// perField is what steps share that change values one by one.
type perField struct {
	set    *fields.Set
	buf    []byte                                               // new texts of the record at hand
	change func(i int, f *transforms.Field) (quarantine string) // of the field that the configuration has at i
}

// Schema refuses columns that are not there.
func (p *perField) Schema(in transforms.Schema) (transforms.Schema, error) {
	return in, p.set.Bind(in)
}

// Transform changes the fields.
func (p *perField) Transform(r *transforms.Record, t *transforms.Trace) (transforms.Verdict, error) {
	p.buf = p.buf[:0]
	if why := p.set.Walk(r, p.change); why != "" {
		t.Reason(why)
		return transforms.Quarantine, nil
	}
	return transforms.Keep, nil
}

// Finish is an error if a field was in no record.
func (p *perField) Finish(*transforms.Trace) error { return p.set.Finish() }

// refs are the fields that a configuration names.
func refs[T any](list []T, ref func(*T) fields.Ref) []fields.Ref {
	out := make([]fields.Ref, 0, len(list))
	for i := range list {
		out = append(out, ref(&list[i]))
	}
	return out
}

// missing reports whether a field has no value: an empty text, or null. It stays as it is.
func missing(f *transforms.Field) bool { return f.Kind == transforms.Null || len(f.Text) == 0 }

// Otherwise is what is done with a value that a step cannot deal with.
const (
	otherwiseQuarantine = "quarantine"
	otherwiseSuppress   = "suppress"
)

// checkOtherwise refuses what is neither; "" stands for quarantine.
func checkOtherwise(field string, s *string) error {
	switch *s {
	case "":
		*s = otherwiseQuarantine
	case otherwiseQuarantine, otherwiseSuppress:
	default:
		return fields.Bad("field %q: otherwise %q, want %q or %q", field, *s, otherwiseQuarantine, otherwiseSuppress)
	}
	return nil
}

// orElse deals with a value as configured.
func orElse(otherwise string, f *transforms.Field, reason string) string {
	if otherwise == otherwiseSuppress {
		f.SetNull()
		return ""
	}
	return reason
}
