// SPDX-License-Identifier: Apache-2.0

package fuel

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// hintAbove is the greatest number of edits at which a name is offered as the one that was meant.
const hintAbove = 3

func show(key [2]string) string { return fmt.Sprintf("%q %q", shorten(key[0]), shorten(key[1])) }

func shorten(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// checkImport refuses an import that is not in the table, or has another type there.
func checkImport(key [2]string, t funcType, allowed Imports) error {
	want, ok := allowed[key]
	if !ok {
		return fmt.Errorf("unknown import %s%s", show(key), nearest(key, allowed))
	}
	if !bytes.Equal(t.params, want.Params) || !bytes.Equal(t.results, want.Results) {
		return fmt.Errorf("import %s has type %s, not %s", show(key), typeText(want.Params, want.Results), typeText(t.params, t.results))
	}
	return nil
}

// nearest says which import was probably meant. The table is ours and short; the name is cut to its length.
func nearest(key [2]string, allowed Imports) string {
	if len(key[0]) > 64 || len(key[1]) > 64 {
		return ""
	}
	best, distance := [2]string{}, hintAbove+1
	for k := range allowed {
		d := edits(key[0], k[0]) + edits(key[1], k[1])
		if d < distance || d == distance && strings.Compare(show(k), show(best)) < 0 {
			best, distance = k, d
		}
	}
	if distance > hintAbove {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", show(best))
}

// edits is the Levenshtein distance of two short strings.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = slices.Min([]int{cost, row[j] + 1, row[j+1] + 1})
		}
	}
	return row[len(b)]
}

func typeText(params, results []byte) string {
	return "(" + valuesText(params) + ") -> (" + valuesText(results) + ")"
}

func valuesText(v []byte) string {
	names := map[byte]string{
		typeI32: "i32", typeI64: "i64", typeF32: "f32", typeF64: "f64",
		typeV128: "v128", typeFuncref: "funcref", typeExternref: "externref",
	}
	var words []string
	for i, t := range v {
		if i == 16 {
			words = append(words, "…")
			break
		}
		words = append(words, names[t])
	}
	return strings.Join(words, " ")
}
