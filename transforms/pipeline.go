// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// Maker makes a built-in step: package builtin's New. It refuses, with ErrUnknown, a name or digest that is not its own.
type Maker func(s *dataset.Step, in Schema, env *Env) (Step, error)

// Pipeline is a run of steps over one dataset. It is used once, by one goroutine.
type Pipeline struct {
	in, out Schema
	stages  []*stage
	sink    func(Item) error
	records int64
	noisy   bool      // a step draws noise: see blank
	alone   bool      // no record decides on the others': see Env.Alone
	rec     Record    // the one at hand: a stage is done with it before the next takes it apart anew
	bufs    [2][]byte // of texts that stages made of it: one is read while the other is written
	buf     int       // that was written last
}

// stage is one step in its place.
type stage struct {
	p      *Pipeline
	spec   *dataset.Step
	report Report
	trace  *Trace
	in     Schema
	out    Schema
	step   Step   // of a built-in
	looks  bool   // it only looks
	module Module // of a module
	codec  *Codec // of what comes in
	next   *stage // nil: the sink
	spool  Spool  // of a surveyor
	batch  batch
}

// New makes a pipeline of pinned steps for records of a schema. Close it.
func New(ctx context.Context, steps []dataset.Step, in Schema, builtin Maker, env *Env) (p *Pipeline, err error) {
	if env == nil {
		env = &Env{}
	}
	p = &Pipeline{in: in, out: in, alone: env.Alone}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if len(steps) > dataset.MaxSteps {
		return p, fmt.Errorf("%w: %d steps, at most %d", ErrConfig, len(steps), dataset.MaxSteps)
	}
	if in.Format == dataset.FormatSamples && len(steps) > 0 {
		return p, fmt.Errorf("%w: steps do not take samples apart; unpack the shards and let them work on files (format %q)", ErrConfig, dataset.FormatFiles)
	}
	for i := range steps {
		p.noisy = p.noisy || steps[i].Epsilon > 0
		st, err := p.newStage(ctx, &steps[i], builtin, env)
		if err != nil {
			return p, fmt.Errorf("step %d, %s: %w", i+1, steps[i].Name, err)
		}
		if i > 0 {
			p.stages[i-1].next = st
		}
		p.stages, p.out = append(p.stages, st), st.out
	}
	return p, nil
}

func (p *Pipeline) newStage(ctx context.Context, s *dataset.Step, builtin Maker, env *Env) (*stage, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	id, err := s.ID()
	if err != nil {
		return nil, err
	}
	st := &stage{p: p, spec: s, in: p.out, out: p.out, codec: NewCodec(p.out), trace: newTrace(len(p.stages), env.Finding)}
	st.report = Report{Step: s.Name, ID: id, Digest: s.Digest, Config: s.ConfigDigest()}
	if s.Name == dataset.StepModule {
		if env.Module == nil {
			return nil, fmt.Errorf("%w: modules", ErrEnv)
		}
		st.module, err = env.Module(ctx, s, st.in)
		return st, err
	}
	if builtin == nil {
		return nil, fmt.Errorf("%w: built-in steps", ErrEnv)
	}
	if st.step, err = builtin(s, st.in, env); err != nil {
		return nil, err
	}
	if st.out, err = st.step.Schema(st.in); err != nil {
		return nil, err
	}
	if o, ok := st.step.(Onlooker); ok {
		st.looks = o.Onlooks()
	}
	if _, ok := st.step.(Surveyor); ok {
		st.spool = &memorySpool{}
		if env.Spool != nil {
			st.spool, err = env.Spool()
		}
	}
	return st, err
}

// Out is what records look like after the last step.
func (p *Pipeline) Out() Schema { return p.out }

// Reports say what each step did, so far.
func (p *Pipeline) Reports() []Report {
	out := make([]Report, 0, len(p.stages))
	for _, s := range p.stages {
		r := s.report
		r.Findings, r.Quarantined, r.Unread = counts(s.trace.findings), counts(s.trace.reasons), s.trace.unread
		out = append(out, r)
	}
	return out
}

// Figures are what steps found out about the whole dataset, e.g. "k".
func (p *Pipeline) Figures() map[string]int64 {
	out := map[string]int64{}
	for _, s := range p.stages {
		for name, n := range s.trace.figures {
			out[name] = n
		}
	}
	return out
}

// Close ends modules and wipes what is held.
func (p *Pipeline) Close() error {
	var errs []error
	for _, s := range p.stages {
		if s.module != nil {
			errs = append(errs, s.module.Close())
		}
		if s.spool != nil {
			errs = append(errs, s.spool.Close())
		}
		if w, ok := s.step.(Wiper); ok {
			w.Wipe()
		}
		s.codec.paths = nil
		s.batch.wipe()
	}
	for _, b := range [][]byte{p.rec.buf, p.bufs[0], p.bufs[1]} {
		clear(b[:cap(b)])
	}
	return errors.Join(errs...)
}

