// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

// formatText is a file that is one text, and no dataset.
const formatText dataset.Format = "text"

// scanFlags say what is looked at, and for what.
type scanFlags struct {
	input, format, id string
	fields, detect    []string
	least             float64
	asJSON            bool
}

func newScan() *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use: "scan [SOURCE]", Short: "Show what personal data a dataset has", Args: atMostOne("one source"),
		Long: `Scan looks for personal data in a CSV, JSON Lines or Parquet file, in a text, or in what the files of a directory hold, and shows how much of each
type there is. Nothing is written and nothing is sent anywhere. It finds what glovebox creator pack --transform would act on with the
step "redact"; docs/transforms.md lists the types. Names of files are looked at by pack --scan, not here.

With --json, each finding is a line:

  {"doc":0,"type":"EMAIL_ADDRESS","start":9,"end":24,"score":0.95,"text_sha256":"…"}

doc counts records from 0 (or is what --id names, or a file's path), start and end are Unicode code points of the field's text,
and text_sha256 is the SHA-256 of what was found: the text itself is not printed. Without --field, "field" says where it was.`,
		Example: "  glovebox creator scan patients.csv\n  glovebox creator scan --input mails.jsonl --format jsonl --field body --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (f.input != "") {
				return Errorf(KindUsage, "glovebox creator scan SOURCE").because("give one source")
			}
			if len(args) == 1 {
				f.input = args[0]
			}
			return f.run(cmd)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.input, "input", "", "file or directory to look at, instead of SOURCE")
	fl.StringVar(&f.format, "format", "auto", "text, jsonl, csv, files, parquet, or auto (by extension; files for a directory)")
	fl.StringArrayVar(&f.fields, "field", nil, "column, or path of a JSON member, to look at; several (default: all)")
	fl.StringVar(&f.id, "id", "", "column or JSON member that names a record, instead of its number")
	fl.StringSliceVar(&f.detect, "detect", nil, "types of personal data to look for (default: all)")
	fl.Float64Var(&f.least, "min-score", 0.5, "least score of a finding, from 0 to 1")
	fl.BoolVar(&f.asJSON, "json", false, "print one JSON object for each finding")
	return cmd
}

// scanned is what a scan counts.
type scanned struct {
	records, bytes int64
	unread         int64    // records that were not looked at, or not all of them
	skipped        []string // files that are no text
	types          map[string]*scannedType
}

type scannedType struct {
	findings, records, last int64
	score                   int64 // sum
}

func (f *scanFlags) run(cmd *cobra.Command) error {
	format, err := f.formatOf()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	s := &scanned{types: map[string]*scannedType{}}
	bar, total := f.progress(cmd)
	defer bar.done()
	w := &findingWriter{bar: bar, total: total, out: out, scanned: s, quiet: !f.asJSON, oneField: len(f.fields) == 1 || format == formatText || format == dataset.FormatFiles}
	if format == dataset.FormatFiles {
		err = f.scanFiles(cmd.Context(), w)
	} else {
		err = f.scanFile(cmd.Context(), f.input, format, w)
	}
	bar.done()
	if err := errors.Join(err, w.err, out.Flush()); err != nil {
		return err
	}
	for _, name := range s.skipped {
		say(cmd, "not looked at: %s is no text file", plain(name))
	}
	if s.unread > 0 {
		say(cmd, "not looked at, or not all of them: %s that are no text in UTF-8, or cannot be taken apart", amount(s.unread, "records"))
	}
	if f.asJSON {
		return nil
	}
	s.show(cmd.OutOrStdout())
	return nil
}

// progress is a line on a terminal, and how many bytes there are; 0: nobody knows.
func (f *scanFlags) progress(cmd *cobra.Command) (*progress, int64) {
	if !terminal(cmd.ErrOrStderr()) {
		return &progress{}, 0
	}
	total := int64(0)
	if f.input != "-" {
		total, _ = sourceSize(f.input) // what is wrong with it is told by who reads it
	}
	return newProgress(cmd.ErrOrStderr(), "scanning"), total
}

