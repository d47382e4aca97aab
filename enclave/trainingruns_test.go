// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// stepClock is the real clock, and calls step before it waits for the end of each.
type stepClock struct {
	train.Clock
	waits int
	step  func(ctx context.Context, n int) error
}

func (c *stepClock) Wait(ctx context.Context, until time.Duration) error {
	c.waits++
	if err := c.step(ctx, c.waits-1); err != nil { // the first wait is for the data
		return err
	}
	return nil
}

// wantFailed wants a run that failed for a reason that says nothing, of which so many applications are attested.
func wantFailed(t *testing.T, w *trainingWorld, r Runner, reason string, least, most int64) *usage.Statement {
	t.Helper()
	res, a := w.train(r)
	if res == nil {
		t.Fatalf("abandoned: %+v", a)
	}
	s, _ := w.statement(res)
	if s.Outcome != usage.OutcomeFailed || s.Reason != reason || len(res.Header) != 0 || len(w.payload) != 0 {
		t.Errorf("outcome %q, reason %q, header of %d bytes", s.Outcome, s.Reason, len(res.Header))
	}
	ran := int64(0)
	if len(s.Spent) > 0 {
		ran = s.Spent[0].Mechanisms[0].Count
	}
	if ran < least || ran > most {
		t.Errorf("%d applications are attested, want %d to %d", ran, least, most)
	}
	return s
}

// TestRevokedTraining: what was done until then is attested and debited, no more, and nothing leaves.
func TestRevokedTraining(t *testing.T) {
	w := newTrainingWorld(t, hostileGuest(t), lines(50), 10, nil)
	w.seams.testOnlyClock = &stepClock{Clock: train.NewClock(), step: func(ctx context.Context, n int) error {
		if n < 3 {
			return nil
		}
		_, err := config.AddRevocation(w.creator.dir, &grant.Revocation{Manifest: &w.data.ID, Reason: "test", Time: time.Now().UnixMilli()})
		check(t, err)
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	s := wantFailed(t, w, newTestSpawner(t), usage.ReasonStopped, 3, 3)
	j, err := job.Verify(w.job)
	check(t, err)
	if e := s.Spent[0].Epsilon; e < 1 || e >= j.Predicate.Privacy.Epsilon {
		t.Errorf("epsilon %d, declared %d", e, j.Predicate.Privacy.Epsilon)
	}
}

// brokenNoise fails at some draw.
type brokenNoise struct {
	mu    sync.Mutex
	draws int
}

func (b *brokenNoise) Gaussian([]int64, sampler.Rat) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.draws++; b.draws > 4 {
		return sampler.ErrEntropy
	}
	return nil
}

// TestTrainingThatFailsSaysNothing: after records were read there is one reason for all that can go wrong.
func TestTrainingThatFailsSaysNothing(t *testing.T) {
	module, spawner := hostileGuest(t), newTestSpawner(t)
	t.Run("crash between debit and step", func(t *testing.T) {
		w := newTrainingWorld(t, module, lines(50), 10, nil)
		w.seams.testOnlyNoise = &brokenNoise{}
		wantFailed(t, w, spawner, usage.ReasonUnavailable, 5, 5)
	})
	t.Run("too late", func(t *testing.T) {
		w := newTrainingWorld(t, module, lines(50), 10, func(j *job.Job) { j.Limits.WallSeconds = 2 })
		w.seams.testOnlyClock = &stepClock{Clock: train.NewClock(), step: func(ctx context.Context, n int) error {
			if n == 3 {
				<-ctx.Done()
			}
			return context.Cause(ctx)
		}}
		wantFailed(t, w, spawner, usage.ReasonUnavailable, 0, 4)
	})
	t.Run("before the first step", func(t *testing.T) {
		w := newTrainingWorld(t, module, lines(50), 10, nil)
		w.seams.testOnlyClock = &stepClock{Clock: train.NewClock(), step: func(context.Context, int) error { return train.ErrSeam }}
		wantFailed(t, w, spawner, usage.ReasonUnavailable, 10, 10) // records were read, and one may be why: all that was declared
	})
}

// TestRefusedBeforeAnyRecordIsRead: what can be known without records is told as it is, and nothing is read or spent.
func TestRefusedBeforeAnyRecordIsRead(t *testing.T) {
	module, spawner := hostileGuest(t), newTestSpawner(t)
	for name, c := range map[string]struct {
		module []byte
		change func(*job.Job)
		reason string
	}{
		"no module of train/1":       {fdReader("numbers/records.csv", 100), nil, usage.ReasonModule},
		"no module at all":           {[]byte("not"), nil, usage.ReasonModule},
		"a lot larger than the data": {module, func(j *job.Job) { j.Privacy.Training.Lot = 51 }, usage.ReasonNotPermitted},
		"parameters over the cap":    {module, func(j *job.Job) { j.Privacy.Training.Params = 3 }, usage.ReasonModule},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTrainingWorld(t, c.module, lines(50), 2, c.change)
			if s := wantFailed(t, w, spawner, c.reason, 0, 0); s.Packages[1].Reads != 0 {
				t.Errorf("%d leaves were read", s.Packages[1].Reads)
			}
		})
	}
}

