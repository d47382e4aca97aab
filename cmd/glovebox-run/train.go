// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localrun"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms"
)

// trains tells a module that means to follow train/1 from a command, by its exports. Whether it does follow it, a worker says.
func trains(module []byte) bool {
	const exports = 7
	r := bytes.NewReader(module[min(8, len(module)):])
	for {
		id, body, ok := section(r)
		if !ok {
			return false
		}
		if id != exports {
			continue
		}
		trainer, b := false, bytes.NewReader(body)
		count, _ := binary.ReadUvarint(b)
		for ; count > 0 && b.Len() > 0; count-- {
			switch name(b) {
			case "_start":
				return false
			case "train_open", "train_init", "train_gradient":
				trainer = true
			}
			_, _ = b.ReadByte() // what it is
			_, _ = binary.ReadUvarint(b)
		}
		return trainer
	}
}

// readConfig reads what a guest of train/1 is opened with, from beside its module.
func readConfig(module string) (b []byte, name string, err error) {
	f, err := os.Open(filepath.Join(filepath.Dir(module), localrun.TrainConfig))
	if errors.Is(err, os.ErrNotExist) {
		return []byte("{}"), "", nil
	}
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	b, err = io.ReadAll(io.LimitReader(f, sandbox.MaxTrainConfig+1)) // one that is too large is the sandbox's to refuse
	return b, localrun.TrainConfig, err
}

// trial is a guest of train/1 that is tried on records.
type trial struct {
	x      *sandbox.TrainSession
	module []byte
	most   int64 // bytes of a record
	out    *localrun.Training

	raw, prepared, fuel []int64
	norms               []float64
	predicted           float64
	deliver             *localrun.Delivered // of the dataset at hand
}

// tryTraining tries a guest on all records, in one worker and the class of runtime in which the enclave sums. What the guest did
// wrong is in the result, also where the session ended before all records were tried.
func tryTraining(ctx context.Context, s *sandbox.Spawner, q *localrun.Request, module []byte, r *localrun.Result) error {
	t := &trial{module: module, most: q.RecordBytes, out: &localrun.Training{Failures: []localrun.Failure{}}}
	config, name, err := readConfig(q.Module)
	if err != nil {
		return err
	}
	if t.most == 0 {
		t.most = localrun.DefaultRecordBytes
	}
	if q.RecordFuel == 0 {
		q.RecordFuel = localrun.DefaultRecordFuel
	}
	t.out.Config, t.out.RecordBytes, r.Training = name, t.most, t.out
	t.x, err = s.Train(ctx, sandbox.TrainSpec{
		Module: module, Config: config, MemoryBytes: q.Limits.MemoryBytes, Fuel: q.Limits.Fuel, RecordFuel: q.RecordFuel,
		Wall:        time.Duration(q.Limits.WallSeconds) * time.Second,
		RecordBytes: t.most, PreparedBytes: t.most, MaxParams: job.MaxModelParams, Params: q.Params, Seed: q.Seed,
	})
	if err == nil {
		defer t.x.Close()
		t.out.Params, t.out.Predicts = int64(len(t.x.Initial())), t.x.Predicts()
		err = t.all(ctx, q, r)
		t.sum()
	}
	end, ended := errors.AsType[*sandbox.SessionEnd](err)
	switch {
	case err == nil:
		settle(r, t.x.Close(), module)
	case ended && end.Unwrap() == nil || ended && end.Reason != sandbox.ReasonNone:
		settle(r, end.Outcome, module)
	default:
		return err
	}
	return nil
}

// settle puts the figures of a session into the result.
func settle(r *localrun.Result, o sandbox.Outcome, module []byte) {
	r.Reason, r.Detail = o.Reason, nameFrames(o.Detail, module)
	if !o.Rewritten.IsZero() {
		r.Rewritten, r.Costs, r.Fuel = &o.Rewritten, o.Costs, o.Fuel
	}
	r.PeakBytes, r.CPUMillis, r.WallMillis, r.Isolation = o.Peak, o.CPU.Milliseconds(), o.Wall.Milliseconds(), o.Isolation
}

// all tries every record of every dataset.
func (t *trial) all(ctx context.Context, q *localrun.Request, r *localrun.Result) error {
	for _, d := range q.Data {
		if err := t.dataset(ctx, d, r); err != nil {
			return err
		}
	}
	return nil
}

// dataset tries every record of one dataset.
func (t *trial) dataset(ctx context.Context, d localrun.Data, r *localrun.Result) error {
	f, format, err := openFile(ctx, d)
	if err != nil {
		return err
	}
	defer f.stream.Close()
	src, err := transforms.NewSource(&streamText{ctx: ctx, s: f.stream}, format)
	if err != nil {
		return err
	}
	r.Delivered = append(r.Delivered, localrun.Delivered{Name: f.name, Epochs: 1})
	t.deliver = &r.Delivered[len(r.Delivered)-1]
	for {
		it, err := src.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		t.deliver.Records++
		if err := t.record(ctx, it); err != nil {
			return err
		}
	}
}

