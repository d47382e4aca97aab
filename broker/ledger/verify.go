// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/json"
	"fmt"

	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// books is what the records say that leases and accounts must show.
type books struct {
	n      int64 // records
	atWant envelope.Digest
	ended  map[envelope.Digest]bool    // every grant, and whether its end is recorded
	minted map[envelope.Digest]bool    // grants whose leases have a capability
	owed   map[[2]envelope.Digest]debt // by manifest and job
}

// debt is what the commits of a job state.
type debt struct {
	charged int64 // the most of them
	used    bool  // one of them completed
}

// completed is the outcome in a commit that makes a use count for good.
const completed = "completed"

// verify walks the whole ledger: no gap in it or in any package's chain, every statement where it says it is, the running
// head as stored, no lease and no charge missing that a record tells of, every counter the sum of its entries. It returns
// the number of records and the head after record want.
func verify(t *Tx, want int64) (n int64, atWant envelope.Digest, err error) {
	b := books{ended: map[envelope.Digest]bool{}, minted: map[envelope.Digest]bool{}, owed: map[[2]envelope.Digest]debt{}}
	if err := b.readRecords(t, want); err != nil {
		return 0, atWant, err
	}
	for _, check := range []func(*Tx) error{checkPages, b.checkLeases, b.checkAccounts, b.checkCapabilities, checkUses, checkCounters, checkSums} {
		if err := check(t); err != nil {
			return 0, atWant, err
		}
	}
	return b.n, b.atWant, nil
}

func (b *books) readRecords(t *Tx, want int64) error {
	head, last := envelope.Digest{}, map[envelope.Digest]*Record{}
	return t.rows(`SELECT n, manifest, sequence, digest, key, signed, head FROM records ORDER BY n`, nil, func(scan func(...any) error) error {
		r, stored, err := t.scanRecord(scan)
		if err != nil {
			return err
		}
		if err := b.verifyRecord(r, last[r.Manifest]); err != nil {
			return err
		}
		b.n, head = r.N, nextHead(head, r, t.q.keys.text(r.Key))
		if head != stored {
			return fmt.Errorf("%w: the chain breaks at record %d", ErrCorrupt, r.N)
		}
		if r.N == want {
			b.atWant = head
		}
		if r.Sequence > 0 {
			r.Signed = nil
			last[r.Manifest] = r
		}
		return nil
	})
}

func (b *books) verifyRecord(r, last *Record) error {
	if r.N != b.n+1 {
		return fmt.Errorf("%w: record %d follows %d", ErrCorrupt, r.N, b.n)
	}
	payload, err := payloadOf(r.Signed)
	if err != nil || envelope.Sum(payload) != r.Digest {
		return fmt.Errorf("%w: record %d is not the statement it was", ErrCorrupt, r.N)
	}
	if r.Manifest.IsZero() != (r.Sequence == 0) {
		return fmt.Errorf("%w: record %d has half a place", ErrCorrupt, r.N)
	}
	if r.Manifest.IsZero() {
		return nil
	}
	sequence, previous := int64(1), (*envelope.Digest)(nil)
	if last != nil {
		sequence, previous = last.Sequence+1, &last.Digest
	}
	if r.Sequence != sequence {
		return fmt.Errorf("%w: gap in the chain of %s: %d follows %d", ErrCorrupt, r.Manifest, r.Sequence, sequence-1)
	}
	l, err := checkLink(r, payload, previous)
	if err != nil {
		return err
	}
	switch p := l.Predicate; l.PredicateType {
	case envelope.GrantType:
		b.ended[r.Digest] = false
	case envelope.CommitType:
		b.ended[p.Grant] = true
		k := [2]envelope.Digest{r.Manifest, p.Job}
		b.owed[k] = debt{max(b.owed[k].charged, p.Amount), b.owed[k].used || p.Outcome == completed || p.Amount > 0}
	case envelope.LeaseLostType:
		b.ended[p.Grant] = true
	}
	return nil
}

