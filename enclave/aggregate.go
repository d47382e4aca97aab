// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/dp/aggregate"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// lentBytes is how much of a shard's file is lent at once, at least.
const lentBytes = 256 << 10

// runShards runs the code on disjoint shards and aggregates what it answers (docs/privacy.md). Each unit is in one shard, drawn
// uniformly; each shard's code runs in a worker of its own, that sees nothing of the others, and one after the other: at once,
// code that knows its target could make the shards beside it late, and so change more than one answer. The run ends when its
// wall limit does, whatever became of the shards; what of its times is stated has nothing of how long reading took.
func (r *attempt) runShards(ctx context.Context, out *outcome) (err error) {
	j := &r.job.Predicate
	plan, err := aggregate.New(j.Privacy.Aggregate, j.Privacy.Mechanisms)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotPermitted, err)
	}
	module, err := r.loadCode(ctx)
	if err != nil {
		return err
	}
	draw := sampler.NewSource(rand.Reader)
	defer plan.Wipe()
	if err := plan.DrawAhead(draw); err != nil {
		return err
	}
	clock := r.e.seams.clock()
	wall, n := time.Duration(j.Limits.WallSeconds)*time.Second, j.Privacy.Aggregate.Shards
	end := clock.Now() + wall
	if err := r.rehearse(ctx, module, j.Privacy.Aggregate.Slot(j.Limits.WallSeconds), out); err != nil || out.worker.Reason != sandbox.ReasonNone {
		return err
	}
	began := clock.Now()
	late, cancel := context.WithTimeoutCause(ctx, end-began, errLate)
	defer cancel()
	data, err := r.loadRecords(late)
	if err != nil {
		return err
	}
	defer data.Close()
	s, err := split(data, int(n), draw)
	if err != nil {
		return err
	}
	s.names = r.dataNames()
	start := began + job.Even(clock.Now()-began)
	s.slot = (end - start) / time.Duration(n+1) // the last is for the aggregate
	if s.slot < job.LeastSlot {
		return fmt.Errorf("%w: %d shards have no time", errLate, n)
	}
	tally := plan.Tally()
	defer tally.Wipe()
	if err := s.run(ctx, r.e.c.Runner, r.shardSpec(module), clock, start, plan.Read, tally.Add); err != nil {
		return err
	}
	data.Close()                   // before the end: how long that takes depends on how much there is
	out.ran = j.Privacy.Mechanisms // from here on, whether or not anything leaves
	b, err := tally.Result(draw)
	if err != nil {
		return err
	}
	if err := clock.Wait(ctx, ending(end, clock.Now())); err != nil {
		return err
	}
	out.finished = r.sinceChallenge()
	out.worker.Outputs, err = r.onlyOutput(b)
	return err
}

// ending is when a run ends that should end at a time, and is not ready before another: then, or one of few times later. A machine that is
// too slow shows, and how slow it was with these answers hardly.
func ending(end, ready time.Duration) time.Duration {
	if ready <= end {
		return end
	}
	return end + job.Even(ready-end)
}

// shardSpec is what every shard's run may do: the limits of the job are those of each.
func (r *attempt) shardSpec(module []byte) sandbox.Spec {
	j := &r.job.Predicate
	a := j.Privacy.Aggregate
	most := aggregate.AnswerBytes(a)
	return sandbox.Spec{
		Module: module, MemoryBytes: j.Limits.MemoryBytes, Fuel: j.Limits.Fuel, Params: j.Params, Seed: j.Seed,
		OutputBytes: max(j.Limits.OutputBytes, most), Outputs: []sandbox.Output{{Name: a.Answer, MaxBytes: most}},
	}
}

// rehearse runs the code once without any record. Nothing of that is private: what a module is, and that this machine can run
// it, is found out before there is anything to tell. That it fails without records is no reason to end the run.
func (r *attempt) rehearse(ctx context.Context, module []byte, slot time.Duration, out *outcome) error {
	spec := r.shardSpec(module)
	spec.Wall = within(slot)
	empty := &shard{names: r.dataNames(), files: make([]bytes.Buffer, len(r.packages)-1)}
	spec.Files = empty.list()
	w, err := r.e.c.Runner.Run(ctx, spec, empty)
	switch {
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("%w: %w", errWorker, err)
	}
	out.worker = silent(*w, nil)
	if w.Reason == sandbox.ReasonModule || w.Reason == sandbox.ReasonWall {
		out.worker.Reason = w.Reason
	}
	return nil
}

