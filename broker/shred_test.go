// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// awayKeyholder is a key file that for a while makes no new version.
type awayKeyholder struct {
	*keyholder.File
	away atomic.Bool
}

func (f *awayKeyholder) Rotate(ctx context.Context) error {
	if f.away.Load() {
		return keyholder.ErrUnavailable
	}
	return f.File.Rotate(ctx)
}

// contributor has a key in the creator's directory; backup is a copy of it.
type contributor struct {
	w      *world
	ref    grant.UnitRef
	kh     *keyholder.File
	backup []byte
	path   string // of the file, without its suffix
}

func newContributor(w *world) *contributor {
	w.t.Helper()
	l := w.creator.cfg.Layout()
	kh, err := keyholder.Open(l.Keyholder(), l.KeyholderIdentity())
	must(w.t, err)
	c := &contributor{w: w, kh: kh, ref: grant.UnitRef{Dataset: w.data.Manifest.Dataset, ID: envelope.Sum([]byte("carol"))}}
	c.backup, err = kh.Wrap(w.t.Context(), keyholder.UnitContext(c.ref.Dataset, c.ref.ID), dataset.NewKey().Bytes())
	must(w.t, err)
	must(w.t, config.AddUnits(w.creator.dir, c.ref.Dataset, map[envelope.Digest][]byte{c.ref.ID: c.backup}))
	c.path = filepath.Join(l.Units(c.ref.Dataset), c.ref.ID.Hex())
	return c
}

// opens reports whether anything on disk, or the backup, opens still.
func (c *contributor) opens() bool {
	b, err := os.ReadFile(c.path + ".wrap")
	if err == nil {
		return true
	}
	if !errors.Is(err, os.ErrNotExist) {
		c.w.t.Fatal(err)
	}
	for _, w := range [][]byte{b, c.backup} {
		if _, err := c.kh.Unwrap(c.w.t.Context(), keyholder.UnitContext(c.ref.Dataset, c.ref.ID), w); err == nil {
			return true
		}
	}
	return false
}

// erased waits until nothing opens and no work is left.
func (c *contributor) erased(within time.Duration) {
	c.w.t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		half, err := c.w.creator.cfg.HalfShredded()
		must(c.w.t, err)
		if !c.opens() && len(half) == 0 {
			return
		}
		if time.Now().After(end) {
			c.w.t.Fatalf("after %v the erased contributor's key opens (%v), or its erasure is not done (%d)", within, c.opens(), len(half))
		}
	}
}

func (c *contributor) revoke() {
	ref := c.ref
	c.w.revoke(&grant.Revocation{Unit: &ref})
}

// TestShredIsFinishedAtNextStart: an erasure while the keyholder is away is finished by a broker that starts later.
func TestShredIsFinishedAtNextStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := newContributor(w)
	must(t, w.creator.Close())
	k := &awayKeyholder{File: c.kh}
	k.away.Store(true)
	w.creator.keys = k
	c.revoke()
	w.creator.start() // reads it
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if half, err := w.creator.cfg.HalfShredded(); err == nil && len(half) == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the erasure did not begin")
		}
	}
	w.creator.restart()
	k.away.Store(false)
	w.creator.restart()
	c.erased(10 * time.Second)
}

// TestShredIsTriedAgain: a running broker finishes it too, once the keyholder is back.
func TestShredIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := newContributor(w)
	must(t, w.creator.Close())
	k := &awayKeyholder{File: c.kh}
	k.away.Store(true)
	w.creator.keys = k
	w.creator.start()
	c.revoke()
	w.newJob(nil)
	must(t, w.asking(1).release(w.data)) // reads it
	time.Sleep(100 * time.Millisecond)
	if !c.opens() {
		t.Error("a backup cannot be dead yet")
	}
	k.away.Store(false)
	c.erased(10 * time.Second)
}

