// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/enclave/train/clip"
	"github.com/glovebox-dev/glovebox/examples/dp/mnist"
)

// Limits of sessions.
const (
	recordBytes = 1 << 14
	maxParams   = 1 << 20
	memoryBytes = 64 << 20
	recordFuel  = 1 << 30
)

// build compiles an example in C, as its header says.
func build(ctx context.Context, dir, name string) ([]byte, error) {
	out := filepath.Join(dir, name+".wasm")
	cmd := exec.CommandContext(ctx, "clang", "--target=wasm32-wasi", "-mexec-model=reactor", "-msimd128", "-O3", "-I../sdk/c", "-o", out, "../examples/dp/c/"+name+".c")
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("clang: %w: %s", err, said)
	}
	return os.ReadFile(out)
}

// lines are the first n of a table of MNIST; 0 for all.
func lines(ctx context.Context, table string, n int) ([][]byte, error) {
	dir, err := mnist.Fetch(ctx)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, table))
	if err != nil {
		return nil, err
	}
	all := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	if n > 0 {
		all = all[:min(n, len(all))]
	}
	return all, nil
}

// open starts a guest in a worker. Above 0, norm is what the worker clips to before it sums.
func open(ctx context.Context, s *sandbox.Spawner, module, config []byte, norm float64) (*sandbox.TrainSession, error) {
	return s.Train(ctx, sandbox.TrainSpec{
		Module: module, Config: config, MemoryBytes: memoryBytes, Fuel: 1 << 40, RecordFuel: recordFuel, Wall: 4 * time.Hour,
		RecordBytes: recordBytes, PreparedBytes: recordBytes, MaxParams: maxParams, Clip: norm,
	})
}

// prepare makes units of one record each of lines.
func prepare(ctx context.Context, x *sandbox.TrainSession, lines [][]byte) ([]train.Unit, error) {
	records, err := x.PrepareAll(ctx, lines)
	if err != nil {
		return nil, err
	}
	units := make([]train.Unit, len(records))
	for i, r := range records {
		if r == nil {
			return nil, errors.New("the guest cannot prepare a record")
		}
		units[i] = train.Unit{r}
	}
	return units, nil
}

// worker is a session as the engine wants it.
type worker struct {
	x     *sandbox.TrainSession
	sum   *clip.Sum
	steps int
	began time.Time
}

func newWorker(x *sandbox.TrainSession, norm float64) (*worker, error) {
	sum, err := clip.New(len(x.Initial()), norm)
	return &worker{x: x, sum: sum, began: time.Now()}, err
}

// said is how often a worker tells how far it is.
const said = 50

// Sum implements train.Worker.
func (w *worker) Sum(ctx context.Context, params []float32, units []train.Unit, total []int64) error {
	if w.steps++; w.steps%said == 0 {
		fmt.Fprintf(os.Stderr, "bench-dp: step %d after %s\n", w.steps, time.Since(w.began).Round(time.Second))
	}
	w.sum.Reset()
	if err := errors.Join(w.x.SetParams(ctx, params), w.x.Sum(ctx, units, w.sum)); err != nil {
		return err
	}
	for i, v := range w.sum.Total() {
		total[i] += v
	}
	return nil
}

// Score implements train.Worker.
func (w *worker) Score(ctx context.Context, params []float32, records [][]byte, scores []float32) error {
	return errors.Join(w.x.SetParams(ctx, params), w.x.Score(ctx, records, scores))
}

// cost is what something took: of processor time, of all processes together, and by the clock.
type cost struct{ cpu, wall time.Duration }

func (c cost) less(d cost) cost { return cost{c.cpu - d.cpu, c.wall - d.wall} }

func (c cost) each(n int) cost { return cost{c.cpu / time.Duration(n), c.wall / time.Duration(n)} }

// started is when this process did.
var started = time.Now()

// used is the processor time of this process, and the time.
func used() cost {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return cost{}
	}
	return cost{time.Duration(u.Utime.Nano() + u.Stime.Nano()), time.Since(started)}
}

// dense are made-up lines as long as those of MNIST, none of whose pixels is 0.
func dense(n int) [][]byte {
	r, out := rand.New(rand.NewPCG(1, 2)), make([][]byte, n)
	for i := range out {
		line := strconv.AppendInt(nil, r.Int64N(10), 10)
		for range 784 {
			line = strconv.AppendInt(append(line, ','), 1+r.Int64N(255), 10)
		}
		out[i] = line
	}
	return out
}
