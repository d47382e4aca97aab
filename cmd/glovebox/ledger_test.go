// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/ledger/report"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

func TestFraction(t *testing.T) {
	for want, v := range map[string]int64{"0": 0, "1": 1_000_000, "0.5": 500_000, "12.000001": 12_000_001} {
		if got := fraction(v, 6); got != want {
			t.Errorf("%d: %s, want %s", v, got, want)
		}
	}
	if got := fraction(1, 12); got != "0.000000000001" {
		t.Error(got)
	}
}

// TestReportInWords: what matters of an account is said, in the words of the help.
func TestReportInWords(t *testing.T) {
	e, now := int64(1_500_000), int64(1_800_000_000_000)
	r := report.Report{
		Time: now, Records: 9,
		Packages: []report.Package{
			{Name: "scans", Version: 2, Currency: "EUR", Uses: 3, MaxUses: 9, UsesLeft: 6, Forecast: report.Forecast{Known: true, Until: now + 1, Why: "x"}},
			{Name: "spent", Forecast: report.Project(now, 30, 1, 0, nil)},
		},
		Populations: []report.Population{
			{Name: "patients", Unit: "person", Adjacency: "replace", Delta: 1_000_000, Epsilon: &e, Cap: 2_000_000, Left: 500_000, Conditional: true, Unbounded: 1},
			{Name: "others"},
		},
		Jobs: make([]report.Job, shownJobs+1),
	}
	var b strings.Builder
	showReport(&b, &r, false)
	for _, want := range []string{"3 of 9", "until 2027-01-15", "nothing is left", "delta 0.000001", "1.5", "0.5", "conditional", "none holds", "1 earlier jobs"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	r.Jobs[0].Grant[0] = 0xab
	if showReport(&b, &r, true); !strings.Contains(b.String(), r.Jobs[0].Grant.String()) {
		t.Errorf("no grant to revoke in\n%s", b.String())
	}
}

// TestLedgerMarksUnwitnessed: a commit that nobody witnessed is not shown like one that was.
func TestLedgerMarksUnwitnessed(t *testing.T) {
	for want, j := range map[string]report.Job{
		"-": {}, "witnessed": {Commits: 2}, "unwitnessed": {Commits: 1, Unwitnessed: 1}, "unwitnessed: 1 of 2": {Commits: 2, Unwitnessed: 1},
	} {
		var b strings.Builder
		showJobs(&b, &report.Report{Jobs: []report.Job{j}}, false)
		if line := strings.TrimSpace(b.String()); !strings.HasSuffix(line, "  "+want) {
			t.Errorf("%+v: %s", j, line)
		}
	}
}

// TestUnboundedIsNotNothing: raw access is an infinite ε, not one of 0, and no cap is not one of 0.
func TestUnboundedIsNotNothing(t *testing.T) {
	zero, some := int64(0), int64(1_500_000)
	for _, c := range []struct {
		e         *int64
		unbounded int64
		want      string
	}{{&zero, 0, "0"}, {&some, 0, "1.5"}, {nil, 0, "none holds"}, {&zero, 3, "∞"}, {&some, 1, "∞ (others: 1.5)"}, {nil, 1, "∞ (others: none holds)"}} {
		if got := epsilon(c.e, c.unbounded); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	var b strings.Builder
	showPopulations(&b, &report.Report{Populations: []report.Population{{
		Name: "people", Unit: "record", Adjacency: "replace", Unbounded: 2, Epsilon: &zero,
		Buyers: []report.PopulationBuyer{{Unbounded: 2, Epsilon: &zero, Cap: 2_000_000}},
	}}})
	if got := strings.Join(strings.Fields(b.String()), " "); !strings.Contains(got, "0 2 ∞ none none unconditional") || !strings.Contains(got, "0 2 ∞ 2 0") {
		t.Error(got)
	}
}

// TestLedgerShowsWhatWasSpent: mechanisms in words, adjacency, unit, ε at δ, the accountant and what it rests on.
func TestLedgerShowsWhatWasSpent(t *testing.T) {
	spend := report.Spend{
		State: "spent", Mode: "dp-training", Unit: "contributor", Contributions: 20, Adjacency: "add-or-remove", Accountant: "rdp/1", Delta: 10_000_000,
		Epsilon: 960_001, Isolation: "wasm-train/1",
		Mechanisms: []dp.Mechanism{{Kind: dp.Gaussian, Noise: 5_000_000, Sampling: dp.Poisson, Rate: dp.Rate{Num: 1, Den: 10}, Count: 100}},
	}
	nothing := spend
	nothing.Mechanisms, nothing.State = nil, "kept"
	r := report.Report{Populations: []report.Population{{Name: "people", Spends: []report.Spend{spend, nothing}}}}
	var b strings.Builder
	showReport(&b, &r, false)
	for _, want := range []string{
		"spent on people", "dp-training, spent: epsilon 0.960001 at delta 0.00001 (rdp/1), of one contributor, add-or-remove",
		"gaussian noise of 5 times the sensitivity, on Poisson samples of 1/10, 100 times", "at most 20 records of one contributor", "rests on wasm-train/1", "kept: nothing",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("does not say %q:\n%s", want, b.String())
		}
	}
	r.Populations[0].Spends = make([]report.Spend, shownJobs+1)
	b.Reset()
	showReport(&b, &r, false)
	if !strings.Contains(b.String(), "1 earlier ones") {
		t.Error(b.String())
	}
}
