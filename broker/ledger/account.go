// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// Account is what one job owes for one package. Money and uses count once a job, whatever the attempts.
type Account struct {
	Reserved int64 // held for the live lease
	Charged  int64 // owed, the most that any commit stated
	Used     bool  // data may have been delivered: the use is spent
}

// Account reads an account; a missing one is zero.
func (t *Tx) Account(manifest, jobID envelope.Digest) (a Account, err error) {
	err = t.row(`SELECT reserved, charged, used FROM accounts WHERE manifest = ? AND job = ?`,
		[]any{manifest[:], jobID[:]}, []any{&a.Reserved, &a.Charged, &a.Used})
	if errors.Is(err, ErrNotFound) {
		return Account{}, nil
	}
	return a, err
}

// SetAccount writes an account. Whose it is, and that a lease on it lives, is what [Tx.AddLease] says, later or earlier in
// the same update.
func (t *Tx) SetAccount(manifest, jobID envelope.Digest, a Account) error {
	if a.Reserved < 0 || a.Charged < 0 || a.Reserved > job.MaxAmount || a.Charged > job.MaxAmount {
		return fmt.Errorf("%w: %+v", ErrOverflow, a)
	}
	_, err := t.exec(`INSERT INTO accounts(manifest, job, buyer, reserved, charged, used, live) VALUES (?,?,'',?,?,?,0)
		ON CONFLICT DO UPDATE SET reserved = excluded.reserved, charged = excluded.charged, used = excluded.used`,
		manifest[:], jobID[:], a.Reserved, a.Charged, a.Used)
	return err
}

// Reserve holds an amount for a job's lease, beside what the job owes.
func (t *Tx) Reserve(manifest, jobID envelope.Digest, amount int64) error {
	if amount < 0 || amount > job.MaxAmount {
		return fmt.Errorf("%w: %d", ErrOverflow, amount)
	}
	_, err := t.exec(`INSERT INTO accounts(manifest, job, buyer, reserved, charged, used, live) VALUES (?,?,'',?,0,0,0)
		ON CONFLICT DO UPDATE SET reserved = excluded.reserved`, manifest[:], jobID[:], amount)
	return err
}

// Uses counts the jobs other than one that used a package or hold a live lease on it.
func (t *Tx) Uses(manifest, except envelope.Digest) (n int64, err error) {
	return t.uses(manifest, "", except)
}

// BuyerUses is [Tx.Uses] of one buyer's jobs.
func (t *Tx) BuyerUses(manifest envelope.Digest, buyer envelope.PublicKey, except envelope.Digest) (n int64, err error) {
	if buyer.IsZero() {
		return 0, fmt.Errorf("%w: uses of nobody", ErrCorrupt)
	}
	return t.uses(manifest, t.q.keys.text(buyer), except)
}

func (t *Tx) uses(manifest envelope.Digest, buyer string, except envelope.Digest) (n int64, err error) {
	return n, t.row(`SELECT coalesce((SELECT n FROM uses WHERE manifest = ?1 AND buyer = ?2), 0) -
		(SELECT COUNT(*) FROM accounts WHERE manifest = ?1 AND job = ?3 AND (?2 = '' OR buyer = ?2) AND (used | live) = 1)`,
		[]any{manifest[:], buyer, except[:]}, []any{&n})
}

// Committed sums what a job owes or holds on packages other than one. It fails closed when the sum overflows.
func (t *Tx) Committed(jobID, except envelope.Digest) (sum int64, err error) {
	err = t.rows(`SELECT MAX(reserved, charged) FROM accounts WHERE job = ? AND manifest <> ?`, []any{jobID[:], except[:]},
		func(scan func(...any) error) error {
			var v int64
			if err := scan(&v); err != nil {
				return err
			}
			if v < 0 || sum > job.MaxAmount-v {
				return ErrOverflow
			}
			sum += v
			return nil
		})
	return sum, err
}
