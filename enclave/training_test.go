// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/enclave/train/clip"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// hostile compiles testdata/train/hostile.c, once; preparing is the same guest with train_prepare.
var (
	hostile   = sync.OnceValues(func() ([]byte, error) { return compiled("hostile.c") })
	preparing = sync.OnceValues(func() ([]byte, error) { return compiled("hostile.c", "-DPREPARE") })
)

// compiled makes a guest of testdata/train/source.
func compiled(source string, flags ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "trained")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("clang", append(flags, "--target=wasm32", "-nostdlib", "-mbulk-memory", "-Wl,--no-entry", "-O2", "-Wall", "-Werror", "-o", out, "testdata/train/"+source)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// hostileGuest skips where there is no clang for WebAssembly; CI must have it unless it says otherwise.
func hostileGuest(t *testing.T) []byte {
	t.Helper()
	return orSkip(t, hostile)
}

func orSkip(t *testing.T, compile func() ([]byte, error)) []byte {
	t.Helper()
	b, err := compile()
	if err != nil {
		if os.Getenv("CI") == "true" && os.Getenv("GLOVEBOX_NO_CLANG") == "" {
			t.Fatal(err)
		}
		t.Skipf("no clang and lld for WebAssembly: %v", err)
	}
	return b
}

// silence is noise without noise: what is left of a training is exact.
type silence struct{}

func (silence) Gaussian(dst []int64, _ sampler.Rat) error {
	clear(dst)
	return nil
}

// trainingWorld is a world whose code trains on records of "kind,x".
type trainingWorld struct {
	*world
	seams seams
	room  int64 // for records, if not 0
}

// privately are terms and job of a training of steps on all of n records.
func privately(t testing.TB, n int64, steps int64) (terms func(*dataset.Manifest), order func(*job.Job)) {
	p := &job.Privacy{
		Unit: dataset.UnitRecord, Contributions: 1, Adjacency: dp.ReplaceOne, Accountant: dp.RDP, Delta: 1_000_000,
		Mechanisms: []dp.Mechanism{{Kind: dp.Gaussian, Noise: 4 * dp.Micro, Sampling: dp.NoSampling, Rate: dp.One, Count: steps}},
		Training: &job.Training{
			Lot: n, Clip: dp.Micro, Optimiser: job.OptimiserSGD, LearningRate: dp.Micro, Decay: job.DecayNone, RecordFuel: 1 << 22,
			RecordBytes: 256, Params: 4, Pace: 1, Output: "model.safetensors",
		},
	}
	terms = func(m *dataset.Manifest) {
		m.Terms.Modes, m.Terms.Logs = []string{dataset.ModeTraining}, grant.LogsOff
		m.Terms.Privacy = dataset.Privacy{
			Population: "people", Unit: p.Unit, Adjacency: p.Adjacency, Epsilon: 100 * dp.Micro, BuyerEpsilon: 100 * dp.Micro, Delta: 1_000_000,
		}
		m.Terms.Private = []dataset.ModePrivacy{{
			Mode: dataset.ModeTraining, Epsilon: 100 * dp.Micro, Delta: 1_000_000, Contributions: 1, Runtimes: []string{job.RuntimeTrainSum, job.RuntimeTrain},
		}}
	}
	order = func(j *job.Job) {
		j.Mode, j.Runtime, j.Privacy = dataset.ModeTraining, job.RuntimeTrain, p
		j.Outputs = []job.Output{{Name: p.Training.Output, Class: "model", MaxBytes: 1 << 13}}
		p.Epsilon = comesTo(t, p)
	}
	return terms, order
}

// comesTo is what mechanisms come to.
func comesTo(t testing.TB, p *job.Privacy) int64 {
	t.Helper()
	b, err := dp.Epsilon(p.Composition(), float64(p.Delta)/dp.Pico, p.Accountant)
	check(t, err)
	e, err := dp.Micros(b.Epsilon)
	check(t, err)
	return e
}

// newTrainingWorld has records, and a job of so many full passes over them.
func newTrainingWorld(t testing.TB, module []byte, lines []string, steps int64, change func(*job.Job)) *trainingWorld {
	t.Helper()
	return newTrainingWorldFrom(t, made{module: module}, lines, steps, change)
}

func newTrainingWorldFrom(t testing.TB, from made, lines []string, steps int64, change func(*job.Job)) *trainingWorld {
	t.Helper()
	terms, order := privately(t, int64(len(lines)), steps)
	from.records, from.offer = []byte("kind,x\n"+strings.Join(lines, "\n")+"\n"), terms
	from.terms = func(tm *dataset.Terms) { tm.Modes = []string{dataset.ModeTraining} }
	from.job = func(j *job.Job) {
		order(j)
		if change != nil {
			change(j)
			j.Privacy.Epsilon = comesTo(t, j.Privacy)
		}
	}
	return &trainingWorld{world: newWorldFrom(t, from), seams: seams{testOnlyNoise: silence{}}}
}

// train runs one attempt.
func (w *trainingWorld) train(r Runner) (*door.Result, *door.Abandon) {
	w.t.Helper()
	e := w.enclave(r)
	e.seams = w.seams
	if w.room > 0 {
		e.room = w.room
	}
	w.result, w.abandon, w.payload = nil, nil, nil
	if err := e.serveOne(w.t.Context(), &door.Assignment{Token: "t", Job: w.job}); err != nil {
		w.t.Fatal(err)
	}
	return w.result, w.abandon
}

// opened are the files of a result.
func (w *trainingWorld) opened(r *door.Result) map[string][]byte {
	w.t.Helper()
	in, err := age.Decrypt(bytes.NewReader(append(slices.Clone(r.Header), w.payload...)), w.identity)
	check(w.t, err)
	files, tr := map[string][]byte{}, tar.NewReader(in)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		check(w.t, err)
		files[h.Name], err = io.ReadAll(tr)
		check(w.t, err)
	}
}

