// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// TestPreparedTraining: the guest sees the code package's train.json; what it prepares takes the records' places, each of that record
// alone, and one that it fails on counts as zeros.
func TestPreparedTraining(t *testing.T) {
	module, spawner := orSkip(t, preparing), newTestSpawner(t)
	for _, runtime := range []string{job.RuntimeTrain, job.RuntimeTrainSum} {
		want := lines(60)
		raw := slices.Clone(want)
		for i := range raw {
			raw[i] = "q" + raw[i][1:]
		}
		for i, kind := range []string{"t,", "l,", "w,", "o,", "h,0.3"} {
			raw[7*i], want[7*i] = kind, "r,"
		}
		w := newTrainingWorldFrom(t, made{module: module, code: map[string][]byte{trainConfig: []byte("[7]")}}, raw, 2, func(j *job.Job) { j.Runtime = runtime })
		wantTrainedFrom(t, w, spawner, want, []float32{7, 0, 0, 0})
	}
}

// TestTrainingLargerThanMemory: what does not fit is kept outside, and batches without sampling and trees train on it as if it did;
// samples of it, which others would see, and guests that prepare it, whose answers' lengths they would, are refused before anything is read.
func TestTrainingLargerThanMemory(t *testing.T) {
	spawner := newTestSpawner(t)
	for name, guest := range map[string]func() ([]byte, error){"raw": hostile, "prepared": preparing} {
		module := orSkip(t, guest)
		want := lines(60)
		data := slices.Clone(want)
		for i := range data {
			if name == "prepared" {
				data[i] = "q" + data[i][1:]
			}
		}
		for kind, change := range map[string]func(*job.Job){
			"batches": func(*job.Job) {},
			"tree": func(j *job.Job) {
				j.Privacy.Training.Lot = 9
				j.Privacy.Mechanisms[0] = dp.Mechanism{Kind: dp.Tree, Noise: 8 * dp.Micro, Size: 7, Sampling: dp.NoSampling, Rate: dp.One, Count: 2}
			},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				w := newTrainingWorld(t, module, data, 2, change)
				if w.room = 100; name == "raw" {
					wantTrained(t, w, spawner, want)
				} else if s := wantFailed(t, w, spawner, usage.ReasonNotPermitted, 0, 0); s.Packages[1].Reads != 0 {
					t.Errorf("%d leaves were read", s.Packages[1].Reads)
				}
			})
		}
		for kind, change := range map[string]func(*job.Job){
			"poisson": func(j *job.Job) {
				j.Privacy.Mechanisms[0].Sampling, j.Privacy.Mechanisms[0].Rate = dp.Poisson, dp.Rate{Num: 1, Den: 4}
				j.Privacy.Training.Lot = 15
			},
			"fixed size": func(j *job.Job) {
				j.Privacy.Mechanisms[0].Sampling, j.Privacy.Mechanisms[0].Rate = dp.FixedSize, dp.Rate{Num: 15, Den: 60}
				j.Privacy.Training.Lot = 15
			},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				w := newTrainingWorld(t, module, data, 2, change)
				w.room = 100
				if s := wantFailed(t, w, spawner, usage.ReasonNotPermitted, 0, 0); s.Packages[1].Reads != 0 {
					t.Errorf("%d leaves were read", s.Packages[1].Reads)
				}
			})
		}
	}
}