// checkPages is SQLite's own check: of pages, and that every index has what its table has.
func checkPages(t *Tx) error {
	var said string
	err := t.row(`PRAGMA integrity_check(1)`, nil, []any{&said})
	if err == nil && said != "ok" {
		err = fmt.Errorf("%w: %s", ErrCorrupt, said)
	}
	return err
}

// checkLeases: each grant has its lease, each lease can be read, and one whose end is recorded does not live.
func (b *books) checkLeases(t *Tx) error {
	err := t.rows(leaseQuery+`true`, nil, func(scan func(...any) error) error {
		l, err := t.scanLease(scan)
		if err != nil {
			return err
		}
		if ended, known := b.ended[l.Grant]; !known || (ended && l.State == Live) {
			return fmt.Errorf("%w: the records do not say of lease %s what it says", ErrCorrupt, l.Grant)
		}
		delete(b.ended, l.Grant)
		if len(l.Entitlement) > 0 {
			b.minted[l.Grant] = true
		}
		return nil
	})
	if err == nil && len(b.ended) > 0 {
		err = fmt.Errorf("%w: %d grants have lost their leases", ErrCorrupt, len(b.ended))
	}
	return err
}

// checkAccounts: nothing that a commit states is missing.
func (b *books) checkAccounts(t *Tx) error {
	err := t.rows(`SELECT manifest, job, charged, used FROM accounts`, nil, func(scan func(...any) error) error {
		var manifest, job []byte
		var a debt
		if err := scan(&manifest, &job, &a.charged, &a.used); err != nil {
			return err
		}
		var k [2]envelope.Digest
		if !fill(k[0][:], manifest) || !fill(k[1][:], job) || a.charged < b.owed[k].charged || (b.owed[k].used && !a.used) {
			return fmt.Errorf("%w: an account shows %+v, the commits state %+v", ErrCorrupt, a, b.owed[k])
		}
		delete(b.owed, k)
		return nil
	})
	if err == nil && len(b.owed) > 0 {
		err = fmt.Errorf("%w: %d jobs with a commit have lost their accounts", ErrCorrupt, len(b.owed))
	}
	return err
}

// keptUse says of a lease l that its use stands: it lives, it completed, leaves were read, or it ended unheard with its
// key sealed.
const keptUse = `(l.state IN ('live', 'completed') OR (l.state = 'lost' AND l.sealed <> x'') OR
	(l.state = 'failed' AND EXISTS (SELECT 1 FROM usages u WHERE u.grant_id = l.grant_id AND u.chunks > 0)))`

// checkUses: what a lease stands on is spent by its job, and a use that stands is in its account.
func checkUses(t *Tx) error {
	var wrong bool
	err := t.row(`SELECT EXISTS (SELECT 1 FROM leases l WHERE l.receipt <> x'' AND `+keptUse+` AND NOT EXISTS
			(SELECT 1 FROM spent s WHERE s.kind = 'receipt' AND s.id = l.receipt AND s.by = l.job))
		OR EXISTS (SELECT 1 FROM leases l WHERE l.permit <> x'' AND `+keptUse+` AND NOT EXISTS
			(SELECT 1 FROM spent s WHERE s.kind = 'permit' AND s.id = l.permit AND s.by = l.job))
		OR EXISTS (SELECT 1 FROM leases l JOIN accounts a ON a.manifest = l.manifest AND a.job = l.job
			WHERE l.state <> 'live' AND a.used = 0 AND `+keptUse+`)`, nil, []any{&wrong})
	if err == nil && wrong {
		err = fmt.Errorf("%w: a lease's receipt, permit or use is not spent", ErrCorrupt)
	}
	return err
}

