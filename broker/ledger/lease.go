// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/json"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// State is how far a lease got.
type State string

// The states. Only a live lease gets allowances or commits.
const (
	Live      State = "live"
	Completed State = "completed"
	Failed    State = "failed"
	Lost      State = "lost"
)

// Lease is one grant and everything that followed. What comes before State never changes once it is stored.
type Lease struct {
	Grant       envelope.Digest    `json:"grant"`
	Manifest    envelope.Digest    `json:"manifest"`
	Job         envelope.Digest    `json:"job"`
	Binding     envelope.Digest    `json:"binding"`
	Evidence    envelope.Digest    `json:"evidence"`
	Policy      envelope.Digest    `json:"policy"`
	Ticket      *envelope.Digest   `json:"ticket"` // null for the code
	Attempt     int                `json:"attempt"`
	Assurance   string             `json:"assurance"`
	Buyer       envelope.PublicKey `json:"buyer"`
	SigningKey  envelope.PublicKey `json:"signingKey"`
	Obligations grant.Obligations  `json:"obligations"`

	Dataset    envelope.PackageID `json:"-"`       // of the package across its versions; zero: not known (release 0.1)
	Code       envelope.Digest    `json:"-"`       // manifest of the job's code package
	Permit     *envelope.Digest   `json:"-"`       // counted permit that was used
	Receipt    *envelope.Digest   `json:"-"`       // licence receipt that was used
	Issued     int64              `json:"-"`       // Unix milliseconds
	Purpose    string             `json:"purpose"` // the job's
	Population string             `json:"population"`

	SignedGrant  []byte `json:"signedGrant"`
	SignedTicket []byte `json:"signedTicket"` // with the code's grant only
	Entitlement  []byte `json:"entitlement"`  // the capability, a compact JWS; empty where access is open

	State     State            `json:"state"`
	Sealed    []byte           `json:"sealed"`    // empty until the key was sealed
	Allowed   int64            `json:"allowed"`   // leaves that may have been delivered
	Delivered int64            `json:"delivered"` // leaves last reported
	Sequence  int64            `json:"sequence"`  // last heartbeat
	Heartbeat *envelope.Digest `json:"heartbeat"`
	Allowance []byte           `json:"allowance"` // the answer to it
	Stop      string           `json:"stop"`      // why the job was told to stop; "" if it was not
	Usage     *envelope.Digest `json:"usage"`
	Commit    []byte           `json:"commit"`
}

// fixed is what a lease's columns do not have.
type fixed struct {
	Evidence     envelope.Digest   `json:"evidence"`
	Policy       envelope.Digest   `json:"policy"`
	Assurance    string            `json:"assurance"`
	Obligations  grant.Obligations `json:"obligations"`
	Purpose      string            `json:"purpose"`
	Population   string            `json:"population"`
	SignedTicket []byte            `json:"signedTicket"`
	Entitlement  []byte            `json:"entitlement"`
}

