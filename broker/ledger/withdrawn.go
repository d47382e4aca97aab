// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"strings"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// The kinds of things withdrawn. Names are the String of what they name; a unit's is UnitName.
const (
	WithdrawnDataset  = "dataset"
	WithdrawnManifest = "manifest"
	WithdrawnUnit     = "unit"
	WithdrawnJob      = "job"
	WithdrawnBuyer    = "buyer"
	WithdrawnGrant    = "grant"
	WithdrawnCode     = "code"
	WithdrawnPermit   = "permit"
	WithdrawnByBuyer  = "cancel"
)

// UnitName is the name that an erasure unit of a dataset is withdrawn under.
func UnitName(dataset envelope.PackageID, unit envelope.Digest) string {
	return dataset.String() + "/" + unit.String()
}

// Withdraw remembers a revocation or cancellation, for good: deleting its file does not undo it.
func (t *Tx) Withdraw(kind, name string, statement envelope.Digest) error {
	_, err := t.exec(`INSERT INTO withdrawn VALUES (?,?,?) ON CONFLICT DO NOTHING`, kind, name, statement[:])
	return err
}

// Withdrawn reports whether something was revoked or cancelled.
func (t *Tx) Withdrawn(kind, name string) (bool, error) {
	var n int64
	err := t.row(`SELECT COUNT(*) FROM withdrawn WHERE kind = ? AND name = ?`, []any{kind, name}, []any{&n})
	return n > 0, err
}

// Named is something that may have been withdrawn.
type Named struct{ Kind, Name string }

const maxAsked = 8

// withdrawnQuery looks up maxAsked names; the order is forced, since the table may be large.
var withdrawnQuery = `WITH asked(k, n) AS (VALUES (?,?)` + strings.Repeat(",(?,?)", maxAsked-1) + `)
	SELECT k, n FROM asked CROSS JOIN withdrawn ON kind = k AND name = n`

// WithdrawnAmong says which of several things were revoked or cancelled.
func (t *Tx) WithdrawnAmong(all []Named) (map[Named]bool, error) {
	gone := map[Named]bool{}
	for len(all) > 0 {
		n := min(len(all), maxAsked)
		args := make([]any, 2*maxAsked)
		for i := range maxAsked {
			args[2*i], args[2*i+1] = "", ""
			if i < n {
				args[2*i], args[2*i+1] = all[i].Kind, all[i].Name
			}
		}
		all = all[n:]
		err := t.rows(withdrawnQuery, args, func(scan func(...any) error) error {
			var w Named
			err := scan(&w.Kind, &w.Name)
			gone[w] = true
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return gone, nil
}

// Withdrawal is one thing revoked or cancelled, and the statement that did it first.
type Withdrawal struct {
	Kind, Name string
	Statement  envelope.Digest
}

// Withdrawals lists everything of a kind that was revoked or cancelled; of a prefix of its name, where one is given.
func (t *Tx) Withdrawals(kind, prefix string) (out []Withdrawal, err error) {
	err = t.rows(`SELECT name, statement FROM withdrawn WHERE kind = ?1 AND substr(name, 1, length(?2)) = ?2 ORDER BY name`,
		[]any{kind, prefix}, func(scan func(...any) error) error {
			w := Withdrawal{Kind: kind}
			var b []byte
			if err := scan(&w.Name, &b); err != nil {
				return err
			}
			fill(w.Statement[:], b)
			out = append(out, w)
			return nil
		})
	return out, err
}