// eyes remembers which parts of which blobs the host was asked for.
type eyes struct {
	dataset.BlobReader
	mu    sync.Mutex
	asked []string
}

func (b *eyes) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, fmt.Sprint(d, off, len(p)))
	return b.BlobReader.ReadAt(ctx, d, p, off)
}

// TestHostSeesNoSample: whatever is sampled, the host is asked for the same in the same order.
func TestHostSeesNoSample(t *testing.T) {
	module, spawner := hostileGuest(t), newTestSpawner(t)
	var first []string
	w := newTrainingWorld(t, module, lines(3000), 1, func(j *job.Job) {
		m := &j.Privacy.Mechanisms[0]
		m.Sampling, m.Rate, m.Count = dp.FixedSize, dp.Rate{Num: 30, Den: 3000}, 20
		j.Privacy.Training.Lot = 30
	})
	var models [][]float32
	for seed := range byte(2) {
		seen := &eyes{BlobReader: w.store}
		w.blobs = seen
		w.seams.testOnlySampler = train.NewSampler(bytes.NewReader(bytes.Repeat([]byte{1, 7 * seed, 3, seed, 250}, 10_000)))
		w.signJobAgain(t)
		res, a := w.train(spawner)
		if res == nil || res.Outcome != usage.OutcomeCompleted {
			t.Fatalf("%+v %+v", res, a)
		}
		models = append(models, params(t, w.opened(res)["model.safetensors"]))
		if first == nil {
			first = seen.asked
		} else if !slices.Equal(first, seen.asked) || len(first) == 0 {
			t.Error("the host was asked for something else")
		}
	}
	if slices.Equal(models[0], models[1]) {
		t.Error("both runs sampled the same: nothing is shown")
	}
}

// signJobAgain makes another job of the last one.
func (w *trainingWorld) signJobAgain(t *testing.T) {
	t.Helper()
	v, err := job.Verify(w.job)
	check(t, err)
	w.signJob(func(j *job.Job) {
		id := j.ID
		*j = v.Predicate
		j.ID = id
	})
}

