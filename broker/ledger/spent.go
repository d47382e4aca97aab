// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Kind is a kind of thing that is used once, or a counted number of times.
type Kind string

// The kinds. A capability is spent by a grant; receipts and permits are spent by jobs, once each, whatever the attempts.
const (
	Capability Kind = "capability"
	Receipt    Kind = "receipt"
	Permit     Kind = "permit"
)

// Spend counts one use of a thing by somebody, of which limit are allowed in all. The same use again is free, so that a
// retry is. It returns how many uses are left, or [ErrSpent] and changes nothing.
func (t *Tx) Spend(kind Kind, id, by envelope.Digest, limit int64) (left int64, err error) {
	n, mine, err := t.spent(kind, id, by)
	switch {
	case err != nil:
		return 0, err
	case id.IsZero() || by.IsZero() || limit < 1:
		return 0, fmt.Errorf("%w: %s without identity, user or limit", ErrSpent, kind)
	case mine:
		return max(0, limit-n), nil
	case n >= limit:
		return 0, fmt.Errorf("%w: %s %s: %d of %d uses", ErrSpent, kind, id, n, limit)
	}
	_, err = t.exec(`INSERT INTO spent VALUES (?,?,?)`, string(kind), id[:], by[:])
	return limit - n - 1, err
}

// Return takes back a use of which nothing came: no key was sealed, or nothing was read. It is no error if there was none.
func (t *Tx) Return(kind Kind, id, by envelope.Digest) error {
	_, err := t.exec(`DELETE FROM spent WHERE kind = ? AND id = ? AND by = ?`, string(kind), id[:], by[:])
	return err
}

// Shared reports whether a job's use of a receipt or permit also stands for a package other than one: a lease that stands
// on it lives there, or the package was used.
func (t *Tx) Shared(kind Kind, id, jobID, except envelope.Digest) (shared bool, err error) {
	column, ok := map[Kind]string{Receipt: "receipt", Permit: "permit"}[kind]
	if !ok {
		return false, fmt.Errorf("%w: no package stands on a %s", ErrCorrupt, kind)
	}
	return shared, t.row(`SELECT EXISTS (SELECT 1 FROM leases l JOIN accounts a ON a.manifest = l.manifest AND a.job = l.job
		WHERE l.`+column+` = ? AND l.job = ? AND l.manifest <> ? AND (a.used | a.live) = 1)`,
		[]any{id[:], jobID[:], except[:]}, []any{&shared})
}

// Spent counts the uses of a thing by others.
func (t *Tx) Spent(kind Kind, id, except envelope.Digest) (n int64, err error) {
	n, mine, err := t.spent(kind, id, except)
	if mine {
		n--
	}
	return n, err
}

func (t *Tx) spent(kind Kind, id, by envelope.Digest) (n int64, mine bool, err error) {
	err = t.row(`SELECT COUNT(*), COUNT(*) FILTER (WHERE by = ?3) FROM spent WHERE kind = ?1 AND id = ?2`,
		[]any{string(kind), id[:], by[:]}, []any{&n, &mine})
	return n, mine, err
}

// UseCapability spends a capability on a grant; [ErrSpent] if another grant has it.
func (t *Tx) UseCapability(id, grantID envelope.Digest) error {
	_, err := t.Spend(Capability, id, grantID, 1)
	return err
}
