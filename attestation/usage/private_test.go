// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

var privateModes = []string{dataset.ModeTraining, dataset.ModeRelease, dataset.ModeAggregate}

// spentCases bend what is said of a run in a differentially private mode.
func spentCases() map[string]bad {
	spend := func(mode string, f func(*usage.Spend)) bad {
		return bad{rule: "use.privacy", part: "usage", scenario: withUsage(mode, func(s *usage.Statement) { f(&s.Spent[0]) })}
	}
	silent := func(mode string, f func(*usage.Statement)) bad {
		return bad{rule: "usage.silent", part: "usage", scenario: withUsage(mode, f)}
	}
	failed := func(reason string, c bad) bad {
		c.scenario.Failed = reason
		return c
	}
	return map[string]bad{
		"nothing spent": {rule: "use.privacy", part: "usage", scenario: withUsage(dataset.ModeTraining, func(s *usage.Statement) {
			s.Spent = []usage.Spend{}
		})},
		"spent in raw mode": {rule: "use.privacy", part: "usage", scenario: onUsage(func(s *usage.Statement) {
			s.Spent = []usage.Spend{{
				Manifest: s.Packages[1].Manifest, Unit: "record", Contributions: 1, Adjacency: dp.ReplaceOne, Accountant: dp.RDP, Delta: 1, Epsilon: 1, Isolation: s.Runtime,
				Mechanisms: []dp.Mechanism{{Kind: dp.Gaussian, Noise: 1, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}},
			}}
		})},
		"epsilon understated":           spend(dataset.ModeTraining, func(s *usage.Spend) { s.Epsilon -= 3 }),
		"epsilon overstated":            spend(dataset.ModeTraining, func(s *usage.Spend) { s.Epsilon += 3 }),
		"epsilon of a release":          spend(dataset.ModeRelease, func(s *usage.Spend) { s.Epsilon -= 10 }),
		"half the noise":                spend(dataset.ModeTraining, func(s *usage.Spend) { s.Mechanisms[0].Noise /= 2 }),
		"more noise than was declared":  spend(dataset.ModeTraining, func(s *usage.Spend) { s.Mechanisms[0].Noise *= 2 }),
		"one step fewer, and completed": spend(dataset.ModeTraining, func(s *usage.Spend) { s.Mechanisms[0].Count-- }),
		"one step more":                 spend(dataset.ModeTraining, func(s *usage.Spend) { s.Mechanisms[0].Count++ }),
		"the score left out":            spend(dataset.ModeTraining, func(s *usage.Spend) { s.Mechanisms = s.Mechanisms[:1] }),
		"other noise":                   spend(dataset.ModeRelease, func(s *usage.Spend) { s.Mechanisms[1].Kind = dp.Gaussian }),
		"mechanisms in another order":   spend(dataset.ModeRelease, func(s *usage.Spend) { slices.Reverse(s.Mechanisms) }),
		"a sample that was not drawn": spend(dataset.ModeTraining, func(s *usage.Spend) {
			s.Mechanisms[0].Sampling, s.Mechanisms[0].Rate = dp.Poisson, dp.Rate{Num: 1, Den: 1000}
		}),
		"another adjacency":   spend(dataset.ModeAggregate, func(s *usage.Spend) { s.Adjacency = dp.AddOrRemove }),
		"another accountant":  spend(dataset.ModeAggregate, func(s *usage.Spend) { s.Accountant = dp.PLD }),
		"another delta":       spend(dataset.ModeAggregate, func(s *usage.Spend) { s.Delta *= 2 }),
		"another unit":        spend(dataset.ModeTraining, func(s *usage.Spend) { s.Unit = dataset.UnitContributor }),
		"more contributions":  spend(dataset.ModeTraining, func(s *usage.Spend) { s.Unit, s.Contributions = dataset.UnitContributor, 5 }),
		"more than the grant": {rule: "use.privacy", part: "usage", scenario: withGrant(dataset.ModeTraining, func(o *grant.Obligations) { o.Privacy -= 10 })},
		"a failed run with a step more": failed(usage.ReasonStopped, spend(dataset.ModeTraining, func(s *usage.Spend) {
			s.Mechanisms[0].Count++
			s.Epsilon = epsilonOf(s)
		})),
		"a failed run with other noise": failed(usage.ReasonStopped, spend(dataset.ModeTraining, func(s *usage.Spend) {
			s.Mechanisms[0].Noise++
			s.Epsilon = epsilonOf(s)
		})),
		"a failed run in another order": failed(usage.ReasonStopped, spend(dataset.ModeRelease, func(s *usage.Spend) { slices.Reverse(s.Mechanisms) })),

		"processor time":                 silent(dataset.ModeTraining, func(s *usage.Statement) { s.Measured.CPUMillis = 1 }),
		"memory":                         silent(dataset.ModeAggregate, func(s *usage.Statement) { s.Measured.PeakMemory = 1 }),
		"fuel":                           silent(dataset.ModeTraining, func(s *usage.Statement) { s.Execution.Fuel = 1 }),
		"undeclared files":               silent(dataset.ModeAggregate, func(s *usage.Statement) { s.Undeclared = 1 }),
		"failed for what a record makes": failed(usage.ReasonTrap, silent(dataset.ModeTraining, nil)),
		"out of fuel by a record":        failed(usage.ReasonFuel, silent(dataset.ModeTraining, nil)),

		"a query with a worker": {rule: "usage.isolation", part: "usage", scenario: withUsage(dataset.ModeRelease, func(s *usage.Statement) {
			s.Isolation = "user,pid,net,mnt,ipc,uts;seccomp;landlock-4;rlimit"
		})},
		"records read twice": {rule: "use.reads", part: "usage", scenario: withUsage(dataset.ModeTraining, func(s *usage.Statement) {
			p := &s.Packages[1]
			p.Reads, p.Bytes, p.Heartbeat = 2*p.Reads, 2*p.Bytes, p.Reads
		})},
		"a record less, as steps left": {rule: "use.records", part: "usage", scenario: withUsage(dataset.ModeTraining, func(s *usage.Statement) {
			p := &s.Packages[1]
			p.Records, p.Billable = p.Records-1, p.Billable-1
		})},
	}
}

