// SPDX-License-Identifier: Apache-2.0

package release

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// TestRefused: what is wrong is said with its place.
func TestRefused(t *testing.T) {
	const x = `"field": "x", "lower": 0, "upper": 1`
	for query, want := range map[string]string{
		`{"name": "a", "kind": "max", "epsilon": 1}`:                                                                                            `queries[0]: kind: "max", want one of count, histogram`,
		`{"name": "a", "kind": "count"}`:                                                                                                        "epsilon (Laplace noise) or noise",
		`{"name": "a", "kind": "count", "epsilon": 1, "noise": 1}`:                                                                              "want either",
		`{"name": "a", "kind": "count", "epsilon": 0}`:                                                                                          "epsilon: 0, want more than 0",
		`{"name": "a", "kind": "count", "epsilon": -1}`:                                                                                         "epsilon: -1",
		`{"name": "a", "kind": "count", "epsilon": 1e300}`:                                                                                      "epsilon: 1e300",
		`{"name": "a", "kind": "count", "epsilon": 0.0000001}`:                                                                                  "6 digits",
		`{"name": "a", "kind": "count", "epsilon": "1"}`:                                                                                        "epsilon",
		`{"name": "a", "kind": "count", "noise": 0}`:                                                                                            "noise: 0",
		`{"name": "", "kind": "count", "epsilon": 1}`:                                                                                           "name",
		`{"name": "a", "kind": "count", "epsilon": 1, "field": "x"}`:                                                                            `no member "field"`,
		`{"name": "a", "kind": "count", "epsilon": 1}, {"name": "a", "kind": "count", "epsilon": 1}`:                                            "queries[1]: name: another query",
		`{"name": "a", "kind": "count", "epsilon": 1, "where": [{"field": "x"}]}`:                                                               "where[0]: want in, from or to",
		`{"name": "a", "kind": "count", "epsilon": 1, "where": [{"field": "x", "from": 2, "to": 1}]}`:                                           "where[0]: from: 2 is not below",
		`{"name": "a", "kind": "count", "epsilon": 1, "where": [{"field": "x", "in": ["a"], "to": 1}]}`:                                         "not both",
		`{"name": "a", "kind": "count", "epsilon": 1, "where": [{"in": ["a"]}]}`:                                                                "where[0]: field",
		`{"name": "a", "kind": "sum", "field": "x", "epsilon": 1}`:                                                                              "want lower and upper",
		`{"name": "a", "kind": "sum", "field": "x", "lower": 1, "upper": 1, "epsilon": 1}`:                                                      "lower: 1 is not below",
		`{"name": "a", "kind": "sum", "field": "x", "lower": 0, "upper": 1e40, "epsilon": 1}`:                                                   "lower and upper",
		`{"name": "a", "kind": "sum", "field": "x", "lower": 1000000000000000000, "upper": 1000000000000000001, "epsilon": 1}`:                  "lower and upper",
		`{"name": "a", "kind": "sum", "field": "", "lower": 0, "upper": 1, "epsilon": 1}`:                                                       "field",
		`{"name": "a", "kind": "quantiles", ` + x + `, "quantiles": [0.5], "noise": 1}`:                                                         "no Gaussian noise",
		`{"name": "a", "kind": "quantiles", ` + x + `, "epsilon": 1}`:                                                                           "quantiles: 0 of them",
		`{"name": "a", "kind": "quantiles", ` + x + `, "quantiles": [1], "epsilon": 1}`:                                                         "quantiles[0]: 1",
		`{"name": "a", "kind": "quantiles", ` + x + `, "quantiles": [null], "epsilon": 1}`:                                                      "quantiles[0]",
		`{"name": "a", "kind": "quantiles", ` + x + `, "quantiles": [0.1, 0.2], "epsilon": 0.000001}`:                                           "too little",
		`{"name": "a", "kind": "quantiles", ` + x + `, "quantiles": [0.5], "grid": -1, "epsilon": 1}`:                                           "grid",
		`{"name": "a", "kind": "histogram", "field": "x", "epsilon": 1}`:                                                                        "want keys, edges, or delta",
		`{"name": "a", "kind": "histogram", "field": "x", "keys": [], "epsilon": 1}`:                                                            "an empty list",
		`{"name": "a", "kind": "histogram", "field": "x", "keys": ["a", "a"], "epsilon": 1}`:                                                    "keys[1]",
		`{"name": "a", "kind": "histogram", "field": "x", "keys": ["a"], "delta": 1e-9, "epsilon": 1}`:                                          "delta",
		`{"name": "a", "kind": "histogram", "field": "x", "delta": 0, "epsilon": 1}`:                                                            "delta: 0",
		`{"name": "a", "kind": "histogram", "field": "x", "delta": 0.5, "epsilon": 1}`:                                                          "delta: 0.5",
		`{"name": "a", "kind": "histogram", "field": "x", "delta": 1e-9, "other": true, "epsilon": 1}`:                                          "other",
		`{"name": "a", "kind": "histogram", "field": "x", "delta": 1e-9, "groups": -1, "epsilon": 1}`:                                           "groups",
		`{"name": "a", "kind": "linear", "features": [], "target": {` + x + `}, "epsilon": 1}`:                                                  "features: 0",
		`{"name": "a", "kind": "linear", "features": [{` + x + `}, {` + x + `}], "target": {` + x + `}, "epsilon": 1}`:                          "features[1]",
		`{"name": "a", "kind": "linear", "features": [{"field": "y"}], "target": {` + x + `}, "epsilon": 1}`:                                    "features[0]: want lower",
		`{"name": "a", "kind": "linear", "features": [{` + x + `}], "target": {"field": "y"}, "epsilon": 1}`:                                    "target: want lower",
		`{"name": "a", "kind": "logistic", "features": [{` + x + `}], "target": "y", "positive": ["1"], "epsilon": 1}`:                          "want regularisation",
		`{"name": "a", "kind": "logistic", "features": [{` + x + `}], "target": "y", "positive": [], "regularisation": 1, "epsilon": 1}`:        "positive",
		`{"name": "a", "kind": "logistic", "features": [{` + x + `}], "target": "y", "positive": ["1"], "regularisation": 0.001, "epsilon": 1}`: "regularisation: 0.001",
		``:   "queries: 0 of them",
		`1`:  "queries[0]: want an object",
		`{`:  "",
		`{}`: "kind",
	} {
		_, err := Parse([]byte(`{"version": 1, "queries": [` + query + `]}`))
		if !errors.Is(err, ErrQueries) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v, want …%s…", query, err, want)
		}
	}
	for _, file := range []string{``, `null`, `{}`, `{"version": 2, "queries": []}`, `{"version": 1, "queries": null}`, `{"version": 1, "queries": [], "more": 1}`} {
		if _, err := Parse([]byte(file)); !errors.Is(err, ErrQueries) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestNotInTheseTerms: what fits no noise, or no unit, is refused before data is seen.
func TestNotInTheseTerms(t *testing.T) {
	q := parse(t, `{"name": "a", "kind": "sum", "field": "x", "lower": 0, "upper": 1, "epsilon": 0.000001}`)
	for _, c := range []struct {
		unit, adjacency string
		contributions   int64
		ok              bool
	}{
		{UnitRecord, dp.AddOrRemove, 1, true},
		{UnitRecord, dp.AddOrRemove, 2, false},
		{UnitRecord, "", 1, false},
		{"", dp.AddOrRemove, 1, false},
		{UnitContributor, dp.ReplaceOne, 0, false},
		{UnitContributor, dp.ReplaceOne, 10, true},
		{UnitContributor, dp.ReplaceOne, MaxContributions, false}, // the noise does not fit
		{UnitContributor, dp.ReplaceOne, MaxContributions + 1, false},
	} {
		_, err := q.Mechanisms(c.unit, c.adjacency, c.contributions)
		_, runErr := NewRun(q, c.unit, c.adjacency, c.contributions)
		if (err == nil) != c.ok || (runErr == nil) != c.ok || err != nil && !errors.Is(err, ErrQueries) {
			t.Errorf("%+v: %v, %v", c, err, runErr)
		}
	}
}

func TestNoSuchColumn(t *testing.T) {
	q := parse(t, `{"name": "a", "kind": "count", "where": [{"field": "agee", "from": 1}], "epsilon": 1}`)
	if err := q.Bind(transforms.Schema{Format: dataset.FormatCSV, Columns: []string{"age"}}); !errors.Is(err, ErrQueries) || !strings.Contains(err.Error(), `"agee"`) {
		t.Errorf("%v", err)
	}
	if err := q.Bind(transforms.Schema{Format: dataset.FormatJSONL}); err != nil {
		t.Errorf("JSON has no columns: %v", err)
	}
}

// TestJSONRecords: paths, numbers, nulls and what is no value.
func TestJSONRecords(t *testing.T) {
	r, err := NewRun(parse(t, `{"name": "a", "kind": "sum", "field": "a.b", "lower": -10, "upper": 10, "epsilon": 100}`), UnitRecord, dp.AddOrRemove, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := transforms.NewCodec(transforms.Schema{Format: dataset.FormatJSONL})
	var rec transforms.Record
	for i, line := range []string{`{"a":{"b":1.5}}`, `{"a":{"b":"2"}}`, `{"a":{"b":null}}`, `{"a":{"b":true}}`, `{"a":{"b":{"c":9}}}`, `{"a":9}`, `[]`, `7`, `{"a":{"b":-1e99}}`} {
		if err := c.Parse(&rec, "", []byte(line)); err != nil {
			t.Fatal(err)
		}
		if err := r.Add(i, &rec); err != nil {
			t.Fatal(err)
		}
	}
	if got := int64(r.counters[0].(*summing).sum.low); got != -65*int64(r.q.list[0].(*sumQuery).per())/10 {
		t.Errorf("the sum is %d steps", got)
	}
}

func FuzzParse(f *testing.F) {
	b, err := os.ReadFile("../../../examples/dp-queries/queries.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version": 1, "queries": [{"name": "a", "kind": "histogram", "field": "x", "keys": ["a"], "other": true, "groups": 2, "noise": 1e3}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrQueries) {
				t.Fatal(err)
			}
			return
		}
		for _, adjacency := range []string{dp.AddOrRemove, dp.ReplaceOne} {
			ms, err := q.Mechanisms(UnitContributor, adjacency, 10)
			if err != nil {
				continue
			}
			if err := (&dp.Composition{Adjacency: adjacency, Mechanisms: ms}).Validate(); err != nil {
				t.Fatal(err)
			}
			if _, err := NewRun(q, UnitContributor, adjacency, 10); err != nil {
				t.Fatal(err)
			}
		}
	})
}
