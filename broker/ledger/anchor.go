// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const maxAnchor = 1 << 10

// Anchor keeps the ledger's head outside the database, where whoever puts an old copy of that back does not reach. Its
// bytes are the ledger's business. A nil Anchor in [Config] is the head file.
type Anchor interface {
	// Load returns what was stored last; nil if nothing ever was. It must not return nil for what cannot be read.
	Load(ctx context.Context) ([]byte, error)
	// Store replaces previous (nil: nothing) by next, durably, or returns an error. Where something else than previous
	// is stored it must change nothing and return [ErrMoved].
	Store(ctx context.Context, previous, next []byte) error
}

// ErrMoved means that somebody else moved the anchor.
var ErrMoved = fmt.Errorf("%w: somebody else moved it", ErrAnchor)

// head is what an anchor holds. It is stored after each transaction and before anybody hears of it, so the database may
// be ahead of it by what was never acknowledged, and is never behind it unless somebody put an old copy back.
type head struct {
	Version  int              `json:"version"`  // 1
	Sequence int64            `json:"sequence"` // records
	Digest   *envelope.Digest `json:"digest"`   // the chain's head; null when there are none
	Revision int64            `json:"revision"` // transactions, so that nonces and leases cannot be rolled back either
}

func (a head) same(b head) bool {
	return a.Sequence == b.Sequence && a.Revision == b.Revision && (a.Digest == nil) == (b.Digest == nil) &&
		(a.Digest == nil || *a.Digest == *b.Digest)
}

func parseHead(b []byte) (*head, error) {
	var a head
	if err := envelope.Decode(b, maxAnchor, &a); err != nil {
		return nil, fmt.Errorf("%w: anchor: %w", ErrCorrupt, err)
	}
	if a.Version != 1 || a.Sequence < 0 || a.Revision < 0 || (a.Sequence == 0) != (a.Digest == nil) {
		return nil, fmt.Errorf("%w: anchor", ErrCorrupt)
	}
	return &a, nil
}

// current is the anchor that the database as it is now deserves.
func (l *Ledger) current() (a head, err error) {
	t := &Tx{q: l.q}
	a.Version = 1
	a.Sequence, a.Digest, a.Revision, err = t.Head()
	return a, err
}

// storeAnchor anchors the database as it is.
func (l *Ledger) storeAnchor(ctx context.Context) error {
	now, err := l.current()
	if err != nil {
		return err
	}
	return l.storeHead(ctx, now)
}

func (l *Ledger) storeHead(ctx context.Context, now head) error {
	if !l.dirty && now.same(l.anchored) {
		return nil
	}
	b, err := envelope.Canonical(now)
	if err != nil {
		return err
	}
	if err := l.anchor.Store(ctx, l.stored, b); err != nil {
		if errors.Is(err, errUnsynced) {
			return fmt.Errorf("%w: %w", ErrAnchor, err)
		}
		// It may have been stored all the same: an answer that got lost.
		if held, lerr := l.anchor.Load(ctx); lerr != nil || !bytes.Equal(held, b) {
			if lerr == nil && !bytes.Equal(held, l.stored) {
				err = errors.Join(err, ErrMoved)
			}
			return fmt.Errorf("%w: %w", ErrAnchor, err)
		}
	}
	l.anchored, l.stored, l.dirty = now, b, false
	return nil
}

// reconcile compares ledger and anchor at start. A ledger without its anchor is refused unless it is new: whoever can
// delete one could otherwise roll back the other.
func (l *Ledger) reconcile(ctx context.Context) error {
	held, err := l.anchor.Load(ctx)
	if err != nil {
		return err
	}
	var a *head
	want := int64(0)
	if held != nil {
		if a, err = parseHead(held); err != nil {
			return err
		}
		want = a.Sequence
	}
	n, atWant, err := verify(&Tx{q: l.q}, want)
	if err != nil {
		return err
	}
	now, err := l.current()
	if err != nil {
		return err
	}
	if err := compare(a, now, n, atWant); err != nil {
		return err
	}
	if f, ok := l.anchor.(*fileAnchor); ok && held != nil {
		if err := f.settle(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrAnchor, err)
		}
	}
	l.stored, l.dirty = held, a == nil || !a.same(now)
	if a != nil {
		l.anchored = *a
	}
	if err := l.storeHead(ctx, now); err != nil {
		return err
	}
	l.acked.set(now.Revision, false)
	return nil
}

// compare holds the database, which has n records and atWant as its head at the anchor's, against the anchor.
func compare(a *head, now head, n int64, atWant envelope.Digest) error {
	switch {
	case a == nil && (n > 0 || now.Revision > 0):
		return fmt.Errorf("%w: the anchor is missing, but the ledger has %d records", ErrForked, n)
	case a == nil:
		return nil
	case n < a.Sequence || now.Revision < a.Revision:
		return fmt.Errorf("%w: %d records and revision %d, the anchor says %d and %d", ErrRolledBack, n, now.Revision, a.Sequence, a.Revision)
	case a.Digest != nil && *a.Digest != atWant:
		return fmt.Errorf("%w: at record %d", ErrForked, a.Sequence)
	}
	return nil
}
