// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func TestViewSeesWhatWasAcknowledged(t *testing.T) {
	l := open(t, t.TempDir())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				n := Nonce{Nonce: envelope.NewNonce(), Manifest: manifestA, Job: jobID, Issued: 1, Expires: 2}
				if err := l.Update(t.Context(), func(tx *Tx) error { return tx.AddNonce(&n) }); err != nil {
					t.Error(err)
				}
				err := l.View(t.Context(), func(tx *Tx) error {
					_, err := tx.Nonce(n.Nonce)
					return err
				})
				if err != nil {
					t.Errorf("after its update: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func TestViewCannotWrite(t *testing.T) {
	l := open(t, t.TempDir())
	err := l.View(t.Context(), func(tx *Tx) error { return tx.SetMeta(MetaReference, 9) })
	if !errors.Is(err, ErrWrite) {
		t.Error(err)
	}
	must(t, l.Close())
	if err := l.View(t.Context(), func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// slow is an anchor on a slow disk.
type slow struct {
	cell
	entered, leave chan struct{}
}

func (s *slow) Store(ctx context.Context, previous, next []byte) error {
	s.entered <- struct{}{}
	<-s.leave
	return s.cell.Store(ctx, previous, next)
}

// TestReadingWaitsForNoDisk: while a batch is between database and anchor, a view of it waits until it is anchored, and
// a view from before does not wait at all.
func TestReadingWaitsForNoDisk(t *testing.T) {
	a := &slow{entered: make(chan struct{}, 1), leave: make(chan struct{}, 8)}
	a.leave <- struct{}{} // for the start
	l, err := openAnchored(t, t.TempDir(), a)
	must(t, err)
	<-a.entered
	must(t, l.View(t.Context(), func(*Tx) error { return nil }))
	done := make(chan error, 1)
	go func() {
		done <- l.Update(context.Background(), func(tx *Tx) error { return tx.SetMeta(MetaReference, 7) })
	}()
	<-a.entered // in the database, not in the anchor
	seen := make(chan int64, 1)
	go func() {
		var v int64
		if err := l.View(context.Background(), func(tx *Tx) (err error) { v, err = tx.Meta(MetaReference); return err }); err != nil {
			v = -1
		}
		seen <- v
	}()
	select {
	case v := <-seen:
		t.Errorf("saw %d before it was anchored", v)
	case <-time.After(50 * time.Millisecond):
	}
	a.leave <- struct{}{}
	must(t, <-done)
	if v := <-seen; v != 7 {
		t.Errorf("saw %d", v)
	}
}

// TestReadInUpdateIsAnsweredFirst: an update that only reads is answered before the disk is waited for.
func TestReadInUpdateIsAnsweredFirst(t *testing.T) {
	a := &slow{entered: make(chan struct{}, 1), leave: make(chan struct{}, 8)}
	a.leave <- struct{}{}
	l, err := openAnchored(t, t.TempDir(), a)
	must(t, err)
	<-a.entered
	must(t, l.Update(t.Context(), func(tx *Tx) error {
		_, err := tx.Uses(manifestA, jobID)
		return err
	}))
	if a.stores != 1 {
		t.Errorf("reading stored the anchor %d times", a.stores-1)
	}
}