// TestSpilledDataThatOthersWouldSee: the room is for all records, raw and prepared, by what is public, and the error says what to do.
func TestSpilledDataThatOthersWouldSee(t *testing.T) {
	_, order := privately(t, 10, 1)
	for name, c := range map[string]struct {
		sampling      string
		contributions int64
		prepares      bool
		score         string
		room          int64
		want          string // in the error
	}{
		"raw that fits":            {dp.Poisson, 1, false, "", 1000, ""},
		"raw that does not":        {dp.Poisson, 1, false, "", 999, dp.Tree},
		"samples of fixed size":    {dp.FixedSize, 1, false, "", 999, dp.Tree},
		"batches":                  {dp.NoSampling, 1, false, "", 1, ""},
		"batches and a score":      {dp.NoSampling, 1, false, "s.json", 999, "no score"},
		"a score that fits":        {dp.NoSampling, 1, false, "s.json", 1000, ""},
		"prepared that fits":       {dp.Poisson, 2, true, "", 256 * 20, ""},
		"prepared that does not":   {dp.Poisson, 2, true, "", 256*20 - 1, "fewer bytes"},
		"batches, prepared":        {dp.NoSampling, 2, true, "", 256*20 - 1, "fewer bytes"},
		"raw does not, prepared":   {dp.NoSampling, 1, true, "", 256*10 - 1, "fewer bytes"},
		"no more than is granted":  {dp.Poisson, 100, true, "", 256 * 40, ""},
		"beyond what numbers hold": {dp.Poisson, 1 << 40, true, "", 256*40 - 1, "fewer bytes"},
	} {
		r := &attempt{e: &Enclave{room: c.room}, job: &envelope.Verified[job.Job]{}, packages: []*pack{
			{}, {m: &dataset.Manifest{}, granted: &dataset.Selection{Records: 15, RawBytes: 400}}, {m: &dataset.Manifest{}, granted: &dataset.Selection{Records: 25, RawBytes: 600}},
		}}
		order(&r.job.Predicate)
		r.job.Predicate.Privacy.Contributions, r.job.Predicate.Privacy.Mechanisms[0].Sampling = c.contributions, c.sampling
		var guest trainee = &mortal{}
		if !c.prepares {
			guest = unprepared{guest}
		}
		r.job.Predicate.Privacy.Training.Score = c.score
		err := r.heldInMemory(&trainPool{desks: []*desk{{t: guest}}}, 10)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// unprepared is a guest that prepares nothing.
type unprepared struct{ trainee }

func (unprepared) Prepares() bool { return false }

// TestRecordThatTakesAllMemory: one that fills a large memory, which the worker has twice, counts as zeros and nothing ends.
func TestRecordThatTakesAllMemory(t *testing.T) {
	all := lines(20)
	all[3], all[11] = "g,", "g,1"
	w := newTrainingWorld(t, hostileGuest(t), all, 2, func(j *job.Job) {
		j.Limits.MemoryBytes = 512 << 20
		j.Privacy.Training.RecordFuel = 1 << 32
	})
	wantTrained(t, w, newTestSpawner(t), all)
}

// TestJobWithContributorTwice: such a job is refused when it comes, before any broker is asked.
func TestJobWithContributorTwice(t *testing.T) {
	w := newTrainingWorld(t, []byte("unused"), lines(10), 1, nil)
	offer := w.offer(w.creator, dataset.KindDataset)
	terms, order := privately(t, 10, 1)
	terms(&offer)
	more := w.pack(w.creator, dataset.PackConfig{Manifest: offer, Source: strings.NewReader("kind,x\n" + strings.Join(lines(12), "\n") + "\n")})
	for unit, ok := range map[string]bool{dataset.UnitRecord: false, dataset.UnitContributor: false} {
		w.signJob(func(j *job.Job) {
			order(j)
			j.Privacy.Unit = unit
			j.Datasets = append(j.Datasets, more.ID)
		})
		_, err := w.enclave(unusedRunner{}).accept(t.Context(), &door.Assignment{Token: "t", Job: w.job})
		if ok != (err == nil) || err != nil && (!errors.Is(err, ErrJob) || !strings.Contains(err.Error(), "twice")) {
			t.Errorf("%s: %v", unit, err)
		}
	}
}

// unusedRunner is of an enclave that starts no worker.
type unusedRunner struct{ Runner }

// TestHeaderThatIsNotGranted: of CSV without its first leaf a record would be taken for the header.
func TestHeaderThatIsNotGranted(t *testing.T) {
	g := &envelope.Verified[grant.Grant]{}
	g.Predicate.Obligations.Leaves = grant.Ranges{{First: 1, Count: 1}}
	p := &pack{m: &dataset.Manifest{Format: dataset.FormatCSV}, grant: g}
	if _, err := (&attempt{}).loadPackage(t.Context(), p, 0, newRecords(1, 0, 1)); !errors.Is(err, ErrGrant) {
		t.Error(err)
	}
}

// TestRecordsOfNobody: where the unit is a contributor, a record that has none is refused, and a segment without records is not.
func TestRecordsOfNobody(t *testing.T) {
	who := envelope.Sum([]byte("who"))
	for name, c := range map[string]struct {
		nobodys int64 // records
		unit    string
		ok      bool
	}{
		"of nobody":          {2, dataset.UnitContributor, false},
		"a header of nobody": {0, dataset.UnitContributor, true},
		"units are records":  {2, dataset.UnitRecord, true},
	} {
		for at := range 3 { // before, between and behind segments of somebody
			m := &dataset.Manifest{Segments: make([]dataset.Segment, 3)}
			for i := range m.Segments {
				m.Segments[i] = dataset.Segment{Records: 5}
				if i != at {
					m.Units = append(m.Units, dataset.ErasureUnit{ID: who, First: int64(i), Count: 1})
				}
			}
			m.Segments[at].Records = c.nobodys
			p := &pack{m: m, granted: &dataset.Selection{Segments: []int{0, 1, 2}, Units: []int{0, 1}, Records: 10 + c.nobodys}}
			n, err := countUnits(p, c.unit)
			place := placeUnits(p, c.unit, []int64{100, 200, 300})
			if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrGrant) {
				t.Fatalf("%s at %d: %v", name, at, err)
			}
			if c.ok && c.unit == dataset.UnitContributor && (n != 1 || place(int64(100*at), 0) != -1 || place(int64(100*((at+1)%3)), 0) != 0) {
				t.Errorf("%s at %d: %d units, %d", name, at, n, place(int64(100*at), 0))
			}
		}
	}
}

// TestGrantedIsTheLeast: what a training may come to is the least that any grant says; and a score that the guest cannot give, or a
// model that may not leave, is refused.
func TestGrantedIsTheLeast(t *testing.T) {
	_, order := privately(t, 10, 1)
	try := func(guest trainee, least, bytes int64, bend func(*job.Job)) (*train.Config, int, error) {
		r := &attempt{e: &Enclave{}, job: &envelope.Verified[job.Job]{}, packages: []*pack{}}
		for _, epsilon := range []int64{1 << 40, 9, least, 8} {
			g := &envelope.Verified[grant.Grant]{}
			g.Predicate.Obligations.Privacy, g.Predicate.Obligations.MaxOutput = epsilon, bytes
			r.packages = append(r.packages, &pack{m: &dataset.Manifest{Kind: dataset.KindDataset}, grant: g, granted: &dataset.Selection{Records: 5}})
		}
		order(&r.job.Predicate)
		r.job.Predicate.Limits.OutputBytes = 1 << 20
		bend(&r.job.Predicate)
		return r.training(&trainPool{desks: []*desk{{t: guest}}})
	}
	model := job.ModelBytes(2)
	for _, least := range []int64{0, 3, 8} {
		c, units, err := try(&mortal{}, least, model, func(*job.Job) {})
		if err != nil || c.Granted != least || units != 15 {
			t.Errorf("%d granted of %d units, want %d: %v", c.Granted, units, least, err)
		}
	}
	score := func(j *job.Job) {
		p := *j.Privacy.Training
		p.Score = "score.json"
		j.Privacy.Training = &p
	}
	for name, err := range map[string]error{
		"fits":                  third(try(&mortal{}, 3, model+job.ScoreBytes, score)),
		"no room for a score":   third(try(&mortal{}, 3, model+job.ScoreBytes-1, score)),
		"no room for a model":   third(try(&mortal{}, 3, model-1, func(*job.Job) {})),
		"a guest without score": third(try(silentGuest{&mortal{}}, 3, 1<<20, score)),
	} {
		if (err == nil) != (name == "fits") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func third(_ *train.Config, _ int, err error) error { return err }

// silentGuest predicts nothing.
type silentGuest struct{ trainee }

func (silentGuest) Predicts() bool { return false }

// TestSpentWithoutBound: where nobody can say what came to what ran, all that was declared counts as run.
func TestSpentWithoutBound(t *testing.T) {
	_, order := privately(t, 10, 5)
	r := &attempt{job: &envelope.Verified[job.Job]{}}
	for _, kind := range []dataset.Kind{dataset.KindCode, dataset.KindDataset} {
		r.packages = append(r.packages, &pack{m: &dataset.Manifest{Kind: kind}, grant: &envelope.Verified[grant.Grant]{}})
	}
	r.live = r.packages
	order(&r.job.Predicate)
	ran := slices.Clone(r.job.Predicate.Privacy.Mechanisms)
	ran[0].Count = 1
	s := r.spent(&outcome{ran: ran})
	if len(s) != 1 || s[0].Mechanisms[0].Count != 1 || s[0].Epsilon < 1 || s[0].Epsilon >= r.job.Predicate.Privacy.Epsilon {
		t.Fatalf("%+v", s)
	}
	ran[0].Noise = 0
	s = r.spent(&outcome{ran: ran})
	if len(s) != 1 || !slices.Equal(s[0].Mechanisms, r.job.Predicate.Privacy.Mechanisms) || s[0].Epsilon != r.job.Predicate.Privacy.Epsilon {
		t.Errorf("%+v", s)
	}
	if s := r.spent(&outcome{}); s == nil || len(s) != 0 {
		t.Errorf("nothing ran: %+v", s)
	}
}

// TestSilence: of a worker is told which module ran in what confinement, and nothing that a record could move.
func TestSilence(t *testing.T) {
	said := map[string]bool{"Original": true, "Rewritten": true, "Costs": true, "Isolation": true, "Outputs": true}
	o := sandbox.Outcome{
		Reason: "r", Detail: "d", Outputs: []sandbox.Artefact{{Name: "theirs"}}, Undeclared: 1, Logs: []byte("l"), Original: envelope.Sum(nil),
		Rewritten: envelope.Sum(nil), Costs: "c", Fuel: 1, Peak: 1, CPU: time.Second, Wall: time.Second, Isolation: isolation,
	}
	full, got := reflect.ValueOf(o), reflect.ValueOf(silent(o, []sandbox.Artefact{{Name: "ours"}}))
	for i := range full.NumField() {
		name := full.Type().Field(i).Name
		if full.Field(i).IsZero() {
			t.Errorf("%s is not tested", name)
		}
		if got.Field(i).IsZero() == said[name] {
			t.Errorf("%s: %v", name, got.Field(i))
		}
	}
	if a := silent(o, nil); len(a.Outputs) != 0 {
		t.Error("the worker's outputs are told")
	}
}

// TestDiscretion: once something of any data set was delivered, reasons are one; before, and in other modes, they are told.
func TestDiscretion(t *testing.T) {
	_, order := privately(t, 10, 1)
	for _, mode := range []string{dataset.ModeTraining, dataset.ModeRelease, dataset.ModeAggregate, grant.ModeRaw} {
		for _, delivered := range []int{-1, 0, 1, 2} {
			r := &attempt{job: &envelope.Verified[job.Job]{}}
			order(&r.job.Predicate)
			r.job.Predicate.Mode = mode
			for i := range 3 {
				p := &pack{}
				if i == delivered {
					p.meter.reads = 1
				}
				r.packages = append(r.packages, p)
			}
			for _, reason := range []string{usage.ReasonNone, usage.ReasonStopped, usage.ReasonUnavailable, usage.ReasonTrap, usage.ReasonFuel, usage.ReasonModule, usage.ReasonDataset} {
				want := reason
				if job.Private(mode) && delivered > 0 && reason != usage.ReasonNone && reason != usage.ReasonStopped {
					want = usage.ReasonUnavailable
				}
				if got := r.discreet(reason); got != want {
					t.Errorf("%s, package %d: %q for %q", mode, delivered, got, reason)
				}
			}
		}
	}
}
