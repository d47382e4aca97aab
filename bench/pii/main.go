// SPDX-License-Identifier: Apache-2.0

// Command pii measures how well personal data is found in labelled text, and how fast: Glovebox beside Presidio, the same
// texts, the same scorer, the same run. `make eval-pii` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/transforms/redact/evaluate"
)

// Published figures of Presidio over all types of its own synthetic set: github.com/microsoft/presidio-research.
const published = "published: Presidio's default analyser P .685 R .603 F2 .618 at IoU .9; tuned, with a transformer, F2 .845 at IoU .7"

// ignored are labels of the sets that are no personal data by themselves.
var ignored = []string{"TITLE", "PREFIX"}

func main() {
	data := flag.String("data", "../../shared/data/pii", "folder with labelled texts: *.json and *.jsonl")
	presidio := flag.String("presidio", "auto", "Python with presidio-analyzer; auto makes one in the cache, none leaves it out")
	judged := flag.String("judgements", "../transforms/redact/evaluate/testdata/ham-judgements.jsonl", "judged findings in real mail")
	kind := flag.String("errors", "", "print what was missed and what was wrong of a type, at IoU .9")
	drawing := flag.String("draw", "", "write findings in real mail, for somebody to judge, to this file, and end")
	flag.Parse()
	if *drawing != "" {
		if err := draw(context.Background(), *drawing, *judged); err != nil {
			fmt.Fprintln(os.Stderr, "eval-pii:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(context.Background(), os.Stdout, *data, *presidio, *judged, *kind); err != nil {
		fmt.Fprintln(os.Stderr, "eval-pii:", err)
		os.Exit(1)
	}
}

// set is one labelled set.
type set struct {
	name string
	docs []evaluate.Document
}

func (s *set) bytes() (n int64) {
	for i := range s.docs {
		n += int64(len(s.docs[i].Text))
	}
	return n
}

func run(ctx context.Context, w io.Writer, data, python, judged, kind string) error {
	sets, err := read(data)
	if err != nil {
		return err
	}
	if len(sets) == 0 {
		fmt.Fprintf(w, "SKIPPED: labelled texts: %s has none\n", data)
	}
	finders := []finder{ours{}}
	if p, err := newPresidio(ctx, python, w); err != nil {
		fmt.Fprintf(w, "SKIPPED: Presidio: %v\n", err)
	} else {
		finders = append(finders, p)
	}
	for i := range sets {
		if err := compare(ctx, w, &sets[i], finders, kind); err != nil {
			return err
		}
	}
	if err := speeds(ctx, w, sets, finders); err != nil {
		return err
	}
	return judgements(ctx, w, judged)
}

// read reads the labelled sets of a folder. Sets of one origin whose names begin alike up to the first underscore are one.
func read(data string) ([]set, error) {
	var out []set
	entries, err := os.ReadDir(data)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".json" && ext != ".jsonl" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(data, e.Name()))
		if err != nil {
			return nil, err
		}
		docs, err := evaluate.Read(b, ignored...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		name, _, _ := strings.Cut(strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())), "_")
		if i := slices.IndexFunc(out, func(s set) bool { return s.name == name }); i >= 0 {
			out[i].docs = append(out[i].docs, docs...)
		} else {
			out = append(out, set{name, docs})
		}
	}
	return out, nil
}

// compare prints a set's tables.
func compare(ctx context.Context, w io.Writer, s *set, finders []finder, kind string) error {
	fmt.Fprintf(w, "\n%s: %d texts, %.1f kB\n%s\n", s.name, len(s.docs), float64(s.bytes())/1e3, published)
	labelled := map[string]bool{}
	for i := range s.docs {
		for _, l := range s.docs[i].Labels {
			labelled[evaluate.Canonical(l.Type)] = true
		}
	}
	wanted := func(kind string) bool { return len(labelled) == 0 || labelled[kind] }
	found := make([][][]evaluate.Span, len(finders))
	for i, f := range finders {
		var err error
		if found[i], err = f.find(ctx, s.docs, nil); err != nil {
			return fmt.Errorf("%s: %w", f.name(), err)
		}
	}
	for _, iou := range []float64{0.9, 0.7} {
		tables := make([]*evaluate.Table, len(finders))
		for i := range finders {
			tables[i] = evaluate.Score(s.docs, found[i], iou, evaluate.Canonical, wanted)
		}
		show(w, finders, tables)
	}
	if kind != "" {
		explain(w, s.docs, found[0], kind)
	}
	return nil
}

func show(w io.Writer, finders []finder, tables []*evaluate.Table) {
	fmt.Fprintf(w, "\nspan IoU >= %.1f     ", tables[0].IoU)
	for _, f := range finders {
		fmt.Fprintf(w, "| %-39s", f.name())
	}
	fmt.Fprintf(w, "\n%-20s", "type")
	for range finders {
		fmt.Fprintf(w, "| %6s %6s  %5s %5s %5s %5s", "labels", "found", "P", "R", "F1", "F2")
	}
	fmt.Fprintln(w)
	names := map[string]bool{}
	for _, t := range tables {
		for _, n := range t.Names() {
			names[n] = true
		}
	}
	sorted := make([]string, 0, len(names))
	for n := range names {
		sorted = append(sorted, n)
	}
	slices.Sort(sorted)
	line := func(name string, of func(t *evaluate.Table) evaluate.Figures) {
		fmt.Fprintf(w, "%-20s", name)
		for _, t := range tables {
			f := of(t)
			fmt.Fprintf(w, "| %6d %6d  %5.3f %5.3f %5.3f %5.3f", f.Labels, f.Findings, f.Precision(), f.Recall(), f.F(1), f.F(2))
		}
		fmt.Fprintln(w)
	}
	for _, n := range sorted {
		line(n, func(t *evaluate.Table) evaluate.Figures { return t.Types[n] })
	}
	line("all, by type", func(t *evaluate.Table) evaluate.Figures { return t.Micro })
	line("all, whatever type", func(t *evaluate.Table) evaluate.Figures { return t.Masked })
}

// explain prints the errors of one type, for whoever works on its recogniser.
func explain(w io.Writer, docs []evaluate.Document, found [][]evaluate.Span, kind string) {
	has := func(list []evaluate.Span, s evaluate.Span) bool {
		return slices.ContainsFunc(list, func(o evaluate.Span) bool {
			return evaluate.Canonical(o.Type) == kind && o.Start < s.End && s.Start < o.End
		})
	}
	part := func(d *evaluate.Document, s evaluate.Span) string {
		r := []rune(d.Text)
		return fmt.Sprintf("%q in %q", string(r[s.Start:s.End]), string(r[max(0, s.Start-30):min(len(r), s.End+30)]))
	}
	for i := range docs {
		d := &docs[i]
		for _, s := range d.Labels {
			if evaluate.Canonical(s.Type) == kind && !has(found[i], s) {
				fmt.Fprintf(w, "missed %s %s\n", d.ID, part(d, s))
			}
		}
		for _, s := range found[i] {
			if evaluate.Canonical(s.Type) == kind && !has(d.Labels, s) {
				fmt.Fprintf(w, "wrong  %s %s\n", d.ID, part(d, s))
			}
		}
	}
}
