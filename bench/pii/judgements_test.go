// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact/evaluate"
)

const judged = "../../transforms/redact/evaluate/testdata/ham-judgements.jsonl"

// TestJudgements: the file has a hundred judgements, each in the known form, each place once, and no text.
func TestJudgements(t *testing.T) {
	all, err := readJudgements(judged)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(judged)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	seen := map[place]bool{}
	for range all {
		var j judgement
		if err := d.Decode(&j); err != nil {
			t.Fatal(err)
		}
		if seen[j.place()] || len(j.TextSHA256) != 64 || strings.ContainsAny(j.Why, " \n") || j.Why == "" || j.End <= j.Start {
			t.Errorf("%+v", j)
		}
		seen[j.place()] = true
	}
	if len(all) != drawn {
		t.Errorf("%d judgements, want %d", len(all), drawn)
	}
}

func TestPrecision(t *testing.T) {
	docs := []evaluate.Document{{ID: "m", Text: "abcdefghij"}}
	at := func(kind string, start int) transforms.Finding {
		return transforms.Finding{Type: kind, Start: start, End: start + 1}
	}
	found := map[string][]transforms.Finding{"A": {at("A", 0), at("A", 1), at("A", 2), at("A", 3)}, "B": {at("B", 5)}}
	var out bytes.Buffer
	precision(&out, docs, found, []judgement{
		{Doc: "m", Type: "A", Start: 0, End: 1, Verdict: "true"},
		{Doc: "m", Type: "A", Start: 1, End: 2, Verdict: "false"},
		{Doc: "m", Type: "A", Start: 9, End: 10, Verdict: "true"},
		{Doc: "m", Type: "B", Start: 5, End: 6, Verdict: "true"},
	})
	for _, want := range []string{"A                            4       2      1      1      0           1  0.500", "precision is 0.600; 1 of the judged findings have changed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\nwants %q", out.String(), want)
		}
	}
}

// TestChoose: types take turns, and what is drawn does not depend on the order in which it was found.
func TestChoose(t *testing.T) {
	docs := []evaluate.Document{{ID: "m"}}
	found := map[string][]transforms.Finding{}
	for i := range 500 {
		found["A"] = append(found["A"], transforms.Finding{Type: "A", Start: i, End: i + 1})
	}
	found["B"] = found["A"][:3:3]
	first := choose(docs, found)
	for i, j := 0, len(found["A"])-1; i < j; i, j = i+1, j-1 {
		found["A"][i], found["A"][j] = found["A"][j], found["A"][i]
	}
	found["B"] = found["A"][497:]
	second := choose(docs, found)
	if len(first) != drawn || len(second) != drawn {
		t.Fatalf("%d and %d", len(first), len(second))
	}
	for i := range first {
		if first[i].Start != second[i].Start {
			t.Fatalf("draw %d differs", i)
		}
	}
}
