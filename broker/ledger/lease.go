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

// fixed is what a lease's columns do not have: the JSON of a lease without them.
type fixed struct {
	Evidence     envelope.Digest    `json:"evidence"`
	Policy       envelope.Digest    `json:"policy"`
	Assurance    string             `json:"assurance"`
	SigningKey   envelope.PublicKey `json:"signingKey"`
	Obligations  grant.Obligations  `json:"obligations"`
	Purpose      string             `json:"purpose"`
	Population   string             `json:"population"`
	SignedGrant  []byte             `json:"signedGrant"`
	SignedTicket []byte             `json:"signedTicket"`
	Entitlement  []byte             `json:"entitlement"`
}

// AddLease stores a new live lease, and counts its use for as long as it lives. The tables admit one for each binding,
// each ticket and each attempt, and one live one for each job and package.
func (t *Tx) AddLease(l *Lease) error {
	body, err := json.Marshal(&fixed{
		l.Evidence, l.Policy, l.Assurance, l.SigningKey, l.Obligations, l.Purpose, l.Population, l.SignedGrant, l.SignedTicket, l.Entitlement,
	})
	if err != nil {
		return err
	}
	if l.Buyer.IsZero() {
		return fmt.Errorf("%w: lease of nobody", ErrCorrupt)
	}
	buyer := l.Buyer.String()
	_, err = t.exec(`INSERT INTO leases(grant_id, manifest, job, binding, ticket, attempt, buyer, dataset, code, permit, receipt, issued,
		fixed, state, sealed, allowed, delivered, sequence, heartbeat, allowance, stop, used_by, answer)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		l.Grant[:], l.Manifest[:], l.Job[:], l.Binding[:], nullable(l.Ticket), l.Attempt, buyer, datasetColumn(l.Dataset),
		digestColumn(l.Code), optional(l.Permit), optional(l.Receipt), l.Issued, body, string(l.State), bytesColumn(l.Sealed), l.Allowed,
		l.Delivered, l.Sequence, nullable(l.Heartbeat), bytesColumn(l.Allowance), l.Stop, nullable(l.Usage), bytesColumn(l.Commit))
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO accounts(manifest, job, buyer, reserved, charged, used, live) VALUES (?1,?2,?3,0,0,0,?4)
		ON CONFLICT DO UPDATE SET buyer = excluded.buyer, live = excluded.live`, l.Manifest[:], l.Job[:], buyer, l.State == Live)
	return err
}

// SetLease stores what changed in a lease, which is what comes after State.
func (t *Tx) SetLease(l *Lease) error {
	n, err := t.exec(`UPDATE leases SET state = ?, allowed = ?, delivered = ?, sequence = ?, heartbeat = ?, allowance = ?, stop = ?,
		used_by = ?, answer = ? WHERE grant_id = ?`, string(l.State), l.Allowed, l.Delivered, l.Sequence, nullable(l.Heartbeat),
		bytesColumn(l.Allowance), l.Stop, nullable(l.Usage), bytesColumn(l.Commit), l.Grant[:])
	if err != nil {
		return err
	}
	if n != 1 {
		return ErrNotFound
	}
	if len(l.Sealed) > 0 {
		if _, err = t.exec(`UPDATE leases SET sealed = ? WHERE grant_id = ? AND sealed = x''`, l.Sealed, l.Grant[:]); err != nil {
			return err
		}
	}
	if l.State == Live {
		return nil
	}
	_, err = t.exec(`UPDATE accounts SET live = 0 WHERE manifest = ? AND job = ? AND live = 1 AND NOT EXISTS
		(SELECT 1 FROM leases WHERE manifest = ?1 AND job = ?2 AND state = 'live')`, l.Manifest[:], l.Job[:])
	return err
}

const leaseColumns = `grant_id, manifest, job, binding, ticket, attempt, buyer, dataset, code, permit, receipt, issued, fixed,
	state, sealed, allowed, delivered, sequence, heartbeat, allowance, stop, used_by, answer`

// scanLease reads a row of leaseColumns.
func scanLease(scan func(...any) error) (*Lease, error) {
	var l Lease
	var id, manifest, job, binding, ticket, dataset, code, permit, receipt, body, heartbeat, used []byte
	var buyer, state string
	err := scan(&id, &manifest, &job, &binding, &ticket, &l.Attempt, &buyer, &dataset, &code, &permit, &receipt, &l.Issued, &body,
		&state, &l.Sealed, &l.Allowed, &l.Delivered, &l.Sequence, &heartbeat, &l.Allowance, &l.Stop, &used, &l.Commit)
	if err != nil {
		return nil, err
	}
	var f fixed
	if err := json.Unmarshal(body, &f); err != nil {
		return nil, fmt.Errorf("%w: lease: %w", ErrCorrupt, err)
	}
	if l.Buyer, err = envelope.ParsePublicKey(buyer); err != nil {
		return nil, fmt.Errorf("%w: lease: %w", ErrCorrupt, err)
	}
	l.Evidence, l.Policy, l.Assurance, l.SigningKey, l.Obligations = f.Evidence, f.Policy, f.Assurance, f.SigningKey, f.Obligations
	l.Purpose, l.Population, l.SignedGrant, l.SignedTicket, l.Entitlement = f.Purpose, f.Population, f.SignedGrant, f.SignedTicket, f.Entitlement
	l.State = State(state)
	ok := fill(l.Grant[:], id) && fill(l.Manifest[:], manifest) && fill(l.Job[:], job) && fill(l.Binding[:], binding) &&
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
		return nil, fmt.Errorf("%w: lease with a digest of the wrong length", ErrCorrupt)
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
	err = t.rows(`SELECT `+leaseColumns+` FROM leases WHERE `+where, args, func(scan func(...any) error) error {
		l, err := scanLease(scan)
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
	return t.lease(`grant_id = ?`, grantID[:])
}

// LeaseOf finds the lease of a binding on a package.
func (t *Tx) LeaseOf(manifest, binding envelope.Digest) (*Lease, error) {
	return t.lease(`manifest = ? AND binding = ?`, manifest[:], binding[:])
}

// LastLease finds the last attempt of a job on a package.
func (t *Tx) LastLease(manifest, job envelope.Digest) (*Lease, error) {
	return t.lease(`manifest = ? AND job = ? ORDER BY attempt DESC LIMIT 1`, manifest[:], job[:])
}

// Attempts counts the leases of a job on a package, and those among them that came after the first that completed.
func (t *Tx) Attempts(manifest, job envelope.Digest) (all, since int64, err error) {
	err = t.row(`SELECT COUNT(*), COUNT(*) FILTER (WHERE attempt > (SELECT MIN(attempt) FROM leases
		WHERE manifest = ?1 AND job = ?2 AND state = 'completed')) FROM leases WHERE manifest = ?1 AND job = ?2`,
		[]any{manifest[:], job[:]}, []any{&all, &since})
	return all, since, err
}

// LiveLeases lists every live lease.
func (t *Tx) LiveLeases() ([]*Lease, error) { return t.leases(`state = 'live'`) }

// LiveGrants lists the grants of the live leases, without reading the leases.
func (t *Tx) LiveGrants() (out []envelope.Digest, err error) {
	err = t.rows(`SELECT grant_id FROM leases WHERE state = 'live'`, nil, func(scan func(...any) error) error {
		var b []byte
		if err := scan(&b); err != nil {
			return err
		}
		var d envelope.Digest
		if !fill(d[:], b) {
			return fmt.Errorf("%w: lease with a digest of the wrong length", ErrCorrupt)
		}
		out = append(out, d)
		return nil
	})
	return out, err
}
