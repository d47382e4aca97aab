// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"maps"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Report is what a step did to a dataset. It goes into manifests and usage attestations.
type Report struct {
	Step                  string
	ID, Digest, Config    envelope.Digest
	RecordsIn, RecordsOut int64
	BytesIn, BytesOut     int64
	Findings              []Count // by type, sorted
	Quarantined           []Count // by reason, sorted
	Fuel                  int64   // of modules
	Unread                int64   // records that passed a step that only looks, and could not be looked at, or not all of them
}

// Stated is a report as signed statements have it.
type Stated struct {
	dataset.StepReport
	Fuel int64 // of modules
}

// Stated are the reports for statements that others read: figures in which a module had a hand are rounded, so that what it could say
// by them is little.
func (p *Pipeline) Stated() []Stated {
	made, out := false, make([]Stated, 0, len(p.stages))
	for _, r := range p.Reports() {
		s := Stated{dataset.StepReport{
			Step: r.Step, ID: r.ID, Digest: r.Digest, Config: r.Config, RecordsIn: r.RecordsIn, RecordsOut: r.RecordsOut,
			BytesIn: r.BytesIn, BytesOut: r.BytesOut, Findings: r.Findings, Quarantined: r.Quarantined,
		}, dataset.Rounded(r.Fuel)}
		if made || r.Step == dataset.StepModule {
			s.Round(made)
			made = true
		}
		out = append(out, s)
	}
	return out
}

// Count is how many there were of something.
type Count = dataset.Count

// Trace is where a step says what it found. Its methods are for the step at hand.
type Trace struct {
	step     int
	record   int64
	tell     func(Finding)
	findings map[string]int64
	reasons  map[string]int64
	reason   string
	figures  map[string]int64
	unread   int64
}

func newTrace(step int, tell func(Finding)) *Trace {
	return &Trace{step: step, tell: tell, findings: map[string]int64{}, reasons: map[string]int64{}, figures: map[string]int64{}}
}

// Detailed reports whether anybody wants more than counts: else [Trace.Found] needs no offsets.
func (t *Trace) Detailed() bool { return t.tell != nil }

// Found counts a finding and, where somebody listens, tells it.
func (t *Trace) Found(f Finding) {
	t.Count(f.Type, 1)
	if t.tell != nil {
		f.Step, f.Record = t.step, t.record
		t.tell(f)
	}
}

// Count counts findings of a type.
func (t *Trace) Count(kind string, n int64) {
	if _, ok := t.findings[kind]; !ok && len(t.findings) >= MaxTypes-1 {
		kind = dataset.OtherFinding
	}
	t.findings[kind] += n
}

// Reason says why the record at hand is quarantined: a few constant words, nothing of the record.
func (t *Trace) Reason(why string) { t.reason = why }

// Figure keeps a figure of the whole dataset for the manifest, e.g. "k".
func (t *Trace) Figure(name string, n int64) { t.figures[name] = n }

// Figures are those that steps kept.
func (t *Trace) Figures() map[string]int64 { return t.figures }

func (t *Trace) quarantine() {
	why := t.reason
	if why == "" {
		why = "unsafe"
	}
	t.reason = ""
	t.reasons[why]++
}

func counts(m map[string]int64) []Count {
	out := make([]Count, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, Count{Name: name, Count: m[name]})
	}
	return out
}
