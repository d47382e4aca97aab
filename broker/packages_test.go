// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// next packs the next version of the world's data, with the terms changed.
func (w *world) next(change func(*dataset.Terms)) *packed {
	w.t.Helper()
	first, err := dataset.Verify(w.data.Signed)
	must(w.t, err)
	return w.creator.pack(dataset.KindDataset, func(c *dataset.PackConfig) {
		c.Previous, c.Key, c.Store = first, w.data.k, w.data.store
	}, withTerms(change))
}

// spoilt are the ways in which a package stops being there.
func (o *owner) spoilt() map[string]func(envelope.Digest) error {
	dir := func(d envelope.Digest) string { return o.cfg.Layout().Package(d) }
	return map[string]func(envelope.Digest) error{
		"damaged": func(d envelope.Digest) error {
			return config.WriteFile(filepath.Join(dir(d), "manifest.dsse"), []byte("{}"))
		},
		"without manifest": func(d envelope.Digest) error { return os.Remove(filepath.Join(dir(d), "manifest.dsse")) },
		"gone":             func(d envelope.Digest) error { return os.RemoveAll(dir(d)) },
	}
}

// TestOldVersionDoesNotComeBack: version 2 takes a purpose back. Whatever becomes of its files, version 1 stays replaced.
func TestOldVersionDoesNotComeBack(t *testing.T) {
	t.Parallel()
	for _, seen := range []string{"at a release", "at start", "by the running broker"} {
		for _, how := range []string{"damaged", "without manifest", "gone"} {
			t.Run(seen+", "+how, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				v2 := w.next(func(t *dataset.Terms) { t.Purposes = []string{"art"} })
				switch seen {
				case "at a release":
					if got := rules(t, w.asking(1).release(w.data)); !slices.Contains(got, "version") {
						t.Fatalf("rules %v", got)
					}
				case "at start":
					w.creator.restart()
				default:
					ctx, stop := context.WithCancel(t.Context())
					done := make(chan error)
					go func() { done <- w.creator.Run(ctx) }()
					for since := time.Now(); !w.remembers(v2.ID); time.Sleep(50 * time.Millisecond) {
						if time.Since(since) > 30*time.Second {
							t.Fatal("a package that nobody asks for is not remembered")
						}
					}
					stop()
					must(t, <-done)
				}
				must(t, w.creator.spoilt()[how](v2.ID))
				for range 2 {
					w.newJob(nil)
					if got := rules(t, w.asking(1).release(w.data)); !slices.Contains(got, "version") {
						t.Errorf("rules %v", got)
					}
					if p := w.plan(); p.Allowed {
						t.Error("the plan allows it")
					}
					w.creator.restart()
				}
			})
		}
	}
}

// remembers reads the ledger beside the broker.
func (w *world) remembers(manifest envelope.Digest) (is bool) {
	w.t.Helper()
	l := w.creator.cfg.Layout()
	must(w.t, ledger.Read(w.t.Context(), ledger.Config{Path: l.Ledger(), Head: l.Head()}, func(t *ledger.Tx) error {
		all, err := t.Packages()
		is = slices.ContainsFunc(all, func(p ledger.Package) bool { return p.Manifest == manifest })
		return err
	}))
	return is
}

// TestUnreadPackageMayBeAnyVersion: what nobody could ever read may be what replaces the version that is asked for.
func TestUnreadPackageMayBeAnyVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := w.creator.cfg.Layout().Package(envelope.Sum([]byte("a copy that was cut off")))
	must(t, os.Mkdir(dir, 0o700))
	want(t, w.asking(1).release(w.data), broker.ErrPackages)
	w.creator.restart()
	want(t, w.asking(1).release(w.data), broker.ErrPackages)
	must(t, os.Remove(dir))
	must(t, w.asking(1).release(w.data))
}

// alter changes the creator's ledger while no broker holds it.
func (w *world) alter(query string) {
	w.t.Helper()
	must(w.t, w.creator.Close())
	db, err := sql.Open("sqlite", w.creator.cfg.Layout().Ledger())
	must(w.t, err)
	_, err = db.ExecContext(w.t.Context(), query)
	must(w.t, err)
	must(w.t, db.Close())
}

// TestMigratedLeaseIsStoppedByItsDataset: release 0.1 did not write down which dataset a lease is on, nor what people it
// showed.
func TestMigratedLeaseIsStoppedByItsDataset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	w.alter(`UPDATE leases SET dataset = x''; DELETE FROM privacy; DELETE FROM sums; DELETE FROM populations;
		UPDATE leases SET fixed = CAST(json_set(CAST(fixed AS TEXT), '$.population', '') AS BLOB)`)
	w.creator.start()
	a, err := e.heartbeat(w.data, 0)
	must(t, err)
	if a.Stop != "" {
		t.Fatalf("it stops for %q before anything was revoked", a.Stop)
	}
	w.newJob(nil)
	f := w.asking(1)
	must(t, f.release(w.data))
	if !f.grants[w.data.ID].Predicate.Conditional {
		t.Error("what the lease from before the upgrade showed is forgotten")
	}
	w.revoke(&grant.Revocation{Dataset: &w.data.Manifest.Dataset})
	if a, err = e.heartbeat(w.data, 0); err != nil || a.Stop != grant.StopRevoked {
		t.Errorf("a lease from before the upgrade goes on though its dataset is revoked: %+v, %v", a, err)
	}
	w.creator.restart()
}

// TestMigratedLeaseOfUnknownDataset: where the package is gone too, it may be the dataset that is revoked.
func TestMigratedLeaseOfUnknownDataset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	id := w.data.Manifest.Dataset
	w.alter(`UPDATE leases SET dataset = x''`)
	path := w.creator.cfg.Layout().Package(w.data.ID)
	must(t, os.Rename(path, path+".away"))
	w.creator.start()
	must(t, os.Rename(path+".away", path)) // what a heartbeat needs is there again
	w.revoke(&grant.Revocation{Dataset: &id})
	a, err := e.heartbeat(w.data, 0)
	must(t, err)
	if a.Stop != grant.StopRevoked {
		t.Errorf("%+v", a)
	}
}
