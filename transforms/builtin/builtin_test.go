// SPDX-License-Identifier: Apache-2.0

package builtin_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

func TestPinAndNew(t *testing.T) {
	s, err := builtin.Pin("scan", map[string]any{"act": "report", "detect": []string{"contact"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"act":"report","detect":["contact"]}`; string(s.Config) != want || s.Digest != builtin.Digest("scan") || s.Epsilon != 0 {
		t.Errorf("got %s %s %d, want %s", s.Config, s.Digest, s.Epsilon, want)
	}
	if _, err := builtin.New(&s, transforms.Schema{Format: dataset.FormatJSONL}, nil); err != nil {
		t.Error(err)
	}
	other := s
	other.Digest = envelope.Sum([]byte("another release"))
	if _, err := builtin.New(&other, transforms.Schema{}, nil); !errors.Is(err, transforms.ErrUnknown) ||
		!strings.Contains(err.Error(), other.Digest.String()) || !strings.Contains(err.Error(), s.Digest.String()) {
		t.Errorf("a step with another digest: %v", err)
	}
	spends := s
	spends.Epsilon = 1
	if _, err := builtin.New(&spends, transforms.Schema{}, nil); !errors.Is(err, transforms.ErrConfig) {
		t.Errorf("a step that says it spends what it does not: %v", err)
	}
	unknown := dataset.Step{Name: "redakt", Digest: s.Digest, Config: s.Config}
	if _, err := builtin.New(&unknown, transforms.Schema{}, nil); !errors.Is(err, transforms.ErrUnknown) {
		t.Errorf("a name that there is not: %v", err)
	}
}

func TestPinRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		step   string
		config any
		err    error
	}{
		"unknown name":    {"redakt", map[string]any{}, transforms.ErrUnknown},
		"unknown member":  {"scan", map[string]any{"act": "report", "detects": 1}, transforms.ErrConfig},
		"not an object":   {"scan", []int{1}, transforms.ErrConfig},
		"wrong type":      {"scan", map[string]any{"act": 1}, transforms.ErrConfig},
		"not encodable":   {"scan", func() {}, transforms.ErrConfig},
		"missing":         {"scan", map[string]any{}, transforms.ErrConfig},
		"null":            {"scan", nil, transforms.ErrConfig},
		"too large":       {"scan", map[string]any{"act": "report", "allow": []string{strings.Repeat("x", 300<<10)}}, transforms.ErrConfig},
		"unknown in list": {"redact", map[string]any{"detect": []string{"EMAIL"}}, transforms.ErrConfig},
	} {
		if _, err := builtin.Pin(c.step, c.config); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}

// TestCatalogue holds entries to what documents and statements need of them.
func TestCatalogue(t *testing.T) {
	seen := map[envelope.Digest]string{}
	for _, e := range builtin.Describe() {
		switch {
		case e.Name == "" || e.Version == "" || e.What == "" || e.New == nil || len(e.Name) > dataset.MaxStepName:
			t.Errorf("%q is incomplete", e.Name)
		case (e.Shape == dataset.ShapeMap) != dataset.KeepsAll(e.Name):
			t.Errorf("%s has shape %s, and auditors hold it to another", e.Name, e.Shape)
		case e.Shape != dataset.ShapeMap && e.Shape != dataset.ShapeFilter:
			t.Errorf("%s has shape %q", e.Name, e.Shape)
		}
		if d := builtin.Digest(e.Name); d.IsZero() || seen[d] != "" {
			t.Errorf("%s has the digest %s, as %s has", e.Name, d, seen[d])
		} else {
			seen[d] = e.Name
		}
	}
	if len(seen) == 0 || len(builtin.Names()) != len(seen) || !builtin.Digest("none").IsZero() {
		t.Errorf("names %v", builtin.Names())
	}
}
