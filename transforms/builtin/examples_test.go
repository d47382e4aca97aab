// SPDX-License-Identifier: Apache-2.0

package builtin_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
	"github.com/glovebox-dev/glovebox/transforms/choose"
	"github.com/glovebox-dev/glovebox/transforms/steptest"
)

// example is steps that a document shows, with what goes in and what comes out.
type example struct {
	steps   string
	in, out string
	from    int // where out begins in the document
}

// examples are the blocks of a document that follow each other: steps, records, records.
func examples(t *testing.T, doc, records string) (all []example) {
	t.Helper()
	for rest, at := doc, 0; ; {
		var e example
		for _, b := range []struct {
			lang string
			text *string
		}{{"json", &e.steps}, {records, &e.in}, {records, &e.out}} {
			fence := "```" + b.lang + "\n"
			i := strings.Index(rest, fence)
			if i < 0 && b.lang == "json" {
				return all
			}
			if i < 0 {
				t.Fatalf("%.60q has no example", e.steps)
			}
			rest, at = rest[i+len(fence):], at+i+len(fence)
			n := strings.Index(rest, "```")
			*b.text, e.from = rest[:n], at
			rest, at = rest[n:], at+n
		}
		all = append(all, e)
	}
}

// steps pins what a document shows.
func (e *example) pinned(t *testing.T) (out []dataset.Step) {
	t.Helper()
	var steps []struct {
		Step   string          `json:"step"`
		Config json.RawMessage `json:"config"`
	}
	if err := json.Unmarshal([]byte(e.steps), &steps); err != nil {
		t.Fatalf("%v\n%s", err, e.steps)
	}
	for _, s := range steps {
		out = append(out, pin(t, s.Step, string(s.Config)))
	}
	return out
}

// check compares an example with what happens; -update writes the document.
func (e *example) check(t *testing.T, path, doc, got string) string {
	t.Helper()
	if got == e.out {
		return doc
	}
	if !*update {
		t.Errorf("%s: of %s\n got\n%s\nit says\n%s", path, e.steps, got, e.out)
		return doc
	}
	return doc[:e.from] + got + doc[e.from+len(e.out):]
}

// TestDocumentedChoices runs what docs/transforms/choose.md shows.
func TestDocumentedChoices(t *testing.T) {
	const path = "../../docs/transforms/choose.md"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	all := examples(t, doc, "jsonl")
	if len(all) != 3 {
		t.Fatalf("%d examples", len(all))
	}
	for _, e := range slices.Backward(all) { // places before stay as they are
		src, err := transforms.NewSource(strings.NewReader(e.in), dataset.FormatJSONL)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w := transforms.NewWriter(&out, src.Schema())
		runExample(t, e.pinned(t), src, w.Write)
		doc = e.check(t, path, doc, out.String())
	}
	if said := strings.Join(choose.Languages(), ", "); !strings.Contains(strings.ReplaceAll(doc, "\n", " "), said+". ") {
		t.Errorf("%s does not list the languages %s", path, said)
	}
	rewrite(t, path, string(b), doc)
}

func rewrite(t *testing.T, path, was, is string) {
	t.Helper()
	if was == is {
		return
	}
	if err := os.WriteFile(path, []byte(is), 0o644); err != nil {
		t.Fatal(err)
	}
}

func runExample(t *testing.T, steps []dataset.Step, src transforms.Source, sink func(transforms.Item) error) []transforms.Report {
	t.Helper()
	p, err := transforms.New(t.Context(), steps, src.Schema(), builtin.New, steptest.Env())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Run(t.Context(), src, sink); err != nil {
		t.Fatal(err)
	}
	return p.Reports()
}

// TestDocumentedPictures runs what docs/transforms/media.md shows, and looks for the reasons that it lists.
func TestDocumentedPictures(t *testing.T) {
	const path = "../../docs/transforms/media.md"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	all := examples(t, doc, "files")
	if len(all) != 1 {
		t.Fatalf("%d examples", len(all))
	}
	files := fstest.MapFS{}
	for line := range strings.Lines(all[0].in) {
		name, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if text = strings.TrimSpace(text); text == "picture with a comment" {
			text = commented(t)
		}
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	src, err := transforms.NewFilesSource(files)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	reports := runExample(t, all[0].pinned(t), src, func(it transforms.Item) error {
		if bytes.Contains(it.Raw, []byte("Anna")) {
			t.Error("the comment is still there")
		}
		fmt.Fprintln(&out, it.Name)
		return nil
	})
	for _, c := range reports[0].Quarantined {
		fmt.Fprintf(&out, "quarantined: %s %d\n", c.Name, c.Count)
	}
	for _, c := range reports[0].Findings {
		fmt.Fprintf(&out, "found: %s %d\n", c.Name, c.Count)
	}
	rewrite(t, path, doc, all[0].check(t, path, doc, out.String()))
	source, err := os.ReadFile("../media/media.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(source)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " = \"")
		name = strings.TrimSpace(name)
		if !ok || !strings.HasPrefix(name, "reason") && !strings.HasPrefix(name, "type") {
			continue
		}
		if n++; !strings.Contains(doc, "`"+strings.TrimSuffix(value, "\"")+"`") {
			t.Errorf("%s does not have %s", path, value)
		}
	}
	if n < 15 {
		t.Errorf("%d reasons and types in the source", n)
	}
}

// commented is a PNG with a comment.
func commented(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	const text = "tEXtComment\x00Anna at home"
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(text)-4))
	chunk = binary.BigEndian.AppendUint32(append(chunk, text...), crc32.ChecksumIEEE([]byte(text)))
	const head = 8 + 25 // signature and IHDR
	return string(slices.Insert(b.Bytes(), head, chunk...))
}