// Run takes all records of a source through the steps and gives what is left of them to sink, each valid during the call.
// An error ends it, and then nothing that sink was given may be used.
func (p *Pipeline) Run(ctx context.Context, src Source, sink func(Item) error) error {
	p.sink = sink
	give := sink
	if len(p.stages) > 0 {
		give = func(it Item) error { return p.stages[0].push(ctx, it, nil) }
	}
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		it, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := give(it); err != nil {
			return err
		}
		p.free()
		p.records++
	}
	for _, s := range p.stages {
		if err := s.end(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.spec.Name, err)
		}
	}
	return nil
}

// push gives a stage a record: as text, or taken apart.
func (s *stage) push(ctx context.Context, it Item, r *Record) error {
	s.report.RecordsIn, s.report.BytesIn = s.report.RecordsIn+1, s.report.BytesIn+it.size()
	s.trace.record = s.p.records
	switch {
	case it.TooLong:
		return s.unreadable(ctx, it, "too-large")
	case s.module != nil:
		return s.gather(ctx, it)
	}
	if r == nil {
		r = &s.p.rec
		if err := s.codec.Parse(r, it.Name, it.Raw); err != nil {
			return s.unreadable(ctx, it, why(err))
		}
	}
	return s.visit(ctx, it, r)
}

// visit is the first time that a built-in sees a record.
func (s *stage) visit(ctx context.Context, it Item, r *Record) error {
	if sv, ok := s.step.(Surveyor); ok {
		if err := sv.Survey(r); err != nil {
			return fmt.Errorf("%s: %s: %w", s.spec.Name, s.place(it), err)
		}
		return s.spool.Add(it)
	}
	return s.transform(ctx, it, r)
}

// transform takes one record through a built-in and hands it on.
func (s *stage) transform(ctx context.Context, it Item, r *Record) error {
	r.changed = false
	v, err := s.step.Transform(r, s.trace)
	switch {
	case err != nil:
	case s.looks && (v != Keep || r.changed):
		err = fmt.Errorf("%w: it may only look", ErrShape)
	case v < Keep || v > Quarantine:
		err = fmt.Errorf("%w: no verdict", ErrShape)
	}
	if err != nil {
		if !s.p.alone {
			return fmt.Errorf("%s: %s: %w", s.spec.Name, s.place(it), err)
		}
		v = Quarantine
	}
	switch v {
	case Drop:
		return nil
	case Quarantine:
		s.trace.quarantine()
		return nil
	}
	it.Name = r.Name
	if r.changed {
		it.Raw, r = s.p.write(r), nil
	}
	return s.handOn(ctx, it, r)
}

// write gives a record's text, in the buffer that what came in is not in.
func (p *Pipeline) write(r *Record) []byte {
	p.buf = 1 - p.buf
	p.bufs[p.buf] = r.Append(p.bufs[p.buf][:0])
	return p.bufs[p.buf]
}

// free lets go of what a large record took.
func (p *Pipeline) free() {
	p.rec.Free()
	for i, b := range p.bufs {
		if cap(b) > keepBytes {
			clear(b[:cap(b)])
			p.bufs[i] = nil
		}
	}
}

// place says which record is at hand, without a word of it. In JSON Lines its number is that of its line.
func (s *stage) place(it Item) string {
	return fmt.Sprintf("record %d, at byte %d", s.trace.record+1, it.At)
}

// handOn gives a record to the next stage or the sink.
func (s *stage) handOn(ctx context.Context, it Item, r *Record) error {
	s.report.RecordsOut, s.report.BytesOut = s.report.RecordsOut+1, s.report.BytesOut+it.size()
	if s.next == nil {
		return s.p.sink(it)
	}
	return s.next.push(ctx, it, r)
}

// end is called when the last record has been pushed: what was kept back goes on.
func (s *stage) end(ctx context.Context) error {
	if s.module != nil {
		return s.flush(ctx)
	}
	if sv, ok := s.step.(Surveyor); ok {
		if err := sv.Settle(s.trace); err != nil {
			return err
		}
		n := int64(0)
		err := s.spool.Each(func(it Item) error {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			if err := s.codec.Parse(&s.p.rec, it.Name, it.Raw); err != nil {
				return err
			}
			s.trace.record = n
			n++
			defer s.p.free()
			return s.transform(ctx, it, &s.p.rec)
		})
		if err != nil {
			return err
		}
	}
	if f, ok := s.step.(Finisher); ok && !s.p.alone {
		return f.Finish(s.trace)
	}
	return nil
}