// params are the numbers of a safetensors file with one tensor.
func params(t testing.TB, b []byte) []float32 {
	t.Helper()
	if len(b) < 8 {
		t.Fatalf("%d bytes", len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	var h map[string]struct {
		Type    string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets []int  `json:"data_offsets"`
	}
	check(t, json.Unmarshal(b[8:8+n], &h))
	p, b := h["params"], b[8+n:]
	if len(h) != 1 || p.Type != "F32" || len(p.Shape) != 1 || !slices.Equal(p.Offsets, []int{0, len(b)}) || len(b) != 4*p.Shape[0] {
		t.Fatalf("header %+v, %d bytes", h, len(b))
	}
	out := make([]float32, p.Shape[0])
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

// honest computes here what the guest should: what a record says of attacks counts as what it may at most be.
type honest struct{ norm float64 }

func (h honest) gradient(params []float32, line string) []float32 {
	kind, text, _ := strings.Cut(line, ",")
	x, _ := strconv.ParseFloat(text, 32)
	switch kind {
	case "h":
		return []float32{float32(x), 0.25, params[2] * 0.125, 0}
	case "b":
		return []float32{-1e38, -1e38, -1e38, -1e38}
	case "e":
		g := make([]float32, 4)
		for i := range g {
			g[i] = float32(text[i]) * 1e6
		}
		return g
	}
	return []float32{0, 0, 0, 0}
}

func (h honest) Sum(_ context.Context, params []float32, units []train.Unit, total []int64) error {
	s, err := clip.New(len(params), h.norm)
	if err != nil {
		return err
	}
	for _, u := range units {
		for _, r := range u {
			s.Add(h.gradient(params, string(r)))
		}
		s.End()
	}
	for i, v := range s.Total() {
		total[i] += v
	}
	return nil
}

func (honest) Score(_ context.Context, _ []float32, records [][]byte, scores []float32) error {
	for i, r := range records {
		if kind, x, _ := strings.Cut(string(r), ","); kind == "h" {
			v, _ := strconv.ParseFloat(x, 32)
			scores[i] = float32(max(v, 0))
		} else if kind == "b" {
			scores[i] = 1
		}
	}
	return nil
}

// expected is what a training without noise comes to, computed without a guest.
func expected(t testing.TB, w *trainingWorld, lines []string, initial []float32) *train.Result {
	t.Helper()
	j, err := job.Verify(w.job)
	check(t, err)
	var data train.Units
	for _, l := range lines {
		data = append(data, train.Unit{[]byte(l)})
	}
	res, err := train.Run(t.Context(), &train.Config{
		Privacy: *j.Predicate.Privacy, Granted: 1 << 52, Params: initial, Sampler: train.NewSampler(strings.NewReader("")), Noise: silence{}, Clock: train.NewClock(),
	}, data, honest{norm: 1})
	check(t, err)
	return res
}

// lines are so many honest records.
func lines(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("h,%.3f", float64(i%7)/10-0.3)
	}
	return out
}

func newTestSpawner(t testing.TB) *sandbox.Spawner {
	t.Helper()
	s, err := sandbox.StartSpawner(sandbox.Config{Pool: -1})
	check(t, err)
	t.Cleanup(s.Close)
	return s
}

// wantTrained runs a world and wants exactly the model of a training in which each unit counted as what it may.
func wantTrained(t *testing.T, w *trainingWorld, r Runner, lines []string) *usage.Statement {
	t.Helper()
	return wantTrainedFrom(t, w, r, lines, make([]float32, 4))
}

func wantTrainedFrom(t *testing.T, w *trainingWorld, r Runner, lines []string, initial []float32) *usage.Statement {
	t.Helper()
	res, a := w.train(r)
	if res == nil {
		t.Fatalf("abandoned: %+v", a)
	}
	s, _ := w.statement(res)
	if s.Outcome != usage.OutcomeCompleted {
		t.Fatalf("%s: %s", s.Outcome, s.Reason)
	}
	got := params(t, w.opened(res)["model.safetensors"])
	if want := expected(t, w, lines, initial).Params; !slices.Equal(got, want) {
		t.Errorf("parameters %v, want %v", got, want)
	}
	return s
}

// TestTraining: one attempt from records to a model, and a statement that says what was spent and nothing of the worker.
func TestTraining(t *testing.T) {
	module, spawner := hostileGuest(t), newTestSpawner(t)
	for _, runtime := range []string{job.RuntimeTrain, job.RuntimeTrainSum} {
		all := lines(1000)
		w := newTrainingWorld(t, module, all, 3, func(j *job.Job) { j.Runtime = runtime })
		s := wantTrained(t, w, spawner, all)
		j, err := job.Verify(w.job)
		check(t, err)
		p := j.Predicate.Privacy
		if len(s.Spent) != 1 || s.Spent[0].Manifest != w.data.ID || s.Spent[0].Epsilon != p.Epsilon || s.Spent[0].Isolation != runtime ||
			!slices.Equal(s.Spent[0].Mechanisms, p.Mechanisms) || s.Spent[0].Delta != p.Delta {
			t.Errorf("spent %+v", s.Spent)
		}
		m := &s.Measured
		if m.CPUMillis != 0 || m.PeakMemory != 0 || m.WallMillis != 0 || s.Undeclared != 0 || s.Execution == nil || s.Execution.Fuel != 0 || s.Isolation == usage.NotStarted {
			t.Errorf("figures %+v, execution %+v, isolation %s", m, s.Execution, s.Isolation)
		}
		if k := s.Packages[1]; k.Records != 1000 || k.Epochs != 1 || k.Reads != w.data.Manifest.Tree.Size {
			t.Errorf("delivered %+v", k)
		}
	}
}

// TestHostileRecords: whatever the guest does with a record, it changes nothing but what that record's unit may add: others count
// as if it had not been there, in this step and in later ones.
func TestHostileRecords(t *testing.T) {
	module, spawner := hostileGuest(t), newTestSpawner(t)
	for name, kind := range map[string]string{
		"traps": "t,", "loops": "l,", "is not a number": "n,", "is infinite": "i,", "is huge": "b,", "is the record": "e,secret", "refuses": "r,",
		"poisons parameters and buffers": "p,", "takes all memory": "g,", "is empty": `"",`, "is too long": "h," + strings.Repeat("0", 300),
	} {
		for _, runtime := range []string{job.RuntimeTrain, job.RuntimeTrainSum} {
			t.Run(name+"/"+runtime, func(t *testing.T) {
				all := lines(60)
				all[0], all[17], all[18] = kind, kind, kind
				w := newTrainingWorld(t, module, all, 2, func(j *job.Job) { j.Runtime = runtime })
				want := slices.Clone(all)
				if name == "is too long" {
					want[0], want[17], want[18] = "r,", "r,", "r,"
				}
				wantTrained(t, w, spawner, want)
			})
		}
	}
}

// TestHostileScores: a score is a number from 0 to 1 whatever the guest says, and nothing if it fails.
func TestHostileScores(t *testing.T) {
	module, spawner := hostileGuest(t), newTestSpawner(t)
	all := lines(40)
	all[1], all[2], all[3], all[4], all[5] = "t,", "l,", "n,", "b,", "r,"
	w := newTrainingWorld(t, module, all, 1, func(j *job.Job) {
		j.Privacy.Training.Score = "score.json"
		j.Privacy.Mechanisms = append(j.Privacy.Mechanisms, dp.Mechanism{Kind: dp.Gaussian, Noise: 10 * dp.Micro, Sampling: dp.NoSampling, Rate: dp.One, Count: 1})
		j.Outputs = append(j.Outputs, job.Output{Name: "score.json", Class: "metrics", MaxBytes: 256})
	})
	res, a := w.train(spawner)
	if res == nil {
		t.Fatalf("abandoned: %+v", a)
	}
	s, _ := w.statement(res)
	if s.Outcome != usage.OutcomeCompleted || len(s.Spent) != 1 || len(s.Spent[0].Mechanisms) != 2 {
		t.Fatalf("%s: %s, %+v", s.Outcome, s.Reason, s.Spent)
	}
	var score struct{ Score, Deviation float64 }
	check(t, json.Unmarshal(w.opened(res)["score.json"], &score))
	if want := expected(t, w, all, make([]float32, 4)).Score; math.Abs(score.Score-want.Mean) > 1e-9 || score.Deviation != want.Deviation {
		t.Errorf("%+v, want %+v", score, want)
	}
}
