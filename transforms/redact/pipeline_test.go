// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact"
)

// keys are made of a seed: as good as a dataset's for a test.
type keys string

func (k keys) Dataset(label string) [32]byte {
	return sha256.Sum256([]byte(string(k) + "/dataset/" + label))
}

func (k keys) Grant(label string) [32]byte {
	return sha256.Sum256([]byte(string(k) + "/grant/" + label))
}

// run is what came of a dataset.
type run struct {
	out      string
	names    []string
	findings []transforms.Finding
	report   transforms.Report
	figures  map[string]int64
	err      error
}

type maker = func(json.RawMessage, transforms.Schema, *transforms.Env) (transforms.Step, error)

// through takes a dataset through one step.
func through(t testing.TB, name string, make maker, config string, f dataset.Format, in []byte, k keys) (r run) {
	t.Helper()
	env := &transforms.Env{Keys: k, Finding: func(f transforms.Finding) { r.findings = append(r.findings, f) }}
	s := dataset.Step{Name: name, Digest: envelope.Sum([]byte(name)), Config: json.RawMessage(config)}
	b, err := envelope.Canonical(s.Config)
	if err != nil {
		t.Fatalf("%s: %v", config, err)
	}
	s.Config = b
	src, err := transforms.NewSource(bytes.NewReader(in), f)
	if err != nil {
		t.Fatal(err)
	}
	p, err := transforms.New(t.Context(), []dataset.Step{s}, src.Schema(), func(s *dataset.Step, in transforms.Schema, env *transforms.Env) (transforms.Step, error) {
		return make(s.Config, in, env)
	}, env)
	if err != nil {
		r.err = err
		return r
	}
	defer p.Close()
	var out bytes.Buffer
	w := transforms.NewWriter(&out, p.Out())
	r.err = p.Run(t.Context(), src, func(it transforms.Item) error {
		if f == dataset.FormatFiles {
			r.names = append(r.names, it.Name)
			out.Write(it.Raw)
			return nil
		}
		return w.Write(it)
	})
	r.out, r.report, r.figures = out.String(), p.Reports()[0], p.Figures()
	return r
}

func redacted(t testing.TB, config string, f dataset.Format, in string) run {
	t.Helper()
	return through(t, "redact", redact.New, config, f, []byte(in), "k")
}

// line redacts one JSON string.
func line(t testing.TB, config, text string, k keys) string {
	t.Helper()
	in, err := json.Marshal(map[string]string{"body": text})
	if err != nil {
		t.Fatal(err)
	}
	r := through(t, "redact", redact.New, config, dataset.FormatJSONL, append(in, '\n'), k)
	if r.err != nil {
		t.Fatalf("%s: %v", config, r.err)
	}
	var out map[string]string
	if err := json.Unmarshal([]byte(r.out), &out); err != nil {
		t.Fatalf("%s: %q: %v", config, r.out, err)
	}
	return out["body"]
}

// oneFile is a dataset of one file.
type oneFile struct {
	text []byte
	done bool
}

func (*oneFile) Schema() transforms.Schema { return transforms.Schema{Format: dataset.FormatFiles} }

func (f *oneFile) Next() (transforms.Item, error) {
	if f.done {
		return transforms.Item{}, io.EOF
	}
	f.done = true
	return transforms.Item{Raw: f.text, Name: "f"}, nil
}

// onFile takes one file through a step that was made before; false if nothing came out.
func onFile(t testing.TB, s transforms.Step, text []byte) (out []byte, ok bool) {
	t.Helper()
	step := dataset.Step{Name: "redact", Digest: envelope.Sum(nil), Config: json.RawMessage("{}")}
	src := &oneFile{text: text}
	p, err := transforms.New(t.Context(), []dataset.Step{step}, src.Schema(), func(*dataset.Step, transforms.Schema, *transforms.Env) (transforms.Step, error) {
		return s, nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Run(t.Context(), src, func(it transforms.Item) error {
		out, ok = bytes.Clone(it.Raw), true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out, ok
}

func op(t, operator string) string {
	return `{"detect":["` + t + `"],"operators":{"` + t + `":` + operator + `}}`
}
