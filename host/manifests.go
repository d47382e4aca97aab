// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// manifestInfo is what the host uses of a manifest.
type manifestInfo struct {
	kind, address, owner, broker string
	leaves, bytes                int64 // bytes of the manifest as signed
}

// putManifest publishes a package, once all its blobs are here with the lengths the owner signed.
func (h *Host) putManifest(ctx context.Context, signed []byte) (envelope.Digest, bool, error) {
	v, err := dataset.Verify(signed)
	if err != nil {
		return envelope.Digest{}, false, err
	}
	m := &v.Predicate
	size, err := h.checkBlobs(ctx, m)
	if err != nil {
		return envelope.Digest{}, false, err
	}
	around, err := h.succession(ctx, v)
	if err != nil {
		return envelope.Digest{}, false, err
	}
	var created bool
	err = h.db.update(ctx, func(tx *sql.Tx) error {
		if err := around.keep(ctx, tx, v); err != nil {
			return err
		}
		r, err := tx.Exec(`INSERT INTO manifests(id, seq, kind, name, owner, version, records, bytes, leaves, address, broker, signed, added)
			VALUES(?, (SELECT coalesce(max(seq),0)+1 FROM manifests), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO NOTHING`,
			v.ID[:], string(m.Kind), m.Name, m.Owner.String(), m.Version, m.Records, size, m.Tree.Size, m.Broker.Address,
			m.Broker.Key.String(), signed, h.cfg.Now().UnixMilli())
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		created = n == 1
		return err
	})
	return v.ID, created, err
}

func (h *Host) checkBlobs(ctx context.Context, m *dataset.Manifest) (size int64, err error) {
	missing := 0
	for i, s := range m.Segments {
		if m.Erased(i) != nil {
			continue
		}
		n, err := h.blobs.Size(ctx, s.Blob)
		switch {
		case errors.Is(err, dataset.ErrNoBlob):
			missing++
		case err != nil:
			return 0, err
		case n != s.Bytes:
			return 0, fmt.Errorf("%w: segment %s has %d bytes, the manifest says %d", ErrSize, s.Blob, n, s.Bytes)
		}
		size += n
	}
	for _, x := range m.Indexes {
		n, err := h.blobs.Size(ctx, x.Blob)
		switch {
		case errors.Is(err, dataset.ErrNoBlob):
			missing++
		case err != nil:
			return 0, err
		case n != x.Bytes:
			return 0, fmt.Errorf("%w: index %s has %d bytes, the manifest says %d", ErrSize, x.Blob, n, x.Bytes)
		}
		size += n
	}
	for _, d := range slices.Concat(m.Tree.Levels, m.Terms.Modules()) {
		if _, err := h.blobs.Size(ctx, d); errors.Is(err, dataset.ErrNoBlob) {
			missing++
		} else if err != nil {
			return 0, err
		}
	}
	if missing > 0 {
		return 0, fmt.Errorf("%w: %d of %d", ErrIncomplete, missing, len(m.Blobs()))
	}
	return size, nil
}

func (h *Host) manifestInfo(ctx context.Context, id envelope.Digest) (m manifestInfo, err error) {
	err = h.db.read.QueryRowContext(ctx, `SELECT kind, address, owner, broker, leaves, length(signed) FROM manifests WHERE id = ?`, id[:]).
		Scan(&m.kind, &m.address, &m.owner, &m.broker, &m.leaves, &m.bytes)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: manifest %s", ErrUnknown, id)
	}
	return m, err
}

func (h *Host) signedManifest(ctx context.Context, id envelope.Digest) (signed []byte, err error) {
	err = h.db.read.QueryRowContext(ctx, `SELECT signed FROM manifests WHERE id = ?`, id[:]).Scan(&signed)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: manifest %s", ErrUnknown, id)
	}
	return signed, err
}

// packages looks up everything a job names: the broker addresses, and the leaves in its datasets. A job
// whose bundle could not be made is refused before anybody pays for it.
func (h *Host) packages(ctx context.Context, j *job.Job) (addresses map[string]bool, leaves int64, err error) {
	addresses = map[string]bool{}
	var bytes int64
	for i, id := range j.Manifests() {
		m, err := h.manifestInfo(ctx, id)
		if err != nil {
			return nil, 0, err
		}
		want := dataset.KindDataset
		if i == 0 {
			want = dataset.KindCode
		}
		if m.kind != string(want) {
			return nil, 0, fmt.Errorf("%w: the job names %s as %s, but it is %s", ErrInvalid, id, want, m.kind)
		}
		addresses[m.address] = true
		bytes += m.bytes
		if i > 0 {
			leaves += m.leaves
		}
	}
	if bytes > maxManifests {
		return nil, 0, fmt.Errorf("%w: the manifests of the job's packages have %d bytes together, at most %d fit its bundle", ErrTooLarge, bytes, maxManifests)
	}
	return addresses, leaves, nil
}

func (h *Host) listManifests(ctx context.Context, q *pb.ListManifestsRequest) ([]*pb.Manifest, string, error) {
	limit, after, err := page(q.Limit, q.Page)
	if err != nil {
		return nil, "", err
	}
	rows, err := h.db.read.QueryContext(ctx, `SELECT id, seq, kind, name, owner, version, records, bytes, added FROM manifests
		WHERE (? = '' OR kind = ?) AND seq > ? ORDER BY seq LIMIT ?`, q.Kind, q.Kind, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	var out []*pb.Manifest
	var last int64
	for rows.Next() {
		if len(out) == limit {
			return out, strconv.FormatInt(last, 10), nil
		}
		var id []byte
		m := new(pb.Manifest)
		if err := rows.Scan(&id, &last, &m.Kind, &m.Name, &m.Owner, &m.Version, &m.Records, &m.Bytes, &m.Added); err != nil {
			return nil, "", err
		}
		m.Id = digestText(id)
		out = append(out, m)
	}
	return out, "", rows.Err()
}
