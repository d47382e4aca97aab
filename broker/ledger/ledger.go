// SPDX-License-Identifier: Apache-2.0

// Package ledger is a broker's memory: signed records that cannot be rolled back unnoticed, and the state of nonces,
// leases and accounts.
//
// Trust domain: the owner's side. Its one job: what [Ledger.Update] acknowledged is on disk, counted once, and still
// there, in the same order, when the broker starts again. docs/spec/ledger.md is the format.
package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	_ "modernc.org/sqlite" // the driver registers itself; this is the one import for side effects database/sql demands
)

// Errors of this package.
var (
	ErrLocked     = errors.New("ledger: another broker holds it")
	ErrRolledBack = errors.New("ledger: behind its anchor")
	ErrForked     = errors.New("ledger: differs from its anchor")
	ErrCorrupt    = errors.New("ledger: corrupt")
	ErrWrite      = errors.New("ledger: cannot be written")
	ErrClosed     = errors.New("ledger: closed")
	ErrNotFound   = errors.New("ledger: no such entry")
	ErrOverflow   = errors.New("ledger: amount out of range")
)

const (
	maxBatch = 256
	queueLen = 1024
)

// Config names the ledger's three files.
type Config struct {
	Path string // database
	Head string // anchor
	Lock string // lock file
}

// Ledger is an open ledger. It is safe for concurrent use; one goroutine writes.
type Ledger struct {
	cfg  Config
	db   *sql.DB
	conn *sql.Conn
	lock *os.File
	ops  chan op
	done chan struct{}

	closing sync.RWMutex
	closed  bool

	anchored anchor // last written; owned by the writer
	dirty    bool   // the database is ahead of the anchor; owned by the writer
}

type op struct {
	f    func(*Tx) error
	done chan error
}

// Open takes the lock, verifies every record and compares the ledger with its anchor. Errors: [ErrLocked],
// [ErrRolledBack], [ErrForked], [ErrCorrupt].
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	lock, err := acquire(cfg.Lock)
	if err != nil {
		return nil, err
	}
	l := &Ledger{cfg: cfg, lock: lock, ops: make(chan op, queueLen), done: make(chan struct{})}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(err, l.release())
	}
	go l.write()
	return l, nil
}

func (l *Ledger) open(ctx context.Context) error {
	f, err := os.OpenFile(l.cfg.Path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite's own files take this one's mode
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWrite, err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	path, err := filepath.Abs(l.cfg.Path)
	if err != nil {
		return err
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate"
	if l.db, err = sql.Open("sqlite", dsn); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	l.db.SetMaxOpenConns(1)
	if l.conn, err = l.db.Conn(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err := migrate(ctx, l.conn); err != nil {
		return err
	}
	return l.reconcile(ctx)
}

// acquire takes an exclusive lock that the kernel drops when the process ends, however it ends.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrLocked, path), f.Close())
	}
	return f, nil
}

// Close waits for accepted updates and gives the ledger up.
func (l *Ledger) Close() error {
	l.closing.Lock()
	if l.closed {
		l.closing.Unlock()
		return nil
	}
	l.closed = true
	close(l.ops)
	l.closing.Unlock()
	<-l.done
	return l.release()
}

func (l *Ledger) release() error {
	var errs []error
	if l.conn != nil {
		errs = append(errs, l.conn.Close())
	}
	if l.db != nil {
		errs = append(errs, l.db.Close())
	}
	return errors.Join(append(errs, l.lock.Close())...)
}

// Update runs f in the writer's next transaction. It returns nil only when everything f did is durable and anchored; on
// an error from f nothing of it remains. Reading goes through Update too, so that nobody acts on what is not anchored.
// f must not call Update and must not block.
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
		batch := []op{o}
	drain:
		for len(batch) < maxBatch {
			select {
			case next, ok := <-l.ops:
				if !ok {
					break drain
				}
				batch = append(batch, next)
			default:
				break drain
			}
		}
		errs, err := l.commit(batch)
		for i, o := range batch {
			if err != nil {
				o.done <- err
			} else {
				o.done <- errs[i]
			}
		}
	}
}

// commit runs a batch in one transaction, each operation in its own savepoint, and then writes the anchor. Before a
// failed anchor is repaired nothing further is accepted.
func (l *Ledger) commit(batch []op) (errs []error, err error) {
	ctx := context.Background()
	if l.dirty {
		if err := l.anchor(ctx); err != nil {
			return nil, err
		}
	}
	tx, err := l.conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	changed := false
	for _, o := range batch {
		c, err, fatal := runOp(tx, o.f)
		if fatal != nil {
			return nil, errors.Join(err, fatal, tx.Rollback())
		}
		errs = append(errs, err)
		changed = changed || c
	}
	if !changed {
		return errs, tx.Rollback()
	}
	if _, err := tx.Exec(`UPDATE meta SET v = v + 1 WHERE k = 'revision'`); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrWrite, err), tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		tx.Rollback() //nolint:errcheck // the commit's error is the one that counts
		return nil, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	l.dirty = true
	if err := l.anchor(ctx); err != nil {
		return nil, err
	}
	return errs, nil
}

// runOp runs f inside a savepoint and reports whether it left changes behind. After a fatal error the whole transaction
// is unusable: a full disk can make SQLite drop it.
func runOp(tx *sql.Tx, f func(*Tx) error) (changed bool, err, fatal error) {
	if _, err := tx.Exec(`SAVEPOINT op`); err != nil {
		return false, nil, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	t := &Tx{tx: tx}
	if err := f(t); err != nil {
		if _, rerr := tx.Exec(`ROLLBACK TO op; RELEASE op`); rerr != nil {
			return false, err, fmt.Errorf("%w: %w", ErrWrite, rerr)
		}
		return false, err, nil
	}
	if _, err := tx.Exec(`RELEASE op`); err != nil {
		return false, nil, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	return t.changed, nil, nil
}

// Tx is one operation's view of the ledger, valid inside [Ledger.Update] only.
type Tx struct {
	tx      *sql.Tx
	changed bool
}

func (t *Tx) exec(query string, args ...any) (int64, error) {
	t.changed = true
	r, err := t.tx.Exec(query, args...)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	return r.RowsAffected()
}

// row scans one row; [ErrNotFound] when there is none.
func (t *Tx) row(query string, args, dst []any) error {
	err := t.tx.QueryRow(query, args...).Scan(dst...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}
