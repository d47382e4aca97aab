// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/ledger/report"
	"github.com/glovebox-dev/glovebox/internal/dataset"
)

func (w *world) report() *report.Report {
	w.t.Helper()
	r, err := broker.Report(w.t.Context(), w.creator.cfg, nil, w.clock.now().UnixMilli(), 30)
	must(w.t, err)
	return r
}

// TestReport: what the owner is told while her broker runs, of a job that was committed and of one that was lost.
func TestReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if r := w.report(); len(r.Jobs) != 0 || len(r.Packages) != 1 || r.Packages[0].UsesLeft != r.Packages[0].MaxUses || r.Packages[0].Forecast.Known {
		t.Errorf("before anything: %+v", r)
	}
	e := w.released()
	r := w.report()
	if len(r.Jobs) != 1 || !r.Jobs[0].Live || r.Jobs[0].Used || r.Jobs[0].Reserved == 0 || r.Packages[0].Uses != 1 {
		t.Errorf("live: %+v", r)
	}
	if r.Jobs[0].State != "live" || r.Jobs[0].Grant != e.grants[w.data.ID].ID {
		t.Errorf("a revocation of the lease cannot name it: %+v", r.Jobs[0])
	}
	_, err := e.commit(w.data, e.usage(nil))
	must(t, err)
	r = w.report()
	j, p := r.Jobs[0], r.Packages[0]
	if j.Live || !j.Used || j.Reserved != 0 || j.Charged == 0 || j.State != "completed" || j.Name != p.Name {
		t.Errorf("committed: %+v", j)
	}
	if p.Charged != j.Charged || p.Uses != 1 || len(p.Buyers) != 1 || p.Buyers[0].Uses != 1 || p.UsesLeft != p.MaxUses-1 {
		t.Errorf("committed: %+v", p)
	}
	w.clock.advance(time.Minute)
	text, err := json.Marshal(r)
	must(t, err)
	var back report.Report
	must(t, json.Unmarshal(text, &back))
	if back.Jobs[0].Charged != j.Charged || !back.Packages[0].Buyers[0].Buyer.Equal(j.Buyer) {
		t.Errorf("through JSON: %+v", back)
	}
}

// TestReportOfPermits: the owner is told how often a permit was used.
func TestReportOfPermits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withTerms(func(t *dataset.Terms) { t.Access = dataset.AccessPermit }))
	id := w.permit(nil)
	if r := w.report(); r.Permits == nil || len(r.Permits) != 0 {
		t.Errorf("before anything: %+v", r.Permits)
	}
	must(t, w.asking(1).release(w.data))
	if r := w.report(); len(r.Permits) != 1 || r.Permits[0] != (report.Permit{ID: id, Used: 1}) {
		t.Errorf("released: %+v", r.Permits)
	}
}
