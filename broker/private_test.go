// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// training is a world whose data is offered for training with noise of the enclave's: one job may spend 1 of epsilon, all of
// them 1.6, one buyer 1.5.
func training(t *testing.T, change func(*dataset.Terms)) *world {
	t.Helper()
	w := newWorld(t, withTerms(func(m *dataset.Terms) {
		m.MaxUses, m.Buyers.MaxUses = 100, 100
		offerTraining(m)
		if change != nil {
			change(m)
		}
	}))
	w.code = w.buyer.pack(dataset.KindCode, withTerms(func(m *dataset.Terms) {
		m.Modes, m.MaxUses, m.Buyers.MaxUses, m.Price = dataset.Modes(), 100, 100, dataset.Price{Currency: "EUR"}
	}))
	w.trainingJob(nil)
	return w
}

// offerTraining has terms allow training alone.
func offerTraining(m *dataset.Terms) {
	m.Modes = []string{dataset.ModeTraining}
	m.Privacy.Epsilon, m.Privacy.BuyerEpsilon, m.Privacy.Delta = 1_600_000, 1_500_000, 10_000_000
	m.Private = []dataset.ModePrivacy{{
		Mode: dataset.ModeTraining, Epsilon: 1_000_000, Delta: 10_000_000, Contributions: 1, Runtimes: []string{job.RuntimeTrain},
	}}
}

// trainingSteps are those of the tests' trainings.
const trainingSteps = 100

func trainingMechanism(steps int64) dp.Mechanism {
	return dp.Mechanism{Kind: dp.Gaussian, Noise: 5_000_000, Sampling: dp.Poisson, Rate: dp.Rate{Num: 1, Den: 10}, Count: steps}
}

// trainingJob signs a job that trains, 100 steps with the noise of about 0.96 of epsilon.
func (w *world) trainingJob(change func(*job.Job)) {
	w.t.Helper()
	w.newJob(func(j *job.Job) {
		j.Mode, j.Runtime, j.Epochs = dataset.ModeTraining, job.RuntimeTrain, 1
		j.Outputs = []job.Output{{Name: "model.safetensors", Class: "model", MaxBytes: 1 << 15}}
		j.Privacy = &job.Privacy{
			Unit: dataset.UnitRecord, Contributions: 1, Adjacency: dataset.AddOrRemove, Accountant: dp.RDP, Delta: 10_000_000,
			Mechanisms: []dp.Mechanism{trainingMechanism(trainingSteps)},
			Training: &job.Training{
				Lot: 4, Clip: 1_000_000, Optimiser: job.OptimiserSGD, LearningRate: 100_000, Decay: job.DecayNone, RecordFuel: 1 << 20, RecordBytes: 1 << 10,
				Params: 10, Pace: 100, Output: "model.safetensors",
			},
		}
		b, err := dp.Epsilon(j.Privacy.Composition(), 1e-5, dp.RDP)
		must(w.t, err)
		j.Privacy.Epsilon, err = dp.Micros(b.Epsilon)
		must(w.t, err)
		if change != nil {
			change(j)
		}
	})
}

// trained says in a usage statement that so many of the job's steps ran.
func (e *enclave) trained(steps int64) func(*usage.Statement) {
	return func(s *usage.Statement) {
		p := e.w.job.Privacy
		s.Privacy, s.Execution.Fuel = e.grants[e.w.data.ID].Predicate.Obligations.Privacy, 0
		s.Outputs = []usage.Output{{Name: "model.safetensors", Class: "model", Bytes: 100}}
		if steps == 0 {
			return
		}
		ms := slices.Clone(p.Mechanisms)
		ms[0].Count = steps
		b, err := dp.Epsilon(&dp.Composition{Adjacency: p.Adjacency, Mechanisms: ms}, 1e-5, p.Accountant)
		must(e.w.t, err)
		micros, err := dp.Micros(b.Epsilon)
		must(e.w.t, err)
		s.Spent = []usage.Spend{{
			Manifest: e.w.data.ID, Unit: p.Unit, Contributions: p.Contributions, Adjacency: p.Adjacency, Mechanisms: ms, Accountant: p.Accountant,
			Delta: p.Delta, Epsilon: micros, Isolation: e.w.job.Runtime,
		}}
	}
}