func epsilonOf(s *usage.Spend) int64 {
	n, err := s.Recompute()
	if err != nil {
		return 1
	}
	return n
}

// declaredCases are jobs that declare what terms do not allow.
func declaredCases() map[string]bad {
	terms := func(mode string, f func(*dataset.Terms)) bad {
		c := bad{rule: "terms.privacy", part: "grant[1]", scenario: inMode(mode)}
		c.scenario.Offer = func(i int, m *dataset.Manifest) {
			if i == 1 {
				f(&m.Terms)
			}
		}
		return c
	}
	declared := func(mode string, f func(*job.Job)) bad {
		c := bad{rule: "terms.privacy", part: "grant[1]", scenario: inMode(mode)}
		c.scenario.Job = f
		return c
	}
	runtime := terms(dataset.ModeTraining, func(t *dataset.Terms) { t.Private[0].Runtimes = []string{job.RuntimeTrainSum} })
	runtime.rule = "terms.runtime"
	return map[string]bad{
		"more epsilon than one job may spend": terms(dataset.ModeTraining, func(t *dataset.Terms) { t.Private[0].Epsilon = 100_000 }),
		"more delta than the terms":           terms(dataset.ModeRelease, func(t *dataset.Terms) { t.Private[0].Delta-- }),
		"another adjacency than the terms":    terms(dataset.ModeRelease, func(t *dataset.Terms) { t.Privacy.Adjacency = dataset.AddOrRemove }),
		"fewer shards than the terms":         terms(dataset.ModeAggregate, func(t *dataset.Terms) { t.Private[0].Shards = 21 }),
		"a worker that sums, unasked":         runtime,
		"another unit than the terms":         declared(dataset.ModeTraining, func(j *job.Job) { j.Privacy.Unit = dataset.UnitContributor }),
		"more records of one contributor": declared(dataset.ModeTraining, func(j *job.Job) {
			j.Privacy.Unit, j.Privacy.Contributions = dataset.UnitContributor, 2
		}),
		"epsilon below the mechanisms'": declared(dataset.ModeTraining, func(j *job.Job) { j.Privacy.Epsilon -= 3 }),
		"epsilon of half the noise":     declared(dataset.ModeAggregate, func(j *job.Job) { j.Privacy.Mechanisms[0].Noise /= 2 }),
		"another epsilon is debited":    {rule: "terms.privacy", part: "grant[1]", scenario: withGrant(dataset.ModeTraining, func(o *grant.Obligations) { o.Privacy++ })},
		"nothing is debited":            {rule: "grant.signature", part: "grant[1]", scenario: withGrant(dataset.ModeTraining, func(o *grant.Obligations) { o.Privacy = 0 })},
	}
}

