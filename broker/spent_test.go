// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// TestSpentRowsLost: a ledger that forgot what was spent does not open, or the same receipt, permit or use is good again.
func TestSpentRowsLost(t *testing.T) {
	t.Parallel()
	receipts := func(t *testing.T) *world {
		w, m := shop(t)
		return w.with(w.sold(m))
	}
	permits := func(t *testing.T) *world {
		w := newWorld(t, withTerms(func(t *dataset.Terms) { t.Access = dataset.AccessPermit }))
		w.permit(nil)
		return w
	}
	lost := func(w *world) {
		must(w.t, w.asking(1).release(w.data))
		w.clock.advance(2 * testTimeout)
		must(w.t, w.creator.ExpireLeases(w.t.Context()))
	}
	live := func(w *world) { w.released() }
	commit := func(w *world, change func(*usage.Statement)) {
		e := w.released()
		_, err := e.commit(w.data, e.usage(change))
		must(w.t, err)
	}
	completed := func(w *world) { commit(w, nil) }
	readAndFailed := func(w *world) { commit(w, failed) }
	for name, c := range map[string]struct {
		world func(*testing.T) *world
		run   func(*world)
		query string
	}{
		"receipt, completed":        {receipts, completed, `DELETE FROM spent WHERE kind = 'receipt'`},
		"receipt, live":             {receipts, live, `DELETE FROM spent WHERE kind = 'receipt'`},
		"receipt, lost":             {receipts, lost, `DELETE FROM spent WHERE kind = 'receipt'`},
		"receipt of another":        {receipts, lost, `UPDATE spent SET by = randomblob(32) WHERE kind = 'receipt'`},
		"permit":                    {permits, lost, `DELETE FROM spent WHERE kind = 'permit'`},
		"capability":                {receipts, lost, `DELETE FROM spent WHERE kind = 'capability'`},
		"use, completed":            {newUses, completed, `UPDATE accounts SET used = 0`},
		"use, completed, no charge": {newUses, completed, `UPDATE accounts SET used = 0, charged = 0`},
		"use, lost":                 {newUses, lost, `UPDATE accounts SET used = 0`},
		"use, failed and read":      {newUses, readAndFailed, `UPDATE accounts SET used = 0`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := c.world(t)
			c.run(w)
			w.creator.restart() // it opens as it was left
			w.alter(c.query)
			b, err := w.creator.open()
			if err == nil {
				w.creator.Broker = b
			}
			if !errors.Is(err, ledger.ErrCorrupt) {
				t.Errorf("%v", err)
			}
		})
	}
}

func newUses(t *testing.T) *world { return newWorld(t) }