// stopped says so of a run that ended before its time: with no step, before anything was read.
func (e *enclave) stopped(steps int64) func(*usage.Statement) {
	return func(s *usage.Statement) {
		if failed(s); steps == 0 {
			unread(s)
		}
		e.trained(steps)(s)
		s.Reason, s.Outputs = usage.ReasonStopped, []usage.Output{}
	}
}

// account is ε of the population in millionths, and how many releases it has.
func (w *world) account() (epsilon, releases int64) {
	w.t.Helper()
	p := &w.data.Manifest.Terms.Privacy
	must(w.t, w.creator.View(w.t.Context(), func(tx *ledger.Tx) error {
		s, err := tx.PopulationSum(p.Population, nil)
		if err != nil {
			return err
		}
		nano, ok := s.Guarantee(p.Delta)
		if !ok {
			w.t.Error("no epsilon holds")
		}
		epsilon, releases = (nano+999)/1000, s.Releases
		return nil
	}))
	return epsilon, releases
}

// steps is what so many steps of the world's job come to.
func (w *world) steps(n int64) int64 {
	w.t.Helper()
	ms := slices.Clone(w.job.Privacy.Mechanisms)
	ms[0].Count = n
	b, err := dp.Epsilon(&dp.Composition{Adjacency: w.job.Privacy.Adjacency, Mechanisms: ms}, 1e-5, dp.RDP)
	must(w.t, err)
	micros, err := dp.Micros(b.Epsilon)
	must(w.t, err)
	return micros
}

// about: sums are rounded up, of each release at each order.
func about(t *testing.T, what string, got, want int64) {
	t.Helper()
	if got < want-1 || got > want+20 {
		t.Errorf("%s: epsilon of %d millionths in the account, want %d", what, got, want)
	}
}

// TestTrainingIsDebited: reserved at release, debited by what ran, and the same ε in the account that the job states.
func TestTrainingIsDebited(t *testing.T) {
	t.Parallel()
	w := training(t, nil)
	plan := w.plan()
	if !plan.Allowed {
		t.Fatalf("%+v", plan.Reasons)
	}
	if _, n := w.account(); n != 0 {
		t.Errorf("a plan cost something: %d", n)
	}
	all := w.job.Privacy.Epsilon
	if a := plan.Privacy; a == nil || *a.Before != 0 || *a.BuyerBefore != 0 || a.Cap != 1_600_000 || a.BuyerCap != 1_500_000 || a.Delta != 10_000_000 {
		t.Errorf("plan: %+v", a)
	} else {
		about(t, "plan", *a.After, all)
		about(t, "plan for the buyer", *a.BuyerAfter, all)
	}
	e := w.released()
	if o := e.grants[w.data.ID].Predicate.Obligations; o.Privacy != all || o.Logs != grant.LogsOff || o.Epochs != 1 || len(o.Transforms) != 0 {
		t.Errorf("%+v", o)
	}
	if o := e.grants[w.code.ID].Predicate.Obligations; o.Privacy != 0 {
		t.Errorf("code spends: %+v", o)
	}
	got, _ := w.account()
	about(t, "reserved", got, all)
	_, err := e.commit(w.data, e.usage(e.trained(100)))
	must(t, err)
	got, _ = w.account()
	about(t, "completed", got, all)
}

// TestFailedTrainingIsDebitedByWhatRan: 30 of 100 steps ran, or none.
func TestFailedTrainingIsDebitedByWhatRan(t *testing.T) {
	t.Parallel()
	w := training(t, nil)
	e := w.released()
	_, err := e.commit(w.data, e.usage(e.stopped(30)))
	must(t, err)
	got, n := w.account()
	if about(t, "30 steps", got, w.steps(30)); n != 1 || got >= w.steps(100)-100_000 {
		t.Errorf("%d releases, %d", n, got)
	}
	w.creator.restart()
	if again, _ := w.account(); again != got {
		t.Errorf("%d after a restart", again)
	}
	w.trainingJob(nil)
	e = w.released()
	_, err = e.commit(w.data, e.usage(e.stopped(0)))
	must(t, err)
	if after, n := w.account(); after != got || n != 1 {
		t.Errorf("nothing was used: %d releases, %d", n, after)
	}
}

