// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const clockStep = 1000 // milliseconds

// MetaKey names a number the ledger keeps.
type MetaKey string

// The numbers.
const (
	metaRevision  MetaKey = "revision"
	MetaReference MetaKey = "reference" // highest version of reference values seen
	MetaPolicy    MetaKey = "policy"    // highest revision of the owner's signed rules; not there before the first
	MetaPublished MetaKey = "published" // last record pushed to the host's log
	MetaClock     MetaKey = "clock"     // latest time seen, Unix milliseconds; not there before the first
)

// Meta reads a number.
func (t *Tx) Meta(k MetaKey) (v int64, err error) {
	return v, t.row(`SELECT v FROM meta WHERE k = ?`, []any{string(k)}, []any{&v})
}

// SetMeta raises a number; it never falls.
func (t *Tx) SetMeta(k MetaKey, v int64) error {
	_, err := t.exec(`INSERT INTO meta VALUES (?,?) ON CONFLICT DO UPDATE SET v = excluded.v WHERE excluded.v > v`, string(k), v)
	return err
}

// Clock remembers the latest time that anything was decided at, and refuses an earlier one by more than tolerance
// ([ErrClock]): what has expired must not become valid again because a clock was set back. Both are milliseconds.
func (t *Tx) Clock(now, tolerance int64) error {
	latest, err := t.Meta(MetaClock)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if now < latest-tolerance {
		return fmt.Errorf("%w: it is %d, but it was %d before", ErrClock, now, latest)
	}
	if now < latest+clockStep || !t.writable {
		return nil
	}
	_, err = t.exec(`INSERT INTO meta VALUES (?,?) ON CONFLICT DO UPDATE SET v = excluded.v`, string(MetaClock), now)
	return err
}

// Nonce is a challenge given out. Binding is set when evidence has used it.
type Nonce struct {
	Nonce    envelope.Nonce
	Manifest envelope.Digest
	Job      envelope.Digest
	Issued   int64 // Unix milliseconds
	Expires  int64
	Binding  *envelope.Digest
}

// AddNonce stores a nonce before it is given out.
func (t *Tx) AddNonce(n *Nonce) error {
	_, err := t.exec(`INSERT INTO nonces(nonce, manifest, job, issued, expires) VALUES (?,?,?,?,?)`,
		n.Nonce[:], n.Manifest[:], n.Job[:], n.Issued, n.Expires)
	return err
}

// Nonce finds a nonce; [ErrNotFound] if it was never given out or has been pruned.
func (t *Tx) Nonce(nonce envelope.Nonce) (*Nonce, error) {
	n := Nonce{Nonce: nonce}
	var manifest, jobID, binding []byte
	err := t.row(`SELECT manifest, job, issued, expires, binding FROM nonces WHERE nonce = ?`, []any{nonce[:]},
		[]any{&manifest, &jobID, &n.Issued, &n.Expires, &binding})
	if err != nil {
		return nil, err
	}
	copy(n.Manifest[:], manifest)
	copy(n.Job[:], jobID)
	if len(binding) == len(envelope.Digest{}) {
		d := envelope.Digest(binding)
		n.Binding = &d
	}
	return &n, nil
}

// UseNonce consumes a nonce for one binding. It changes nothing if the nonce was used before.
func (t *Tx) UseNonce(nonce envelope.Nonce, binding envelope.Digest) error {
	n, err := t.exec(`UPDATE nonces SET binding = ? WHERE nonce = ? AND binding IS NULL`, binding[:], nonce[:])
	if err == nil && n != 1 {
		return ErrNotFound
	}
	return err
}

// PruneNonces drops a manifest's nonces that expired before now, and counts those that stay.
func (t *Tx) PruneNonces(manifest envelope.Digest, now int64) (left int64, err error) {
	if _, err := t.exec(`DELETE FROM nonces WHERE manifest = ? AND expires < ?`, manifest[:], now); err != nil {
		return 0, err
	}
	err = t.row(`SELECT n FROM outstanding WHERE manifest = ?`, []any{manifest[:]}, []any{&left})
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return left, err
}

// JobNonces counts a manifest's nonces for one job.
func (t *Tx) JobNonces(manifest, jobID envelope.Digest) (n int64, err error) {
	return n, t.row(`SELECT COUNT(*) FROM nonces WHERE manifest = ? AND job = ?`, []any{manifest[:], jobID[:]}, []any{&n})
}

// DropNonces forgets a manifest's n oldest nonces that no evidence has used, of one job or of all, and says how many
// there were. What was used stays: it must not be used again.
func (t *Tx) DropNonces(manifest envelope.Digest, jobID *envelope.Digest, n int64) (dropped int64, err error) {
	if jobID == nil {
		return t.exec(`DELETE FROM nonces WHERE nonce IN (SELECT nonce FROM nonces
			WHERE manifest = ? AND binding IS NULL ORDER BY expires LIMIT ?)`, manifest[:], n)
	}
	return t.exec(`DELETE FROM nonces WHERE nonce IN (SELECT nonce FROM nonces
		WHERE manifest = ? AND job = ? AND binding IS NULL ORDER BY expires LIMIT ?)`, manifest[:], jobID[:], n)
}

// Denial finds the signed denial that a binding already got.
func (t *Tx) Denial(manifest, binding envelope.Digest) (signed []byte, err error) {
	return signed, t.row(`SELECT signed FROM denials WHERE manifest = ? AND binding = ?`, []any{manifest[:], binding[:]}, []any{&signed})
}

// AddDenial keeps a denial, so that the same request gets the same bytes.
func (t *Tx) AddDenial(manifest, binding envelope.Digest, signed []byte) error {
	_, err := t.exec(`INSERT INTO denials VALUES (?,?,?)`, manifest[:], binding[:], signed)
	return err
}

// Job finds the signed job of a lease.
func (t *Tx) Job(id envelope.Digest) (signed []byte, err error) {
	return signed, t.row(`SELECT signed FROM jobs WHERE job = ?`, []any{id[:]}, []any{&signed})
}

// AddJob keeps a signed job.
func (t *Tx) AddJob(id envelope.Digest, signed []byte) error {
	_, err := t.exec(`INSERT INTO jobs VALUES (?,?) ON CONFLICT DO NOTHING`, id[:], signed)
	return err
}