func (f *scanFlags) formatOf() (dataset.Format, error) {
	if f.least < 0 || f.least > 1 {
		return "", Errorf(KindUsage, "give a number from 0 to 1").because("a score of %v", f.least)
	}
	if f.format == string(formatText) {
		return formatText, nil
	}
	if f.format == "auto" {
		if isText(f.input) {
			return formatText, nil
		}
	}
	return formatOf(f.input, f.format)
}

// isText reports whether a path is that of a file that is one text, by its extension.
func isText(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && slices.Contains([]string{".txt", ".md", ".eml", ".log"}, strings.ToLower(filepath.Ext(path)))
}

// step is the built-in that finds and changes nothing.
func (f *scanFlags) step() (dataset.Step, error) {
	c := map[string]any{"act": "report", "minScore": f.least}
	if len(f.fields) > 0 {
		c["fields"] = f.fields
	} else {
		c["fields"] = []string{"*"}
		c["keys"] = true
	}
	if len(f.detect) > 0 {
		c["detect"] = f.detect
	}
	s, err := builtin.Pin("scan", c)
	if err != nil {
		return s, Errorf(KindUsage, "docs/transforms.md lists types and fields").from(err)
	}
	return s, nil
}

// scanFile looks at one file.
func (f *scanFlags) scanFile(ctx context.Context, path string, format dataset.Format, w *findingWriter) error {
	if format == formatText {
		text, err := readBounded(path, maxScanText)
		if err != nil {
			return err
		}
		return f.scanText(ctx, 0, text, w)
	}
	var in io.ReadCloser = os.Stdin
	if path != "-" {
		file, err := openText(path, format)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	src, err := transforms.NewSource(in, format)
	if err != nil {
		return err
	}
	named := &namedSource{Source: src, id: f.id, w: w, unseen: slices.DeleteFunc(slices.Clone(f.fields), func(s string) bool { return strings.Contains(s, "*") })}
	if err := f.scan(ctx, named, w); err != nil {
		return err
	}
	if len(named.unseen) > 0 {
		return Errorf(KindUsage, "leave --field out to look at all").because("no record has %q", named.unseen)
	}
	return nil
}

// maxScanText bounds a text that is looked at whole.
const maxScanText = 1 << 30

// scanFiles looks at every file of a directory that is text.
func (f *scanFlags) scanFiles(ctx context.Context, w *findingWriter) error {
	return filepath.WalkDir(f.input, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(f.input, path)
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() {
			w.scanned.skipped = append(w.scanned.skipped, name)
			return nil
		}
		text, err := readBounded(path, maxScanText)
		if err != nil {
			return err
		}
		if !utf8.Valid(text) {
			w.scanned.skipped = append(w.scanned.skipped, name)
			return nil
		}
		return f.scanText(ctx, filepath.ToSlash(name), text, w)
	})
}

// scanText looks at one text, as a JSON string: bytes that are no UTF-8 count as one code point each, there as here.
func (f *scanFlags) scanText(ctx context.Context, doc any, text []byte, w *findingWriter) error {
	w.doc = doc
	return f.scan(ctx, &textSource{text: text, done: len(text) == 0}, w)
}

func (f *scanFlags) scan(ctx context.Context, src transforms.Source, w *findingWriter) error {
	step, err := f.step()
	if err != nil {
		return err
	}
	p, err := transforms.New(ctx, []dataset.Step{step}, src.Schema(), builtin.New, &transforms.Env{Finding: w.found})
	if err != nil {
		return refusedSteps(err)
	}
	defer p.Close() //nolint:errcheck // it holds nothing
	err = p.Run(ctx, src, func(it transforms.Item) error {
		w.scanned.records++
		n := len(it.Raw)
		if t, ok := src.(*textSource); ok {
			n = len(t.text) // without quotes
		}
		w.scanned.bytes += int64(n)
		w.bar.step(w.scanned.bytes, w.total, "bytes")
		return w.err
	})
	w.scanned.unread += p.Reports()[0].Unread
	return err
}