// TestShredCutOff: what a crash leaves of an erasure is finished at the next start, wherever it came.
func TestShredCutOff(t *testing.T) {
	t.Parallel()
	for name, crash := range map[string]func(c *contributor){
		"before the mark":           func(*contributor) {},
		"after the mark":            func(c *contributor) { must(t, config.WriteFile(c.path+".erased", nil)) },
		"after the key's file went": func(c *contributor) { must(t, config.WriteFile(c.path+".erased", nil)); remove(t, c.path+".wrap") },
		"after the new version": func(c *contributor) {
			must(t, c.kh.Rotate(t.Context()))
			must(t, config.WriteFile(c.path+".erased", []byte("version 2\n")))
		},
		"done, and then put back":     func(c *contributor) { must(t, config.WriteFile(c.path+".erased", []byte("renewed\n"))) },
		"a mark that nobody can read": func(c *contributor) { must(t, config.WriteFile(c.path+".erased", []byte("half"))) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := newContributor(w)
			must(t, w.creator.Close())
			c.revoke()
			crash(c)
			w.creator.start()
			c.erased(10 * time.Second)
			w.creator.restart()
			c.erased(0)
		})
	}
}

// TestShredDoesNotHoldUpHeartbeats: neither somebody who holds the lock on wrapped keys, nor many keys to wrap anew, keeps
// other runs waiting; the withdrawal holds at once.
func TestShredDoesNotHoldUpHeartbeats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := newContributor(w)
	more := map[envelope.Digest][]byte{}
	for i := range 200 {
		unit := envelope.Sum([]byte(fmt.Sprint(i)))
		wrapped, err := c.kh.Wrap(t.Context(), keyholder.UnitContext(c.ref.Dataset, unit), make([]byte, 32))
		must(t, err)
		more[unit] = wrapped
	}
	must(t, config.AddUnits(w.creator.dir, c.ref.Dataset, more))
	e := w.released()
	unlock, err := w.creator.cfg.Layout().LockKeys() // a pack, stopped with ^Z
	must(t, err)
	c.revoke()
	beat := func() {
		t.Helper()
		at := time.Now()
		_, err := e.heartbeat(w.data, 0)
		must(t, err)
		if d := time.Since(at); d > 5*time.Second {
			t.Errorf("a heartbeat of a run that has nothing to do with it took %v", d)
		}
	}
	beat()
	time.Sleep(300 * time.Millisecond)
	if _, err := os.Stat(c.path + ".erased"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("shredded under somebody else's lock: %v", err)
	}
	must(t, unlock())
	for range 5 {
		beat()
	}
	c.erased(30 * time.Second)
	for unit, w := range more {
		if now, err := c.w.creator.cfg.UnitKey(c.ref.Dataset, unit); err != nil || string(now) == string(w) {
			t.Fatalf("another contributor's key: %v", err)
		}
	}
}

// TestCloseEndsShredding: a broker that is closed touches no key any more.
func TestCloseEndsShredding(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := newContributor(w)
	must(t, w.creator.Close())
	c.revoke()
	unlock, err := w.creator.cfg.Layout().LockKeys()
	must(t, err)
	w.creator.start()
	must(t, w.creator.Close())
	must(t, unlock())
	time.Sleep(600 * time.Millisecond)
	if !c.opens() {
		t.Error("it went on after Close")
	}
	w.creator.start()
	c.erased(10 * time.Second)
}

// TestContributorRevokedBesideADamagedManifest: her withdrawal is recorded, and stops what may read her records; runs on
// other datasets go on.
func TestContributorRevokedBesideADamagedManifest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.creator.pack(dataset.KindDataset)
	w.more = []*packed{other}
	w.newJob(nil)
	e := w.newEnclave(nil)
	for _, p := range w.packs() {
		must(t, e.release(p))
	}
	c := newContributor(w)
	for _, p := range []*packed{w.data, other} {
		must(t, config.WriteFile(filepath.Join(w.creator.cfg.Layout().Package(p.ID), "manifest.dsse"), []byte("{}")))
	}
	c.revoke()
	a, err := e.heartbeat(w.data, 0)
	must(t, err)
	if a.Stop != grant.StopRevoked {
		t.Errorf("a run that may read her records goes on: %q", a.Stop)
	}
	a, err = e.heartbeat(other, 0)
	must(t, err)
	if a.Stop != "" {
		t.Errorf("a run on another dataset: %q", a.Stop)
	}
	c.erased(10 * time.Second)
}
