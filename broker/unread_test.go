// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// spoils are ways to put a file among the revocations that cannot be read.
func (o *owner) spoils() map[string]func() {
	at := func(name string) string { return filepath.Join(o.cfg.Layout().Revocations(), name) }
	return map[string]func(){
		"half a copy before":  func() { must(o.t, config.WriteFile(at("0000.dsse"), []byte("half a copy"))) },
		"half a copy after":   func() { must(o.t, config.WriteFile(at("zzzz.dsse"), []byte("half a copy"))) },
		"a dangling name":     func() { must(o.t, os.Symlink("/nowhere/at/all", at("0000.dsse"))) },
		"a link to a folder":  func() { must(o.t, os.Symlink(o.t.TempDir(), at("0000.dsse"))) },
		"more than any holds": func() { must(o.t, config.WriteFile(at("0000.dsse"), make([]byte, 8<<20))) },
	}
}

// TestUnreadableFileHidesNoRevocation: what lies beside a valid revocation keeps it neither from stopping what runs nor from
// being remembered, and nothing is released as long as it lies there.
func TestUnreadableFileHidesNoRevocation(t *testing.T) {
	t.Parallel()
	for name := range newWorld(t).creator.spoils() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			e := w.released()
			w.creator.spoils()[name]()
			id := w.data.Manifest.Dataset
			w.revoke(&grant.Revocation{Dataset: &id})
			a, err := e.heartbeat(w.data, 0)
			must(t, err)
			if a.Stop != grant.StopRevoked {
				t.Errorf("what was revoked goes on: %q", a.Stop)
			}
			must(t, w.creator.Close())
			if b, err := w.creator.open(); !errors.Is(err, broker.ErrWithdrawals) || errors.Is(err, os.ErrNotExist) {
				w.creator.Broker = b
				t.Fatalf("a broker that cannot read every revocation starts: %v", err)
			}
			must(t, os.RemoveAll(w.creator.cfg.Layout().Revocations())) // the ledger remembers
			w.creator.start()
			w.newJob(nil)
			if err := w.asking(1).release(w.data); err == nil {
				t.Error("what was revoked is released")
			}
		})
	}
}

// TestUnreadableFileStopsDataAfterAWhile: a copy that is under way disturbs nobody; a file that stays unreadable may be the
// one that stops a run, so no run gets more data, and each goes on once the file is repaired.
func TestUnreadableFileStopsDataAfterAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	path := filepath.Join(w.creator.cfg.Layout().Revocations(), "0000.dsse")
	must(t, config.WriteFile(path, []byte("half a copy")))
	_, err := e.heartbeat(w.data, 0)
	must(t, err)
	w.clock.advance(9 * time.Second)
	_, err = e.heartbeat(w.data, 0)
	must(t, err)
	want(t, w.asking(2).release(w.data), broker.ErrWithdrawals)
	w.clock.advance(2 * time.Second)
	if _, err = e.heartbeat(w.data, 0); !errors.Is(err, broker.ErrWithdrawals) {
		t.Errorf("data goes on beside a revocation that nobody can read: %v", err)
	}
	must(t, os.Remove(path))
	a, err := e.heartbeat(w.data, 0)
	must(t, err)
	if a.Stop != "" {
		t.Errorf("stopped: %q", a.Stop)
	}
	w.clock.advance(time.Minute)
	must(t, config.WriteFile(path, []byte("another copy")))
	_, err = e.heartbeat(w.data, 0)
	must(t, err)
}
