// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/train"
	buyer "github.com/glovebox-dev/glovebox/examples/dp"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// images are those that are trained on.
const images = 60_000

// delta is that of every ε here.
const delta = 1e-5

// training is one run.
type training struct {
	guest, config string
	epsilon       float64 // by privacy loss distributions; 0 without privacy: bounded gradients, next to no noise
	lot, steps    int64
	rate, clip    float64
	average       float64
	workerSum     bool
	abadi         string
}

// trainings. Rates, lots and steps of those on scattering features were tried on the last 10,000 of the 60,000 images, in the same loop
// without the sandbox; that choice is not in ε, here as in the papers.
var trainings = []training{
	{"scatter", `{}`, 0.5, 4096, 146, 0.25, 1, 0, true, "90 %"},
	{"scatter", `{}`, 8, 4096, 293, 1, 1, 0.9, true, "97 %"},
	{"scatter", `{}`, 2, 4096, 293, 1, 1, 0.9, false, "95 %"},
	{"scatter", `{}`, 2, 4096, 293, 1, 1, 0.9, true, "95 %"},
	{"scatter", `{}`, 0, 1024, 1500, 2, 1, 0.99, true, "98.3 %"},
	{"cnn", `{}`, 2, 2048, 586, 0.5, 1, 0.9, true, "95 %"},
}

func (t *training) String() string {
	if t.epsilon == 0 {
		return t.guest + " without privacy"
	}
	return fmt.Sprintf("%s %v %s", t.guest, t.epsilon, t.class())
}

func (t *training) class() string {
	if t.workerSum {
		return "worker-sum"
	}
	return "default"
}

// accuracyTitle is the section's, which is made if asked for.
const accuracyTitle = "MNIST"

// accuracies trains what was asked for, as many at once as there are processors, and saves each row as it comes. Rows of trainings that
// were not asked for, or are not yet done, are those of the document.
func accuracies(ctx context.Context, o *options) (string, error) {
	rows := make([]string, len(trainings))
	var asked []int
	for i := range trainings {
		var err error
		if rows[i], err = trainings[i].earlier(o.earlier[accuracyTitle]); err != nil {
			return "", err
		}
		if o.mnist == "all" || strings.Contains(trainings[i].String(), o.mnist) {
			asked = append(asked, i)
		}
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	errs, free := make([]error, len(trainings)), make(chan struct{}, runtime.NumCPU())
	for _, i := range asked {
		wait.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			t := &trainings[i]
			fmt.Fprintln(os.Stderr, "bench-dp:", t.String())
			row, err := t.row(ctx, o)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", t.String(), err)
				return
			}
			fmt.Fprint(os.Stderr, row)
			rows[i] = row
			errs[i] = o.save(accuracyTable(rows))
		})
	}
	wait.Wait()
	return accuracyTable(rows), errors.Join(errs...)
}

func accuracyTable(rows []string) string {
	return "| model | ε by PLD | ε by RDP | accuracy | Abadi | noise multiplier | lot | steps | class | minutes |\n|---|---|---|---|---|---|---|---|---|---|\n" + strings.Join(rows, "")
}

// earlier is this training's row in an earlier table, if there is one.
func (t *training) earlier(table string) (string, error) {
	p, err := t.privacy()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "| "+t.guest+" |") && strings.Contains(line, t.key(p)) {
			return line, nil
		}
	}
	return "", nil
}

// key are columns that only one training of a guest has.
func (t *training) key(p *job.Privacy) string {
	noise := "–"
	if t.epsilon > 0 {
		noise = fmt.Sprintf("%.3f", float64(p.Mechanisms[0].Noise)/dp.Micro)
	}
	return fmt.Sprintf("| %s | %d | %d | %s |", noise, t.lot, t.steps, t.class())
}

// row trains and evaluates.
func (t *training) row(ctx context.Context, o *options) (string, error) {
	began := time.Now()
	dir, err := os.MkdirTemp(o.dir, "")
	if err != nil {
		return "", err
	}
	module, err := build(ctx, dir, t.guest)
	if err != nil {
		return "", err
	}
	p, err := t.privacy()
	if err != nil {
		return "", err
	}
	model, err := t.train(ctx, o, module, p)
	if err != nil {
		return "", err
	}
	test, err := lines(ctx, "test.csv", 0)
	if err != nil {
		return "", err
	}
	score, _, err := buyer.Evaluate(ctx, module, []byte(t.config), model, test)
	if err != nil {
		return "", err
	}
	loss, renyi := "–", "–"
	if t.epsilon > 0 {
		loss, renyi = epsilon(p, dp.PLD), epsilon(p, dp.RDP)
	}
	return fmt.Sprintf("| %s | %s | %s | **%.2f %%** | %s %s %.1f |\n", t.guest, loss, renyi, 100*score, t.abadi, t.key(p), time.Since(began).Minutes()), nil
}

