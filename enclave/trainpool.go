// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/enclave/train/clip"
)

// maxTrainers bounds the workers of one training.
const maxTrainers = 8

// trainee is a guest of train/1 in a worker of its own: a sandbox.TrainSession. An error that is a sandbox.SessionEnd is the
// worker's death, and nothing else of it is to be used.
type trainee interface {
	Initial() []float32
	Prepares() bool
	Predicts() bool
	SetParams(ctx context.Context, params []float32) error
	PrepareAll(ctx context.Context, records [][]byte) ([][]byte, error)
	Sum(ctx context.Context, units []train.Unit, into *clip.Sum) error
	Score(ctx context.Context, records [][]byte, scores []float32) error
	Close() sandbox.Outcome
}

// trainPool is workers that are all alike: which of them gets a record changes nothing. One that dies is replaced, and what it
// died of counts as zeros; whatever else it was given is asked again, unit by unit. No death is remembered: what a unit did to a
// worker changes neither what another one counts as, though it says the same, nor what it counts as itself at other parameters.
// It implements train.Worker.
type trainPool struct {
	open func(ctx context.Context) (trainee, error)
	clip float64
	most int64 // bytes of a record

	desks []*desk
	ended sandbox.Outcome // of a worker that is over; all say the same but for figures
}

// desk is the place of one worker.
type desk struct {
	t      trainee
	params []float32 // that it has
	sum    *clip.Sum
}

// openPool starts the workers. An error is the module's or the machine's: no record was seen.
func openPool(ctx context.Context, clipNorm float64, most int64, open func(ctx context.Context) (trainee, error)) (*trainPool, error) {
	p := &trainPool{open: open, clip: clipNorm, most: most}
	for range min(runtime.NumCPU(), maxTrainers) {
		t, err := open(ctx)
		if err != nil {
			p.close()
			return nil, err
		}
		d := &desk{t: t}
		p.desks = append(p.desks, d)
		if d.sum, err = clip.New(len(t.Initial()), clipNorm); err != nil {
			p.close()
			return nil, fmt.Errorf("%w: %w", errModule, err)
		}
	}
	return p, nil
}

// initial are the parameters that the guest proposes.
func (p *trainPool) initial() []float32 { return p.desks[0].t.Initial() }

// close ends all workers.
func (p *trainPool) close() sandbox.Outcome {
	for _, d := range p.desks {
		if d.t != nil {
			if o := d.t.Close(); o.Isolation != "" {
				p.ended = o
			}
			d.t = nil
		}
		clear(d.params)
		if d.sum != nil {
			d.sum.Reset()
		}
	}
	return p.ended
}

// replace puts a fresh worker in the place of one that died.
func (p *trainPool) replace(ctx context.Context, d *desk) error {
	d.t.Close()
	t, err := p.open(ctx)
	if err != nil {
		d.t = vacancy{}
		return fmt.Errorf("%w: a worker could not be replaced", errWorker)
	}
	if d.t = t; d.params == nil {
		return nil
	}
	return p.died(ctx, d.t.SetParams(ctx, d.params), func() error { return fmt.Errorf("%w: a worker died of parameters", errWorker) })
}

// died lets errors pass that say nothing of records, and asks what to do about a death.
func (p *trainPool) died(ctx context.Context, err error, then func() error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	if _, ok := errors.AsType[*sandbox.SessionEnd](err); ok {
		return then()
	}
	return fmt.Errorf("%w: %w", errWorker, err)
}

// alone asks a worker about one thing. If it dies of that, and was asked about another thing before, a fresh one is asked again: only
// what kills a worker that has seen nothing else is deadly, now. fresh says whether this one has not, and is kept up to date.
func (p *trainPool) alone(ctx context.Context, d *desk, fresh *bool, ask func() error, deadly func()) error {
	for {
		was, dead := *fresh, false
		*fresh = false
		err := p.died(ctx, ask(), func() error {
			*fresh, dead = true, true
			return p.replace(ctx, d)
		})
		if err != nil || !dead {
			return err
		}
		if was {
			deadly()
			return nil
		}
	}
}

