// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"html/template"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/examples/mail"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

// Example is a made-up mail before and after the steps.
type Example struct{ Before, After template.HTML }

// exampleKeys stand in for the package's: pseudonyms in the examples are not those of the dataset.
type exampleKeys struct{}

func (exampleKeys) Dataset(label string) [32]byte { return envelope.Hash("example", []byte(label)) }
func (exampleKeys) Grant(label string) [32]byte   { return envelope.Hash("example grant", []byte(label)) }

// shown is how many made-up mails are on the page.
const shown = 4

// examples takes made-up mails through the steps.
func examples(steps []dataset.Step) ([]Example, error) {
	all := mail.MadeUp(40, 7)
	var lines bytes.Buffer
	if err := mail.Write(&lines, all); err != nil {
		return nil, err
	}
	src, err := transforms.NewSource(&lines, dataset.FormatJSONL)
	if err != nil {
		return nil, err
	}
	found := map[int64][]transforms.Finding{}
	ctx := context.Background()
	p, err := transforms.New(ctx, steps, src.Schema(), builtin.New, &transforms.Env{
		Keys: exampleKeys{}, Finding: func(f transforms.Finding) { found[f.Record] = append(found[f.Record], f) },
	})
	if err != nil {
		return nil, err
	}
	after := map[string]mail.Record{}
	err = p.Run(ctx, src, func(it transforms.Item) error {
		var r mail.Record
		err := json.Unmarshal(it.Raw, &r)
		after[r.ID] = r
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := p.Close(); err != nil {
		return nil, err
	}
	var out []Example
	for i := range all {
		if r, ok := after[all[i].ID]; ok && len(out) < shown {
			out = append(out, Example{before(&all[i], found[int64(i)]), tokens(&r)})
		}
	}
	return out, nil
}

// before is a mail with its findings marked.
func before(r *mail.Record, found []transforms.Finding) template.HTML {
	var b strings.Builder
	for _, f := range []struct{ path, name, text string }{
		{"from", "From: ", r.From}, {"to", "To: ", r.To}, {"date", "Date: ", r.Date}, {"subject", "Subject: ", r.Subject}, {"body", "\n", r.Body},
	} {
		b.WriteString(template.HTMLEscapeString(f.name))
		text, at := []rune(f.text), 0
		mine := slices.DeleteFunc(slices.Clone(found), func(g transforms.Finding) bool { return g.Path != f.path })
		slices.SortFunc(mine, func(a, b transforms.Finding) int { return a.Start - b.Start })
		for _, g := range mine {
			if g.Start < at || g.End > len(text) {
				continue
			}
			b.WriteString(template.HTMLEscapeString(string(text[at:g.Start])))
			b.WriteString(`<mark title="` + template.HTMLEscapeString(g.Type) + `">` + template.HTMLEscapeString(string(text[g.Start:g.End])) + "</mark>")
			at = g.End
		}
		b.WriteString(template.HTMLEscapeString(string(text[at:])) + "\n")
	}
	return template.HTML(b.String()) //nolint:gosec // every part is escaped above
}

// tokens is a mail with what stands in place of findings marked.
func tokens(r *mail.Record) template.HTML {
	var b strings.Builder
	for s := r.Text(); s != ""; {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			b.WriteString(template.HTMLEscapeString(s))
			break
		}
		n := i + 1
		for n < len(s) && (s[n] >= 'A' && s[n] <= 'Z' || s[n] == '_' || s[n] >= '0' && s[n] <= '9') {
			n++
		}
		if n == i+1 || n >= len(s) || s[n] != '>' {
			b.WriteString(template.HTMLEscapeString(s[:i+1]))
			s = s[i+1:]
			continue
		}
		b.WriteString(template.HTMLEscapeString(s[:i]) + "<ins>" + template.HTMLEscapeString(s[i:n+1]) + "</ins>")
		s = s[n+1:]
	}
	return template.HTML(b.String()) //nolint:gosec // every part is escaped above
}
