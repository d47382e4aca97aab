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
)

// Errors of this package.
var (
	ErrLocked     = errors.New("ledger: another broker holds it")
	ErrBusy       = errors.New("ledger: another program keeps it busy")
	ErrRolledBack = errors.New("ledger: behind its anchor")
	ErrForked     = errors.New("ledger: differs from its anchor")
	ErrCorrupt    = errors.New("ledger: corrupt")
	ErrVersion    = errors.New("ledger: made by another release")
	ErrWrite      = errors.New("ledger: cannot be written")
	ErrAnchor     = fmt.Errorf("%w: anchor", ErrWrite)
	ErrClock      = errors.New("ledger: the clock went back")
	ErrClosed     = errors.New("ledger: closed")
	ErrNotFound   = errors.New("ledger: no such entry")
	ErrOverflow   = errors.New("ledger: amount out of range")
	ErrSpent      = errors.New("ledger: spent")         // a capability, receipt or permit has no use left
	ErrBudget     = errors.New("ledger: over budget")   // a privacy cap
	ErrPopulation = errors.New("ledger: other account") // a population declared otherwise before
)

const (
	maxBatch = 256
	queueLen = 1024
	readers  = 4
	busyWait = 5000 // milliseconds, for a program that reads beside us
)

// The write-ahead log is synced at each commit. It is moved into the database every 16 MiB and not every 4, so that fewer
// commits than one in a hundred wait for that.
const writerOptions = "_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cell_size_check(1)&" +
	"_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-16384)"

// Config names the ledger's files.
type Config struct {
	Path   string // database
	Head   string // head file; used where Anchor is nil
	Lock   string // lock file
	Anchor Anchor // where the head is kept outside the database
}

func (c *Config) anchor() Anchor {
	if c.Anchor != nil {
		return c.Anchor
	}
	return &fileAnchor{path: c.Head}
}

// Ledger is an open ledger. It is safe for concurrent use; one goroutine writes.
type Ledger struct {
	cfg  Config
	db   *sql.DB
	conn *sql.Conn
	q    *statements
	lock *os.File
	ops  chan op
	done chan struct{}

	views   *sql.DB
	viewing chan *statements // readers not in use

	closing sync.RWMutex
	closed  bool

	anchor   Anchor
	anchored head   // last stored; owned by the writer
	stored   []byte // its bytes
	dirty    bool   // the database is ahead of the anchor; owned by the writer

	acked acknowledged
}

// Open takes the lock, verifies every record and compares the ledger with its anchor. Errors: [ErrLocked],
// [ErrRolledBack], [ErrForked], [ErrCorrupt], [ErrVersion].
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	lock, err := acquire(cfg.Lock)
	if err != nil {
		return nil, err
	}
	l := &Ledger{cfg: cfg, lock: lock, ops: make(chan op, queueLen), done: make(chan struct{}), anchor: cfg.anchor()}
	l.acked.init()
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
	if l.db, err = openDB(l.cfg.Path, writerOptions); err != nil {
		return err
	}
	l.db.SetMaxOpenConns(1)
	if l.conn, err = l.db.Conn(ctx); err != nil {
		return classify(err, ErrCorrupt)
	}
	if err := migrate(ctx, l.conn); err != nil {
		return err
	}
	if err := l.settle(ctx); err != nil {
		return err
	}
	l.q = newStatements(l.conn)
	if err := l.reconcile(ctx); err != nil {
		return err
	}
	return l.openViews(ctx)
}

func openDB(path, options string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dsn := fmt.Sprintf("file:%s?_pragma=busy_timeout(%d)&%s", (&url.URL{Path: path}).EscapedPath(), busyWait, options)
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, classify(err, ErrCorrupt)
	}
	return db, nil
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

// unlock gives the lock up at once. Closing alone would not while a child that is just being started still has the file.
func unlock(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
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
	errs := []error{l.closeViews()}
	if f, ok := l.anchor.(*fileAnchor); ok {
		f.close()
	}
	if l.q != nil {
		l.q.close()
	}
	if l.conn != nil {
		errs = append(errs, l.conn.Close())
	}
	if l.db != nil {
		errs = append(errs, l.db.Close())
	}
	return errors.Join(append(errs, unlock(l.lock))...)
}
