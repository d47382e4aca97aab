// SPDX-License-Identifier: Apache-2.0

// Package evaluate compares findings with labels: precision, recall, F1 and F2 for each type of personal data, and for all
// types together.
//
// Trust domain: none; it measures. Its one job: our detector, Presidio's and anybody's else are scored by the same rules, which are
// these. Spans are code points. Both sides are cleaned alike: a span loses white space and punctuation at its ends, and
// neighbours of one type with nothing but white space and punctuation between them become one (labelled sets cut a postal address into its lines, and
// detectors do not, or the other way). A finding is right if its intersection over union with a label of its type is at least the threshold;
// every label and every finding counts once. The method follows the span evaluator of Presidio's research repository (github.com/microsoft/presidio-research,
// presidio_evaluator/evaluation/span_evaluator.py).
package evaluate

import (
	"cmp"
	"maps"
	"slices"
	"unicode"
)

// Span is a labelled or found part of a text, in code points, End excluded.
type Span struct {
	Type       string `json:"type"`
	Start, End int
}

// Document is a text with its labels.
type Document struct {
	ID     string
	Text   string
	Labels []Span
	// Ignored are spans that nobody is asked about: findings that lie mostly in one are not held against the finder.
	Ignored []Span
}

// Figures are counts, and what follows from them.
type Figures struct {
	Labels, Findings, Right int
}

// Precision is the share of findings that are right; 1 if there are none.
func (f Figures) Precision() float64 { return share(f.Right, f.Findings) }

// Recall is the share of labels that were found; 1 if there are none.
func (f Figures) Recall() float64 { return share(f.Right, f.Labels) }

// F is van Rijsbergen's F for a beta: with 2, recall counts more than precision.
func (f Figures) F(beta float64) float64 {
	p, r, b := f.Precision(), f.Recall(), beta*beta
	if p+r == 0 {
		return 0
	}
	return (1 + b) * p * r / (b*p + r)
}

func share(n, of int) float64 {
	if of == 0 {
		return 1
	}
	return float64(n) / float64(of)
}

// Table is a comparison at one threshold.
type Table struct {
	IoU    float64
	Types  map[string]Figures
	Micro  Figures // all types together, each finding held to its type
	Masked Figures // personal data or not, whatever its type
}

// Names are the types of a table, sorted.
func (t *Table) Names() []string { return slices.Sorted(maps.Keys(t.Types)) }

// Score compares. found[i] are the findings in documents[i]; types that wanted does not name count only for Masked, and types
// are compared as name gives them.
func Score(documents []Document, found [][]Span, iou float64, name func(kind string) string, wanted func(kind string) bool) *Table {
	t := &Table{IoU: iou, Types: map[string]Figures{}}
	for i := range documents {
		d := &documents[i]
		text := []rune(d.Text)
		labels, findings := rename(d.Labels, name), drop(rename(found[i], name), d.Ignored)
		kinds := map[string]bool{}
		for _, s := range append(slices.Clone(labels), findings...) {
			kinds[s.Type] = true
		}
		for kind := range kinds {
			if !wanted(kind) {
				continue
			}
			f := match(clean(text, only(labels, kind)), clean(text, only(findings, kind)), iou)
			t.Types[kind] = t.Types[kind].plus(f)
			t.Micro = t.Micro.plus(f)
		}
		t.Masked = t.Masked.plus(match(clean(text, untyped(labels)), clean(text, untyped(findings)), iou))
	}
	return t
}

func (f Figures) plus(g Figures) Figures {
	return Figures{f.Labels + g.Labels, f.Findings + g.Findings, f.Right + g.Right}
}

func rename(in []Span, name func(string) string) []Span {
	out := slices.Clone(in)
	for i := range out {
		out[i].Type = name(out[i].Type)
	}
	return out
}

func only(in []Span, kind string) []Span {
	return slices.DeleteFunc(slices.Clone(in), func(s Span) bool { return s.Type != kind })
}

func untyped(in []Span) []Span { return rename(in, func(string) string { return "" }) }

// drop leaves out findings of which more than half lies in what is ignored.
func drop(in, ignored []Span) []Span {
	return slices.DeleteFunc(in, func(s Span) bool {
		return slices.ContainsFunc(ignored, func(g Span) bool { return 2*overlap(s, g) > s.End-s.Start })
	})
}

func overlap(a, b Span) int { return max(0, min(a.End, b.End)-max(a.Start, b.Start)) }

// clean trims spans, sorts them, and joins neighbours. They have one type.
func clean(text []rune, in []Span) []Span {
	word := func(i int) bool {
		return unicode.IsLetter(text[i]) || unicode.IsDigit(text[i]) || unicode.IsMark(text[i])
	}
	out := make([]Span, 0, len(in))
	for _, s := range in {
		s.Start, s.End = max(s.Start, 0), min(s.End, len(text))
		for s.Start < s.End && !word(s.Start) {
			s.Start++
		}
		for s.End > s.Start && !word(s.End-1) {
			s.End--
		}
		if s.Start < s.End {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Span) int { return cmp.Or(a.Start-b.Start, a.End-b.End) })
	joined := out[:0]
	for _, s := range out {
		if n := len(joined); n > 0 && joins(word, joined[n-1].End, s.Start) {
			joined[n-1].End = max(joined[n-1].End, s.End)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

func joins(word func(int) bool, from, to int) bool {
	for i := from; i < to; i++ {
		if word(i) {
			return false
		}
	}
	return true
}

// match pairs labels and findings, which are sorted and do not overlap among themselves.
func match(labels, findings []Span, iou float64) Figures {
	f := Figures{Labels: len(labels), Findings: len(findings)}
	for i, j := 0, 0; i < len(labels) && j < len(findings); {
		a, b := labels[i], findings[j]
		both := overlap(a, b)
		if both > 0 && float64(both) >= iou*float64(a.End-a.Start+b.End-b.Start-both) {
			f.Right++
			i++
			j++
			continue
		}
		if a.End <= b.End {
			i++
		} else {
			j++
		}
	}
	return f
}
