// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const headTries = 5

// Read runs f on a consistent view of a ledger, without its lock: beside the broker that holds it, or where none does.
// Nothing is written. The view holds everything that the broker had acknowledged when Read was called, which the anchor
// proves: [ErrRolledBack], [ErrForked]. Records are not verified one by one; [Open] does that. A ledger of an older
// release is [ErrVersion]; one that was never made is [fs.ErrNotExist].
func Read(ctx context.Context, cfg Config, f func(*Tx) error) (err error) {
	a, err := readHead(ctx, cfg.anchor())
	if err != nil {
		return err
	}
	_, err = os.Stat(cfg.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && a != nil:
		return fmt.Errorf("%w: there is an anchor, and no ledger", ErrRolledBack)
	case err != nil:
		return err
	case a == nil:
		return fmt.Errorf("%w: the anchor is missing", ErrForked)
	}
	db, err := openDB(cfg.Path, "mode=rw&_pragma=query_only(1)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := db.Conn(ctx)
	if err != nil {
		return classify(err, ErrCorrupt)
	}
	q := newStatements(c)
	defer func() {
		q.close()
		err = errors.Join(err, c.Close())
	}()
	var version int
	if err := c.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return classify(err, ErrCorrupt)
	}
	if version != schemaVersion {
		return fmt.Errorf("%w: schema version %d, this build has %d", ErrVersion, version, schemaVersion)
	}
	_, ferr, err := inSnapshot(q, func(t *Tx) error {
		if err := t.holds(a); err != nil {
			return err
		}
		return f(t)
	})
	return errors.Join(ferr, err)
}

// readHead loads an anchor that may be written at this moment; nil if there is none.
func readHead(ctx context.Context, anchor Anchor) (*head, error) {
	for try := 1; ; try++ {
		b, err := anchor.Load(ctx)
		if err == nil && b != nil {
			return parseHead(b)
		}
		if err == nil {
			return nil, nil
		}
		if try == headTries || !errors.Is(err, ErrCorrupt) {
			return nil, err
		}
	}
}

// holds compares the view with an anchor loaded before it.
func (t *Tx) holds(a *head) error {
	n, _, revision, err := t.Head()
	if err != nil {
		return err
	}
	var at [32]byte
	if a.Sequence > 0 && a.Sequence <= n {
		if at, err = t.HeadAt(a.Sequence); err != nil {
			return err
		}
	}
	return compare(a, head{Revision: revision}, n, at)
}
