// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// desk answers one enclave at its door. [door.Serve] asks one question at a time; the launcher asks the rest, hence mu.
type desk struct {
	h *Host

	mu       sync.Mutex
	attempt  *attempt
	probe    *probe // that the enclave has, instead of a job
	lastWord time.Time
}

// attempt is the job an enclave has, and what the host keeps about it.
type attempt struct {
	lease
	order     *job.Job
	token     string
	addresses map[string]bool
	state     string
	payload   *os.File
	written   int64
}

// token names an attempt. It is not secret: the door is the only way to use it.
func token(l *lease) string { return l.job.Hex() + "." + strconv.FormatInt(l.epoch, 10) }

// current is the attempt of an op, or an error for a token of another.
func (d *desk) current(token string) (*attempt, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lastWord = time.Now()
	if d.attempt == nil || d.attempt.token != token {
		return nil, ErrFenced
	}
	return d.attempt, nil
}

func (d *desk) set(a *attempt) {
	d.mu.Lock()
	d.attempt, d.lastWord = a, time.Now()
	d.mu.Unlock()
}

// working is the job the enclave has, or nil.
func (d *desk) working() *envelope.Digest {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.attempt == nil {
		return nil
	}
	return &d.attempt.job
}

// stalled reports whether the enclave has been silent for longer than its job may take.
func (d *desk) stalled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.probe != nil {
		return time.Since(d.lastWord) > probeStall
	}
	if d.attempt == nil {
		return false
	}
	wall := time.Duration(d.attempt.order.Limits.WallSeconds) * time.Second
	return time.Since(d.lastWord) > wall+stallSlack
}