// TestAttackStatementThatUnderstates: what ran is the job's, no more and no cheaper, or nothing is committed and all stays spent.
func TestAttackStatementThatUnderstates(t *testing.T) {
	t.Parallel()
	w := training(t, nil)
	e := w.released()
	for name, change := range map[string]func(*usage.Statement){
		"no spend":            func(s *usage.Statement) { s.Spent = []usage.Spend{} },
		"fewer steps":         func(s *usage.Statement) { e.trained(99)(s) },
		"more steps":          func(s *usage.Statement) { s.Spent[0].Mechanisms[0].Count++ },
		"more noise":          func(s *usage.Statement) { s.Spent[0].Mechanisms[0].Noise++ },
		"less sampling":       func(s *usage.Statement) { s.Spent[0].Mechanisms[0].Rate.Den++ },
		"less epsilon":        func(s *usage.Statement) { s.Spent[0].Epsilon -= 3 },
		"another delta":       func(s *usage.Statement) { s.Spent[0].Delta++ },
		"another adjacency":   func(s *usage.Statement) { s.Spent[0].Adjacency = dataset.ReplaceOne },
		"another unit":        func(s *usage.Statement) { s.Spent[0].Unit = dataset.UnitContributor },
		"another accountant":  func(s *usage.Statement) { s.Spent[0].Accountant = dp.PLD },
		"not debited":         func(s *usage.Statement) { s.Privacy = 0 },
		"figures of the code": func(s *usage.Statement) { s.Measured.CPUMillis = 5 },
	} {
		if _, err := e.commit(w.data, e.usage(func(s *usage.Statement) { e.trained(100)(s); change(s) })); !errors.Is(err, broker.ErrUsage) && !errors.Is(err, usage.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.clock.advance(2 * testTimeout)
	must(t, w.creator.ExpireLeases(t.Context()))
	w.creator.restart()
	got, _ := w.account()
	about(t, "kept", got, w.job.Privacy.Epsilon)
}

// TestBudgetOfTrainingEnds: ε of several jobs does not add up but composes; when it is over the cap the next job is refused before
// anything is released, and the plan says so.
func TestBudgetOfTrainingEnds(t *testing.T) {
	t.Parallel()
	w := training(t, nil)
	jobs := 0
	for ; jobs < 10; jobs++ {
		w.trainingJob(nil)
		if p := w.plan(); !p.Allowed {
			if len(p.Reasons) == 0 || p.Reasons[0].Rule != "buyer-epsilon" {
				t.Errorf("%+v", p.Reasons)
			}
			break
		}
		w.released() // and never heard of again
		w.clock.advance(2 * testTimeout)
		must(t, w.creator.ExpireLeases(t.Context()))
	}
	got, n := w.account()
	if jobs < 2 || jobs > 5 || n != int64(jobs) || got > 1_500_000 || got >= int64(jobs)*w.job.Privacy.Epsilon {
		t.Errorf("%d jobs of %d came to %d", jobs, w.job.Privacy.Epsilon, got)
	}
	e := w.newEnclave(nil)
	must(t, e.release(w.code))
	if r := rules(t, e.release(w.data)); !slices.Contains(r, "buyer-epsilon") {
		t.Errorf("%v", r)
	}
	w.trainingJob(func(j *job.Job) { // a little is left
		j.Privacy.Mechanisms[0].Noise, j.Privacy.Mechanisms[0].Count = 100_000_000, 1
	})
	if p := w.plan(); !p.Allowed {
		t.Errorf("what is left: %+v", p.Reasons)
	}
}

// TestReportTellsWhatWasSpent: of each lease the mechanisms that ran, or that were granted where nobody was heard of again.
func TestReportTellsWhatWasSpent(t *testing.T) {
	t.Parallel()
	w := training(t, func(m *dataset.Terms) { m.Privacy.Epsilon, m.Privacy.BuyerEpsilon = 8_000_000, 8_000_000 })
	e := w.released()
	_, err := e.commit(w.data, e.usage(e.stopped(crashSteps)))
	must(t, err)
	w.clock.advance(time.Second)
	w.trainingJob(nil)
	e = w.released()
	_, err = e.commit(w.data, e.usage(e.stopped(0)))
	must(t, err)
	w.clock.advance(time.Second)
	w.trainingJob(nil)
	w.released()
	w.clock.advance(2 * testTimeout)
	must(t, w.creator.ExpireLeases(t.Context()))
	w.clock.advance(time.Second)
	w.trainingJob(nil)
	w.released()
	all := w.job.Privacy.Epsilon
	r, err := broker.Report(t.Context(), w.creator.cfg, nil, w.clock.now().UnixMilli(), 30)
	must(t, err)
	if len(r.Populations) != 1 || len(r.Populations[0].Spends) != 4 {
		t.Fatalf("%+v", r.Populations)
	}
	for i, want := range []struct {
		state          string
		steps, epsilon int64
	}{{"spent", crashSteps, w.steps(crashSteps)}, {"spent", 0, 0}, {"kept", trainingSteps, all}, {"reserved", trainingSteps, all}} {
		got, steps := r.Populations[0].Spends[i], int64(0)
		if len(got.Mechanisms) > 0 {
			steps = got.Mechanisms[0].Count
		}
		if got.State != want.state || steps != want.steps || got.Epsilon != want.epsilon || got.Mode != dataset.ModeTraining || got.Delta != 10_000_000 ||
			got.Adjacency != dataset.AddOrRemove || got.Accountant != dp.RDP || got.Isolation != job.RuntimeTrain || got.Unit != dataset.UnitRecord {
			t.Errorf("%d: %+v", i, got)
		}
	}
	together := *r.Populations[0].Epsilon
	if together >= w.steps(crashSteps)+2*all || together < all {
		t.Errorf("epsilon %d together", together)
	}
}

// TestRaceForTheLastOfTheBudget: of many jobs at once, each of which fits alone, exactly those are released that fit together.
func TestRaceForTheLastOfTheBudget(t *testing.T) {
	t.Parallel()
	w := training(t, func(m *dataset.Terms) { m.Privacy.Epsilon, m.Privacy.BuyerEpsilon = 1_000_000, 1_000_000 })
	var racers []*enclave
	var signed [][]byte
	for range 6 {
		w.trainingJob(nil)
		e := w.newEnclave(nil)
		must(t, e.release(w.code))
		racers, signed = append(racers, e), append(signed, w.signedJob)
	}
	var wg sync.WaitGroup
	errs := make([]error, len(racers))
	for i, e := range racers {
		r := e.request(w.data)
		r.Job = signed[i]
		wg.Go(func() { _, errs[i] = w.creator.Release(t.Context(), r) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		if r := rules(t, err); !slices.Equal(r, []string{"buyer-epsilon", "epsilon"}) {
			t.Errorf("%v", r)
		}
	}
	if got, n := w.account(); won != 1 || n != 1 || got > 1_000_000 {
		t.Errorf("%d released, %d in the account: epsilon %d", won, n, got)
	}
}

// TestJobsThatTheTermsDoNotAllow: each difference is a reason of its own.
func TestJobsThatTheTermsDoNotAllow(t *testing.T) {
	t.Parallel()
	w := training(t, nil)
	for rule, change := range map[string]func(*job.Job){
		"privacy-epsilon":       func(j *job.Job) { j.Privacy.Epsilon = 1_000_001 },
		"privacy-bound":         func(j *job.Job) { j.Privacy.Epsilon -= 3 },
		"privacy-delta":         func(j *job.Job) { j.Privacy.Delta = 10_000_001 },
		"privacy-unit":          func(j *job.Job) { j.Privacy.Adjacency = dataset.ReplaceOne; j.Privacy.Epsilon = 999_999 },
		"privacy-contributions": func(j *job.Job) { j.Privacy.Unit, j.Privacy.Contributions = dataset.UnitContributor, 1_000_000 },
		"runtime":               func(j *job.Job) { j.Runtime = job.RuntimeTrainSum },
		"mode": func(j *job.Job) {
			j.Mode, j.Runtime, j.Privacy.Training = dataset.ModeRelease, job.RuntimeQuery, nil
			j.Outputs = []job.Output{{Name: "m.json", Class: "metrics", MaxBytes: 1 << 10}}
			j.Privacy.Mechanisms[0].Sampling, j.Privacy.Mechanisms[0].Rate = dp.NoSampling, dp.One
		},
	} {
		w.trainingJob(change)
		p := w.plan()
		if p.Allowed || !slices.ContainsFunc(p.Reasons, func(r grant.Reason) bool { return r.Rule == rule }) {
			t.Errorf("%s: %+v", rule, p.Reasons)
		}
		e := w.newEnclave(nil)
		must(t, e.release(w.code))
		if r := rules(t, e.release(w.data)); !slices.Contains(r, rule) {
			t.Errorf("%s: %v", rule, r)
		}
	}
	if _, n := w.account(); n != 0 {
		t.Errorf("%d releases", n)
	}
}

// TestPLDJobIsDebitedByRenyi: the job's own accountant may be the tighter one; the account composes with what comes later.
func TestPLDJobIsDebitedByRenyi(t *testing.T) {
	t.Parallel()
	w := training(t, nil)
	byRenyi := w.steps(100)
	w.trainingJob(func(j *job.Job) {
		b, err := dp.Epsilon(j.Privacy.Composition(), 1e-5, dp.PLD)
		must(t, err)
		j.Privacy.Accountant = dp.PLD
		j.Privacy.Epsilon, err = dp.Micros(b.Epsilon)
		must(t, err)
	})
	if w.job.Privacy.Epsilon >= byRenyi {
		t.Fatalf("PLD %d, RDP %d", w.job.Privacy.Epsilon, byRenyi)
	}
	e := w.released()
	if o := e.grants[w.data.ID].Predicate.Obligations; o.Privacy != w.job.Privacy.Epsilon {
		t.Errorf("%+v", o)
	}
	got, _ := w.account()
	about(t, "by Rényi", got, byRenyi)
}

// TestOwnDeltasAreDebited: what samplers and thresholds add to δ is taken from the account's, for good.
func TestOwnDeltasAreDebited(t *testing.T) {
	t.Parallel()
	w := training(t, nil)
	own := func(delta int64) {
		w.trainingJob(func(j *job.Job) {
			j.Privacy.Mechanisms[0].Delta, j.Privacy.Mechanisms[0].Noise, j.Privacy.Epsilon = delta, 50_000_000, 500_000
		})
	}
	own(6_000_000)
	w.released()
	must(t, w.creator.View(t.Context(), func(tx *ledger.Tx) error {
		s, err := tx.PopulationSum(w.data.Manifest.Terms.Privacy.Population, nil)
		if err == nil && s.Delta != 6_000_000 {
			t.Errorf("delta of %d", s.Delta)
		}
		return err
	}))
	own(6_000_000) // of 10
	if p := w.plan(); p.Allowed || !slices.ContainsFunc(p.Reasons, func(r grant.Reason) bool { return r.Rule == "epsilon" }) {
		t.Errorf("%+v", p.Reasons)
	}
}

// TestOrdersAreThoseOfTheAccountant: what a job comes to at each order is added to the account's sum at the same one.
func TestOrdersAreThoseOfTheAccountant(t *testing.T) {
	for i, o := range dp.Orders() {
		if privacy.Order(i) != o {
			t.Errorf("order %d: %v, the account has %v", i, o, privacy.Order(i))
		}
	}
	if len(dp.Orders()) != privacy.Orders {
		t.Errorf("%d orders", len(dp.Orders()))
	}
}
