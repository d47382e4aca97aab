// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// neighbours are the published versions next to one, of the same owner's dataset: the closest before it, the closest after it,
// and what is published with its number. Zero: none. A version may come before the one that it continues: then it is held to
// those that are here, and the missing one to both when it comes.
type neighbours struct {
	before, same, after envelope.Digest
}

// rows is a transaction or a connection to read with.
type rows interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func findNeighbours(ctx context.Context, db rows, m *dataset.Manifest) (n neighbours, err error) {
	for _, q := range []struct {
		to    *envelope.Digest
		where string
	}{
		{&n.before, `version < ? ORDER BY version DESC`},
		{&n.same, `version = ?`},
		{&n.after, `version > ? ORDER BY version`},
	} {
		var id []byte
		err := db.QueryRowContext(ctx, `SELECT manifest FROM versions WHERE owner = ? AND dataset = ? AND `+q.where+` LIMIT 1`,
			m.Owner.String(), m.Dataset[:], m.Version).Scan(&id)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return n, err
		}
		copy(q.to[:], id)
	}
	return n, nil
}

// succession refuses a version that forks or rewrites what its owner published here ([dataset.ErrHistory]). Its blobs are here.
// Owners have datasets apart, so that nobody can be in another's way.
func (h *Host) succession(ctx context.Context, v *envelope.Verified[dataset.Manifest]) (neighbours, error) {
	n, err := findNeighbours(ctx, h.db.read, &v.Predicate)
	if err != nil || n.same == v.ID {
		return n, err
	}
	if !n.same.IsZero() {
		return n, fmt.Errorf("%w: a fork: version %d of %s is published as %s", dataset.ErrHistory, v.Predicate.Version, v.Predicate.Name, n.same)
	}
	if !n.before.IsZero() {
		old, err := h.published(ctx, n.before)
		if err != nil {
			return n, err
		}
		if err := dataset.VerifyHistory(ctx, old, v, h.blobs); err != nil {
			return n, err
		}
	}
	if !n.after.IsZero() {
		next, err := h.published(ctx, n.after)
		if err != nil {
			return n, err
		}
		if err := dataset.VerifyHistory(ctx, v, next, h.blobs); err != nil {
			return n, fmt.Errorf("%w; version %d is published already", err, next.Predicate.Version)
		}
	}
	return n, nil
}

func (h *Host) published(ctx context.Context, id envelope.Digest) (*envelope.Verified[dataset.Manifest], error) {
	signed, err := h.signedManifest(ctx, id)
	if err != nil {
		return nil, err
	}
	return dataset.Verify(signed)
}

// keep notes the version, if what it was compared with is still what is published around it.
func (n neighbours) keep(ctx context.Context, tx *sql.Tx, v *envelope.Verified[dataset.Manifest]) error {
	now, err := findNeighbours(ctx, tx, &v.Predicate)
	switch {
	case err != nil:
		return err
	case now.same == v.ID:
		return nil
	case now != n:
		return fmt.Errorf("%w: another version was published meanwhile", ErrBusy)
	}
	m := &v.Predicate
	_, err = tx.Exec(`INSERT INTO versions(owner, dataset, version, manifest) VALUES(?, ?, ?, ?)`, m.Owner.String(), m.Dataset[:], m.Version, v.ID[:])
	return err
}