// textSource is one text as a record.
type textSource struct {
	text []byte
	done bool
}

func (s *textSource) Schema() transforms.Schema {
	return transforms.Schema{Format: dataset.FormatJSONL}
}

func (s *textSource) Next() (transforms.Item, error) {
	if s.done {
		return transforms.Item{}, io.EOF
	}
	s.done = true
	return transforms.Item{Raw: transforms.AppendString(nil, s.text)}, nil
}

// namedSource tells the writer of findings which record is at hand.
type namedSource struct {
	transforms.Source
	id     string
	unseen []string // fields that no record had so far
	w      *findingWriter
	n      int64
	codec  *transforms.Codec
	rec    transforms.Record
}

func (s *namedSource) Next() (transforms.Item, error) {
	it, err := s.Source.Next()
	if err != nil {
		return it, err
	}
	s.w.doc = s.n
	s.n++
	if s.id == "" && len(s.unseen) == 0 {
		return it, nil
	}
	if s.codec == nil {
		s.codec = transforms.NewCodec(s.Schema())
	}
	if err := s.codec.Parse(&s.rec, it.Name, it.Raw); err != nil {
		return it, err
	}
	s.unseen = slices.DeleteFunc(s.unseen, func(path string) bool { return s.rec.Field(path) != nil })
	if s.id == "" {
		return it, nil
	}
	f := s.rec.Field(s.id)
	if f == nil {
		return it, Errorf(KindUsage, "name a column or member that every record has").because("record %d has no %q", s.n-1, s.id)
	}
	s.w.doc = string(f.Text)
	return it, nil
}

// findingWriter writes and counts findings.
type findingWriter struct {
	bar      *progress
	total    int64 // bytes, for bar
	out      *bufio.Writer
	scanned  *scanned
	doc      any
	quiet    bool
	oneField bool
	err      error
}

// findingLine is a finding as people's tools read it.
type findingLine struct {
	Doc        any     `json:"doc"`
	Field      *string `json:"field,omitempty"`
	Type       string  `json:"type"`
	Start      int     `json:"start"`
	End        int     `json:"end"`
	Score      float64 `json:"score"`
	TextSHA256 string  `json:"text_sha256"`
}

func newFindingLine(doc any, f *transforms.Finding) *findingLine {
	return &findingLine{Doc: doc, Type: f.Type, Start: f.Start, End: f.End, Score: float64(f.Score) / 1000, TextSHA256: f.TextSHA256.Hex()}
}

func (w *findingWriter) found(f transforms.Finding) {
	t := w.scanned.types[f.Type]
	if t == nil {
		t = &scannedType{last: -1}
		w.scanned.types[f.Type] = t
	}
	t.findings++
	t.score += int64(f.Score)
	if t.last != w.scanned.records {
		t.last = w.scanned.records
		t.records++
	}
	if w.quiet || w.err != nil {
		return
	}
	line := newFindingLine(w.doc, &f)
	if !w.oneField {
		line.Field = &f.Path
	}
	b, err := json.Marshal(line)
	if err == nil {
		_, err = w.out.Write(append(b, '\n'))
	}
	w.err = err
}

func (s *scanned) show(w io.Writer) {
	rows := [][]string{{"TYPE", "FINDINGS", "RECORDS", "MEAN SCORE"}}
	names := slices.SortedFunc(maps.Keys(s.types), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.types[b].findings, s.types[a].findings), cmp.Compare(a, b))
	})
	for _, name := range names {
		t := s.types[name]
		rows = append(rows, []string{plain(name), strconv.FormatInt(t.findings, 10), strconv.FormatInt(t.records, 10), fmt.Sprintf("%.2f", float64(t.score)/float64(t.findings)/1000)})
	}
	if len(names) > 0 {
		table(w, rows...)
	}
	fmt.Fprintf(w, "%s, %s looked at; what is not found may still be there\n", amount(s.records, "records"), byteSize(s.bytes))
}
