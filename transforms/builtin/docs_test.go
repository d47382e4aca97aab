// SPDX-License-Identifier: Apache-2.0

package builtin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
	"github.com/glovebox-dev/glovebox/transforms/redact/scan"
)

// page is the documentation of the catalogue. Its generated parts stand between comments that name them.
const page = "../../docs/transforms.md"

// TestDocumentation: what docs/transforms.md says of steps, operators and recognisers is what they do. -update writes it.
func TestDocumentation(t *testing.T) {
	was, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	is := string(was)
	for name, text := range map[string]string{
		"catalogue": catalogueTable(), "recognisers": recogniserTable(), "operators": operatorTable(t), "trace": traceExample(t),
	} {
		begin, end := "<!-- generated: "+name+" -->\n", "<!-- end: "+name+" -->"
		from, to := strings.Index(is, begin), strings.Index(is, end)
		if from < 0 || to < from {
			t.Fatalf("%s: no part %q", page, name)
		}
		is = is[:from+len(begin)] + text + is[to:]
	}
	if is == string(was) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the catalogue says: go test ./transforms/builtin -run Documentation -args -update", page)
	}
	if err := os.WriteFile(page, []byte(is), 0o644); err != nil {
		t.Fatal(err)
	}
}

// cell is a text in a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func catalogueTable() string {
	var b strings.Builder
	b.WriteString("| step | what it does | may leave records out | needs | configuration |\n|---|---|---|---|---|\n")
	for _, e := range builtin.Describe() {
		out := "no"
		if e.Shape == dataset.ShapeFilter {
			out = "yes"
		}
		var members []string
		for _, m := range e.Members {
			members = append(members, "`"+m.Name+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", e.Name, cell(e.What), out, e.Needs, strings.Join(members, ", "))
	}
	return b.String()
}

func recogniserTable() string {
	var b strings.Builder
	b.WriteString("| rule | type | what it finds | who lays the form down |\n|---|---|---|---|\n")
	for _, r := range scan.Recognisers() {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", r.Rule, r.Type, cell(r.Finds), cell(r.Source))
	}
	return b.String()
}

// operatorExamples are made up, as are all texts here.
var operatorExamples = []struct{ operator, kind, text, what string }{
	{`{"op":"replace"}`, "EMAIL_ADDRESS", "Write to jane.roe@acme.com.", "the type in its place; what types without an operator get"},
	{`{"op":"replace","text":"[gone]"}`, "EMAIL_ADDRESS", "Write to jane.roe@acme.com.", "a text of yours"},
	{`{"op":"redact"}`, "EMAIL_ADDRESS", "Write to jane.roe@acme.com.", "nothing; a space where two words would become one"},
	{`{"op":"mask","last":4}`, "CREDIT_CARD", "Card 4111-1111-1111-1111.", "one character for letters and digits; `first` and `last` are kept where that is at most half; `char` is `*`"},
	{`{"op":"hash"}`, "EMAIL_ADDRESS", "Write to jane.roe@acme.com.", "HMAC-SHA256 to 128 bits, in base32: equal texts have equal names. `scope` says under whose key: `dataset`, or `grant`, where no two jobs can be joined"},
	{`{"op":"encrypt"}`, "EMAIL_ADDRESS", "Write to jane.roe@acme.com.", "AES-256-GCM with a synthetic nonce; the creator can reveal it, nobody else"},
	{`{"op":"surrogate"}`, "PERSON", "Ask Maria Lindqvist, or Mr. Lindqvist.", "something like it, chosen by the key: the same for the same text in the whole dataset, with the right check digits where there are such, in ranges that are nobody's where there are such"},
	{`{"op":"surrogate"}`, "PHONE_NUMBER", "Call (212) 736-5000.", "the same, of a telephone number"},
	{`{"op":"shift","days":30}`, "DATE_TIME", "Seen on Saturday, May 12, 1990.", "another date, at most `days` away, by a keyed number of days: one for the dataset, or with `by` one for each value of a field"},
	{`{"op":"bucket"}`, "DATE_TIME", "Seen on Saturday, May 12, 1990.", "the month, or with `date` the `year`"},
	{`{"op":"bucket","width":5}`, "AGE", "He is 34 years old.", "a range of `width`; from 90 on it is `90+`"},
}

func operatorTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| operator | before | after | what it writes |\n|---|---|---|---|\n")
	for _, e := range operatorExamples {
		out, _ := redactLine(t, `{"detect":["`+e.kind+`"],"operators":{"`+e.kind+`":`+e.operator+`}}`, e.text)
		if out == e.text {
			t.Errorf("%s changes nothing in %q", e.operator, e.text)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.operator, code(e.text), code(out), cell(e.what))
	}
	return b.String()
}

func code(s string) string { return "`" + cell(s) + "`" }

// redactLine redacts one text, in a member "body".
func redactLine(t *testing.T, config, text string) (string, []transforms.Finding) {
	t.Helper()
	s, err := builtin.Pin("redact", json.RawMessage(config))
	if err != nil {
		t.Fatal(err)
	}
	in, err := json.Marshal(map[string]string{"body": text})
	if err != nil {
		t.Fatal(err)
	}
	src, err := transforms.NewSource(bytes.NewReader(append(in, '\n')), dataset.FormatJSONL)
	if err != nil {
		t.Fatal(err)
	}
	var found []transforms.Finding
	env := &transforms.Env{Keys: keys{}, Finding: func(f transforms.Finding) { found = append(found, f) }}
	p, err := transforms.New(t.Context(), []dataset.Step{s}, src.Schema(), builtin.New, env)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var out map[string]string
	if err := p.Run(t.Context(), src, func(it transforms.Item) error { return json.Unmarshal(it.Raw, &out) }); err != nil {
		t.Fatal(err)
	}
	return out["body"], found
}

func traceExample(t *testing.T) string {
	t.Helper()
	const text = "SSN 219-09-9999, card 4111 1111 1111 1112, order 4111111111111111."
	out, found := redactLine(t, `{"detect":["US_SSN","CREDIT_CARD"],"minScore":0.2,"operators":{"CREDIT_CARD":{"op":"mask","last":4}}}`, text)
	var b strings.Builder
	fmt.Fprintf(&b, "```\n%s\n%s\n\n", text, out)
	fmt.Fprintf(&b, "%-12s %-5s %3s %3s %5s  %-8s %-26s %s\n", "type", "path", "at", "end", "score", "rule", "why", "action")
	for _, f := range found {
		fmt.Fprintf(&b, "%-12s %-5s %3d %3d %5d  %-8s %-26s %s\n", f.Type, f.Path, f.Start, f.End, f.Score, f.Rule, strings.Join(f.Why, ", "), f.Action)
	}
	b.WriteString("```\n")
	return b.String()
}