// AddLease stores a new live lease, whose grant is a record already, and counts its use for as long as it lives.
func (t *Tx) AddLease(l *Lease) error {
	body, err := json.Marshal(&fixed{l.Evidence, l.Policy, l.Assurance, l.Obligations, l.Purpose, l.Population, l.SignedTicket, l.Entitlement})
	if err != nil {
		return err
	}
	key, err := pointColumn(l.SigningKey)
	if err != nil || l.Buyer.IsZero() {
		return fmt.Errorf("%w: lease of nobody", ErrCorrupt)
	}
	buyer := t.q.keys.text(l.Buyer)
	_, err = t.exec(`INSERT INTO leases(grant_id, manifest, job, binding, ticket, attempt, buyer, dataset, code, permit, receipt, issued,
		signing_key, fixed, state, sealed, used_by, answer) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		l.Grant[:], l.Manifest[:], l.Job[:], l.Binding[:], nullable(l.Ticket), l.Attempt, buyer, datasetColumn(l.Dataset),
		digestColumn(l.Code), optional(l.Permit), optional(l.Receipt), l.Issued, key, body, string(l.State), bytesColumn(l.Sealed),
		nullable(l.Usage), bytesColumn(l.Commit))
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO progress VALUES (last_insert_rowid(),?,?,?,?,?,?)`, l.Allowed, l.Delivered, l.Sequence,
		nullable(l.Heartbeat), bytesColumn(l.Allowance), l.Stop)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO accounts(manifest, job, buyer, reserved, charged, used, live) VALUES (?,?,?,0,0,0,?)
		ON CONFLICT DO UPDATE SET buyer = excluded.buyer, live = excluded.live`, l.Manifest[:], l.Job[:], buyer, l.State == Live)
	return err
}

// SetLease stores what changed in a lease, which is what comes after State. The sealed key is stored once.
func (t *Tx) SetLease(l *Lease) error {
	n, err := t.exec(`UPDATE progress SET allowed = ?, delivered = ?, sequence = ?, heartbeat = ?, allowance = ?, stop = ?
		WHERE n = (SELECT n FROM leases WHERE grant_id = ?)`, l.Allowed, l.Delivered, l.Sequence, nullable(l.Heartbeat),
		bytesColumn(l.Allowance), l.Stop, l.Grant[:])
	if err != nil {
		return err
	}
	if n != 1 {
		return ErrNotFound
	}
	if len(l.Sealed) > 0 {
		if _, err := t.SetSealed(l.Grant, l.Sealed); err != nil {
			return err
		}
	}
	if l.State == Live {
		return nil
	}
	_, err = t.exec(`UPDATE leases SET state = ?, used_by = ?, answer = ? WHERE grant_id = ?`, string(l.State), nullable(l.Usage),
		bytesColumn(l.Commit), l.Grant[:])
	if err != nil {
		return err
	}
	_, err = t.exec(`UPDATE accounts SET live = 0 WHERE manifest = ?1 AND job = ?2 AND live = 1 AND NOT EXISTS
		(SELECT 1 FROM leases WHERE manifest = ?1 AND job = ?2 AND state = 'live')`, l.Manifest[:], l.Job[:])
	return err
}

// SetSealed stores the sealed key of a lease, unless it has one, without reading the lease. It reports whether it did.
func (t *Tx) SetSealed(grantID envelope.Digest, sealed []byte) (stored bool, err error) {
	n, err := t.exec(`UPDATE leases SET sealed = ? WHERE grant_id = ? AND sealed = x''`, sealed, grantID[:])
	return n == 1, err
}

// Sealed reads a lease's state and its sealed key, empty if there is none yet.
func (t *Tx) Sealed(grantID envelope.Digest) (state State, sealed []byte, err error) {
	return state, sealed, t.row(`SELECT state, sealed FROM leases WHERE grant_id = ?`, []any{grantID[:]}, []any{(*string)(&state), &sealed})
}

const leaseQuery = `SELECT l.grant_id, l.manifest, l.job, l.binding, l.ticket, l.attempt, l.buyer, l.dataset, l.code, l.permit, l.receipt,
	l.issued, l.signing_key, l.fixed, l.state, l.sealed, l.used_by, l.answer, p.allowed, p.delivered, p.sequence, p.heartbeat, p.allowance, p.stop,
	r.signed FROM leases l JOIN progress p ON p.n = l.n LEFT JOIN records r ON r.digest = l.grant_id WHERE `

// scanLease reads a row of leaseQuery.
func (t *Tx) scanLease(scan func(...any) error) (*Lease, error) {
	var l Lease
	var id, manifest, job, binding, ticket, dataset, code, permit, receipt, key, body, heartbeat, used []byte
	var buyer, state string
	err := scan(&id, &manifest, &job, &binding, &ticket, &l.Attempt, &buyer, &dataset, &code, &permit, &receipt,
		&l.Issued, &key, &body, &state, &l.Sealed, &used, &l.Commit, &l.Allowed, &l.Delivered, &l.Sequence, &heartbeat, &l.Allowance, &l.Stop,
		&l.SignedGrant)
	if err != nil {
		return nil, err
	}
	var f fixed
	if err := json.Unmarshal(body, &f); err != nil {
		return nil, fmt.Errorf("%w: lease: %w", ErrCorrupt, err)
	}
	if l.Buyer, err = t.q.keys.parse(buyer); err != nil {
		return nil, fmt.Errorf("%w: lease: %w", ErrCorrupt, err)
	}
	if l.SigningKey, err = parsePoint(key); err != nil {
		return nil, fmt.Errorf("%w: lease: %w", ErrCorrupt, err)
	}
	l.Evidence, l.Policy, l.Assurance, l.Obligations = f.Evidence, f.Policy, f.Assurance, f.Obligations
	l.Purpose, l.Population, l.SignedTicket, l.Entitlement, l.State = f.Purpose, f.Population, f.SignedTicket, f.Entitlement, State(state)
	ok := len(l.SignedGrant) > 0 && fill(l.Grant[:], id) && fill(l.Manifest[:], manifest) && fill(l.Job[:], job) && fill(l.Binding[:], binding) &&
		(len(dataset) == 0 || fill(l.Dataset[:], dataset)) && (len(code) == 0 || fill(l.Code[:], code))
	for _, o := range []struct {
		to   **envelope.Digest
		from []byte
	}{{&l.Ticket, ticket}, {&l.Permit, permit}, {&l.Receipt, receipt}, {&l.Heartbeat, heartbeat}, {&l.Usage, used}} {
		if len(o.from) > 0 {
			*o.to = new(envelope.Digest)
			ok = ok && fill((*o.to)[:], o.from)
		}
	}
	if !ok {
		return nil, fmt.Errorf("%w: lease without its grant, or with a digest of the wrong length", ErrCorrupt)
	}
	return &l, nil
}

func (t *Tx) lease(where string, args ...any) (*Lease, error) {
	list, err := t.leases(where, args...)
	if err == nil && len(list) == 0 {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

func (t *Tx) leases(where string, args ...any) (out []*Lease, err error) {
	err = t.rows(leaseQuery+where, args, func(scan func(...any) error) error {
		l, err := t.scanLease(scan)
		out = append(out, l)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Lease finds a lease by its grant.
func (t *Tx) Lease(grantID envelope.Digest) (*Lease, error) {
	return t.lease(`l.grant_id = ?`, grantID[:])
}

// LeaseOf finds the lease of a binding on a package.
func (t *Tx) LeaseOf(manifest, binding envelope.Digest) (*Lease, error) {
	return t.lease(`l.manifest = ? AND l.binding = ?`, manifest[:], binding[:])
}

// LastLease finds the last attempt of a job on a package.
func (t *Tx) LastLease(manifest, job envelope.Digest) (*Lease, error) {
	return t.lease(`l.manifest = ? AND l.job = ? ORDER BY l.attempt DESC LIMIT 1`, manifest[:], job[:])
}

// Attempts counts the leases of a job on a package, and those among them that came after the first that completed.
func (t *Tx) Attempts(manifest, job envelope.Digest) (all, since int64, err error) {
	err = t.row(`SELECT COUNT(*), COUNT(*) FILTER (WHERE attempt > (SELECT MIN(attempt) FROM leases
		WHERE manifest = ?1 AND job = ?2 AND state = 'completed')) FROM leases WHERE manifest = ?1 AND job = ?2`,
		[]any{manifest[:], job[:]}, []any{&all, &since})
	return all, since, err
}

// LiveLeases lists every live lease.
func (t *Tx) LiveLeases() ([]*Lease, error) { return t.leases(`l.state = 'live'`) }