// checkCapabilities: each that was minted is spent on its grant.
func (b *books) checkCapabilities(t *Tx) error {
	err := t.rows(`SELECT by FROM spent WHERE kind = 'capability'`, nil, func(scan func(...any) error) error {
		var by []byte
		if err := scan(&by); err != nil {
			return err
		}
		var d envelope.Digest
		if !fill(d[:], by) {
			return fmt.Errorf("%w: capability spent by nobody", ErrCorrupt)
		}
		delete(b.minted, d)
		return nil
	})
	if err == nil && len(b.minted) > 0 {
		err = fmt.Errorf("%w: %d capabilities are not spent", ErrCorrupt, len(b.minted))
	}
	return err
}

// checkCounters compares counters and marks with what they count.
func checkCounters(t *Tx) error {
	var wrong bool
	err := t.row(`SELECT EXISTS (SELECT 1 FROM accounts a WHERE live <> EXISTS
			(SELECT 1 FROM leases l WHERE l.manifest = a.manifest AND l.job = a.job AND l.state = 'live'))
		OR EXISTS (SELECT 1 FROM leases l WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.manifest = l.manifest AND a.job = l.job AND a.buyer = l.buyer))
		OR EXISTS (SELECT 1 FROM leases l WHERE NOT EXISTS (SELECT 1 FROM progress p WHERE p.n = l.n))
		OR EXISTS (SELECT 1 FROM (
			SELECT manifest, buyer, COUNT(*) AS n FROM accounts WHERE (used | live) = 1 GROUP BY manifest, buyer
			UNION ALL SELECT manifest, '', COUNT(*) FROM accounts WHERE (used | live) = 1 GROUP BY manifest) c
			LEFT JOIN uses u ON u.manifest = c.manifest AND u.buyer = c.buyer WHERE u.n IS NOT c.n)
		OR EXISTS (SELECT 1 FROM (SELECT manifest, COUNT(*) AS n FROM nonces GROUP BY manifest) c LEFT JOIN outstanding o ON o.manifest = c.manifest
			WHERE o.n IS NOT c.n)
		OR (SELECT coalesce(SUM(n), 0) FROM outstanding) <> (SELECT COUNT(*) FROM nonces)
		OR (SELECT coalesce(SUM(n), 0) FROM uses) <> 2 * (SELECT COUNT(*) FROM accounts WHERE (used | live) = 1)`, nil, []any{&wrong})
	if err == nil && wrong {
		err = fmt.Errorf("%w: counters, accounts, leases and nonces do not fit together", ErrCorrupt)
	}
	return err
}

// checkSums compares every privacy account with its entries: budgets are counted twice.
func checkSums(t *Tx) error {
	want := map[[2]string]*privacy.Sum{}
	err := t.rows(`SELECT population, buyer, cost FROM privacy`, nil, func(scan func(...any) error) error {
		var population, buyer string
		var b []byte
		if err := scan(&population, &buyer, &b); err != nil {
			return err
		}
		var c privacy.Cost
		if err := json.Unmarshal(b, &c); err != nil {
			return fmt.Errorf("%w: cost: %w", ErrCorrupt, err)
		}
		if c == (privacy.Cost{}) {
			return nil
		}
		for _, k := range [][2]string{{population, ""}, {population, buyer}} {
			if want[k] == nil {
				want[k] = &privacy.Sum{}
			}
			if err := want[k].Add(&c); err != nil {
				return fmt.Errorf("%w: %w", ErrCorrupt, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = t.rows(`SELECT population, buyer, sum FROM sums`, nil, func(scan func(...any) error) error {
		var k [2]string
		var b []byte
		if err := scan(&k[0], &k[1], &b); err != nil {
			return err
		}
		s, err := decodeSum(b)
		if err != nil {
			return err
		}
		if w := want[k]; (w == nil && *s != privacy.Sum{}) || (w != nil && *w != *s) {
			return fmt.Errorf("%w: the privacy account of %q is not the sum of its entries", ErrCorrupt, k[0])
		}
		delete(want, k)
		return nil
	})
	if err == nil && len(want) > 0 {
		err = fmt.Errorf("%w: privacy entries without an account", ErrCorrupt)
	}
	return err
}
