// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// selected says which fields of records are looked at.
type selected struct {
	only, except []string
	seen         []bool // of only and except: some record had such a field
	columns      bool   // paths are columns of CSV: there is nothing below them
	memo         map[string]bool
}

// maxMemo bounds what is remembered of datasets whose members have names without end.
const (
	maxMemo     = 4096
	maxMemoPath = 256 // bytes
)

// newFields checks lists of paths. Absent lists mean every field.
func newSelected(only, except []string) (selected, error) {
	if only == nil {
		only = []string{"*"}
	}
	if len(only) == 0 {
		return selected{}, invalid(`fields: an empty list would look at nothing; leave it out, or say ["*"]`)
	}
	for _, p := range append(slices.Clone(only), except...) {
		if stem := strings.TrimSuffix(p, "*"); p == "" || strings.Contains(stem, "*") || stem != "" && stem != p && !strings.HasSuffix(stem, ".") {
			return selected{}, invalid(`fields: %q: want a path ("from", "headers.to", "lines[].text"), all below one ("headers.*"), or "*"`, p)
		}
	}
	return selected{only: only, except: except, seen: make([]bool, len(only)+len(except)), memo: map[string]bool{}}, nil
}

// has reports whether a field is looked at.
func (s *selected) has(path string) bool {
	if is, ok := s.memo[path]; ok {
		return is
	}
	is := false
	for i, p := range s.only {
		switch {
		case below(path, p):
			is, s.seen[i] = true, true
		case !s.columns && beside(path, p):
			is, s.seen[i] = true, s.seen[i] || leads(fields.Plain(strings.TrimSuffix(p, ".*")), fields.Plain(path))
		}
	}
	for i, p := range s.except {
		if below(path, p) {
			is, s.seen[len(s.only)+i] = false, true
		}
	}
	if len(s.memo) < maxMemo && len(path) <= maxMemoPath {
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

// beside reports whether a path of JSON may have what p names in another shape: what is below it, in arrays or not, and what stands in the
// place of an object that leads to it. Whoever writes records must not choose by their shape what is looked at. What is not to be
// looked at has just the shape that was said.
func beside(path, p string) bool {
	path, p = fields.Plain(path), fields.Plain(strings.TrimSuffix(p, ".*"))
	return leads(p, path) || leads(path, p)
}

// leads reports whether a path is above another, or the same.
func leads(path, to string) bool {
	rest, ok := strings.CutPrefix(to, path)
	return ok && (path == "" || rest == "" || rest[0] == '.')
}

// note notes the columns of CSV, so that those are seen which no record is there to have.
func (s *selected) note(list []string) {
	s.columns = len(list) > 0
	for _, c := range list {
		s.has(c)
	}
}

// unseen is how many paths no record had.
func (s *selected) unseen() (n int64) {
	for i, seen := range s.seen {
		if !seen && (i >= len(s.only) || s.only[i] != "*") {
			n++
		}
	}
	return n
}
