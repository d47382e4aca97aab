// SPDX-License-Identifier: Apache-2.0

package transforms_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
)

func TestPutCompounds(t *testing.T) {
	s := transforms.Schema{Format: dataset.FormatJSONL}
	for raw, want := range map[string]string{
		`{"a":1,"b": {"a":2},"\u0061":3}`: `{"b":{"a":2},"a":9,"c\"":"x"}`,
		`{}`:                              `{"a":9,"c\"":"x"}`,
		` [{"a":1}]`:                      `{"a":9,"c\"":"x"}`,
		`7`:                               `{"a":9,"c\"":"x"}`,
	} {
		r := parse(t, s, raw)
		r.Put("a", transforms.Number, []byte("9"))
		r.Put(`c"`, transforms.Text, []byte("x"))
		if got := string(r.Append(nil)); got != want && got != `{"b": {"a":2},"a":9,"c\"":"x"}` {
			t.Errorf("%s became %s, want %s", raw, got, want)
		}
	}
	r := parse(t, s, `{"a":{"b":[1]},"c":{"a":{}},"a":"s"}`)
	var got []string
	for path, shape := range r.Compounds() {
		got = append(got, fmt.Sprint(path, shape))
	}
	if want := []string{"2", "a2", "a.b3", "c2", "c.a2"}; !slices.Equal(got, want) {
		t.Errorf("compounds %q, want %q", got, want)
	}
	r = parse(t, transforms.Schema{Format: dataset.FormatCSV, Columns: []string{"a", "b"}}, `1,2`)
	r.Put("b", transforms.Number, []byte("5"))
	if got := string(r.Append(nil)); got != `1,5` {
		t.Error(got)
	}
}

func TestPrune(t *testing.T) {
	fate := func(path string, shape transforms.Shape, f *transforms.Field) transforms.Fate {
		if (f == nil) == (shape == transforms.Leaf) {
			t.Errorf("%q: field %v of shape %d", path, f, shape)
		}
		switch path {
		case "a", "[].a":
			return transforms.Cut
		case "b", "c.b":
			return transforms.Empty
		case "":
			if shape != transforms.Object {
				return transforms.Cut
			}
		}
		return transforms.Stay
	}
	for raw, want := range map[string]string{
		`{"a":{"b":[1]},"c":{"b":{"x":1},"d" : 1},"a":"s","b":7}`: `{"c":{"b":null,"d":1},"b":null}`,
		` {"c" : [1]}`: ` {"c" : [1]}`,
		`"s"`:          `null`,
		`[{"a":1}, 2]`: `[]`,
	} {
		r := parse(t, transforms.Schema{Format: dataset.FormatJSONL}, raw)
		if r.Prune(fate); string(r.Append(nil)) != want {
			t.Errorf("%s became %s, want %s", raw, r.Append(nil), want)
		}
	}
}

func TestKeep(t *testing.T) {
	want := func(path string, compound bool) (keep, whole bool) {
		switch path {
		case "a.b", "c", "d[].e":
			return true, true
		case "a", "d", "d[]":
			return compound, false
		}
		return false, false
	}
	for raw, out := range map[string]string{
		`{"a":{"b":[1,{"x":2}],"x":3},"c":{"x":4},"x":5,"d":[{"e":1,"x":2},"s",[1]]}`: `{"a":{"b":[1,{"x":2}]},"c":{"x":4},"d":[{"e":1},[]]}`,
		`{"a":"s","d":"s","a.b":1}`: `{"a.b":1}`,
		` {"c":1} `:                 ` {"c":1} `,
		`"s"`:                       `{}`,
		`["s"]`:                     `[]`,
		`{"x":1}`:                   `{}`,
	} {
		r := parse(t, transforms.Schema{Format: dataset.FormatJSONL}, raw)
		if r.Keep(want); string(r.Append(nil)) != out {
			t.Errorf("%s became %s, want %s", raw, r.Append(nil), out)
		}
	}
	r := parse(t, transforms.Schema{Format: dataset.FormatCSV, Columns: []string{"x", "c", "y"}}, `1,2,3`)
	if r.Keep(want); string(r.Append(nil)) != "2" {
		t.Errorf("%s", r.Append(nil))
	}
}
