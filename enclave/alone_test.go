// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms"
)

// sifted is what steps leave of JSON records in a mode, by the places that they had.
func sifted(t *testing.T, mode, text string, steps ...dataset.Step) (left []string, err error) {
	t.Helper()
	g := &envelope.Verified[grant.Grant]{ID: envelope.Sum([]byte("grant"))}
	g.Predicate.Obligations.Mode = mode
	m := &dataset.Manifest{Format: dataset.FormatJSONL}
	m.Terms.Steps = []dataset.ModeSteps{{Mode: mode, Steps: steps}}
	p := &pack{m: m, grant: g, keys: dataset.Keys{Package: dataset.NewKey()}}
	err = (&attempt{}).sift(t.Context(), p, strings.NewReader(text), &records{}, func(it transforms.Item, at int64) error {
		left = append(left, fmt.Sprintf("%d %s", at, it.Raw))
		return nil
	})
	return left, err
}

// TestOneRecordEndsTheRun: whether some record has a field tells nobody anything, though a step that asks for it should not have been
// in the terms. In other modes a misspelt name still ends the run.
func TestOneRecordEndsTheRun(t *testing.T) {
	suppress := pin(t, "suppress", map[string]any{"fields": []map[string]any{{"field": "hiv"}}})
	redact := pin(t, "redact", map[string]any{"fields": []string{"hiv"}, "detect": []string{"EMAIL_ADDRESS"}})
	for _, step := range []dataset.Step{suppress, redact} {
		for _, mode := range []string{dataset.ModeTraining, dataset.ModeRelease, dataset.ModeAggregate, dataset.ModeRedacted} {
			for _, odd := range []string{`{"n":1}`, `{"n":1,"hiv":"yes"}`} {
				left, err := sifted(t, mode, `{"n":0}`+"\n"+odd+"\n"+`{"n":2}`+"\n", step)
				misspelt := mode == dataset.ModeRedacted && !strings.Contains(odd, "hiv")
				if misspelt != (err != nil) || err == nil && (len(left) != 3 || left[0] != `0 {"n":0}`) {
					t.Errorf("%s in %s of %s: %q, %v", step.Name, mode, odd, left, err)
				}
			}
		}
	}
}

// TestRecordThatStepsBlowUp: one that steps make much longer counts for nothing, so that no record decides whether all have room.
func TestRecordThatStepsBlowUp(t *testing.T) {
	step := pin(t, "generalise", map[string]any{"fields": []map[string]any{
		{"field": "a[]", "optional": true, "groups": []map[string]any{{"name": strings.Repeat("long", 20), "values": []string{"x"}}}},
	}})
	big := `{"a":[` + strings.Repeat(`"x",`, 100) + `"x"]}`
	left, err := sifted(t, dataset.ModeRelease, `{"n":0}`+"\n"+big+"\n"+`{"a":["x"]}`+"\n", step)
	if err != nil || len(left) != 2 || left[0] != `0 {"n":0}` || !strings.HasPrefix(left[1], "2 ") || !strings.Contains(left[1], "longlong") {
		t.Errorf("%.200q, %v", left, err)
	}
	r := &attempt{job: &envelope.Verified[job.Job]{}, packages: []*pack{{}, {m: &dataset.Manifest{}, granted: &dataset.Selection{Records: 10, RawBytes: 5000}}}}
	r.job.Predicate.Mode = dataset.ModeRelease
	if got := r.heldBytes(); got != 5000 {
		t.Errorf("%d bytes without steps", got)
	}
	r.packages[1].m.Terms.Steps = []dataset.ModeSteps{{Mode: dataset.ModeRelease, Steps: []dataset.Step{step}}}
	if got := r.heldBytes(); got < 10*grown(500) {
		t.Errorf("%d bytes, and records may have %d", got, 10*grown(500))
	}
}

// TestFailureForFree: a run that read records and then did nothing has spent all that was declared; one that read none, nothing.
func TestFailureForFree(t *testing.T) {
	_, order := privately(t, 4, 1)
	r := &attempt{job: &envelope.Verified[job.Job]{}}
	order(&r.job.Predicate)
	for _, kind := range []dataset.Kind{dataset.KindCode, dataset.KindDataset, dataset.KindDataset} {
		r.packages = append(r.packages, &pack{m: &dataset.Manifest{Kind: kind}, grant: &envelope.Verified[grant.Grant]{}})
	}
	for _, p := range r.packages {
		p.grant.Predicate.Obligations.Mode = r.job.Predicate.Mode
	}
	r.live = r.packages
	if got := r.spent(&outcome{}); len(got) != 0 {
		t.Errorf("nothing was read: %+v", got)
	}
	r.packages[1].id = envelope.Sum([]byte("read"))
	r.packages[1].meter.leaf(0, envelope.Digest{}, 1)
	p := r.job.Predicate.Privacy
	if got := r.spent(&outcome{}); len(got) != 1 || got[0].Manifest != r.packages[1].id || !slices.Equal(got[0].Mechanisms, p.Mechanisms) || got[0].Epsilon < 1 {
		t.Errorf("one was read: %+v", got)
	}
	r.job.Predicate.Mode = dataset.ModeRedacted
	if got := r.spent(&outcome{}); len(got) != 0 {
		t.Errorf("another mode: %+v", got)
	}
}

// TestThresholdBeforeRecordsAreRead: how many may count is what manifests say, not what steps leave.
func TestThresholdBeforeRecordsAreRead(t *testing.T) {
	r := &attempt{job: &envelope.Verified[job.Job]{}, packages: []*pack{{}, {granted: &dataset.Selection{Records: 100, Units: []int{1, 2, 3}}}}}
	for unit, want := range map[string]int64{dataset.UnitRecord: 100, dataset.UnitContributor: 6} {
		r.job.Predicate.Privacy = &job.Privacy{Unit: unit, Contributions: 2}
		if got := r.counted(); got != want {
			t.Errorf("%s: %d, want %d", unit, got, want)
		}
	}
}
