// SPDX-License-Identifier: Apache-2.0

package release

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// TestIntervals: a number is in the interval from its lower edge to before its upper one; what is in none, or no number, is another.
func TestIntervals(t *testing.T) {
	out := answer(t, `{"name": "h", "kind": "histogram", "field": "x", "edges": [-1, 0, 0.5, 1e2], "other": true, "epsilon": 1000}`, "x",
		each("-1", "-0.0001", "0", "0", "0.49999999999999999999", "0.5", "99.9", "100", "-1.0001", "NaN", "two", `""`, "1e999999"))[0]
	var got []string
	for _, g := range out.Groups {
		got = append(got, fmt.Sprintf("%s%v=%v", g.Key, g.Other, g.Count))
	}
	if s := strings.Join(got, ";"); s != "[-1, 0)false=2;[0, 0.5)false=3;[0.5, 1e2)false=2;true=6" {
		t.Error(s)
	}
}

// TestMostKeys: no more keys are shown than declared, and those of the greatest counts; so the result's length is bounded, whatever
// bytes the keys are of.
func TestMostKeys(t *testing.T) {
	var rows []row
	for k := range 9 {
		for range 50 * (1 + (k*5)%9) { // 1, 6, 2, 7, 3, 8, 4, 9, 5
			rows = append(rows, row{len(rows), string(rune('a'+k)) + strings.Repeat("\x01", MaxText-1)})
		}
	}
	q := `{"name": "h", "kind": "histogram", "field": "k", "delta": 1e-9, "epsilon": 20, "most": 3}`
	r, err := NewRun(parse(t, q), UnitRecord, dp.AddOrRemove, 1)
	if err != nil {
		t.Fatal(err)
	}
	feed(t, r, "k", rows)
	b, err := drawn(r, source(1))
	if err != nil {
		t.Fatal(err)
	}
	if most := parse(t, q).ResultBytes(); int64(len(b)) > most || int64(len(b)) < most/8 {
		t.Errorf("%d bytes, said to be %d at most", len(b), most)
	}
	var shown []string
	for _, g := range answer(t, q, "k", rows)[0].Groups {
		shown = append(shown, g.Key[:1])
	}
	if s := strings.Join(shown, ""); s != "dfh" {
		t.Errorf("keys %s are shown, want those of 7, 8 and 9 parts", s)
	}
}

func TestKeysThatCannotBe(t *testing.T) {
	for name, members := range map[string]string{
		"one edge":            `"edges": [1]`,
		"no edge":             `"edges": []`,
		"null edge":           `"edges": [1, null]`,
		"edge twice":          `"edges": [1, 1.0]`,
		"falling edges":       `"edges": [1, 0]`,
		"edge of text":        `"edges": ["1", "2"]`,
		"edges and keys":      `"edges": [1, 2], "keys": ["a"]`,
		"edges and delta":     `"edges": [1, 2], "delta": 1e-9`,
		"edges and most":      `"edges": [1, 2], "most": 3`,
		"keys and most":       `"keys": ["a"], "most": 3`,
		"negative most":       `"delta": 1e-9, "most": -1`,
		"most beyond bounds":  `"delta": 1e-9, "most": 10001`,
		"other without edges": `"delta": 1e-9, "other": true`,
	} {
		if _, err := Parse([]byte(`{"version": 1, "queries": [{"name": "h", "kind": "histogram", "field": "x", "epsilon": 1, ` + members + `}]}`)); !errors.Is(err, ErrQueries) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
