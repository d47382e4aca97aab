// SPDX-License-Identifier: Apache-2.0

// Package redact finds personal data in records and acts on it: a detector that puts the recognisers, the tagger and the creator's own
// patterns together, and operators that remove, mask, replace or seal what it finds.
//
// Trust domain: the creator's side at ingest, the enclave process at run time, and WebAssembly; pure, with no key but those that
// a transforms.Env lends. Its one job: what the configuration names does not leave the step as it came. What an operator cannot do to a
// finding ends as a token that says only its type, never as the text; a record that cannot be read is quarantined.
//
// The step scan finds alike and changes nothing.
package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact/name"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// Version changes whenever the output of a step does: of this package, or of the recognisers that it uses.
const Version = "1"

// Tables are the digests of the data that the method uses beside its code: the tagger's model.
func Tables() [][32]byte { return [][32]byte{name.Default().Digest()} }

// step is what redact and scan share.
type step struct {
	finder *Detector
	fields selected
	keys   bool
	under  bool // of them those below a named field: whoever writes records may put there an object in place of a text
	found  []span.Finding
	paths  map[string]string // as the trace may show them

	optional bool // no error if no record has one of the fields
	lines    bool // records are JSON
	some     bool // there was one
}

// Schema says that records keep their form. The names of columns are the same for all records, and public to the code: where names
// are looked at, one that holds personal data is refused, since no record could be left out for it. What it is called is not said.
func (s *step) Schema(in transforms.Schema) (transforms.Schema, error) {
	s.fields.note(in.Columns)
	if err := s.bind(in); err != nil {
		return in, err
	}
	if !s.keys {
		return in, nil
	}
	for i, name := range in.Columns {
		if found := s.finder.findInName(nil, []byte(name)); len(found) > 0 {
			return in, fmt.Errorf("%w: the name of column %d holds personal data (%s): rename or drop it in a step before, or say \"keys\": false", ErrFound, i+1, found[0].Type)
		}
	}
	return in, nil
}

// Finish is an error if a field that is to be looked at was in no record; it reports those that may be missing.
func (s *step) Finish(t *transforms.Trace) error {
	if err := s.missing(); err != nil {
		return err
	}
	if n := s.fields.unseen(); n > 0 {
		t.Figure("fields-never-seen", n)
	}
	return nil
}

// each calls look for every text of the record that is to be looked at. It reports whether the record is text at all.
func (s *step) each(r *transforms.Record, look func(f *transforms.Field) error) (text bool, err error) {
	s.some = true
	list := r.Fields()
	for i := range list {
		f := &list[i]
		if f.Kind == transforms.Bytes && !plain(f.Text) {
			return false, nil
		}
		if f.Kind == transforms.Bool || f.Kind == transforms.Null || !s.fields.has(f.Path) {
			continue
		}
		if err := look(f); err != nil {
			return true, err
		}
	}
	if !s.keys && !s.under {
		return true, nil
	}
	list = r.Keys()
	for i := range list {
		if !s.keys && !s.fields.under(list[i].Path) {
			continue
		}
		if err := look(&list[i]); err != nil {
			return true, err
		}
	}
	return true, nil
}

// find looks at one field. What is found is valid until the next one.
func (s *step) find(f *transforms.Field) []span.Finding {
	switch f.Kind {
	case transforms.Bytes:
		s.found = s.finder.Find(s.found[:0], f.Text)
	case transforms.Key:
		s.found = s.finder.findInName(s.found[:0], f.Text)
	default:
		s.found = s.finder.FindLabelled(s.found[:0], f.Path, f.Text)
	}
	return s.found
}

// plain reports whether bytes are text: UTF-8, without zero bytes.
func plain(b []byte) bool { return utf8.Valid(b) && !hasZero(b) }

func hasZero(b []byte) bool { return bytes.IndexByte(b, 0) >= 0 }

// tell counts findings and, where somebody listens, says where they are. Offsets are code points; it counts them once over the text.
func (s *step) tell(t *transforms.Trace, r *transforms.Record, path string, text []byte, found []span.Finding, action func(*span.Finding) string) {
	if !t.Detailed() {
		for i := range found {
			t.Count(string(found[i].Type), 1)
		}
		return
	}
	if path != ofName {
		path = s.cleanPath(r, path)
	}
	at, runes := 0, 0
	for i := range found {
		f := &found[i]
		start, end := transforms.Runes(text[at:], f.Start-at, f.End-at)
		start, end = start+runes, end+runes
		at, runes = f.End, end
		t.Found(transforms.Finding{
			Path: path, Type: string(f.Type), Start: start, End: end, Score: int(f.Score), Rule: f.Rule, Why: Reasons(f.Why),
			Action: action(f), TextSHA256: envelope.Sum(text[f.Start:f.End]),
		})
	}
}

// cleanPath takes personal data out of a path: members of JSON may be named after people. What it said of a path is remembered; when that
// is too much, paths say nothing any more.
func (s *step) cleanPath(r *transforms.Record, path string) string {
	if out, ok := s.paths[path]; ok {
		return out
	}
	if len(s.paths) >= maxMemo {
		return "*"
	}
	out := s.clean(path)
	for i := range r.Keys() {
		if name := string(r.Keys()[i].Text); strings.Contains(out, name) {
			out = strings.ReplaceAll(out, name, s.clean(name))
		}
	}
	s.paths[strings.Clone(path)] = out
	return out
}

// clean is a name without what is found in it.
func (s *step) clean(name string) string {
	found := s.finder.findInName(nil, []byte(name))
	for i := len(found) - 1; i >= 0; i-- {
		f := &found[i]
		name = name[:f.Start] + "<" + string(f.Type) + ">" + name[f.End:]
	}
	return name
}

// Reasons are the words for what moved a finding's score.
func Reasons(w span.Why) []string {
	all := [...]struct {
		why  span.Why
		word string
	}{
		{span.ByForm, "form"},
		{span.ByChecksum, "checksum"},
		{span.NoChecksum, "wrong-checksum"},
		{span.ByContext, "context"},
		{span.AgainstIt, "context-against"},
		{span.ByGazetteer, "gazetteer"},
		{span.ByModel, "model"},
		{span.ByList, "list"},
	}
	out := []string{}
	for _, r := range all {
		if w&r.why != 0 {
			out = append(out, r.word)
		}
	}
	return out
}

// decode reads a configuration strictly; what is wrong says what would be right.
func decode(raw json.RawMessage, known [][2]string, v any) error {
	var members map[string]json.RawMessage
	if err := transforms.DecodeWords(raw, dataset.MaxStepConfig, &members); err != nil {
		return invalid("%v", err)
	}
	list := make([]string, 0, len(known))
	for _, m := range known {
		list = append(list, m[0])
	}
	for m := range members {
		if !contains(list, m) {
			return invalid("there is no member %q%s", least(members, list), hint(least(members, list), list))
		}
	}
	if err := transforms.DecodeWords(raw, dataset.MaxStepConfig, v); err != nil {
		return invalid("%v", err)
	}
	return nil
}

// least is the first unknown member, so that a wrong configuration says the same each time.
func least(members map[string]json.RawMessage, known []string) (out string) {
	for m := range members {
		if !contains(known, m) && (out == "" || m < out) {
			out = m
		}
	}
	return out
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