// each has all workers take pieces of n things until there are none left.
func (p *trainPool) each(ctx context.Context, n, piece int, do func(ctx context.Context, d *desk, from, to int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next sync.Mutex
	at := 0
	take := func() (from, to int) {
		next.Lock()
		defer next.Unlock()
		from = at
		at = min(at+piece, n)
		return from, at
	}
	var all sync.WaitGroup
	for _, d := range p.desks {
		all.Go(func() {
			for {
				from, to := take()
				if from == to || ctx.Err() != nil {
					return
				}
				if err := do(ctx, d, from, to); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// piece is how many of n things a worker takes at once: few enough that all have work until the end.
func (p *trainPool) piece(n, most int) int { return min(max(n/(4*len(p.desks)), 1), most) }

// at gives a worker the parameters of a step, once.
func (p *trainPool) at(ctx context.Context, d *desk, params []float32, fresh *sync.Map) error {
	if _, done := fresh.LoadOrStore(d, true); done {
		return nil
	}
	d.params = append(d.params[:0], params...)
	return p.died(ctx, d.t.SetParams(ctx, d.params), func() error { return p.replace(ctx, d) })
}

// sumPiece is the most units that a worker sums at once.
const sumPiece = 256

// Sum implements train.Worker.
func (p *trainPool) Sum(ctx context.Context, params []float32, units []train.Unit, total []int64) error {
	var fresh sync.Map
	var adding sync.Mutex
	return p.each(ctx, len(units), p.piece(len(units), sumPiece), func(ctx context.Context, d *desk, from, to int) error {
		if err := p.at(ctx, d, params, &fresh); err != nil {
			return err
		}
		if err := p.sum(ctx, d, units[from:to]); err != nil {
			return err
		}
		adding.Lock()
		defer adding.Unlock()
		for i, v := range d.sum.Total() {
			total[i] += v
		}
		return nil
	})
}

// sum leaves in the worker's sum what units come to: all at once, or if the worker dies of that, one by one.
func (p *trainPool) sum(ctx context.Context, d *desk, units []train.Unit) error {
	d.sum.Reset()
	err := d.t.Sum(ctx, p.shorten(units), d.sum)
	return p.died(ctx, err, func() error {
		if err := p.replace(ctx, d); err != nil {
			return err
		}
		whole := make([]int64, len(d.sum.Total())) // whatever was added before the death is not in it
		fresh := true
		for _, u := range p.shorten(units) {
			err := p.alone(ctx, d, &fresh, func() error {
				d.sum.Reset()
				return d.t.Sum(ctx, []train.Unit{u}, d.sum)
			}, d.sum.Reset)
			if err != nil {
				return err
			}
			for i, v := range d.sum.Total() {
				whole[i] += v
			}
		}
		d.sum.Reset()
		return d.sum.AddTotal(whole, len(units))
	})
}

// shorten leaves out records that are longer than any may be, and units without others. What is left out counts as zeros.
func (p *trainPool) shorten(units []train.Unit) []train.Unit {
	out := make([]train.Unit, 0, len(units))
	for _, u := range units {
		if u = p.short(u); len(u) > 0 {
			out = append(out, u)
		}
	}
	return out
}

// short is a unit without records that are too long.
func (p *trainPool) short(u train.Unit) train.Unit {
	for i, r := range u {
		if int64(len(r)) > p.most {
			out := append(train.Unit{}, u[:i]...)
			for _, r := range u[i+1:] {
				if int64(len(r)) <= p.most {
					out = append(out, r)
				}
			}
			return out
		}
	}
	return u
}

// scorePiece is the most records that a worker scores at once.
const scorePiece = 1024

// Score implements train.Worker. A record that the guest fails on scores 0.
func (p *trainPool) Score(ctx context.Context, params []float32, records [][]byte, scores []float32) error {
	var fresh sync.Map
	clear(scores)
	return p.each(ctx, len(records), p.piece(len(records), scorePiece), func(ctx context.Context, d *desk, from, to int) error {
		if err := p.at(ctx, d, params, &fresh); err != nil {
			return err
		}
		var short [][]byte
		var place []int
		for i := from; i < to; i++ {
			if int64(len(records[i])) <= p.most {
				short, place = append(short, records[i]), append(place, i)
			}
		}
		got := make([]float32, len(short))
		if err := p.score(ctx, d, short, got); err != nil {
			return err
		}
		for i, at := range place {
			scores[at] = got[i]
		}
		return nil
	})
}

// score asks for all at once, or if the worker dies of that, one by one.
func (p *trainPool) score(ctx context.Context, d *desk, records [][]byte, scores []float32) error {
	return p.died(ctx, d.t.Score(ctx, records, scores), func() error {
		clear(scores)
		if err := p.replace(ctx, d); err != nil {
			return err
		}
		fresh := true
		for i := range records {
			err := p.alone(ctx, d, &fresh, func() error { return d.t.Score(ctx, records[i:i+1], scores[i:i+1]) }, func() { scores[i] = 0 })
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// preparePiece is how many units are prepared together.
const preparePiece = 4096

// prepare gives each record of all units to the guest once, and keeps what it makes of them in their place. A record that it fails
// on is left out.
func (p *trainPool) prepare(ctx context.Context, in *records, out *records) error {
	out.units = make([][]record, in.Len())
	for first := 0; first < in.Len(); first += preparePiece {
		n := min(preparePiece, in.Len()-first)
		units := make([]train.Unit, n)
		for i := range units {
			u, err := in.Unit(first + i)
			if err != nil {
				return err
			}
			units[i] = u
		}
		err := p.each(ctx, n, p.piece(n, 64), func(ctx context.Context, d *desk, from, to int) error {
			return p.prepareUnits(ctx, d, units[from:to])
		})
		if err != nil {
			return err
		}
		for i, u := range units {
			for _, r := range u {
				if err := out.add(first+i, 0, "", r); err != nil {
					return err
				}
				clear(r)
			}
		}
	}
	return nil
}

// prepareUnits puts what the guest makes of records in their place: of all at once, or if the worker dies of that, one by one.
func (p *trainPool) prepareUnits(ctx context.Context, d *desk, units []train.Unit) error {
	var all [][]byte
	for i, u := range units {
		units[i] = p.short(u)
		all = append(all, units[i]...)
	}
	got, err := d.t.PrepareAll(ctx, all)
	err = p.died(ctx, err, func() error {
		got = make([][]byte, len(all))
		if err := p.replace(ctx, d); err != nil {
			return err
		}
		fresh := true
		for i, r := range all {
			err := p.alone(ctx, d, &fresh, func() error {
				one, err := d.t.PrepareAll(ctx, [][]byte{r})
				if err == nil {
					got[i] = one[0]
				}
				return err
			}, func() {})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, u := range units {
		prepared := make(train.Unit, 0, len(u))
		for _, r := range got[:len(u)] {
			if r != nil && int64(len(r)) <= p.most {
				prepared = append(prepared, r)
			}
		}
		units[i], got = prepared, got[len(u):]
	}
	return nil
}

// vacancy is in the place of a worker that could not be replaced: the run is over.
type vacancy struct{ trainee }

// Close implements trainee.
func (vacancy) Close() sandbox.Outcome { return sandbox.Outcome{} }