// within is how long a worker may take, for it to be gone before its slot ends.
func within(slot time.Duration) time.Duration { return slot - min(slot/4, 2*time.Second) }

// sharding is a job's records in shards.
type sharding struct {
	data  *records
	units [][]int // of each shard
	names []string
	slot  time.Duration
}

// split gives each unit to a shard, uniformly and independently of all others.
func split(data *records, shards int, draw *sampler.Source) (*sharding, error) {
	s := &sharding{data: data, units: make([][]int, shards)}
	for u := range data.units {
		k, err := draw.Uniform(uint64(shards))
		if err != nil {
			return nil, err
		}
		s.units[k] = append(s.units[k], u)
	}
	return s, nil
}

// run runs the code on all shards, one after the other, each in a slot of its own, and has take every answer. What does not end in
// its slot, or fails in whatever way, has none. Answers are read in their slots too: after the last one, how many there are does not
// show in how long anything takes, nor in what they take of memory.
func (s *sharding) run(ctx context.Context, runner Runner, spec sandbox.Spec, clock train.Clock, start time.Duration, read func([]byte) aggregate.Answer, take func(aggregate.Answer) error) error {
	spec.Wall = within(s.slot)
	for i := range s.units {
		if err := clock.Wait(ctx, start); err != nil {
			return context.Cause(ctx)
		}
		start += s.slot
		said := s.begin(ctx, runner, spec, i, read)
		if err := clock.Wait(ctx, start); err != nil {
			return context.Cause(ctx)
		}
		var answer aggregate.Answer
		select {
		case answer = <-said:
		default: // the worker is not gone, long after it was killed: nobody waits for it
		}
		if err := take(answer); err != nil {
			return err
		}
	}
	return nil
}

// begin runs the code on one shard, whose records are forgotten when it is over.
func (s *sharding) begin(ctx context.Context, runner Runner, spec sandbox.Spec, index int, read func([]byte) aggregate.Answer) <-chan aggregate.Answer {
	sh, said := s.shard(index), make(chan aggregate.Answer, 1)
	go func() {
		defer sh.wipe()
		var answer aggregate.Answer
		if file := sh.answer(ctx, runner, spec); file != nil {
			answer = read(file)
			clear(file)
		}
		said <- answer
	}()
	return said
}

// shard makes the files of one shard. A record that is in none, because it cannot be written, is missing.
func (s *sharding) shard(index int) *shard {
	sh := &shard{names: s.names, files: make([]bytes.Buffer, len(s.names))}
	var to []*transforms.Writer
	for i := range s.names {
		w := transforms.NewWriter(&sh.files[i], s.data.schemas[i])
		_ = w.Begin() // a buffer takes everything
		to = append(to, w)
	}
	for _, u := range s.units[index] {
		for i := range s.data.units[u] {
			k := &s.data.units[u][i]
			if text, err := s.data.text(k); err == nil {
				_ = to[k.set].Write(transforms.Item{Raw: text, Name: k.name})
			}
		}
	}
	return sh
}

// shard is the datasets as the code sees them in one shard. It implements sandbox.Data.
type shard struct {
	names []string
	files []bytes.Buffer
}

func (s *shard) list() (out []sandbox.File) {
	for i, name := range s.names {
		out = append(out, sandbox.File{Name: name, Size: int64(s.files[i].Len())})
	}
	return out
}

// Range implements sandbox.Data.
func (s *shard) Range(_ context.Context, file int, off int64, want int) ([]byte, int, error) {
	if file < 0 || file >= len(s.files) || off < 0 || off >= int64(s.files[file].Len()) {
		return nil, 0, fmt.Errorf("%w: no such file", errNotPermitted)
	}
	b := s.files[file].Bytes()
	return b[off:min(off+int64(max(want, lentBytes)), int64(len(b)))], 0, nil
}

// answer runs the code and gives what it answers, nil for nothing.
func (s *shard) answer(ctx context.Context, runner Runner, spec sandbox.Spec) []byte {
	spec.Files = s.list()
	w, err := runner.Run(ctx, spec, s)
	if err != nil || w == nil || w.Reason != sandbox.ReasonNone || len(w.Outputs) != 1 || w.Outputs[0].Name != spec.Outputs[0].Name {
		return nil
	}
	return w.Outputs[0].Data
}

func (s *shard) wipe() {
	for i := range s.files {
		b := s.files[i].Bytes()
		clear(b[:cap(b)])
	}
}
