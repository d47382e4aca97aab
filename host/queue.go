// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// States of a job. Between leased and ended, the four states of [door] are what its enclave last said.
const (
	StateQueued     = "queued"
	StateRetrying   = "retrying"   // the last attempt ended without a result; another follows
	StatePublishing = "publishing" // the run is durable here; its usage attestation is on its way into the log
	StateCompleted  = "completed"
	StateFailed     = "failed"
	StateCancelled  = "cancelled"
)

const leasedStates = `('attesting','releasing','running','committing')`

// Reasons the host itself gives.
const (
	reasonEnclaveLost = "enclave-lost"
	reasonHostStopped = "host-stopped"
	reasonAttempts    = "attempts"
	reasonCancelled   = "cancelled"
)

// lease is one attempt: the job and the fence. Whoever holds an old epoch is refused.
type lease struct {
	job    envelope.Digest
	epoch  int64
	signed []byte
	total  int64
}

// queue is the durable list of jobs. Every change of a leased job names its epoch.
type queue struct {
	db      *database
	now     func() time.Time
	backoff backoff
	deaths  int // attempts that may end with a dead enclave
	waits   int // attempts that may end with "try again"
	room    int // jobs that may still be added before those that wait are counted again; of the one goroutine that writes
	// changed is called with a job after any change to it.
	changed func(envelope.Digest)
}

// backoff doubles from min to max.
type backoff struct{ min, max time.Duration }

func (b backoff) after(n int) time.Duration {
	d := b.min
	for ; n > 1 && d < b.max; n-- {
		d *= 2
	}
	return min(d, b.max)
}

func (q *queue) millis() int64 { return q.now().UnixMilli() }

// submit adds a job once; its digest is its identity.
func (q *queue) submit(ctx context.Context, id envelope.Digest, buyer string, signed []byte, total int64, limit int) (created bool, err error) {
	err = q.db.update(ctx, func(tx *sql.Tx) error {
		var open int
		if err := tx.QueryRow(`SELECT count(*) FROM jobs WHERE id = ?`, id[:]).Scan(&open); err != nil || open > 0 {
			created = false
			return err
		}
		if err := q.admit(tx, limit); err != nil {
			return err
		}
		now := q.millis()
		_, err := tx.Exec(`INSERT INTO jobs(id, seq, buyer, signed, state, ready, total, submitted, updated)
			VALUES(?, (SELECT coalesce(max(seq),0)+1 FROM jobs), ?, ?, ?, ?, ?, ?, ?)`,
			id[:], buyer, signed, StateQueued, now, total, now, now)
		created = err == nil
		return err
	})
	if created {
		q.changed(id)
	}
	return created, err
}

// admit makes sure that a job more may wait. To count those that do takes as long as there are many, so it is done only when as many
// came as there was room for when they were counted last: since then some may have left.
func (q *queue) admit(tx *sql.Tx, limit int) error {
	if q.room <= 0 {
		var waiting int
		if err := tx.QueryRow(`SELECT count(*) FROM jobs WHERE state IN ('queued','retrying')`).Scan(&waiting); err != nil {
			return err
		}
		if waiting >= limit {
			return fmt.Errorf("%w: %d jobs wait already", ErrBusy, waiting)
		}
		q.room = limit - waiting
	}
	q.room--
	return nil
}

// take leases the job that has waited longest, or returns nil. A job that waits for longer than any backoff was queued
// under another clock, and is taken at once.
func (q *queue) take(ctx context.Context) (*lease, error) {
	var l *lease
	err := q.db.update(ctx, func(tx *sql.Tx) error {
		l = nil
		now := q.millis()
		var id []byte
		var v lease
		err := tx.QueryRow(`UPDATE jobs SET state = ?, epoch = epoch + 1, ready = 0, updated = ?
			WHERE id = (SELECT id FROM jobs WHERE state IN ('queued','retrying') AND (ready <= ? OR ready > ?)
			ORDER BY ready, seq LIMIT 1)
			RETURNING id, epoch, signed, total`, door.StateAttesting, now, now, now+q.backoff.max.Milliseconds()).Scan(&id, &v.epoch, &v.signed, &v.total)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		v.job, err = toDigest(id)
		l = &v
		return err
	})
	if err != nil {
		return nil, err
	}
	if l != nil {
		q.changed(l.job)
	}
	return l, nil
}

// fenced runs an UPDATE that must hit exactly the leased row.
func fenced(tx *sql.Tx, l *lease, set string, args ...any) error {
	r, err := tx.Exec(`UPDATE jobs SET `+set+` WHERE id = ? AND epoch = ? AND state IN `+leasedStates,
		append(args, l.job[:], l.epoch)...)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n != 1 {
		return fmt.Errorf("%w: epoch %d", ErrFenced, l.epoch)
	}
	return nil
}

// move puts a leased job into another of door's states. Where a run stands is worth a write, but not the time of one: whoever wants to
// know waits for what it gives. Whether the lease is over is for check to say.
func (q *queue) move(l *lease, state string) <-chan error {
	held, done := *l, make(chan error, 1)
	q.db.post(func(tx *sql.Tx) error { return fenced(tx, &held, `state = ?, updated = ?`, state, q.millis()) }, func(err error) {
		if err == nil {
			q.changed(held.job)
		}
		done <- err
	})
	return done
}

