// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// acknowledged is how far the anchor is, for readers.
type acknowledged struct {
	mu       sync.Mutex
	moved    *sync.Cond
	revision int64
	failing  bool // the anchor cannot be written at present
}

func (a *acknowledged) init() { a.moved = sync.NewCond(&a.mu) }

func (a *acknowledged) set(revision int64, failing bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revision, a.failing = revision, failing
	a.moved.Broadcast()
}

// wait returns once a revision is anchored. It waits for a disk only where a change is between database and anchor.
func (a *acknowledged) wait(revision int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.revision < revision && !a.failing {
		a.moved.Wait()
	}
	if a.revision < revision {
		return fmt.Errorf("%w: the latest changes are not anchored", ErrAnchor)
	}
	return nil
}

// View runs f on what is anchored, beside the writer: it sees every change acknowledged before the call and waits for
// none under way. A change through the Tx is an error. f must not call Update or View.
func (l *Ledger) View(ctx context.Context, f func(*Tx) error) error {
	l.closing.RLock()
	defer l.closing.RUnlock()
	if l.closed {
		return ErrClosed
	}
	var q *statements
	select {
	case q = <-l.viewing:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { l.viewing <- q }()
	if q == nil {
		c, err := l.views.Conn(ctx)
		if err != nil {
			return classify(err, ErrCorrupt)
		}
		q = newStatements(c)
	}
	revision, ferr, err := inSnapshot(q, f)
	if err != nil {
		return err
	}
	if err := l.acked.wait(revision); err != nil {
		return err
	}
	return ferr
}

// inSnapshot runs f in one reading transaction. ferr is f's own error.
func inSnapshot(q *statements, f func(*Tx) error) (revision int64, ferr, err error) {
	if _, err := q.exec(`BEGIN`); err != nil {
		return 0, nil, classify(err, ErrCorrupt)
	}
	t := &Tx{q: q}
	revision, err = t.Meta(metaRevision)
	if err == nil {
		ferr = f(t)
	}
	if _, rerr := q.exec(`ROLLBACK`); rerr != nil {
		err = errors.Join(err, classify(rerr, ErrCorrupt))
	}
	return revision, ferr, err
}

func (l *Ledger) openViews(ctx context.Context) (err error) {
	if l.views, err = openDB(l.cfg.Path, "_pragma=query_only(1)"); err != nil {
		return err
	}
	l.views.SetMaxOpenConns(readers)
	l.viewing = make(chan *statements, readers)
	for range readers {
		l.viewing <- nil // connected when first needed
	}
	return nil
}

// closeViews is called when nobody reads any more.
func (l *Ledger) closeViews() error {
	if l.views == nil {
		return nil
	}
	var errs []error
	for range cap(l.viewing) {
		if q := <-l.viewing; q != nil {
			q.close()
			errs = append(errs, q.conn.Close())
		}
	}
	return errors.Join(append(errs, l.views.Close())...)
}
