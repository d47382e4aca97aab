// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/keyholder/vault"
	"github.com/glovebox-dev/glovebox/broker/keyholder/vault/vaulttest"
)

// TestVaultAwayMidRelease: the release is on record, then Vault is sealed, restarted, or keeps silent. Nothing leaves the broker;
// the same request gets the same grant when Vault is back, debited once.
func TestVaultAwayMidRelease(t *testing.T) {
	t.Parallel()
	s := vaulttest.Start(t)
	c := s.Owner(t, "../deploy/vault", nil)
	c.TimeoutMillis = 1000
	for name, outage := range map[string]struct{ away, back func() error }{
		"sealed":    {s.Seal, s.Unseal},
		"restarted": {func() error { s.Stop(); return s.Run() }, s.Unseal},
		"silent":    {s.Pause, s.Resume},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			useVault(t, w, c)
			e := w.newEnclave(nil)
			must(t, e.release(w.code))
			must(t, outage.away())
			start := time.Now()
			r, err := w.creator.Release(t.Context(), e.request(w.data))
			want(t, err, keyholder.ErrUnavailable)
			want(t, err, broker.ErrKey)
			if r != nil {
				t.Error("a reply came with the error")
			}
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("it took %v to say so", d)
			}
			must(t, outage.back())
			must(t, e.release(w.data))
			if g := e.grants[w.data.ID].Predicate; g.Sequence != 1 {
				t.Errorf("the retry was recorded again: sequence %d", g.Sequence)
			}
		})
	}
}

// useVault gives the creator's broker Vault as its keyholder, and wraps the dataset's key there.
func useVault(t *testing.T, w *world, c *config.VaultKeyholder) {
	t.Helper()
	o := w.creator
	owner, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c, Owner: true})
	must(t, err)
	t.Cleanup(func() { owner.Close() }) //nolint:errcheck // it has no error to give
	wrapped, err := owner.Wrap(t.Context(), keyholder.Context(w.data.ID), bytes.Clone(w.data.key))
	must(t, err)
	must(t, config.WriteFile(filepath.Join(o.cfg.Layout().Package(w.data.ID), "key.wrap"), wrapped))
	must(t, o.Close())
	k, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c})
	must(t, err)
	b, err := broker.New(t.Context(), broker.Config{
		Settings: o.cfg, Formats: o.formats, Publisher: o.pub, Policy: policy(), Now: o.clock.now, Keyholder: k,
	})
	must(t, err)
	o.Broker = b
}