// check refuses a lease that is over.
func (q *queue) check(ctx context.Context, l *lease) (cancel bool, err error) {
	err = q.db.read.QueryRowContext(ctx, `SELECT cancel FROM jobs WHERE id = ? AND epoch = ? AND state IN `+leasedStates,
		l.job[:], l.epoch).Scan(&cancel)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: epoch %d", ErrFenced, l.epoch)
	}
	return cancel, err
}

// ending says why an attempt ended without a usage attestation.
type ending struct {
	reason, message, hint string
	denial                []byte
	retry                 bool // another attempt may succeed
	death                 bool // the enclave is gone, as opposed to: it said so
}

// giveUp ends an attempt. The job is retried with backoff while attempts are left, and fails with its reason otherwise.
func (q *queue) giveUp(ctx context.Context, l *lease, e ending) error {
	err := q.db.update(ctx, func(tx *sql.Tx) error {
		var deaths, waits int
		var cancel bool
		if err := tx.QueryRow(`SELECT deaths, waits, cancel FROM jobs WHERE id = ?`, l.job[:]).Scan(&deaths, &waits, &cancel); err != nil {
			return err
		}
		q.room-- // it may wait again
		n := &waits
		limit := q.waits
		if e.death {
			n, limit = &deaths, q.deaths
		}
		*n++
		now := q.millis()
		state, ready := StateRetrying, now+q.backoff.after(*n).Milliseconds()
		switch {
		case cancel:
			state, ready = StateCancelled, 0
			e.reason, e.message, e.hint = reasonCancelled, "the buyer cancelled the job", ""
		case !e.retry:
			state, ready = StateFailed, 0
		case *n >= limit:
			state, ready = StateFailed, 0
			e.message = fmt.Sprintf("%d attempts, the last: %s", *n, e.message)
			e.reason, e.hint = reasonAttempts, "submit the work again as a new job"
		}
		return fenced(tx, l, `state = ?, ready = ?, deaths = ?, waits = ?, reason = ?, message = ?, hint = ?, denial = ?, updated = ?`,
			state, ready, deaths, waits, clip(e.reason), clip(e.message), clip(e.hint), e.denial, now)
	})
	if err == nil {
		q.changed(l.job)
	}
	return err
}

// recover gives back every job that a host which is gone had leased.
func (q *queue) recover(ctx context.Context) error {
	rows, err := q.db.read.QueryContext(ctx, `SELECT id, epoch FROM jobs WHERE state IN `+leasedStates)
	if err != nil {
		return err
	}
	defer rows.Close()
	var lost []*lease
	for rows.Next() {
		var id []byte
		l := new(lease)
		if err := rows.Scan(&id, &l.epoch); err != nil {
			return err
		}
		if l.job, err = toDigest(id); err != nil {
			return err
		}
		lost = append(lost, l)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, l := range lost {
		e := ending{reason: reasonHostStopped, message: "the host stopped during the attempt", retry: true, death: true}
		if err := q.giveUp(ctx, l, e); err != nil {
			return err
		}
	}
	return nil
}

// cancel withdraws a job: at once while it waits, by its enclave while it runs. A job that ended stays as it is.
func (q *queue) cancel(ctx context.Context, id envelope.Digest) error {
	err := q.db.update(ctx, func(tx *sql.Tx) error {
		now := q.millis()
		if _, err := tx.Exec(`UPDATE jobs SET state = ?, cancel = 1, ready = 0, reason = ?, message = 'the buyer cancelled the job',
			hint = '', updated = ? WHERE id = ? AND state IN ('queued','retrying')`, StateCancelled, reasonCancelled, now, id[:]); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE jobs SET cancel = 1, updated = ? WHERE id = ? AND cancel = 0 AND state IN `+leasedStates, now, id[:])
		return err
	})
	if err == nil {
		q.changed(id)
	}
	return err
}

// nextReady is how long until a waiting job may be tried; ok is false when none waits.
func (q *queue) nextReady(ctx context.Context) (d time.Duration, ok bool, err error) {
	var at sql.NullInt64
	err = q.db.read.QueryRowContext(ctx, `SELECT min(ready) FROM jobs WHERE state IN ('queued','retrying')`).Scan(&at)
	if err != nil || !at.Valid {
		return 0, false, err
	}
	return min(max(0, time.UnixMilli(at.Int64).Sub(q.now())), q.backoff.max), true, nil
}

func toDigest(b []byte) (envelope.Digest, error) {
	if len(b) != len(envelope.Digest{}) {
		return envelope.Digest{}, fmt.Errorf("%w: %d bytes in the database", envelope.ErrDigest, len(b))
	}
	return envelope.Digest(b), nil
}

// clip bounds text from elsewhere and keeps it on one line and valid.
func clip(s string) string {
	out := make([]rune, 0, min(len(s), maxText))
	for _, r := range s {
		if len(out) == maxText {
			break
		}
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		out = append(out, r)
	}
	return string(out)
}