// TestContributorsInTraining: a unit is all that one person gave, wherever it lies and whatever steps leave of it: the first
// records count, as many as the terms allow, as one bounded vector.
func TestContributorsInTraining(t *testing.T) {
	var csv strings.Builder
	csv.WriteString("kind,x,who\n")
	kept := map[string][]string{}
	for i := range 1000 { // p0 has most of them
		who := "p0"
		if i%100 == 0 {
			who = fmt.Sprintf("p%d", 1+i/100%3)
		}
		kind := []string{"z", "h", "h"}[i%3]
		x := fmt.Sprintf("0.%d", i%9)
		fmt.Fprintf(&csv, "%s,%s,%s\n", kind, x, who)
		if kind == "h" && len(kept[who]) < 2 {
			kept[who] = append(kept[who], "h,"+x)
		}
	}
	module := hostileGuest(t)
	terms, order := privately(t, 4, 3)
	const contributions = 2
	w := &trainingWorld{world: newWorldFrom(t, made{
		records: numbers(10), module: module, terms: func(tm *dataset.Terms) { tm.Modes = []string{dataset.ModeTraining} }, offer: terms, job: order,
	}), seams: seams{testOnlyNoise: silence{}}}
	keys := map[envelope.Digest]dataset.Key{}
	offer := w.offer(w.creator, dataset.KindDataset)
	terms(&offer)
	offer.Terms.Privacy.Unit, offer.Terms.Private[0].Contributions = dataset.UnitContributor, contributions
	offer.Terms.Steps = []dataset.ModeSteps{{Mode: dataset.ModeTraining, Steps: []dataset.Step{
		pin(t, "filter", map[string]any{"where": []map[string]any{{"field": "kind", "equals": "h"}}}),
		pin(t, "drop", map[string]any{"fields": fieldsOf("who")}),
	}}}
	w.data = w.pack(w.creator, dataset.PackConfig{
		Manifest: offer, Source: strings.NewReader(csv.String()), Temp: t.TempDir(),
		Contributors: &dataset.Contributors{By: "who", Unit: func(name string) (envelope.Digest, dataset.Key, error) {
			id := dataset.UnitID([]byte("index"), name)
			keys[id] = dataset.NewKey()
			return id, keys[id], nil
		}},
	})
	k, err := keyholder.Open(w.creator.cfg.Layout().Keyholder(), w.creator.cfg.Layout().KeyholderIdentity())
	check(t, err)
	wrapped := map[envelope.Digest][]byte{}
	for id, key := range keys {
		wrapped[id], err = k.Wrap(t.Context(), keyholder.UnitContext(w.data.Manifest.Dataset, id), key.Bytes())
		check(t, err)
	}
	check(t, config.AddUnits(w.creator.dir, w.data.Manifest.Dataset, wrapped))
	w.signJob(func(j *job.Job) {
		order(j)
		j.Privacy.Unit, j.Privacy.Contributions = dataset.UnitContributor, contributions
	})
	res, a := w.train(newTestSpawner(t))
	if res == nil || res.Outcome != usage.OutcomeCompleted {
		t.Fatalf("%+v %+v", res, a)
	}
	v, err := job.Verify(w.job)
	check(t, err)
	var data train.Units
	for i := range 4 { // of p1 nothing is left
		u := train.Unit{}
		for _, r := range kept[fmt.Sprintf("p%d", i)] {
			u = append(u, []byte(r))
		}
		data = append(data, u)
	}
	want, err := train.Run(t.Context(), &train.Config{
		Privacy: *v.Predicate.Privacy, Granted: 1 << 52, Params: make([]float32, 4), Sampler: train.NewSampler(strings.NewReader("")), Noise: silence{}, Clock: train.NewClock(),
	}, data, honest{norm: 1})
	check(t, err)
	if got := params(t, w.opened(res)["model.safetensors"]); len(kept) != 3 || !slices.Equal(got, want.Params) {
		t.Errorf("%v of %d contributors, want %v", got, len(data), want.Params)
	}
	if s, _ := w.statement(res); s.Packages[1].Records != 1000 || !s.Transforms[0].Sealed || s.Spent[0].Contributions != contributions {
		t.Errorf("%+v", s)
	}
}

// TestContributorTwice: in two datasets of one owner a person has two identities; nobody could bound her part.
func TestContributorTwice(t *testing.T) {
	_, order := privately(t, 4, 1)
	a, err := envelope.GenerateSigner(envelope.RoleOwner)
	check(t, err)
	b, err := envelope.GenerateSigner(envelope.RoleOwner)
	check(t, err)
	for name, c := range map[string]struct {
		unit  string
		other envelope.PublicKey
		ok    bool
	}{
		"a contributor, one owner":  {dataset.UnitContributor, a.Public(), false},
		"a contributor, two owners": {dataset.UnitContributor, b.Public(), true},
		"a record, two owners":      {dataset.UnitRecord, b.Public(), true},
		"a record, one owner":       {dataset.UnitRecord, a.Public(), false},
	} {
		r := &attempt{job: &envelope.Verified[job.Job]{}, packages: []*pack{
			{m: &dataset.Manifest{}}, {m: &dataset.Manifest{Owner: a.Public()}}, {m: &dataset.Manifest{Owner: c.other}},
		}}
		order(&r.job.Predicate)
		r.job.Predicate.Privacy.Unit = c.unit
		if err := r.private(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
