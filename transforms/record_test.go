// SPDX-License-Identifier: Apache-2.0

package transforms_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
)

func parse(t testing.TB, s transforms.Schema, raw string) *transforms.Record {
	t.Helper()
	r := &transforms.Record{}
	if err := transforms.NewCodec(s).Parse(r, "", []byte(raw)); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return r
}

func TestJSONFields(t *testing.T) {
	raw := `{"a": {"b\u0041": ["x\n\"", 1.5e3, true, null]}, "c":"\ud83d\ude00 \ud83d"} `
	r := parse(t, transforms.Schema{Format: dataset.FormatJSONL}, raw)
	var got []string
	for _, f := range r.Fields() {
		got = append(got, f.Path+"="+string(f.Text))
	}
	want := []string{"a.bA[]=x\n\"", "a.bA[]=1.5e3", "a.bA[]=true", "a.bA[]=null", "c=😀 \ufffd"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if out := string(r.Append(nil)); out != raw {
		t.Errorf("unchanged record became %s", out)
	}
	r.Fields()[0].Set([]byte("y\x01\xff"))
	r.Fields()[1].SetNumber([]byte("7"))
	if out, want := string(r.Append(nil)), `{"a":{"b\u0041":["y\u0001`+"\ufffd"+`",7,true,null]},"c":"\ud83d\ude00 \ud83d"}`; out != want {
		t.Errorf("got  %s\nwant %s", out, want)
	}
	r.Drop("a.bA")
	r.Rename("c", "d")
	if out, want := string(r.Append(nil)), `{"a":{},"d":"\ud83d\ude00 \ud83d"}`; out != want {
		t.Errorf("got  %s\nwant %s", out, want)
	}
	if len(r.Keys()) != 3 || r.Keys()[1].Path != "a{}" {
		t.Errorf("keys %v", r.Keys())
	}
}

func TestCSVFields(t *testing.T) {
	s := transforms.Schema{Format: dataset.FormatCSV, Columns: []string{"a", "b", "c"}}
	for raw, want := range map[string][]string{
		`1,"x ""y"", z",`: {"1", `x "y", z`, ""},
		`,,`:              {"", "", ""},
		"\"\",\"\n\",3":   {"", "\n", "3"},
	} {
		r := parse(t, s, raw)
		for i, f := range r.Fields() {
			if string(f.Text) != want[i] || f.Path != s.Columns[i] {
				t.Errorf("%q: field %d is %s=%q, want %q", raw, i, f.Path, f.Text, want[i])
			}
		}
		r.Fields()[0].Set([]byte("q\"\n"))
		if out := string(r.Append(nil)); !strings.HasPrefix(out, "\"q\"\"\n\",") {
			t.Errorf("%q became %q", raw, out)
		}
	}
	for _, raw := range []string{`1,2`, `1,2,3,4`, `a"b,2,3`, `"a"b,2,3`, `"a,2,3`} {
		if err := transforms.NewCodec(s).Parse(&transforms.Record{}, "", []byte(raw)); err == nil {
			t.Errorf("%q was taken", raw)
		}
	}
}

// TestLongPaths: a long name above many members costs no more than their bytes.
func TestLongPaths(t *testing.T) {
	s := transforms.Schema{Format: dataset.FormatJSONL}
	wide := func(name, members int) string {
		var b strings.Builder
		b.WriteString(`{"` + strings.Repeat("k", name) + `":{`)
		for i := range members {
			fmt.Fprintf(&b, `"%d":1,`, i)
		}
		return b.String() + `"z":{"secret":[1]}}}`
	}
	var r transforms.Record
	if err := transforms.NewCodec(s).Parse(&r, "", []byte(wide(1<<20, 50_000))); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Fields() {
		if len(f.Path) != transforms.MaxPath {
			t.Fatalf("a path of %d bytes", len(f.Path))
		}
	}
	if err := transforms.NewCodec(s).Parse(&r, "", []byte(wide(4000, 50_000))); !errors.Is(err, transforms.ErrRecord) {
		t.Errorf("50000 paths of 4 KB: %v", err)
	}
	if err := transforms.NewCodec(s).Parse(&r, "", []byte(wide(100, 50_000))); err != nil {
		t.Errorf("50000 paths of 100 bytes: %v", err)
	}
}

// FuzzJSONRecord holds the parser to encoding/json: the same texts are JSON, a record without a change is what it was, and one
// with all its texts set to themselves means what it meant.
func FuzzJSONRecord(f *testing.F) {
	for _, s := range []string{`{}`, `[1,{"a":"\u00e9"}]`, `"\ud800"`, `{"a":{"b":[]},"a":2}`, `-0.0e+1`, ` null `, `{"a":"\\"}`, `[[[]]]`, `{"a" : tru}`} {
		f.Add([]byte(s))
	}
	c := transforms.NewCodec(transforms.Schema{Format: dataset.FormatJSONL})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r transforms.Record
		err := c.Parse(&r, "", b)
		if err == nil != json.Valid(b) && strings.Count(string(b), "[")+strings.Count(string(b), "{") < 100 {
			t.Fatalf("%q: %v, encoding/json says %v", b, err, json.Valid(b))
		}
		if err != nil {
			return
		}
		if out := r.Append(nil); string(out) != string(b) {
			t.Fatalf("%q became %q", b, out)
		}
		for i := range r.Fields() {
			if f := &r.Fields()[i]; f.Kind == transforms.Text {
				f.Set(append([]byte{}, f.Text...))
			}
		}
		var before, after any
		if json.Unmarshal(b, &before) != nil {
			return // a number out of range
		}
		if err := json.Unmarshal(r.Append(nil), &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("%q became %q: %v", b, r.Append(nil), err)
		}
	})
}
