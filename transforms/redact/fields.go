// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"slices"
	"strings"
)

// fields says which fields of records are looked at.
type fields struct {
	only, except []string
	seen         []bool // of only and except: some record had such a field
	memo         map[string]bool
}

// maxMemo bounds what is remembered of datasets whose members have names without end.
const maxMemo = 4096

// newFields checks lists of paths. Absent lists mean every field.
func newFields(only, except []string) (fields, error) {
	if only == nil {
		only = []string{"*"}
	}
	if len(only) == 0 {
		return fields{}, invalid(`fields: an empty list would look at nothing; leave it out, or say ["*"]`)
	}
	for _, p := range append(slices.Clone(only), except...) {
		if stem := strings.TrimSuffix(p, "*"); p == "" || strings.Contains(stem, "*") || stem != "" && stem != p && !strings.HasSuffix(stem, ".") {
			return fields{}, invalid(`fields: %q: want a path ("from", "headers.to", "lines[].text"), all below one ("headers.*"), or "*"`, p)
		}
	}
	return fields{only, except, make([]bool, len(only)+len(except)), map[string]bool{}}, nil
}

// has reports whether a field is looked at.
func (s *fields) has(path string) bool {
	if is, ok := s.memo[path]; ok {
		return is
	}
	is := false
	for i, p := range s.only {
		if below(path, p) {
			is, s.seen[i] = true, true
		}
	}
	for i, p := range s.except {
		if below(path, p) {
			is, s.seen[len(s.only)+i] = false, true
		}
	}
	if len(s.memo) < maxMemo {
		s.memo[strings.Clone(path)] = is
	}
	return is
}

// below reports whether a path is the one that p names, or below it. A path also names what its arrays hold.
func below(path, p string) bool {
	if p == "*" {
		return true
	}
	if stem, ok := strings.CutSuffix(p, ".*"); ok {
		rest, ok := strings.CutPrefix(path, stem)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	rest, ok := strings.CutPrefix(path, p)
	for ok && strings.HasPrefix(rest, "[]") {
		rest = rest[2:]
	}
	return ok && rest == ""
}

// columns notes the columns of CSV, so that those are seen which no record is there to have.
func (s *fields) columns(list []string) {
	for _, c := range list {
		s.has(c)
	}
}

// unseen is how many paths no record had.
func (s *fields) unseen() (n int64) {
	for i, seen := range s.seen {
		if !seen && (i >= len(s.only) || s.only[i] != "*") {
			n++
		}
	}
	return n
}
