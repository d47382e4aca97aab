// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localrun"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// execute runs the code. An error means that there was no run; what the code did wrong is in the result. Before a second run
// the result of the first is reported.
func execute(ctx context.Context, q *localrun.Request, out io.Writer, report func(*localrun.Result) error) (*localrun.Result, error) {
	r := &localrun.Result{Delivered: []localrun.Delivered{}, Outputs: []localrun.Output{}}
	words, end := words(out)
	defer end()
	module, err := readModule(q.Module)
	if err != nil {
		return r, err
	}
	digest := envelope.Sum(module)
	r.Module = &digest
	spawner, err := sandbox.StartSpawner(sandbox.Config{})
	if err != nil {
		return r, err
	}
	defer spawner.Close()
	if trains(module) {
		return r, tryTraining(ctx, spawner, q, module, r)
	}
	o, delivered, err := once(ctx, spawner, q, module, q.Limits, words)
	switch {
	case errors.Is(err, errEpochs):
		r.Reason, r.Detail = localrun.ReasonEpochs, err.Error()
	case err != nil:
		return r, err
	}
	r.Delivered = delivered
	if o == nil {
		return r, nil
	}
	if r.Reason == "" {
		r.Reason, r.Detail = o.Reason, nameFrames(o.Detail, module)
	}
	if !o.Rewritten.IsZero() {
		r.Rewritten, r.Costs, r.Fuel = &o.Rewritten, o.Costs, o.Fuel
	}
	r.PeakBytes, r.CPUMillis, r.WallMillis, r.Isolation = o.Peak, o.CPU.Milliseconds(), o.Wall.Milliseconds(), o.Isolation
	r.Undeclared = o.Undeclared
	if r.Reason == sandbox.ReasonFuel {
		r.Measuring = true
		if err := report(r); err != nil {
			return r, err
		}
		r.Measuring = false
		r.Need, err = measure(ctx, spawner, q, module)
		return r, err
	}
	if err := keep(q, o, r); err != nil {
		r.Lost = err.Error()
	}
	return r, nil
}

// readModule reads the code, which may be a byte longer than the sandbox takes: refusing it is the sandbox's to do.
func readModule(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, sandbox.MaxModule+1))
}

// once is one run with fresh data.
func once(ctx context.Context, s *sandbox.Spawner, q *localrun.Request, module []byte, limits job.Limits, words io.Writer) (*sandbox.Outcome, []localrun.Delivered, error) {
	v, files, err := openView(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	defer v.close()
	spec := sandbox.Spec{
		Module: module, Files: files, MemoryBytes: limits.MemoryBytes, OutputBytes: limits.OutputBytes, Fuel: limits.Fuel,
		Wall: time.Duration(limits.WallSeconds) * time.Second, Params: q.Params, Seed: q.Seed, Words: words,
	}
	for _, o := range q.Outputs {
		spec.Outputs = append(spec.Outputs, sandbox.Output{Name: o.Name, MaxBytes: o.MaxBytes})
	}
	o, err := s.Run(ctx, spec, v)
	return o, v.delivered(), err
}

// measure runs the code again with all the fuel there is, to say how much would have done. Its words were said already.
func measure(ctx context.Context, s *sandbox.Spawner, q *localrun.Request, module []byte) (int64, error) {
	limits := q.Limits
	limits.Fuel, limits.WallSeconds = job.MaxAmount, min(limits.WallSeconds, localrun.MeasureSeconds)
	o, _, err := once(ctx, s, q, module, limits, io.Discard)
	switch {
	case errors.Is(err, errEpochs), err == nil && o.Reason != sandbox.ReasonNone:
		return 0, nil // it would fail for another reason then, or take longer
	case err != nil:
		return 0, err
	}
	return o.Fuel, nil
}

// keep writes the outputs, readable by their owner alone.
func keep(q *localrun.Request, o *sandbox.Outcome, r *localrun.Result) error {
	if len(o.Outputs) == 0 {
		return nil
	}
	classes := map[string]string{}
	for _, d := range q.Outputs {
		classes[d.Name] = d.Class
	}
	for _, a := range o.Outputs {
		r.Outputs = append(r.Outputs, localrun.Output{Name: a.Name, Class: classes[a.Name], Bytes: int64(len(a.Data))})
	}
	if q.Out == "" {
		return nil
	}
	if err := os.MkdirAll(q.Out, 0o700); err != nil {
		return err
	}
	dir, err := os.OpenRoot(q.Out)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, a := range o.Outputs {
		if err := write(dir, a); err != nil {
			return err
		}
	}
	return nil
}

// write replaces a file whole: somebody may look at the one of the run before.
func write(dir *os.Root, a sandbox.Artefact) error {
	temp := "." + a.Name + ".part"
	f, err := dir.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(a.Data)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return dir.Rename(temp, a.Name)
}