// TestNothingIsAllowedUnsaid: terms or a job that say nothing of what may be spent allow nothing, whoever asks.
func TestNothingIsAllowedUnsaid(t *testing.T) {
	m := &dataset.Manifest{Kind: dataset.KindDataset}
	o := &grant.Obligations{Mode: dataset.ModeTraining}
	for name, j := range map[string]*job.Job{
		"neither":     {Mode: dataset.ModeTraining},
		"only a job":  {Mode: dataset.ModeTraining, Privacy: &job.Privacy{}},
		"another one": {Mode: dataset.ModeRelease, Privacy: &job.Privacy{}},
	} {
		if len(usage.CheckPrivacy(j, o, m)) == 0 {
			t.Errorf("%s: allowed", name)
		}
	}
	m.Kind = dataset.KindCode
	if got := usage.CheckPrivacy(&job.Job{Mode: dataset.ModeTraining}, o, m); len(got) != 0 {
		t.Errorf("code is nobody's records: %v", got)
	}
}

// TestEveryBoundOfADeclaration: each is checked by itself, whatever else is checked of grants.
func TestEveryBoundOfADeclaration(t *testing.T) {
	account := dataset.Privacy{Unit: dataset.UnitContributor, Adjacency: dataset.AddOrRemove, Delta: 1000}
	people := 2
	try := func(bend func(*job.Job, *grant.Obligations, *dataset.ModePrivacy)) []usage.Problem {
		may := dataset.ModePrivacy{Mode: dataset.ModeAggregate, Epsilon: 9_000_000, Delta: 1000, Contributions: 3, Runtimes: []string{job.RuntimeWASM}, Shards: 5}
		j := &job.Job{Mode: dataset.ModeAggregate, Runtime: job.RuntimeWASM, Privacy: &job.Privacy{
			Unit: dataset.UnitContributor, Contributions: 3, Adjacency: dp.AddOrRemove, Accountant: dp.RDP, Delta: 1000, Epsilon: 9_000_000,
			Mechanisms: []dp.Mechanism{{Kind: dp.Gaussian, Noise: 2_000_000, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}},
			Aggregate:  &job.Aggregate{Shards: 5},
		}}
		o := &grant.Obligations{Mode: j.Mode, Privacy: 9_000_000, Leaves: grant.Ranges{{Count: 2}}}
		account.Delta, people = 1000, 2
		bend(j, o, &may)
		m := &dataset.Manifest{Kind: dataset.KindDataset, Segments: slices.Repeat([]dataset.Segment{{Leaves: 1, Records: 50}}, 2), Tree: dataset.Tree{Size: 2}}
		for i := range int64(2) {
			m.Units = append(m.Units, dataset.ErasureUnit{ID: envelope.Digest{byte(i % int64(people))}, First: i, Count: 1})
		}
		m.Terms.Privacy, m.Terms.Private = account, []dataset.ModePrivacy{may}
		return usage.CheckPrivacy(j, o, m)
	}
	if got := try(func(*job.Job, *grant.Obligations, *dataset.ModePrivacy) {}); len(got) != 0 {
		t.Fatal(got)
	}
	for name, bend := range map[string]func(*job.Job, *grant.Obligations, *dataset.ModePrivacy){
		"unit":                  func(j *job.Job, _ *grant.Obligations, _ *dataset.ModePrivacy) { j.Privacy.Unit = dataset.UnitRecord },
		"adjacency":             func(j *job.Job, _ *grant.Obligations, _ *dataset.ModePrivacy) { j.Privacy.Adjacency = dp.ReplaceOne },
		"contributions":         func(_ *job.Job, _ *grant.Obligations, may *dataset.ModePrivacy) { may.Contributions-- },
		"epsilon":               func(_ *job.Job, _ *grant.Obligations, may *dataset.ModePrivacy) { may.Epsilon-- },
		"delta":                 func(_ *job.Job, _ *grant.Obligations, may *dataset.ModePrivacy) { may.Delta-- },
		"debit":                 func(_ *job.Job, o *grant.Obligations, _ *dataset.ModePrivacy) { o.Privacy-- },
		"runtime":               func(_ *job.Job, _ *grant.Obligations, may *dataset.ModePrivacy) { may.Runtimes = nil },
		"shards":                func(j *job.Job, _ *grant.Obligations, _ *dataset.ModePrivacy) { j.Privacy.Aggregate.Shards-- },
		"alone":                 func(*job.Job, *grant.Obligations, *dataset.ModePrivacy) { people = 1 },
		"account of one in two": func(*job.Job, *grant.Obligations, *dataset.ModePrivacy) { account.Delta = dp.Pico / 2 },
		"one of 100": func(j *job.Job, _ *grant.Obligations, may *dataset.ModePrivacy) {
			j.Privacy.Delta, may.Delta = dp.Pico/100, dp.Pico/100
		},
		"mechanisms": func(j *job.Job, _ *grant.Obligations, _ *dataset.ModePrivacy) { j.Privacy.Mechanisms[0].Noise /= 8 },
		"no bound":   func(j *job.Job, _ *grant.Obligations, _ *dataset.ModePrivacy) { j.Privacy.Mechanisms[0].Noise = 0 },
		"accountant": func(j *job.Job, _ *grant.Obligations, _ *dataset.ModePrivacy) { j.Privacy.Accountant = "moments" },
	} {
		if got := try(bend); len(got) != 1 {
			t.Errorf("%s: %v, want one problem", name, got)
		}
	}
}

