// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/transforms/redact/scan"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

type labelled struct {
	Text  string `json:"full_text"`
	Spans []struct {
		Type  string `json:"entity_type"`
		Start int    `json:"start_position"`
		End   int    `json:"end_position"`
	} `json:"spans"`
}

// TestLabelledText measures on labelled text that is not in the repository: exact spans, findings from span.Medium on.
func TestLabelledText(t *testing.T) {
	file := filepath.Join("..", "..", "..", "..", "shared", "data", "pii", "presidio_generated_large.json")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Skip("no labelled text beside the repository: nothing is measured")
	}
	var docs []labelled
	if err := json.Unmarshal(b, &docs); err != nil || len(docs) == 0 {
		t.Fatal(len(docs), err)
	}
	least := map[span.Type]float64{span.Email: .97, span.Phone: .97, span.IP: .97, span.CreditCard: .97, span.IBAN: .97, span.URL: .97, span.Date: .85}
	tp, fp, fn := map[span.Type]int{}, map[span.Type]int{}, map[span.Type]int{}
	s := scan.New(scan.Options{})
	for _, d := range docs {
		found := map[span.Finding]bool{}
		for _, f := range span.Resolve(s.Scan(nil, []byte(d.Text))) {
			if f.Score >= span.Medium {
				found[key(d.Text, f)] = true
			}
		}
		for _, g := range d.Spans {
			typ := span.Type(g.Type)
			if typ == span.Domain {
				typ = span.URL
			}
			k := span.Finding{Type: typ, Start: g.Start, End: g.End}
			if _, ok := least[typ]; !ok {
				continue
			}
			if found[k] {
				tp[typ]++
				delete(found, k)
			} else {
				fn[typ]++
				t.Logf("missed %s %q of %q", typ, string([]rune(d.Text)[g.Start:g.End]), d.Text)
			}
		}
		for k := range found {
			fp[k.Type]++
			t.Logf("wrong %s %q in %q", k.Type, string([]rune(d.Text)[k.Start:k.End]), d.Text)
		}
	}
	for typ, want := range least {
		f1 := float64(2*tp[typ]) / float64(2*tp[typ]+fp[typ]+fn[typ])
		t.Logf("%-14s right %3d wrong %3d missed %3d F1 %.3f", typ, tp[typ], fp[typ], fn[typ], f1)
		if f1 < want {
			t.Errorf("%s: F1 %.3f, want %.2f", typ, f1, want)
		}
	}
}

// key is a finding's type and place in code points.
func key(text string, f span.Finding) span.Finding {
	start := utf8.RuneCountInString(text[:f.Start])
	return span.Finding{Type: f.Type, Start: start, End: start + utf8.RuneCountInString(text[f.Start:f.End])}
}

// TestCases runs the cases of a second labelled set: short texts, one or two of a kind.
func TestCases(t *testing.T) {
	types := map[string]span.Type{"EMAIL": span.Email, "PHONE": span.Phone, "CREDIT_CARD": span.CreditCard, "IP_ADDRESS": span.IP, "DATE": span.Date, "DE_IBAN": span.IBAN}
	s := scan.New(scan.Options{})
	right, wrong, missed := 0, 0, 0
	for _, name := range []string{"structured_pii", "mixed_pii", "negative_cases"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "data", "pii", "datafog_"+name+".json"))
		if err != nil {
			t.Skip("no labelled text beside the repository: nothing is measured")
		}
		var docs []struct {
			Input    string `json:"input"`
			Expected []struct {
				Type  string `json:"type"`
				Start int    `json:"start"`
				End   int    `json:"end"`
			} `json:"expected_entities"`
		}
		if err := json.Unmarshal(b, &docs); err != nil || len(docs) == 0 {
			t.Fatal(len(docs), err)
		}
		for _, d := range docs {
			found := map[span.Finding]bool{}
			for _, f := range span.Resolve(s.Scan(nil, []byte(d.Input))) {
				if f.Score >= span.Medium && f.Type != span.URL && f.Type != span.Domain {
					found[key(d.Input, f)] = true
				}
			}
			for _, g := range d.Expected {
				k := span.Finding{Type: types[g.Type], Start: g.Start, End: g.End}
				switch {
				case k.Type == "":
				case found[k]:
					right++
					delete(found, k)
				default:
					missed++
					t.Logf("missed %s in %q", k.Type, d.Input)
				}
			}
			for k := range found {
				wrong++
				t.Logf("wrong %s %q in %q", k.Type, string([]rune(d.Input)[k.Start:k.End]), d.Input)
			}
		}
	}
	if t.Logf("right %d wrong %d missed %d", right, wrong, missed); right < 90*(right+wrong+missed)/100 {
		t.Error("less than 90 % right")
	}
}
