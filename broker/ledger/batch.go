// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
)

type op struct {
	f    func(*Tx) error
	done chan error
}

// Update runs f in the writer's next transaction. It returns nil only when everything f did is durable and anchored; on
// an error from f nothing of it remains. What only reads may use [Ledger.View], which waits for no disk. f must not call
// Update or View and must not block.
func (l *Ledger) Update(ctx context.Context, f func(*Tx) error) error {
	o := op{f, make(chan error, 1)}
	l.closing.RLock()
	if l.closed {
		l.closing.RUnlock()
		return ErrClosed
	}
	select {
	case l.ops <- o:
		l.closing.RUnlock()
	case <-ctx.Done():
		l.closing.RUnlock()
		return ctx.Err()
	}
	return <-o.done // once queued it runs: returning early would race with f
}

func (l *Ledger) write() {
	defer close(l.done)
	for o := range l.ops {
		l.batch(o)
	}
}

// result is what an operation of a batch is told once the batch is on disk.
type result struct {
	done chan error
	err  error
}

// batch runs one operation, and all that are waiting when it is done, in one transaction: the more callers there are the
// more of them share the two times that the disk is waited for, and one alone waits for nobody.
func (l *Ledger) batch(o op) {
	results, err := l.commit(o)
	l.acked.set(l.anchored.Revision, err != nil || l.dirty)
	for _, r := range results {
		if err != nil {
			r.done <- err
		} else {
			r.done <- r.err
		}
	}
}

// commit runs a batch and then writes the anchor. Before a failed anchor is repaired nothing further is accepted.
func (l *Ledger) commit(o op) (results []result, err error) {
	ctx := context.Background()
	results = []result{{done: o.done}}
	if l.dirty {
		if err := l.storeAnchor(ctx); err != nil {
			return results, err
		}
	}
	if _, err := l.q.exec(`BEGIN IMMEDIATE`); err != nil {
		return results, classify(err, ErrWrite)
	}
	results, changed, err := l.runAll(o)
	if err != nil || !changed {
		return results, errors.Join(err, l.rollback())
	}
	if _, err := l.q.exec(`UPDATE meta SET v = v + 1 WHERE k = 'revision'`); err != nil {
		return results, errors.Join(classify(err, ErrWrite), l.rollback())
	}
	now, err := l.current()
	if err != nil {
		return results, errors.Join(err, l.rollback())
	}
	l.dirty = true // whatever COMMIT answers: it may have reached the disk
	if _, err := l.q.exec(`COMMIT`); err != nil {
		return results, errors.Join(classify(err, ErrWrite), l.rollback())
	}
	return results, l.storeHead(ctx, now)
}

// runAll runs operations until none is waiting. One that comes before any change and leaves none itself is answered at
// once: what it saw is anchored.
func (l *Ledger) runAll(o op) (results []result, changed bool, err error) {
	for n := 1; ; n++ {
		t := &Tx{q: l.q, writable: true}
		oerr, fatal := runOp(t, o.f)
		if !changed && (!t.changed || oerr != nil) && fatal == nil {
			o.done <- oerr
		} else {
			results = append(results, result{o.done, oerr})
		}
		if fatal != nil {
			return results, changed, fatal
		}
		changed = changed || (t.changed && oerr == nil)
		if n == maxBatch {
			return results, changed, nil
		}
		select {
		case next, ok := <-l.ops:
			if !ok {
				return results, changed, nil
			}
			o = next
		default:
			return results, changed, nil
		}
	}
}

// runOp runs f. After a fatal error the whole transaction is unusable: a full disk can make SQLite drop it.
func runOp(t *Tx, f func(*Tx) error) (err, fatal error) {
	err = f(t)
	if !t.changed {
		return err, nil
	}
	if err != nil {
		if _, rerr := t.q.exec(`ROLLBACK TO op`); rerr != nil {
			return err, errors.Join(err, classify(rerr, ErrWrite))
		}
	}
	if _, rerr := t.q.exec(`RELEASE op`); rerr != nil {
		return err, errors.Join(err, classify(rerr, ErrWrite))
	}
	return err, nil
}

// rollback ends a transaction that must leave nothing. SQLite may have ended it already.
func (l *Ledger) rollback() error {
	_, err := l.q.exec(`ROLLBACK`)
	if err != nil && inTransaction(l.q) {
		return classify(err, ErrWrite)
	}
	return nil
}

func inTransaction(q *statements) bool {
	_, err := q.exec(`BEGIN`)
	if err != nil {
		return true
	}
	_, err = q.exec(`ROLLBACK`)
	return err != nil
}
