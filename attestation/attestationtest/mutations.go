// SPDX-License-Identifier: Apache-2.0

// Package attestationtest has what tests of evidence share: bindings, vectors, and every way to leave a field out.
//
// Trust domain: tests only.
package attestationtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Mutation is a JSON document with one field deleted or zeroed.
type Mutation struct {
	Name string
	Doc  []byte
}

// Mutations deletes and zeroes every field of a canonical document, at every depth, one at a time. A field that already
// is zero is only deleted. It fails t unless it finds something to do.
func Mutations(t testing.TB, doc []byte) []Mutation {
	t.Helper()
	var root any
	if err := json.Unmarshal(doc, &root); err != nil {
		t.Fatal(err)
	}
	var out []Mutation
	emit := func(name string) {
		b, err := envelope.Canonical(root)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, Mutation{name, b})
	}
	walk(root, "$", emit)
	if len(out) == 0 {
		t.Fatal("document has no fields")
	}
	return out
}

// walk mutates v in place, emits, and puts everything back.
func walk(v any, path string, emit func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			old, at := v[k], path+"."+k
			delete(v, k)
			emit(at + " deleted")
			if z := zero(old); z != nil {
				v[k] = z
				emit(at + " zeroed")
			}
			v[k] = old
			walk(old, at, emit)
		}
	case []any:
		for i := range v {
			walk(v[i], fmt.Sprintf("%s[%d]", path, i), emit)
		}
	}
}

// zero is the zero of v's JSON type, or nil where v is that already.
func zero(v any) any {
	switch v := v.(type) {
	case string:
		if v != "" {
			return ""
		}
	case float64:
		if v != 0 {
			return 0
		}
	case bool:
		if v {
			return false
		}
	case []any:
		if len(v) != 0 {
			return []any{}
		}
	case map[string]any:
		if len(v) != 0 {
			return map[string]any{}
		}
	}
	return nil
}
