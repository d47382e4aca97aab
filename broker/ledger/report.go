// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/json"
	"fmt"

	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Entry is what one job used of one package, over all its attempts.
type Entry struct {
	Manifest   envelope.Digest
	Job        envelope.Digest
	Dataset    envelope.PackageID // zero: not known
	Buyer      envelope.PublicKey
	Code       envelope.Digest // zero: not known
	Purpose    string
	Population string
	Attempts   int64
	State      State           // of the last attempt
	Grant      envelope.Digest // of the last attempt
	First      int64           // when the first attempt was granted, Unix milliseconds
	Live       bool
	Account
	Chunks  int64 // leaves delivered, repeats included, by usage statements
	Bytes   int64
	Records int64
	Unheard int64 // leaves that lost leases may have been delivered, at most
}

// Entries lists every job's use of every package, oldest first.
func (t *Tx) Entries() (out []*Entry, err error) {
	err = t.rows(`WITH heard AS (SELECT manifest, job, SUM(chunks) AS chunks, SUM(bytes) AS bytes, SUM(records) AS records
			FROM usages GROUP BY manifest, job),
		history AS (SELECT l.manifest, l.job, COUNT(*) AS attempts, MIN(l.issued) AS first, MAX(l.attempt) AS last,
			SUM(CASE WHEN l.state = 'lost' AND l.sealed <> x'' THEN p.allowed ELSE 0 END) AS unheard
			FROM leases l JOIN progress p ON p.n = l.n GROUP BY l.manifest, l.job)
		SELECT a.manifest, a.job, a.buyer, a.reserved, a.charged, a.used, a.live, h.attempts, h.first, h.unheard, l.dataset, l.code, l.grant_id, l.state,
			coalesce(json_extract(CAST(l.fixed AS TEXT), '$.purpose'), ''), coalesce(json_extract(CAST(l.fixed AS TEXT), '$.population'), ''),
			coalesce(u.chunks, 0), coalesce(u.bytes, 0), coalesce(u.records, 0)
		FROM accounts a JOIN history h ON h.manifest = a.manifest AND h.job = a.job
			JOIN leases l ON l.job = a.job AND l.manifest = a.manifest AND l.attempt = h.last
			LEFT JOIN heard u ON u.manifest = a.manifest AND u.job = a.job
		ORDER BY h.first, a.job`, nil, func(scan func(...any) error) error {
		var e Entry
		var manifest, job, dataset, code, grant []byte
		var buyer, state string
		err := scan(&manifest, &job, &buyer, &e.Reserved, &e.Charged, &e.Used, &e.Live, &e.Attempts, &e.First, &e.Unheard, &dataset, &code,
			&grant, &state, &e.Purpose, &e.Population, &e.Chunks, &e.Bytes, &e.Records)
		if err != nil {
			return err
		}
		if !fill(e.Manifest[:], manifest) || !fill(e.Job[:], job) || !fill(e.Grant[:], grant) || (len(dataset) > 0 && !fill(e.Dataset[:], dataset)) ||
			(len(code) > 0 && !fill(e.Code[:], code)) {
			return fmt.Errorf("%w: account with a digest of the wrong length", ErrCorrupt)
		}
		if e.Buyer, err = t.q.keys.parse(buyer); err != nil {
			return fmt.Errorf("%w: account: %w", ErrCorrupt, err)
		}
		e.State = State(state)
		out = append(out, &e)
		return nil
	})
	return out, err
}

// EachCommit shows f the signed commits of all leases, in no order.
func (t *Tx) EachCommit(f func(manifest, job envelope.Digest, signed []byte)) error {
	return t.rows(`SELECT manifest, job, answer FROM leases WHERE used_by IS NOT NULL`, nil, func(scan func(...any) error) error {
		var manifest, job, signed []byte
		if err := scan(&manifest, &job, &signed); err != nil {
			return err
		}
		var m, j envelope.Digest
		if !fill(m[:], manifest) || !fill(j[:], job) {
			return fmt.Errorf("%w: commit with a digest of the wrong length", ErrCorrupt)
		}
		f(m, j, signed)
		return nil
	})
}

// PermitUse is how often a permit was used.
type PermitUse struct {
	ID   envelope.Digest
	Used int64
}

// PermitUses lists the permits that jobs stand on. A use of which nothing came is not one.
func (t *Tx) PermitUses() (out []PermitUse, err error) {
	err = t.rows(`SELECT id, COUNT(*) FROM spent WHERE kind = ? GROUP BY id ORDER BY id`, []any{string(Permit)}, func(scan func(...any) error) error {
		var p PermitUse
		var id []byte
		if err := scan(&id, &p.Used); err != nil {
			return err
		}
		if !fill(p.ID[:], id) {
			return fmt.Errorf("%w: permit with a digest of the wrong length", ErrCorrupt)
		}
		out = append(out, p)
		return nil
	})
	return out, err
}

// Populations lists the privacy accounts.
func (t *Tx) Populations() (out []Population, err error) {
	err = t.rows(`SELECT name, unit, adjacency, delta, cap, buyer_cap FROM populations ORDER BY name`, nil, func(scan func(...any) error) error {
		var p Population
		if err := scan(&p.Name, &p.Unit, &p.Adjacency, &p.Delta, &p.Cap, &p.BuyerCap); err != nil {
			return err
		}
		out = append(out, p)
		return nil
	})
	return out, err
}

// PopulationBuyers lists whom a population was released to.
func (t *Tx) PopulationBuyers(name string) (out []envelope.PublicKey, err error) {
	err = t.rows(`SELECT buyer FROM sums WHERE population = ? AND buyer <> '' ORDER BY buyer`, []any{name}, func(scan func(...any) error) error {
		var buyer string
		if err := scan(&buyer); err != nil {
			return err
		}
		k, err := t.q.keys.parse(buyer)
		out = append(out, k)
		return err
	})
	return out, err
}

// PrivacyEntry is one debit of a population.
type PrivacyEntry struct {
	Grant, Manifest, Job envelope.Digest
	Buyer                envelope.PublicKey
	State                string // "reserved", "spent" or "kept"
	Cost                 privacy.Cost
	Time                 int64
}

// PrivacyEntries lists a population's debits, oldest first.
func (t *Tx) PrivacyEntries(name string) (out []*PrivacyEntry, err error) {
	err = t.rows(`SELECT grant_id, manifest, job, buyer, state, cost, time FROM privacy WHERE population = ? ORDER BY time`, []any{name},
		func(scan func(...any) error) error {
			var e PrivacyEntry
			var id, manifest, job, cost []byte
			var buyer string
			if err := scan(&id, &manifest, &job, &buyer, &e.State, &cost, &e.Time); err != nil {
				return err
			}
			if !fill(e.Grant[:], id) || !fill(e.Manifest[:], manifest) || !fill(e.Job[:], job) {
				return fmt.Errorf("%w: debit with a digest of the wrong length", ErrCorrupt)
			}
			if err := json.Unmarshal(cost, &e.Cost); err != nil {
				return fmt.Errorf("%w: cost: %w", ErrCorrupt, err)
			}
			k, err := t.q.keys.parse(buyer)
			if err != nil {
				return fmt.Errorf("%w: debit: %w", ErrCorrupt, err)
			}
			e.Buyer = k
			out = append(out, &e)
			return nil
		})
	return out, err
}
