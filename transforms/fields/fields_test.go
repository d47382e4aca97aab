// SPDX-License-Identifier: Apache-2.0

package fields_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/fields"
)

func TestSetRefuses(t *testing.T) {
	for name, refs := range map[string][]fields.Ref{
		"none": nil, "no name": {{}}, "twice": {{Field: "a"}, {Field: "b"}, {Field: "a", Optional: true}}, "too many": make([]fields.Ref, fields.MaxFields+1),
	} {
		if _, err := fields.NewSet(refs); !errors.Is(err, transforms.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMisspeltColumn(t *testing.T) {
	s, err := fields.NewSet([]fields.Ref{{Field: "emial"}, {Field: "x", Optional: true}})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Bind(transforms.Schema{Format: dataset.FormatCSV, Columns: []string{"id", "email", "phone"}})
	if !errors.Is(err, transforms.ErrConfig) || !strings.Contains(err.Error(), `did you mean ["email"]`) {
		t.Error(err)
	}
	if err := s.Bind(transforms.Schema{Format: dataset.FormatFiles}); !errors.Is(err, transforms.ErrConfig) {
		t.Errorf("files: %v", err)
	}
	if err := s.Bind(transforms.Schema{}); !errors.Is(err, transforms.ErrConfig) {
		t.Errorf("no format: %v", err)
	}
}

func TestMisspeltPath(t *testing.T) {
	schema := transforms.Schema{Format: dataset.FormatJSONL}
	for raw, missing := range map[string]bool{`{"a":1}`: true, `{"b":{"c":[]}}`: false, `{"b":{"c":null}}`: false, `{"b.c":1}`: false, `{"B":{"c":1}}`: true} {
		s, err := fields.NewSet([]fields.Ref{{Field: "b.c"}})
		if err != nil || s.Bind(schema) != nil {
			t.Fatal(err)
		}
		if s.Finish() != nil {
			t.Error("an error without records")
		}
		var r transforms.Record
		if err := transforms.NewCodec(schema).Parse(&r, "", []byte(raw)); err != nil {
			t.Fatal(err)
		}
		s.Walk(&r, func(int, *transforms.Field) string { return "" })
		if err := s.Finish(); errors.Is(err, transforms.ErrConfig) != missing {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestNear(t *testing.T) {
	for name, want := range map[string]string{"Email ": "email", "adress": "address", "zzz": "", "zipp": "zip"} {
		got := fields.Near(name, []string{"email", "address", "zip"})
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: %q", name, got)
		}
	}
}
