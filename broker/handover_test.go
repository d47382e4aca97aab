// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// head is where the stopped owner's ledger is.
func (o *owner) head() (h grant.Head) {
	o.t.Helper()
	l := o.cfg.Layout()
	led, err := ledger.Open(o.t.Context(), ledger.Config{Path: l.Ledger(), Head: l.Head(), Lock: l.Lock()})
	must(o.t, err)
	defer led.Close()
	must(o.t, led.Update(o.t.Context(), func(t *ledger.Tx) (err error) {
		h.Records, h.Digest, h.Revision, err = t.Head()
		return err
	}))
	return h
}

// records are the signed statements about a package in the stopped owner's ledger.
func (o *owner) records(manifest envelope.Digest) (out [][]byte) {
	o.t.Helper()
	l := o.cfg.Layout()
	led, err := ledger.Open(o.t.Context(), ledger.Config{Path: l.Ledger(), Head: l.Head(), Lock: l.Lock()})
	must(o.t, err)
	defer led.Close()
	must(o.t, led.Update(o.t.Context(), func(t *ledger.Tx) error {
		list, err := t.Records(0, 1000)
		for _, r := range list {
			if r.Manifest == manifest {
				out = append(out, r.Signed)
			}
		}
		return err
	}))
	return out
}

// handOver stops the broker, gives it a new key, and starts it.
func (o *owner) handOver() *grant.HandOver {
	o.t.Helper()
	must(o.t, o.Close())
	h, err := config.HandOver(o.dir, o.head(), "rotation", o.clock.now().UnixMilli())
	must(o.t, err)
	o.start()
	return h
}

// complete runs the world's job from challenge to commit.
func (w *world) complete() {
	w.t.Helper()
	e := w.released()
	u := e.usage(nil)
	for _, p := range []*packed{w.data, w.code} {
		_, err := e.commit(p, u)
		must(w.t, err)
	}
}

// TestHandOver: packages that pin the old key are released by the new one, and what was agreed before stands.
func TestHandOver(t *testing.T) {
	w := newWorld(t)
	w.complete()
	old := w.creator.Key()
	for range 2 {
		h := w.creator.handOver()
		if !h.New.Equal(w.creator.Key()) || w.creator.Key().Equal(old) {
			t.Fatal("the broker does not speak with the new key")
		}
		w.clock.advance(time.Second)
	}
	w.buyer.handOver()
	w.newJob(nil)
	e := w.released()
	g := e.grants[w.data.ID].Predicate
	v := grant.Voice{Owner: w.creator.cfg.Owner, Pinned: w.data.Manifest.Broker.Key}
	if speaker, err := v.Speaker(g.HandOvers); err != nil || !speaker.Equal(w.creator.Key()) || len(g.HandOvers) != 2 {
		t.Errorf("the grant does not lead to its signer: %v", err)
	}
	u := e.usage(nil)
	_, err := e.commit(w.data, u)
	must(t, err)
	w.newJob(nil)
	if err := w.newEnclaveReleased(); err == nil {
		t.Error("a third use of two: the new key forgot what the old one had counted")
	}
}

func (w *world) newEnclaveReleased() error {
	e := w.newEnclave(nil)
	for _, p := range []*packed{w.code, w.data} {
		if err := e.release(p); err != nil {
			return err
		}
	}
	return nil
}

// TestHandOverLosesLease: a lease that the old key granted is ended by the new one, and auditors can follow.
func TestHandOverLosesLease(t *testing.T) {
	w := newWorld(t)
	e := w.released()
	signed := e.raw[w.data.ID]
	w.creator.handOver()
	w.clock.advance(2 * testTimeout)
	must(t, w.creator.ExpireLeases(t.Context()))
	must(t, w.creator.Close())
	records := w.creator.records(w.data.ID)
	lost, findings := usage.VerifyLeaseLost(records[len(records)-1], signed, w.data.Signed, usage.Trust{Owners: []envelope.PublicKey{w.creator.cfg.Owner}})
	if lost == nil || len(findings) != 0 {
		t.Errorf("lease-lost by the new key: %v", findings)
	}
}