// record tries one record, as a training would use it.
func (t *trial) record(ctx context.Context, it transforms.Item) error {
	size, record := int64(len(it.Raw)), it.Raw
	if it.TooLong {
		size = it.Size
	}
	t.out.Records++
	t.raw = append(t.raw, size)
	if size > t.most {
		t.without("", sandbox.ReasonOutput, fmt.Sprintf("record of more than %d bytes", t.most))
		return nil
	}
	dearest := int64(0)
	call := func(what sandbox.Call) (a sandbox.Trial, err error) {
		a, err = t.x.Try(ctx, what, record)
		if err == nil && a.Reason == sandbox.ReasonNone { // what a failure costs need not be paid for
			dearest = max(dearest, a.Fuel)
		}
		return a, err
	}
	defer func() {
		if dearest > 0 {
			t.fuel = append(t.fuel, dearest)
		}
	}()
	if t.x.Prepares() {
		a, err := call(sandbox.CallPrepare)
		if err != nil {
			return err
		}
		if a.Reason != sandbox.ReasonNone {
			t.without("train_prepare", a.Reason, a.Detail)
			return nil
		}
		record = a.Prepared
		t.prepared = append(t.prepared, int64(len(record)))
	}
	a, err := call(sandbox.CallGradient)
	if err != nil {
		return err
	}
	t.gradient(a)
	if !t.x.Predicts() {
		return nil
	}
	if a, err = call(sandbox.CallPredict); err == nil && a.Score > 0 { // what is no number counts as 0
		t.predicted += min(float64(a.Score), 1)
	}
	return err
}

// gradient counts what came of one record.
func (t *trial) gradient(a sandbox.Trial) {
	if a.Reason != sandbox.ReasonNone {
		t.without("train_gradient", a.Reason, a.Detail)
		return
	}
	sum := 0.0
	for _, g := range a.Gradient {
		sum += float64(g) * float64(g)
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) { // squares of float32 do not overflow a float64
		t.without("train_gradient", sandbox.ReasonTrap, "a number in the gradient is not finite")
		return
	}
	t.out.Gradients++
	if sum == 0 {
		t.out.Zeros++
	}
	t.norms = append(t.norms, math.Sqrt(sum))
}

// without counts a record that gave no gradient. Of each way there is one in the result.
func (t *trial) without(call, reason, detail string) {
	t.out.Without++
	detail = nameFrames(detail, t.module)
	for i := range t.out.Failures {
		if f := &t.out.Failures[i]; f.Call == call && f.Reason == reason && f.Detail == detail {
			f.Count++
			return
		}
	}
	if len(t.out.Failures) < localrun.MaxFailures {
		t.out.Failures = append(t.out.Failures, localrun.Failure{
			Call: call, Reason: reason, Detail: detail, Data: t.deliver.Name, Record: t.deliver.Records, Count: 1,
		})
	}
}

// sum puts what all records came to into the result.
func (t *trial) sum() {
	t.out.Raw, t.out.Fuel = spread(t.raw), spread(t.fuel)
	t.out.Prepared = spread(t.prepared)
	if n := len(t.norms); n > 0 {
		slices.Sort(t.norms)
		t.out.Norms = &localrun.Norms{Median: t.norms[(n-1)/2], P90: t.norms[(9*n+9)/10-1], Most: t.norms[n-1]}
	}
	if t.out.Predicts && t.out.Records > 0 {
		mean := t.predicted / float64(t.out.Records)
		t.out.Mean = &mean
	}
	t.out.Suggest = suggest(t.out)
}

// spread sorts figures.
func spread(all []int64) *localrun.Spread {
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return &localrun.Spread{Median: all[(len(all)-1)/2], Most: all[len(all)-1]}
}

// suggest has room for records that are a quarter larger than any here. The norm to clip by is the gradients' median: Abadi et al.
// 2016, section 5.2.
func suggest(t *localrun.Training) *localrun.Suggest {
	const kib = 1 << 10
	s := &localrun.Suggest{Params: t.Params}
	if t.Fuel != nil {
		s.RecordFuel = t.Fuel.Most + t.Fuel.Most/4
	}
	longest := int64(0)
	for _, p := range []*localrun.Spread{t.Raw, t.Prepared} {
		if p != nil {
			longest = max(longest, p.Most)
		}
	}
	if longest > 0 {
		s.RecordBytes = min((longest+longest/4+kib-1)/kib*kib, sandbox.MaxRecord)
	}
	if t.Norms != nil && t.Norms.Median >= 1e-6 {
		s.Clip = clipText(t.Norms.Median)
	}
	return s
}

// clipText writes a norm with two digits that count, as --clip takes it: in millionths at most.
func clipText(norm float64) string {
	places := min(max(1-int(math.Floor(math.Log10(norm))), 0), 6)
	return fmt.Sprintf("%.*f", places, norm)
}

// streamText reads the plaintext of a dataset from its beginning.
type streamText struct {
	ctx  context.Context // of the one pass
	s    *dataset.Stream
	at   int64
	left []byte // of the batch at hand
}

// Read implements io.Reader.
func (r *streamText) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		if r.at >= r.s.Size() {
			return 0, io.EOF
		}
		b, err := r.s.Batch(r.ctx, r.at)
		if err != nil {
			return 0, err
		}
		r.left = b.Raw[r.at-b.Offset:]
		r.at += int64(len(r.left))
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}
