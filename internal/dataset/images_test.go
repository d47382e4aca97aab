// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"errors"
	"testing"
	"testing/fstest"
)

// TestImageFields: a folder of images says on demand that folders are labels, and nothing else has such fields.
func TestImageFields(t *testing.T) {
	f := newFixture(t)
	pack := func(change func(*PackConfig)) (*Packed, error) {
		cfg := f.config(FormatFiles, "")
		cfg.Source, cfg.Files = nil, fstest.MapFS{"cat/1.png": {Data: []byte("x")}, "big/dog/2.png": {Data: []byte("y")}}
		change(&cfg)
		return Pack(t.Context(), cfg)
	}
	p, err := pack(func(c *PackConfig) { c.Columns = ImageColumns() })
	if err != nil || len(p.Manifest.Metadata.RecordSet[0].Field) != 1 {
		t.Fatalf("not asked for, and published: %v", err)
	}
	if p, err = pack(func(c *PackConfig) { c.Columns, c.PublishColumns = ImageColumns(), true }); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(p.Signed); err != nil {
		t.Fatal(err)
	}
	fields := p.Manifest.Metadata.RecordSet[0].Field
	if len(fields) != 2 || fields[1].ID != "records/label" || fields[1].Source.Transform.Regex != labelRegex {
		t.Errorf("fields %+v", fields)
	}
	if _, err := pack(func(c *PackConfig) { c.Columns, c.PublishColumns = []Column{{"a", "sc:Text"}}, true }); !errors.Is(err, ErrConfig) {
		t.Errorf("columns of files: %v", err)
	}
	for name, change := range map[string]func(*Manifest){
		"another regex": func(m *Manifest) { m.Metadata.RecordSet[0].Field[1].Source.Transform = &Transform{"^(.)"} },
		"no regex":      func(m *Manifest) { m.Metadata.RecordSet[0].Field[1].Source.Transform = nil },
		"one field":     func(m *Manifest) { m.Metadata.RecordSet[0].Field = m.Metadata.RecordSet[0].Field[1:] },
		"a column": func(m *Manifest) {
			m.Metadata.RecordSet[0].Field = []Field{newField("records/0", Column{"a", "sc:Text"}, Extract{Column: "a"}, nil)}
		},
	} {
		m := *p.Manifest
		m.Metadata.RecordSet = []RecordSet{m.Metadata.RecordSet[0]}
		m.Metadata.RecordSet[0].Field = append([]Field{}, fields...)
		change(&m)
		if err := m.validateRecordSet(); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	text := *f.pack(f.config(FormatCSV, "a,b\n1,2\n")).Manifest
	text.Metadata.RecordSet = p.Manifest.Metadata.RecordSet
	if err := text.validateRecordSet(); !errors.Is(err, ErrManifest) {
		t.Errorf("a table with fields of images: %v", err)
	}
}
