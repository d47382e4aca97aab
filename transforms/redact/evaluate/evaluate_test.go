// SPDX-License-Identifier: Apache-2.0

package evaluate_test

import (
	"math"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/redact/evaluate"
)

func all(string) bool { return true }

func TestScore(t *testing.T) {
	text := "Ann Lee, 12 High St\n Apt. 4, Berlin. Bob."
	docs := []evaluate.Document{{
		ID: "1", Text: text,
		Labels:  []evaluate.Span{{"PERSON", 0, 7}, {"ADDRESS", 9, 19}, {"ADDRESS", 21, 27}, {"LOCATION", 29, 35}},
		Ignored: []evaluate.Span{{"TITLE", 37, 40}},
	}}
	found := [][]evaluate.Span{{{"PERSON", 0, 8}, {"ADDRESS", 9, 35}, {"PERSON", 37, 40}}}
	got := evaluate.Score(docs, found, 0.9, evaluate.Canonical, all)
	want := map[string]evaluate.Figures{"PERSON": {1, 1, 1}, "LOCATION": {1, 1, 1}}
	for kind, f := range want {
		if got.Types[kind] != f {
			t.Errorf("%s: %+v, want %+v", kind, got.Types[kind], f)
		}
	}
	if got.Masked != (evaluate.Figures{1, 1, 1}) {
		t.Errorf("masked: %+v: name and address are neighbours", got.Masked)
	}
	if got.Micro != (evaluate.Figures{2, 2, 2}) {
		t.Errorf("micro: %+v", got.Micro)
	}
}

// TestThreshold: half of a name is right at 0.5 and wrong at 0.9, and every label counts once.
func TestThreshold(t *testing.T) {
	docs := []evaluate.Document{{Text: "Anna Maria x", Labels: []evaluate.Span{{"PERSON", 0, 10}}}}
	found := [][]evaluate.Span{{{"PERSON", 0, 6}, {"PERSON", 11, 12}}}
	for iou, want := range map[float64]evaluate.Figures{0.5: {1, 1, 1}, 0.9: {1, 1, 0}} {
		found := [][]evaluate.Span{found[0][:1]}
		if got := evaluate.Score(docs, found, iou, evaluate.Canonical, all).Micro; got != want {
			t.Errorf("IoU %v: %+v, want %+v", iou, got, want)
		}
	}
}

func TestF(t *testing.T) {
	f := evaluate.Figures{Labels: 10, Findings: 5, Right: 4} // P 0.8, R 0.4
	if got := f.F(2); math.Abs(got-5*0.8*0.4/(4*0.8+0.4)) > 1e-12 {
		t.Errorf("F2 %v", got)
	}
	if (evaluate.Figures{Labels: 1, Findings: 1}).F(1) != 0 {
		t.Error("nothing right is not 0")
	}
}

func TestRead(t *testing.T) {
	for _, s := range []string{
		`[{"full_text":"hé Bob","spans":[{"entity_type":"PERSON","entity_value":"Bob","start_position":3,"end_position":6}]}]`,
		`[{"id":"a","input":"hé Bob","expected_entities":[{"type":"PERSON","text":"Bob","start":3,"end":6}]}]`,
		"{\"doc\":\"x\",\"text\":\"hé Bob\",\"spans\":[{\"type\":\"PERSON\",\"start\":3,\"end\":6}]}\n{\"text\":\"b\"}\n",
	} {
		docs, err := evaluate.Read([]byte(s), "TITLE")
		if err != nil || docs[0].Labels[0] != (evaluate.Span{"PERSON", 3, 6}) || docs[0].Text != "hé Bob" {
			t.Errorf("%s: %v %+v", s, err, docs)
		}
	}
	for _, s := range []string{`{"text":"a","spans":[{"type":"X","start":0,"end":2}]}`, `{"text":"a","spans":[{"type":"","start":0,"end":1}]}`, `nonsense`} {
		if _, err := evaluate.Read([]byte(s)); err == nil {
			t.Errorf("%s was read", s)
		}
	}
}