// Next implements [door.Handler]. An enclave that asks while it has a job has lost that job.
// Jobs come before probes.
func (d *desk) Next(ctx context.Context, probes bool) (*door.Assignment, error) {
	d.lost(ctx, "the enclave asked for another job", true)
	deadline := time.NewTimer(nextWait)
	defer deadline.Stop()
	var asked <-chan *probe
	if probes {
		asked = d.h.probes
	}
	for {
		work := d.h.work() // before looking, so that nothing is missed
		a, err := d.take(ctx)
		if err != nil || a != nil {
			return a, err
		}
		wait := nextWait
		if ready, ok, err := d.h.queue.nextReady(ctx); err != nil {
			return nil, err
		} else if ok {
			wait = ready
		}
		select {
		case <-work:
		case p := <-asked:
			return d.give(p), nil
		case <-time.After(max(wait, time.Millisecond)):
		case <-deadline.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take leases a job. One that cannot be prepared fails for good: it was checked when it was submitted.
func (d *desk) take(ctx context.Context) (*door.Assignment, error) {
	for {
		l, err := d.h.queue.take(ctx)
		if err != nil || l == nil {
			return nil, err
		}
		a, err := d.h.prepare(ctx, l)
		if err == nil {
			d.set(a)
			return &door.Assignment{Token: a.token, Job: l.signed}, nil
		}
		e := ending{reason: "invalid", message: err.Error(), retry: ctx.Err() != nil, death: true}
		if err := d.h.queue.giveUp(context.WithoutCancel(ctx), l, e); err != nil {
			return nil, err
		}
	}
}

func (h *Host) prepare(ctx context.Context, l *lease) (*attempt, error) {
	v, err := job.Verify(l.signed)
	if err != nil {
		return nil, err
	}
	addresses, _, err := h.packages(ctx, &v.Predicate)
	if err != nil {
		return nil, err
	}
	h.hub.setLeaves(l.job, 0)
	return &attempt{lease: *l, order: &v.Predicate, token: token(l), addresses: addresses, state: door.StateAttesting}, nil
}

// Manifest implements [door.Handler].
func (d *desk) Manifest(ctx context.Context, id envelope.Digest) ([]byte, error) {
	d.touch()
	return d.h.signedManifest(ctx, id)
}

// ReadAt implements [door.Handler].
func (d *desk) ReadAt(ctx context.Context, id envelope.Digest, p []byte, off int64) (int, error) {
	d.touch()
	return d.h.blobs.ReadAt(ctx, id, p, off)
}

// Relay implements [door.Handler].
func (d *desk) Relay(ctx context.Context, address string, msg []byte, most int) ([]byte, error) {
	d.touch()
	d.mu.Lock()
	var allowed map[string]bool
	if d.attempt != nil {
		allowed = d.attempt.addresses
	}
	d.mu.Unlock()
	return d.h.relay.post(ctx, allowed, address, msg, min(most, maxReply))
}

func (d *desk) touch() {
	d.mu.Lock()
	d.lastWord = time.Now()
	d.mu.Unlock()
}

// Progress implements [door.Handler].
func (d *desk) Progress(ctx context.Context, token string, p door.Progress) (cancel bool, err error) {
	a, err := d.current(token)
	if err != nil {
		return false, err
	}
	switch p.State {
	case door.StateAttesting, door.StateReleasing, door.StateRunning, door.StateCommitting:
	default:
		return false, fmt.Errorf("%w: state %.32q", ErrInvalid, p.State)
	}
	if p.State != a.state {
		d.h.queue.move(&a.lease, p.State)
		a.state = p.State
	}
	d.h.hub.setLeaves(a.job, max(0, p.Leaves))
	return d.h.queue.check(ctx, &a.lease)
}

// Output implements [door.Handler].
func (d *desk) Output(ctx context.Context, token string, p []byte) error {
	a, err := d.current(token)
	if err != nil {
		return err
	}
	limit := a.order.Limits.OutputBytes
	limit += limit/1000 + payloadSlack
	if len(p) > maxOutput || a.written+int64(len(p)) > limit {
		return fmt.Errorf("%w: payload of more than %d bytes", ErrTooLarge, limit)
	}
	if err := d.h.results.room(len(p)); err != nil {
		return err
	}
	if a.payload == nil {
		if a.payload, err = d.h.results.payload(&a.lease); err != nil {
			return diskError(err)
		}
	}
	n, err := a.payload.Write(p)
	a.written += int64(n)
	return diskError(err)
}

// Finish implements [door.Handler]: the run is durable here when it returns nil.
func (d *desk) Finish(ctx context.Context, token string, r door.Result) error {
	a, err := d.current(token)
	if err != nil {
		return err
	}
	if _, err := d.h.queue.check(ctx, &a.lease); err != nil {
		return err
	}
	run, rec, err := d.h.checkRun(ctx, a, &r)
	if err != nil {
		return diskError(err)
	}
	records := append(d.h.commitRecords(ctx, &r), rec)
	err = d.h.db.update(ctx, func(tx *sql.Tx) error {
		if err := run.store(tx, a, d.h.cfg.Now().UnixMilli()); err != nil {
			return err
		}
		for _, rec := range records {
			if _, err := rec.insert(tx, d.h.cfg.Now().UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return diskError(err)
	}
	// Recorded: whatever fails from here on is done again by the sequencer, or after a restart.
	if run.outcome == StateCompleted {
		if err := d.h.results.publish(&a.lease); err != nil {
			d.h.slog.Error("result", "job", a.job, "error", err)
		}
	}
	d.drop(a, run.outcome == StateCompleted)
	d.h.changed(a.job)
	d.h.seq.poke()
	return nil
}

// Abandon implements [door.Handler].
func (d *desk) Abandon(ctx context.Context, token string, w door.Abandon) error {
	a, err := d.current(token)
	if err != nil {
		return err
	}
	if len(w.Denial) > maxRecord {
		w.Denial = nil
	}
	e := ending{reason: w.Code, message: w.Message, hint: w.Hint, denial: w.Denial, retry: w.Retry}
	if err := d.h.queue.giveUp(ctx, &a.lease, e); err != nil && !errors.Is(err, ErrFenced) {
		return err
	}
	d.drop(a, false)
	return nil
}

// lost ends the attempt of an enclave that is gone or confused.
func (d *desk) lost(ctx context.Context, why string, retry bool) {
	d.mu.Lock()
	a, p := d.attempt, d.probe
	d.probe = nil
	d.mu.Unlock()
	if p != nil {
		p.answer <- door.Probed{Message: why}
	}
	if a == nil {
		return
	}
	e := ending{
		reason: reasonEnclaveLost, message: why, retry: retry, death: true,
		hint: "the operator finds the enclave's last words in its log",
	}
	if err := d.h.queue.giveUp(context.WithoutCancel(ctx), &a.lease, e); err != nil && !errors.Is(err, ErrFenced) {
		d.h.slog.Error("queue", "job", a.job, "error", err) // given back at the next start
	}
	d.drop(a, false)
}

// drop forgets an attempt and what it left on disk; the sealed file of a recorded run stays.
func (d *desk) drop(a *attempt, recorded bool) {
	if a.payload != nil {
		a.payload.Close()
	}
	if err := d.h.results.discard(&a.lease, !recorded); err != nil {
		d.h.slog.Error("results", "job", a.job, "error", err)
	}
	d.h.hub.forget(a.job)
	d.set(nil)
}
