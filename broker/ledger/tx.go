// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Tx is one operation's view of the ledger, valid inside [Ledger.Update] or [Ledger.View] only.
type Tx struct {
	q        *statements
	writable bool
	changed  bool // and has a savepoint to go back to
	next     place
}

// place is the answer of [Tx.Next], until something is appended.
type place struct {
	manifest envelope.Digest // zero: none
	sequence int64
	previous *envelope.Digest
}

// statements are prepared once for a connection, which belongs to one goroutine at a time.
type statements struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	keys     keyCache
}

func newStatements(c *sql.Conn) *statements {
	return &statements{conn: c, prepared: map[string]*sql.Stmt{}}
}

func (q *statements) get(query string) (*sql.Stmt, error) {
	if s, ok := q.prepared[query]; ok {
		return s, nil
	}
	s, err := q.conn.PrepareContext(context.Background(), query)
	if err == nil {
		q.prepared[query] = s
	}
	return s, err
}

func (q *statements) exec(query string, args ...any) (int64, error) {
	s, err := q.get(query)
	if err != nil {
		return 0, err
	}
	r, err := s.Exec(args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (q *statements) close() {
	for _, s := range q.prepared {
		s.Close() //nolint:errcheck // its connection goes next
	}
	clear(q.prepared)
}

// exec changes something. The operation's savepoint is made at its first change: reading needs none.
func (t *Tx) exec(query string, args ...any) (int64, error) {
	if !t.writable {
		return 0, fmt.Errorf("%w: only reading here", ErrWrite)
	}
	if !t.changed {
		if _, err := t.q.exec(`SAVEPOINT op`); err != nil {
			return 0, classify(err, ErrWrite)
		}
		t.changed = true
	}
	n, err := t.q.exec(query, args...)
	if err != nil {
		return 0, classify(err, ErrWrite)
	}
	return n, nil
}

// row scans one row; [ErrNotFound] when there is none.
func (t *Tx) row(query string, args, dst []any) error {
	s, err := t.q.get(query)
	if err != nil {
		return classify(err, ErrCorrupt)
	}
	err = s.QueryRow(args...).Scan(dst...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return classify(err, ErrCorrupt)
	}
	return nil
}

// rows scans every row by f.
func (t *Tx) rows(query string, args []any, f func(scan func(...any) error) error) error {
	s, err := t.q.get(query)
	if err != nil {
		return classify(err, ErrCorrupt)
	}
	rows, err := s.Query(args...)
	if err != nil {
		return classify(err, ErrCorrupt)
	}
	defer rows.Close()
	scan := func(dst ...any) error {
		if err := rows.Scan(dst...); err != nil {
			return classify(err, ErrCorrupt)
		}
		return nil
	}
	for rows.Next() {
		if err := f(scan); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return classify(err, ErrCorrupt)
	}
	return nil
}

// classify says what went wrong in SQLite; otherwise is what it is when SQLite does not know better.
func classify(err, otherwise error) error {
	target := otherwise
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
			target = ErrWrite
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			target = ErrCorrupt
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			target = ErrBusy
		}
	}
	return fmt.Errorf("%w: %w", target, err)
}
