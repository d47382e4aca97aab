// SPDX-License-Identifier: Apache-2.0

package transforms_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
)

// moody is a step that fails at records with the word "fail", and at the end if it saw none with "seen".
type moody struct{ seen bool }

var errMoody = errors.New("moody")

func (*moody) Schema(in transforms.Schema) (transforms.Schema, error) { return in, nil }

func (m *moody) Transform(r *transforms.Record, _ *transforms.Trace) (transforms.Verdict, error) {
	for _, f := range r.Fields() {
		switch string(f.Text) {
		case "fail":
			return transforms.Refused, errMoody
		case "nothing":
			return transforms.Refused, nil
		case "seen":
			m.seen = true
		}
	}
	return transforms.Keep, nil
}

func (m *moody) Finish(*transforms.Trace) error {
	if !m.seen {
		return errMoody
	}
	return nil
}

// TestOneRecordEndsThePipeline: where no record may decide on the others', what a step fails at is left out, and what it misses at
// the end is nobody's to know. Elsewhere both end the run.
func TestOneRecordEndsThePipeline(t *testing.T) {
	for text, left := range map[string]string{
		`{"a":"seen"}|{"a":"fail"}|{"a":"b"}`:    `{"a":"seen"}|{"a":"b"}`,
		`{"a":"seen"}|{"a":"nothing"}|{"a":"b"}`: `{"a":"seen"}|{"a":"b"}`,
		`{"a":"b"}`:                              `{"a":"b"}`,
		`{"a":"seen"}|{"a":`:                     `{"a":"seen"}`,
	} {
		for _, alone := range []bool{true, false} {
			src, err := transforms.NewSource(strings.NewReader(strings.ReplaceAll(text, "|", "\n")+"\n"), dataset.FormatJSONL)
			if err != nil {
				t.Fatal(err)
			}
			maker := func(*dataset.Step, transforms.Schema, *transforms.Env) (transforms.Step, error) { return &moody{}, nil }
			step := dataset.Step{Name: "drop", Config: json.RawMessage(`{}`)}
			step.Digest[0] = 1
			p, err := transforms.New(t.Context(), []dataset.Step{step}, src.Schema(), maker, &transforms.Env{Alone: alone})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			err = p.Run(t.Context(), src, func(it transforms.Item) error {
				got = append(got, string(it.Raw))
				return nil
			})
			ends := !strings.Contains(text, "seen") || strings.Contains(text, "fail") || strings.Contains(text, "nothing")
			switch {
			case alone && (err != nil || strings.Join(got, "|") != left):
				t.Errorf("%s: left %q, %v", text, got, err)
			case !alone && ends != (err != nil):
				t.Errorf("%s: %v", text, err)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	full := errors.New("full") // of whoever takes the records, who answers for it
	src, err := transforms.NewSource(strings.NewReader("{}\n"), dataset.FormatJSONL)
	if err != nil {
		t.Fatal(err)
	}
	p, err := transforms.New(t.Context(), nil, src.Schema(), nil, &transforms.Env{Alone: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context(), src, func(transforms.Item) error { return full }); !errors.Is(err, full) || errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
