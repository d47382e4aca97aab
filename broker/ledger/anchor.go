// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const maxAnchor = 4 << 10

// anchor is the head file. It is written after each transaction and before anybody hears of it, so the database may be
// ahead of it by what was never acknowledged, and is never behind it unless somebody put an old copy back.
type anchor struct {
	Version  int              `json:"version"`  // 1
	Sequence int64            `json:"sequence"` // records
	Digest   *envelope.Digest `json:"digest"`   // the chain's head; null when there are none
	Revision int64            `json:"revision"` // transactions, so that nonces and leases cannot be rolled back either
}

func (a anchor) same(b anchor) bool {
	return a.Sequence == b.Sequence && a.Revision == b.Revision && (a.Digest == nil) == (b.Digest == nil) &&
		(a.Digest == nil || *a.Digest == *b.Digest)
}

func readAnchor(path string) (*anchor, error) {
	b, err := envelope.ReadSecretFile(path, maxAnchor)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var a anchor
	if err := envelope.Decode(b, maxAnchor, &a); err != nil {
		return nil, fmt.Errorf("%w: anchor: %w", ErrCorrupt, err)
	}
	if a.Version != 1 || a.Sequence < 0 || a.Revision < 0 || (a.Sequence == 0) != (a.Digest == nil) {
		return nil, fmt.Errorf("%w: anchor", ErrCorrupt)
	}
	return &a, nil
}

// current is the anchor that the database as it is now deserves.
func (l *Ledger) current(ctx context.Context) (anchor, error) {
	a := anchor{Version: 1}
	tx, err := l.conn.BeginTx(ctx, nil)
	if err != nil {
		return a, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	t := &Tx{tx: tx}
	n, head, err := t.head()
	if err != nil {
		return a, err
	}
	if n > 0 {
		a.Sequence, a.Digest = n, &head
	}
	a.Revision, err = t.Meta(metaRevision)
	return a, err
}

// anchor writes the head file, durably.
func (l *Ledger) anchor(ctx context.Context) error {
	a, err := l.current(ctx)
	if err != nil {
		return err
	}
	if l.dirty || !a.same(l.anchored) {
		b, err := envelope.Canonical(a)
		if err != nil {
			return err
		}
		if err := config.WriteFile(l.cfg.Head, b); err != nil {
			return fmt.Errorf("%w: anchor: %w", ErrWrite, err)
		}
	}
	l.anchored, l.dirty = a, false
	return nil
}

// reconcile compares ledger and anchor at start. A ledger without its anchor is refused unless it is new: whoever can
// delete one file could otherwise roll back the other.
func (l *Ledger) reconcile(ctx context.Context) error {
	a, err := readAnchor(l.cfg.Head)
	if err != nil {
		return err
	}
	var want int64
	if a != nil {
		want = a.Sequence
	}
	n, _, atWant, err := verifyRecords(ctx, l.conn, want)
	if err != nil {
		return err
	}
	now, err := l.current(ctx)
	if err != nil {
		return err
	}
	switch {
	case a == nil && (n > 0 || now.Revision > 0):
		return fmt.Errorf("%w: %s is missing, but the ledger has %d records", ErrForked, l.cfg.Head, n)
	case a == nil:
	case n < a.Sequence || now.Revision < a.Revision:
		return fmt.Errorf("%w: %d records and revision %d, the anchor says %d and %d", ErrRolledBack, n, now.Revision, a.Sequence, a.Revision)
	case a.Digest != nil && *a.Digest != atWant:
		return fmt.Errorf("%w: at record %d", ErrForked, a.Sequence)
	}
	l.dirty = a == nil || !a.same(now)
	return l.anchor(ctx)
}
