// SPDX-License-Identifier: Apache-2.0

// Command report makes a page that a creator can open: what was found in her mails and what was done about it, how that looks
// on made-up mails, and what it cost the classifier.
//
//	go run ./examples/mail/report -manifest alice/packages/…/manifest.dsse -steps steps.json -raw raw/metrics.json -redacted redacted/metrics.json -out report.html
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
	Name, Manifest string
	Records        int64
	Steps          []dataset.StepReport
	Total          int64
	Types          []Bar
	Left           *dataset.PIIScan
	Examples       []Example
	Figures        []Figure
}

// Bar is a type with its share of the most frequent one.
type Bar struct {
	dataset.Count
	Percent int64
}

// Figure is a metric of both jobs.
type Figure struct{ Name, Raw, Redacted, Difference string }

func main() {
	manifest := flag.String("manifest", "", "the redacted package's signed manifest")
	steps := flag.String("steps", "", "the steps file, for the examples")
	raw := flag.String("raw", "", "metrics.json of the job on mails as they are")
	redacted := flag.String("redacted", "", "metrics.json of the job on redacted mails")
	out := flag.String("out", "report.html", "the page")
	flag.Parse()
	if err := run(*manifest, *steps, *raw, *redacted, *out); err != nil {
		fmt.Fprintln(os.Stderr, "report: error:", err)
		os.Exit(1)
	}
}

func run(manifest, steps, raw, redacted, out string) error {
	var p Page
	if err := p.manifest(manifest); err != nil {
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

// manifest reads what the package says publicly. The file is the creator's own: who checks it for others is glovebox.
func (p *Page) manifest(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var signed struct {
		Payload []byte `json:"payload"`
	}
	var statement struct {
		Predicate struct {
			Name     string `json:"name"`
			Records  int64  `json:"records"`
			Metadata struct {
				Transforms []dataset.StepReport `json:"gb:transforms"`
				Scan       *dataset.PIIScan     `json:"gb:piiScan"`
			} `json:"metadata"`
		} `json:"predicate"`
	}
	if err := json.Unmarshal(b, &signed); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := json.Unmarshal(signed.Payload, &statement); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	m := &statement.Predicate
	if len(m.Metadata.Transforms) == 0 {
		return fmt.Errorf("%s: the package was sealed without steps", file)
	}
	p.Name, p.Records, p.Steps, p.Left = m.Name, m.Records, m.Metadata.Transforms, m.Metadata.Scan
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
