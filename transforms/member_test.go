// SPDX-License-Identifier: Apache-2.0

package transforms_test

import (
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
)

func TestPutNullCompounds(t *testing.T) {
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
	if got := slices.Collect(r.Compounds()); !slices.Equal(got, []string{"", "a", "a.b", "c", "c.a"}) {
		t.Errorf("compounds %q", got)
	}
	if !r.Null("a") || !r.Null("c.a") || r.Null("d") {
		t.Error("Null says wrong")
	}
	if got := string(r.Append(nil)); got != `{"a":null,"c":{"a":null},"a":null}` {
		t.Error(got)
	}
	r = parse(t, transforms.Schema{Format: dataset.FormatCSV, Columns: []string{"a", "b"}}, `1,2`)
	r.Put("b", transforms.Number, []byte("5"))
	r.Null("a")
	if got := string(r.Append(nil)); got != `,5` {
		t.Error(got)
	}
}
