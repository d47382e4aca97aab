// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/policies/terms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

// modeSteps pins the steps of a privacy mode: those of a steps file, or those that the mode's parameters stand for.
func modeSteps(p *terms.Plan, file []byte) ([]dataset.Step, error) {
	if file != nil {
		steps, err := parseSteps(file)
		if err == nil && dataset.Noisy(p.Mode) {
			err = builtin.Private(steps)
		}
		return steps, err
	}
	name, config := "", any(nil)
	switch p.Mode {
	case dataset.ModeRedacted:
		name, config = dataset.StepRedact, map[string]any{"detect": p.Words["detect"], "keys": true}
	case dataset.ModePseudonymised:
		name, config = dataset.StepTokenise, map[string]any{"fields": fieldRefs(p.Words["fields"]), "scope": "grant"}
	case dataset.ModeKAnonymous:
		most := p.Numbers["suppress"]
		name, config = dataset.StepKAnon, map[string]any{
			"k": p.Numbers["k"], "quasi": fieldRefs(p.Words["fields"]), "maxSuppressed": json.Number(fraction(most, 6)),
		}
	default:
		return nil, fmt.Errorf("mode %s has steps of its own only in a steps file", p.Mode)
	}
	s, err := builtin.Pin(name, config)
	if err != nil {
		return nil, err
	}
	return []dataset.Step{s}, nil
}

func fieldRefs(names []string) []map[string]string {
	out := make([]map[string]string, 0, len(names))
	for _, n := range names {
		out = append(out, map[string]string{"field": n})
	}
	return out
}

// flagModes are the modes that need no more than flags say: what others may spend is in a terms file.
func flagModes() []string { return slices.DeleteFunc(dataset.Modes(), dataset.Private) }

// modeFlags are privacy modes on the command line: a mode alone, or with its steps file, and what the mode redacted finds.
type modeFlags struct{ modes, detect []string }

// set writes them into terms.
func (f *modeFlags) set(d *terms.Document) error {
	if len(f.detect) > 0 && !slices.Contains(f.modes, dataset.ModeRedacted) {
		return Errorf(KindUsage, "add --mode %s", dataset.ModeRedacted).because("--detect is of mode %s", dataset.ModeRedacted)
	}
	for _, m := range f.modes {
		name, file, with := strings.Cut(m, "=")
		params := map[string][]string{}
		switch {
		case dataset.Private(name):
			return Errorf(KindUsage, "write terms with modes: {%s: {epsilon: …, delta: …}} and a privacy account, as docs/terms.md shows, and give them with --terms", name).
				because("--mode %s spends epsilon, and no flag says how much", name)
		case with:
			params["steps"] = []string{file}
		case name == dataset.ModeRedacted && len(f.detect) > 0:
			params["detect"] = f.detect
		case name == dataset.ModeRedacted:
			return Errorf(KindUsage, "add --detect TYPES, or write --mode %s=STEPS.json", name).because("--mode %s does not say what it replaces", name)
		case name != dataset.ModeRaw && dataset.Enforced(name):
			return Errorf(KindUsage, "write --mode %s=STEPS.json, or name its parameters in a terms file", name).because("--mode %s rests on steps, and names none", name)
		}
		d.SetMode(name, "--mode", params)
	}
	return nil
}

// putModules keeps the modules that the terms' steps name beside the sealed records, where a host and an enclave find them.
func putModules(ctx context.Context, store dataset.Store, t *dataset.Terms, modules map[envelope.Digest][]byte) error {
	for _, id := range t.Modules() {
		module, ok := modules[id]
		if !ok {
			if _, err := store.Size(ctx, id); err == nil {
				continue // of a version before
			}
			return Errorf(KindUsage, "give the module's file with --module").because("the terms name a step that is a module with digest %s", id)
		}
		if _, _, err := store.Put(ctx, bytes.NewReader(module)); err != nil {
			return err
		}
	}
	return nil
}

// stepView is a step of a privacy mode for people: what it does, and how it is configured.
type stepView struct {
	Step   string          `json:"step"`
	ID     envelope.Digest `json:"id"`
	Says   string          `json:"says"`
	Config json.RawMessage `json:"config"`
}

// viewSteps are the steps that a mode has in terms.
func viewSteps(t *dataset.Terms, mode string) ([]stepView, error) {
	out := []stepView{}
	for _, s := range t.StepsFor(mode) {
		id, err := s.ID()
		if err != nil {
			return nil, err
		}
		out = append(out, stepView{s.Name, id, stepSays(&s), s.Config})
	}
	return out, nil
}

// stepSays is what a step does to records, in one sentence without an end.
func stepSays(s *dataset.Step) string {
	if s.Name == dataset.StepModule {
		return map[string]string{
			dataset.ShapeMap:    "a module of the creator's changes each record",
			dataset.ShapeFilter: "a module of the creator's changes each record, or leaves it out",
			dataset.ShapeAny:    "a module of the creator's makes any records of these",
		}[s.Shape]
	}
	for _, e := range builtin.Describe() {
		if e.Name == s.Name {
			return e.What
		}
	}
	return "a step that this release does not know"
}

// modeView is a privacy mode with its steps.
type modeView struct {
	Mode  string     `json:"mode"`
	Steps []stepView `json:"steps"`
}

func printSteps(w io.Writer, steps []stepView) {
	for i, s := range steps {
		fmt.Fprintf(w, "  %d. %s: %s\n     %s\n", i+1, plain(s.Step), plain(s.Says), oneLine(string(s.Config)))
	}
}

// oneLine cuts what would fill the screen.
func oneLine(s string) string {
	const most = 160
	s = plain(s)
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + " …"
	}
	return s
}

// keepModules puts the modules of terms into the owner's store.
func (o *owner) keepModules(ctx context.Context, t *dataset.Terms, paths []string) error {
	if len(t.Modules()) == 0 {
		return nil
	}
	modules, err := readModules(paths)
	if err != nil {
		return err
	}
	store, err := o.blobs(ctx)
	if err != nil {
		return err
	}
	return putModules(ctx, store, t, modules)
}