// TestHandOverInterrupted: whatever a crash left, asking again ends with one key that the owner endorsed once.
func TestHandOverInterrupted(t *testing.T) {
	w := newWorld(t)
	must(t, w.creator.Close())
	l := w.creator.cfg.Layout()
	_, err := envelope.CreateKeyFile(l.NextBrokerKey(), envelope.RoleBroker) // made, never endorsed
	must(t, err)
	before, err := os.ReadFile(l.BrokerKey())
	must(t, err)
	h, err := config.HandOver(w.creator.dir, w.creator.head(), "rotation", 1)
	must(t, err)
	must(t, os.Rename(l.BrokerKey(), l.NextBrokerKey())) // endorsed, not put in place
	must(t, config.WriteFile(l.BrokerKey(), before))
	if _, err := w.creator.open(); !errors.Is(err, broker.ErrHandOver) {
		t.Errorf("a broker with the old key: %v", err)
	}
	again, err := config.HandOver(w.creator.dir, w.creator.head(), "rotation", 2)
	must(t, err)
	if !again.New.Equal(h.New) || again.Time != 1 {
		t.Error("another hand-over was signed")
	}
	w.creator.start()
	if !w.creator.Key().Equal(h.New) {
		t.Error("another key than the endorsed one")
	}
}

// TestRestoreFromAttackersState: keys, hand-overs and ledgers that others made up, or that are from before, do not start.
func TestRestoreFromAttackersState(t *testing.T) {
	for name, c := range map[string]struct {
		attack func(t *testing.T, w *world, l config.Layout, old string)
		want   error
	}{
		"a fresh ledger": {func(t *testing.T, _ *world, l config.Layout, _ string) {
			remove(t, l.Ledger())
			remove(t, l.Head())
		}, ledger.ErrRolledBack},
		"an old ledger with its head": {func(t *testing.T, _ *world, l config.Layout, old string) {
			for _, f := range []string{l.Ledger(), l.Head()} {
				b, err := os.ReadFile(filepath.Join(old, filepath.Base(f)))
				must(t, err)
				must(t, os.WriteFile(f, b, 0o600))
			}
		}, ledger.ErrRolledBack},
		"a key of his own": {func(t *testing.T, _ *world, l config.Layout, _ string) {
			remove(t, l.BrokerKey())
			_, err := envelope.CreateKeyFile(l.BrokerKey(), envelope.RoleBroker)
			must(t, err)
		}, broker.ErrHandOver},
		"a hand-over of his own": {func(t *testing.T, w *world, l config.Layout, _ string) {
			mallory := newOwner(t, config.Creator, w.clock)
			must(t, mallory.Close())
			_, err := config.HandOver(mallory.dir, mallory.head(), "recovery", 9)
			must(t, err)
			mallory.start()
			b, err := os.ReadFile(filepath.Join(mallory.cfg.Layout().HandOversDir(), "0001.dsse"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(l.HandOversDir(), "0002.dsse"), b, 0o600))
		}, broker.ErrHandOver},
		"no hand-over": {func(t *testing.T, _ *world, l config.Layout, _ string) {
			must(t, os.RemoveAll(l.HandOversDir()))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			l, old := w.creator.cfg.Layout(), t.TempDir()
			must(t, w.creator.Close())
			w.creator.head()
			for _, f := range []string{l.Ledger(), l.Head()} {
				b, err := os.ReadFile(f)
				must(t, err)
				must(t, os.WriteFile(filepath.Join(old, filepath.Base(f)), b, 0o600))
			}
			w.creator.start()
			w.complete()
			w.creator.handOver()
			must(t, w.creator.Close())
			c.attack(t, w, l, old)
			b, err := w.creator.open()
			if c.want != nil {
				want(t, err, c.want)
				return
			}
			must(t, err) // it starts, and speaks for nothing
			w.creator.Broker = b
			w.newJob(nil)
			if _, err := w.challenge(w.data); err == nil {
				t.Error("a broker that nobody handed over to answers")
			}
		})
	}
}