// TestEveryBoundOfASpend: each is checked by itself, whatever else is checked of statements.
func TestEveryBoundOfASpend(t *testing.T) {
	try := func(bend func(*usage.Spend)) []usage.Problem {
		declared := dp.Mechanism{Kind: dp.Gaussian, Noise: 2_000_000, Sampling: dp.NoSampling, Rate: dp.One, Count: 2}
		j := &job.Job{Mode: dataset.ModeTraining, Runtime: job.RuntimeTrain, Privacy: &job.Privacy{
			Unit: dataset.UnitContributor, Contributions: 3, Adjacency: dp.AddOrRemove, Accountant: dp.RDP, Delta: 1000, Mechanisms: []dp.Mechanism{declared},
		}}
		s := &usage.Statement{
			Outcome: usage.OutcomeFailed, Packages: make([]usage.Package, 2), Spent: []usage.Spend{{
				Unit: dataset.UnitContributor, Contributions: 3, Adjacency: dp.AddOrRemove, Accountant: dp.RDP, Delta: 1000, Isolation: job.RuntimeTrain,
				Mechanisms: []dp.Mechanism{declared},
			}},
		}
		sp := &s.Spent[0]
		sp.Epsilon = epsilonOf(sp)
		o := &grant.Obligations{Mode: j.Mode, Privacy: sp.Epsilon}
		bend(sp)
		return usage.CheckSpend(s, 1, &dataset.Manifest{Kind: dataset.KindDataset}, j, o)
	}
	if got := try(func(*usage.Spend) {}); len(got) != 0 {
		t.Fatal(got)
	}
	for name, bend := range map[string]func(*usage.Spend){
		"unit":          func(s *usage.Spend) { s.Unit = dataset.UnitRecord },
		"contributions": func(s *usage.Spend) { s.Contributions-- },
		"adjacency": func(s *usage.Spend) { // of which Gaussian noise costs the same
			s.Adjacency = dp.ReplaceOne
		},
		"delta": func(s *usage.Spend) {
			s.Delta *= 2
			s.Epsilon = epsilonOf(s)
		},
		"runtime":     func(s *usage.Spend) { s.Isolation = job.RuntimeTrainSum },
		"understated": func(s *usage.Spend) { s.Epsilon -= 3 },
		"overstated": func(s *usage.Spend) {
			s.Mechanisms[0].Count = 1
			s.Epsilon = epsilonOf(s) + 3
		},
		"once too often, as if it was not": func(s *usage.Spend) {
			s.Mechanisms = []dp.Mechanism{{Kind: dp.Gaussian, Noise: 3_000_000, Sampling: dp.NoSampling, Rate: dp.One, Count: 3}}
			s.Epsilon = epsilonOf(s)
		},
	} {
		if got := try(bend); len(got) != 1 {
			t.Errorf("%s: %v, want one problem", name, got)
		}
	}
	for name, bend := range map[string]func(*usage.Spend){
		"no bound":         func(s *usage.Spend) { s.Mechanisms[0].Noise = 0 },
		"no accountant":    func(s *usage.Spend) { s.Accountant = "moments" },
		"by another one":   func(s *usage.Spend) { s.Accountant = dp.PLD },
		"beyond the debit": func(s *usage.Spend) { s.Epsilon *= 2 },
	} {
		if got := try(bend); len(got) < 2 || !slices.ContainsFunc(got, func(p usage.Problem) bool {
			return strings.Contains(p.Message, map[string]string{"no bound": "no bound", "no accountant": "no bound", "by another one": "by pld", "beyond the debit": "was debited"}[name])
		}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestFailedRunsSayWhatRan: a run that was stopped spent what ran, and is believed.
func TestFailedRunsSayWhatRan(t *testing.T) {
	for name, f := range map[string]func(*usage.Statement){
		"all of it": func(*usage.Statement) {},
		"some steps": func(s *usage.Statement) {
			sp := &s.Spent[0]
			sp.Mechanisms = sp.Mechanisms[:1]
			sp.Mechanisms[0].Count = 1
			sp.Epsilon = epsilonOf(sp)
		},
		"only the last": func(s *usage.Statement) {
			sp := &s.Spent[0]
			sp.Mechanisms = sp.Mechanisms[1:]
			sp.Epsilon = epsilonOf(sp)
		},
	} {
		s := withUsage(dataset.ModeTraining, f)
		s.Failed = usage.ReasonStopped
		if err := usagetest.New(t, s).Verify().Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOneRecordEndsTheRunForFree: whether a run completes is an answer too. One that failed and spent nothing may not have read a
// record, or anybody could ask whether one is there as often as she likes.
func TestOneRecordEndsTheRunForFree(t *testing.T) {
	j := &job.Job{Mode: dataset.ModeRelease, Runtime: job.RuntimeQuery, Privacy: &job.Privacy{}}
	for reads, ok := range map[int64]bool{0: true, 1: false, 1000: false} {
		s := &usage.Statement{Outcome: usage.OutcomeFailed, Reason: usage.ReasonUnavailable, Packages: make([]usage.Package, 2)}
		s.Packages[1].Reads = reads
		got := usage.CheckSpend(s, 1, &dataset.Manifest{Kind: dataset.KindDataset}, j, &grant.Obligations{Mode: j.Mode})
		if (len(got) == 0) != ok {
			t.Errorf("%d leaves read, nothing spent: %v", reads, got)
		}
	}
}

// TestEverySpendIsTold: an auditor reads the ε of every dataset, and what it rests on.
func TestEverySpendIsTold(t *testing.T) {
	for _, mode := range privateModes {
		s := inMode(mode)
		s.Datasets, s.Offer = 3, populations
		v := usagetest.New(t, s).Verify()
		if err := v.Err(); err != nil || len(v.Statement.Spent) != 3 {
			t.Errorf("%s: %v", mode, err)
			continue
		}
		if !slices.ContainsFunc(v.Facts, func(f usage.Fact) bool {
			return f.Rule == "time" && strings.HasSuffix(f.Message, "bits beyond epsilon")
		}) {
			t.Errorf("%s: %v does not say what times may tell", mode, v.Facts)
		}
		for i := range 3 {
			want := fmt.Sprintf("package[%d]: one record is hidden to epsilon %s at delta 1e-05 (replace-one, by rdp/1)", i+1, usage.Micro(v.Statement.Spent[i].Epsilon))
			if !slices.ContainsFunc(v.Facts, func(f usage.Fact) bool {
				return f.Rule == "privacy" && strings.HasPrefix(f.Message, want) && strings.HasSuffix(f.Message, usage.RestsOn(v.Statement.Runtime))
			}) {
				t.Errorf("%s: %v does not say %q", mode, v.Facts, want)
			}
		}
	}
}

// populations makes each dataset's people other ones.
func populations(i int, m *dataset.Manifest) {
	if i > 0 {
		m.Terms.Privacy.Population = fmt.Sprintf("people-%d", i)
	}
}

// TestOnePersonInTwoDatasets: one who is in two datasets of one owner and population moves a sum twice, which is hidden by noise for
// once.
func TestOnePersonInTwoDatasets(t *testing.T) {
	for _, mode := range privateModes {
		s := inMode(mode)
		s.Datasets = 3
		s.Offer = func(i int, m *dataset.Manifest) {
			populations(i, m)
			if i == 3 {
				m.Terms.Privacy.Population = "people-1"
			}
		}
		got := usagetest.New(t, s).Verify().Findings
		if len(got) != 1 || got[0].Rule != "terms.privacy" || got[0].Part != "manifest[3]" || !strings.Contains(got[0].Message, "manifest[1]") {
			t.Errorf("%s: %v", mode, got)
		}
	}
	s := usagetest.Scenario{Datasets: 2} // of one population, and nothing is hidden by noise
	if err := usagetest.New(t, s).Verify().Err(); err != nil {
		t.Error(err)
	}
}

// TestTamperedSpend deletes, zeroes and changes every field of what was spent; all who sign later sign what fits.
func TestTamperedSpend(t *testing.T) {
	for _, mode := range privateModes {
		r := usagetest.New(t, inMode(mode))
		n := 0
		try := func(what string, change func(spend any) any) {
			n++
			bent := r.Again(t, usagetest.Scenario{Mode: mode, Edit: func(part string, m map[string]any) {
				if part == "usage" {
					p := m["predicate"].(map[string]any)
					p["spent"] = change(p["spent"])
				}
			}})
			if v := bent.Verify(); v.OK() {
				t.Errorf("%s: %s: still verifies", mode, what)
			}
		}
		spent := payload(t, r.Parts.Usage)["predicate"].(map[string]any)["spent"]
		stride := 1
		if testing.Short() {
			stride = 9
		}
		for i, e := range usagetest.Edits(spent) {
			if i%stride != 0 {
				continue
			}
			try(e.String(), e.Apply)
			try("change "+e.String(), func(v any) any { return changed(v, e.Path) })
		}
		try("null", func(any) any { return nil })
		try("twice", func(v any) any { l := v.([]any); return append(l, l[0]) })
		if n < 8 || !testing.Short() && n < 40 {
			t.Fatalf("only %d edits", n)
		}
	}
}

// changed makes a number larger by 7, a text longer, and repeats the last element of a list.
func changed(v any, path []any) any {
	if len(path) > 0 {
		switch c := v.(type) {
		case map[string]any:
			c[path[0].(string)] = changed(c[path[0].(string)], path[1:])
		case []any:
			c[path[0].(int)] = changed(c[path[0].(int)], path[1:])
		}
		return v
	}
	switch v := v.(type) {
	case float64:
		return v + 7
	case string:
		return v + "x"
	case []any:
		return append(v, v[len(v)-1])
	case map[string]any:
		v["note"] = "x"
	}
	return v
}

// TestMechanismsInWords: everything that ε depends on is said.
func TestMechanismsInWords(t *testing.T) {
	for want, m := range map[string]dp.Mechanism{
		"gaussian noise of 1.1 times the sensitivity, on Poisson samples of 512/60000, 600 times": {
			Kind: dp.Gaussian, Noise: 1_100_000, Sampling: dp.Poisson, Rate: dp.Rate{Num: 512, Den: 60_000}, Count: 600,
		},
		"laplace noise of 2 times the sensitivity, on 3 of 10 units drawn without replacement, once": {
			Kind: dp.Laplace, Noise: 2_000_000, Sampling: dp.FixedSize, Rate: dp.Rate{Num: 3, Den: 10}, Count: 1,
		},
		"discrete-laplace noise of 2 times the sensitivity, which is 4, once": {
			Kind: dp.DiscreteLaplace, Noise: 2_000_000, Sensitivity: 4, Sampling: dp.NoSampling, Rate: dp.One, Count: 1,
		},
		"tree noise of 3 times the sensitivity on each node of a tree over 64 steps, delta 1e-09, 2 times": {
			Kind: dp.Tree, Noise: 3_000_000, Size: 64, Delta: 1000, Sampling: dp.NoSampling, Rate: dp.One, Count: 2,
		},
		"k-rr among 5 values with probability 0.25, once": {Kind: dp.RandomisedResponse, Noise: 250_000, Size: 5, Sampling: dp.NoSampling, Rate: dp.One, Count: 1},
		"pure, epsilon 0.5, once":                         {Kind: dp.Pure, Epsilon: 500_000, Sampling: dp.NoSampling, Rate: dp.One, Count: 1},
	} {
		if got := usage.Words(&m); got != want || m.Validate() != nil {
			t.Errorf("%q, want %q (%v)", got, want, m.Validate())
		}
	}
	for _, r := range append(job.RuntimesOf(dataset.ModeTraining), job.RuntimeQuery, job.RuntimeWASM) {
		if usage.RestsOn(r) == usage.RestsOn("") {
			t.Errorf("nothing is said of %s", r)
		}
	}
}

// TestSpentContradictions: statements that no job is needed to refuse.
func TestSpentContradictions(t *testing.T) {
	private := func() usage.Statement {
		s := valid()
		s.Runtime = job.RuntimeTrain
		s.Spent = []usage.Spend{{
			Manifest: s.Packages[1].Manifest, Unit: dataset.UnitRecord, Contributions: 1, Adjacency: dp.AddOrRemove, Accountant: dp.RDP, Delta: 1, Epsilon: 1,
			Isolation: s.Runtime, Mechanisms: []dp.Mechanism{{Kind: dp.Gaussian, Noise: 1, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}},
		}}
		return s
	}
	good := private()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(*usage.Statement){
		"no list":                    func(s *usage.Statement) { s.Spent = nil },
		"of the code":                func(s *usage.Statement) { s.Spent[0].Manifest = s.Packages[0].Manifest },
		"of another package":         func(s *usage.Statement) { s.Spent[0].Manifest = envelope.Sum([]byte("z")) },
		"twice":                      func(s *usage.Statement) { s.Spent = append(s.Spent, s.Spent[0]) },
		"without end":                func(s *usage.Statement) { s.Spent = slices.Repeat(s.Spent, 18) },
		"of no unit":                 func(s *usage.Statement) { s.Spent[0].Unit = "" },
		"of no contributions":        func(s *usage.Statement) { s.Spent[0].Contributions = 0 },
		"of two records of a record": func(s *usage.Statement) { s.Spent[0].Contributions = 2 },
		"without adjacency":          func(s *usage.Statement) { s.Spent[0].Adjacency = "" },
		"without mechanisms":         func(s *usage.Statement) { s.Spent[0].Mechanisms = nil },
		"without noise":              func(s *usage.Statement) { s.Spent[0].Mechanisms[0].Noise = 0 },
		"without accountant":         func(s *usage.Statement) { s.Spent[0].Accountant = "" },
		"with many loss distributions": func(s *usage.Statement) {
			s.Spent[0].Accountant, s.Spent[0].Mechanisms = dp.PLD, slices.Repeat(s.Spent[0].Mechanisms, job.MaxLossDists+1)
		},
		"at delta 0":                   func(s *usage.Statement) { s.Spent[0].Delta = 0 },
		"at delta 1":                   func(s *usage.Statement) { s.Spent[0].Delta = dp.Pico },
		"at epsilon 0":                 func(s *usage.Statement) { s.Spent[0].Epsilon = 0 },
		"at a huge epsilon":            func(s *usage.Statement) { s.Spent[0].Epsilon = job.MaxAmount + 1 },
		"resting on another class":     func(s *usage.Statement) { s.Spent[0].Isolation = job.RuntimeTrainSum },
		"of a query with a module":     func(s *usage.Statement) { s.Runtime, s.Spent[0].Isolation = job.RuntimeQuery, job.RuntimeQuery },
		"of a training without module": func(s *usage.Statement) { s.Execution = nil },
	} {
		s := private()
		f(&s)
		if err := s.Validate(); err == nil {
			t.Errorf("%s: valid", name)
		}
	}
}
