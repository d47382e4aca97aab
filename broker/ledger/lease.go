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

// Lease is one grant and everything that followed.
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

	SignedGrant  []byte `json:"signedGrant"`
	SignedTicket []byte `json:"signedTicket"` // with the code's grant only
	Sealed       []byte `json:"sealed"`       // empty until the key was sealed

	State     State            `json:"state"`
	Allowed   int64            `json:"allowed"`   // leaves that may have been delivered
	Delivered int64            `json:"delivered"` // leaves last reported
	Sequence  int64            `json:"sequence"`  // last heartbeat
	Heartbeat *envelope.Digest `json:"heartbeat"`
	Allowance []byte           `json:"allowance"` // the answer to it
	Stop      string           `json:"stop"`      // why the job was told to stop; "" if it was not
	Usage     *envelope.Digest `json:"usage"`
	Commit    []byte           `json:"commit"`
}

// AddLease stores a new live lease. The tables admit one for each binding, each ticket and each attempt, and one live
// one for each job and package.
func (t *Tx) AddLease(l *Lease) error {
	body, err := json.Marshal(l)
	if err != nil {
		return err
	}
	var ticket []byte
	if l.Ticket != nil {
		ticket = l.Ticket[:]
	}
	_, err = t.exec(`INSERT INTO leases(grant_id, manifest, job, binding, ticket, attempt, live, body) VALUES (?,?,?,?,?,?,?,?)`,
		l.Grant[:], l.Manifest[:], l.Job[:], l.Binding[:], ticket, l.Attempt, l.State == Live, body)
	return err
}

// SetLease stores what changed in a lease.
func (t *Tx) SetLease(l *Lease) error {
	body, err := json.Marshal(l)
	if err != nil {
		return err
	}
	n, err := t.exec(`UPDATE leases SET live = ?, body = ? WHERE grant_id = ?`, l.State == Live, body, l.Grant[:])
	if err == nil && n != 1 {
		return ErrNotFound
	}
	return err
}

func (t *Tx) lease(where string, args ...any) (*Lease, error) {
	var body []byte
	if err := t.row(`SELECT body FROM leases WHERE `+where, args, []any{&body}); err != nil {
		return nil, err
	}
	return decodeLease(body)
}

func decodeLease(body []byte) (*Lease, error) {
	var l Lease
	if err := json.Unmarshal(body, &l); err != nil {
		return nil, fmt.Errorf("%w: lease: %w", ErrCorrupt, err)
	}
	return &l, nil
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
		WHERE manifest = ?1 AND job = ?2 AND json_extract(CAST(body AS TEXT), '$.state') = ?3)) FROM leases WHERE manifest = ?1 AND job = ?2`,
		[]any{manifest[:], job[:], string(Completed)}, []any{&all, &since})
	return all, since, err
}

// LiveLeases lists every live lease.
func (t *Tx) LiveLeases() ([]*Lease, error) {
	rows, err := t.tx.Query(`SELECT body FROM leases WHERE live = 1`)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	defer rows.Close()
	var out []*Lease
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		l, err := decodeLease(body)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, rows.Err()
}
