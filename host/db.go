// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite" // the driver registers itself; database/sql offers no other way
)

// schema is version 1 of host.db. Statements run in one transaction at start and change nothing that exists.
const schema = `
CREATE TABLE IF NOT EXISTS meta(version INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS manifests(
	id BLOB PRIMARY KEY, seq INTEGER UNIQUE NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL,
	version INTEGER NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL, leaves INTEGER NOT NULL,
	address TEXT NOT NULL, broker TEXT NOT NULL, signed BLOB NOT NULL, added INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS versions(
	owner TEXT NOT NULL, dataset BLOB NOT NULL, version INTEGER NOT NULL, manifest BLOB NOT NULL,
	PRIMARY KEY(owner, dataset, version)) STRICT;
CREATE TABLE IF NOT EXISTS jobs(
	id BLOB PRIMARY KEY, seq INTEGER UNIQUE NOT NULL, buyer TEXT NOT NULL, signed BLOB NOT NULL, state TEXT NOT NULL,
	epoch INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0, waits INTEGER NOT NULL DEFAULT 0,
	ready INTEGER NOT NULL DEFAULT 0, leaves INTEGER NOT NULL DEFAULT 0,
	total INTEGER NOT NULL DEFAULT 0, cancel INTEGER NOT NULL DEFAULT 0,
	outcome TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '',
	hint TEXT NOT NULL DEFAULT '', denial BLOB, result BLOB, result_bytes INTEGER NOT NULL DEFAULT 0, usage BLOB,
	run BLOB, submitted INTEGER NOT NULL, updated INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS jobs_ready ON jobs(ready, seq) WHERE state IN ('queued','retrying');
CREATE INDEX IF NOT EXISTS jobs_state ON jobs(state);
CREATE TABLE IF NOT EXISTS records(
	statement BLOB NOT NULL, signer TEXT NOT NULL, seq INTEGER UNIQUE NOT NULL, type TEXT NOT NULL, job BLOB NOT NULL,
	leaf BLOB UNIQUE NOT NULL, body BLOB NOT NULL, signed BLOB NOT NULL, idx INTEGER, added INTEGER NOT NULL,
	PRIMARY KEY(statement, signer)) STRICT;
CREATE INDEX IF NOT EXISTS records_pending ON records(seq) WHERE idx IS NULL;
CREATE INDEX IF NOT EXISTS records_job ON records(job, seq);
CREATE UNIQUE INDEX IF NOT EXISTS records_idx ON records(idx) WHERE idx IS NOT NULL;
CREATE TABLE IF NOT EXISTS closed_grants(grant_id BLOB NOT NULL, signer TEXT NOT NULL, PRIMARY KEY(grant_id, signer)) STRICT;
CREATE TABLE IF NOT EXISTS voices(owner TEXT NOT NULL, pinned TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY(owner, pinned, key)) STRICT;
INSERT INTO meta(version) SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM meta);`

const schemaVersion = 1

// maxPosted bounds writes that nobody waits for.
const maxPosted = 256

// writeBatch is how many writes share one fsync.
const writeBatch = 256

// database is host.db: one goroutine writes and groups commits, readers have connections of their own.
type database struct {
	write, read *sql.DB
	ops         chan writeOp
	posted      chan writeOp // nobody waits for these
	quit, done  chan struct{}
}

type writeOp struct {
	ctx  context.Context
	f    func(*sql.Tx) error
	done chan error
	then func(error) // if somebody wants to know who does not wait
}

var errClosed = errors.New("host: database is closed")

func openDatabase(ctx context.Context, path string) (*database, error) {
	dsn := func(pragmas ...string) string {
		u := url.URL{Scheme: "file", Path: path}
		q := url.Values{"_pragma": append(pragmas, "busy_timeout(10000)", "foreign_keys(1)")}
		q.Set("_txlock", "immediate")
		u.RawQuery = q.Encode()
		return u.String()
	}
	w, err := sql.Open("sqlite", dsn("journal_mode(WAL)", "synchronous(FULL)"))
	if err != nil {
		return nil, err
	}
	w.SetMaxOpenConns(1)
	if err := prepare(ctx, w); err != nil {
		w.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	r, err := sql.Open("sqlite", dsn("query_only(1)"))
	if err != nil {
		w.Close()
		return nil, err
	}
	r.SetMaxOpenConns(4)
	d := &database{write: w, read: r, ops: make(chan writeOp), posted: make(chan writeOp, maxPosted), quit: make(chan struct{}), done: make(chan struct{})}
	go d.loop()
	return d, nil
}

func prepare(ctx context.Context, w *sql.DB) error {
	if _, err := w.ExecContext(ctx, schema); err != nil {
		return err
	}
	var v int
	if err := w.QueryRowContext(ctx, `SELECT version FROM meta`).Scan(&v); err != nil {
		return err
	}
	if v != schemaVersion {
		return fmt.Errorf("%w: database has version %d, this host knows %d", ErrConfig, v, schemaVersion)
	}
	return nil
}

func (d *database) close() error {
	close(d.quit)
	<-d.done
	return errors.Join(d.write.Close(), d.read.Close())
}

// update runs f in a transaction that is on disk when update returns nil. f may run together with others in one commit;
// its error undoes its own work only. f must not use the database but through its argument.
func (d *database) update(ctx context.Context, f func(*sql.Tx) error) error {
	op := writeOp{ctx, f, make(chan error, 1), nil}
	select {
	case d.ops <- op:
		return <-op.done
	case <-d.quit:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// post runs f like update, in the order of posts and soon, and calls done instead of making the caller wait for the disk. What is not
// done yet when the database closes never is.
func (d *database) post(f func(*sql.Tx) error, done func(error)) {
	op := writeOp{context.Background(), f, make(chan error, 1), done}
	select {
	case d.posted <- op:
	case <-d.quit:
	}
}

func (d *database) loop() {
	defer close(d.done)
	for {
		select {
		case op := <-d.ops:
			d.commit(d.gather(op))
		case op := <-d.posted:
			d.commit(d.gather(op))
		case <-d.quit:
			return
		}
	}
}

// gather takes what else is waiting, so that one fsync serves all.
func (d *database) gather(first writeOp) []writeOp {
	batch := []writeOp{first}
	for len(batch) < writeBatch {
		select {
		case op := <-d.ops:
			batch = append(batch, op)
		case op := <-d.posted:
			batch = append(batch, op)
		default:
			return batch
		}
	}
	return batch
}

func (d *database) commit(batch []writeOp) {
	results := make([]error, len(batch))
	err := func() error {
		tx, err := d.write.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // a no-op after Commit
		for i, op := range batch {
			if results[i], err = savepoint(tx, op); err != nil {
				return err
			}
		}
		return tx.Commit()
	}()
	for i, op := range batch {
		if err != nil {
			results[i] = fmt.Errorf("host database: %w", err)
		}
		op.done <- results[i]
		if op.then != nil {
			op.then(results[i])
		}
	}
}

// savepoint runs one write. The first error is f's own, the second means the whole transaction is lost.
func savepoint(tx *sql.Tx, op writeOp) (own, fatal error) {
	if err := op.ctx.Err(); err != nil {
		return err, nil
	}
	if _, err := tx.Exec("SAVEPOINT one"); err != nil {
		return nil, err
	}
	if own = op.f(tx); own != nil {
		if _, err := tx.Exec("ROLLBACK TO one"); err != nil {
			return own, err
		}
	}
	_, err := tx.Exec("RELEASE one")
	return own, err
}