func epsilon(p *job.Privacy, accountant string) string {
	b, err := dp.Epsilon(composition(p), delta, accountant)
	if err != nil {
		return "–"
	}
	return fmt.Sprintf("%.3f", b.Epsilon)
}

func composition(p *job.Privacy) *dp.Composition {
	return &dp.Composition{Adjacency: p.Adjacency, Mechanisms: p.Mechanisms}
}

// privacy is the declaration of a job, with as little noise as its ε allows.
func (t *training) privacy() (*job.Privacy, error) {
	m := dp.Mechanism{Kind: dp.Gaussian, Noise: dp.Micro / 1000, Sampling: dp.Poisson, Rate: dp.Rate{Num: t.lot, Den: images}, Count: t.steps}
	p := &job.Privacy{
		Unit: "record", Contributions: 1, Adjacency: dp.AddOrRemove, Mechanisms: []dp.Mechanism{m}, Accountant: dp.RDP, Delta: delta * dp.Pico,
		Training: &job.Training{
			Lot: t.lot, Clip: int64(t.clip * dp.Micro), Optimiser: job.OptimiserMomentum, LearningRate: int64(t.rate * dp.Micro), Decay: job.DecayNone,
			Momentum: 900_000, Average: int64(t.average * dp.Micro), RecordFuel: recordFuel, RecordBytes: recordBytes, Params: maxParams, Pace: 1, Output: "model.safetensors",
		},
	}
	if t.epsilon > 0 {
		p.Accountant, p.Mechanisms[0].Noise = dp.PLD, 0
		var err error
		if p.Mechanisms[0].Noise, err = dp.Noise(composition(p), t.epsilon, delta, dp.PLD); err != nil {
			return nil, err
		}
	}
	b, err := dp.Epsilon(composition(p), delta, p.Accountant)
	if err == nil {
		p.Epsilon, err = dp.Micros(b.Epsilon)
	}
	return p, err
}

// train is the enclave's part.
func (t *training) train(ctx context.Context, o *options, module []byte, p *job.Privacy) ([]float32, error) {
	s, err := sandbox.StartSpawner(sandbox.Config{Pool: -1})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	norm := 0.0
	if t.workerSum {
		norm = t.clip
	}
	x, err := open(ctx, s, module, []byte(t.config), norm)
	if err != nil {
		return nil, err
	}
	defer x.Close()
	units, err := t.prepared(ctx, o, x)
	if err != nil {
		return nil, err
	}
	w, err := newWorker(x, t.clip)
	if err != nil {
		return nil, err
	}
	res, err := train.Run(ctx, &train.Config{
		Privacy: *p, Granted: p.Epsilon, Params: x.Initial(), Sampler: train.NewSampler(rand.Reader), Noise: train.NewNoise(rand.Reader), Clock: unpaced{},
	}, train.Units(units), w)
	return res.Params, err
}

// stock are the images as a guest prepares them, once for all its runs.
type stock struct {
	mu    sync.Mutex
	units []train.Unit
}

func (t *training) stock(o *options) *stock {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.prepared == nil {
		o.prepared = map[string]*stock{}
	}
	s := o.prepared[t.guest+t.config]
	if s == nil {
		s = &stock{}
		o.prepared[t.guest+t.config] = s
	}
	return s
}

func (t *training) prepared(ctx context.Context, o *options, x *sandbox.TrainSession) ([]train.Unit, error) {
	s := t.stock(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.units != nil {
		return s.units, nil
	}
	table, err := lines(ctx, "train.csv", images)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	units, err := prepare(ctx, x, table)
	if err != nil {
		return nil, err
	}
	s.units = units
	fmt.Fprintln(os.Stderr, "bench-dp: prepared after", time.Since(began).Round(time.Second))
	return units, nil
}

// unpaced is a clock that never waits.
type unpaced struct{}

func (unpaced) Now() time.Duration                        { return 0 }
func (unpaced) Wait(context.Context, time.Duration) error { return nil }
func (unpaced) Bound(ctx context.Context, _ time.Duration, _ error) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
