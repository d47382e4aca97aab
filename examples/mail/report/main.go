// SPDX-License-Identifier: Apache-2.0

// Command report makes a page that a creator can open: what was found in her mails and what was done about it, how that looks
// on made-up mails, and what it cost the classifier.
//
//	go run ./examples/mail/report -from bundle.json -steps steps.json -raw raw/metrics.json -redacted redacted/metrics.json -out report.html
//
// What was found comes from the bundle of the job in mode redacted, or from the manifest of a package that was redacted before it was sealed.
//
// Trust domain: the creator's machine. The page is one file without scripts. It has no word of any mail of hers: what it shows of
// texts was made up.
package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"os"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

//go:embed page.html
var page string

// Page is what the template shows.
type Page struct {
	Name     string
	Attested bool // by an enclave; else by the creator's own manifest
	Steps    []dataset.StepReport
	Total    int64
	Types    []Bar
	Left     *dataset.PIIScan
	Examples []Example
	Figures  []Figure
}

// Bar is a type with its share of the most frequent one.
type Bar struct {
	dataset.Count
	Percent int64
}

// Figure is a metric of both jobs.
type Figure struct{ Name, Raw, Redacted, Difference string }

func main() {
	name := flag.String("name", "mail", "of the dataset")
	from := flag.String("from", "", "bundle of the job on redacted mails, or the signed manifest of a package redacted before it was sealed")
	steps := flag.String("steps", "", "the steps file, for the examples")
	raw := flag.String("raw", "", "metrics.json of the job on mails as they are")
	redacted := flag.String("redacted", "", "metrics.json of the job on redacted mails")
	out := flag.String("out", "report.html", "the page")
	flag.Parse()
	if err := run(*name, *from, *steps, *raw, *redacted, *out); err != nil {
		fmt.Fprintln(os.Stderr, "report: error:", err)
		os.Exit(1)
	}
}

func run(name, from, steps, raw, redacted, out string) error {
	p := Page{Name: name}
	if err := p.read(from); err != nil {
		return err
	}
	pinned, err := readSteps(steps)
	if err != nil {
		return err
	}
	if p.Examples, err = examples(pinned); err != nil {
		return err
	}
	if p.Figures, err = compare(raw, redacted); err != nil {
		return err
	}
	t, err := template.New("page").Funcs(template.FuncMap{"short": short}).Parse(page)
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	return errors.Join(t.Execute(f, &p), f.Close())
}

func short(d fmt.Stringer) string {
	s := d.String()
	return s[:min(len(s), 19)] + "…"
}

// read reads what was done. Who checks signatures is glovebox, before: auditor verify, buyer open.
func (p *Page) read(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var signed struct {
		Payload []byte `json:"payload"`
		Usage   struct {
			Envelope struct {
				Payload []byte `json:"payload"`
			} `json:"dsseEnvelope"`
		} `json:"usage"`
	}
	var statement struct {
		Predicate struct {
			Transforms []dataset.StepReport `json:"transforms"`
			Metadata   struct {
				Transforms []dataset.StepReport `json:"gb:transforms"`
				Scan       *dataset.PIIScan     `json:"gb:piiScan"`
			} `json:"metadata"`
		} `json:"predicate"`
	}
	if err := json.Unmarshal(b, &signed); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	p.Attested = signed.Payload == nil
	if err := json.Unmarshal(append(signed.Payload, signed.Usage.Envelope.Payload...), &statement); err != nil {
		return fmt.Errorf("%s: neither a bundle nor a manifest: %w", file, err)
	}
	m := &statement.Predicate
	if p.Steps, p.Left = append(m.Transforms, m.Metadata.Transforms...), m.Metadata.Scan; len(p.Steps) == 0 {
		return fmt.Errorf("%s: records went through no steps", file)
	}
	p.types()
	return nil
}

// types adds up what all steps found.
func (p *Page) types() {
	most, at := int64(1), map[string]int{}
	for _, s := range p.Steps {
		for _, c := range s.Findings {
			i, ok := at[c.Name]
			if !ok {
				i = len(p.Types)
				at[c.Name] = i
				p.Types = append(p.Types, Bar{Count: dataset.Count{Name: c.Name}})
			}
			p.Types[i].Count.Count += c.Count
			p.Total += c.Count
			most = max(most, p.Types[i].Count.Count)
		}
	}
	for i := range p.Types {
		p.Types[i].Percent = max(1, 100*p.Types[i].Count.Count/most)
	}
}

// readSteps reads a steps file and pins what is not pinned.
func readSteps(file string) ([]dataset.Step, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []dataset.Step
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for i, s := range all {
		if all[i], err = builtin.Pin(s.Name, s.Config); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return all, nil
}

// figures are the metrics that the page shows.
var figures = []struct{ name, says string }{
	{"accuracy", "told rightly, of all test mails"},
	{"spamRecall", "told, of spam"},
	{"hamLost", "taken for spam, of ham"},
	{"records", "mails to learn from"},
	{"tested", "test mails"},
}

func compare(raw, redacted string) ([]Figure, error) {
	var a, b map[string]float64
	for file, to := range map[string]*map[string]float64{raw: &a, redacted: &b} {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, to); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	out := make([]Figure, 0, len(figures))
	for _, f := range figures {
		x, y := a[f.name], b[f.name]
		if x > 1 || y > 1 {
			out = append(out, Figure{f.says, fmt.Sprintf("%.0f", x), fmt.Sprintf("%.0f", y), fmt.Sprintf("%+.0f", y-x)})
			continue
		}
		out = append(out, Figure{f.says, fmt.Sprintf("%.2f %%", 100*x), fmt.Sprintf("%.2f %%", 100*y), fmt.Sprintf("%+.2f points", 100*(y-x))})
	}
	return out, nil
}
