// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// migrate creates the tables in an empty database, brings an older one up to date in one transaction, and refuses one
// from a later build.
func migrate(ctx context.Context, c *sql.Conn) error {
	var version int
	if err := c.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	var steps func(context.Context, *sql.Conn) error
	switch version {
	case schemaVersion:
		return nil
	case 0:
		steps = func(ctx context.Context, c *sql.Conn) error { return run(ctx, c, schema) }
	case 1:
		steps = func(ctx context.Context, c *sql.Conn) error {
			if err := fromVersion1(ctx, c); err != nil {
				return err
			}
			return fromVersion2(ctx, c)
		}
	case 2:
		steps = fromVersion2
	default:
		return fmt.Errorf("%w: schema version %d, this build has %d", ErrVersion, version, schemaVersion)
	}
	if err := run(ctx, c, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	err := steps(ctx, c)
	if err == nil {
		err = run(ctx, c, fmt.Sprintf(`PRAGMA user_version = %d; COMMIT`, schemaVersion))
	}
	if err != nil {
		return errors.Join(err, run(ctx, c, `ROLLBACK`))
	}
	return nil
}

func run(ctx context.Context, c *sql.Conn, script string) error {
	if _, err := c.ExecContext(ctx, script); err != nil {
		return fmt.Errorf("%w: %w", ErrWrite, err)
	}
	return nil
}

// fromVersion1 gives leases their columns and accounts their buyers. Version 1 named neither the dataset nor the code of
// a lease: the code comes from the job, the dataset stays unknown.
func fromVersion1(ctx context.Context, c *sql.Conn) error {
	err := run(ctx, c, `ALTER TABLE leases RENAME TO leases1; ALTER TABLE accounts RENAME TO accounts1;
		DROP INDEX one_live_lease; DROP INDEX account_job; `+schemaLeases+schemaAccounts+schemaSpent+schemaOutstanding)
	if err != nil {
		return err
	}
	bodies, err := blobs(ctx, c, `SELECT body FROM leases1 ORDER BY attempt`)
	if err != nil {
		return err
	}
	t := &Tx{q: newStatements(c), writable: true}
	defer t.q.close()
	for _, body := range bodies {
		l, err := leaseOfVersion1(t, body)
		if err != nil {
			return err
		}
		if err := t.AddLease(l); err != nil {
			return err
		}
		if err := t.SetLease(l); err != nil {
			return err
		}
	}
	return run(ctx, c, `INSERT INTO accounts SELECT manifest, job, '', reserved, charged, used, 0 FROM accounts1 a
		WHERE EXISTS (SELECT 1 FROM leases l WHERE l.manifest = a.manifest AND l.job = a.job)
		ON CONFLICT DO UPDATE SET reserved = excluded.reserved, charged = excluded.charged, used = excluded.used;
		DROP TABLE leases1; DROP TABLE accounts1`)
}

// fromVersion2 remembers packages. Builds of version 2 gave a use of a sale over two packages back when one of them had
// read nothing: it counts again.
func fromVersion2(ctx context.Context, c *sql.Conn) error {
	return run(ctx, c, schemaPackages+`
		INSERT INTO spent SELECT 'receipt', receipt, job FROM leases l WHERE receipt <> x'' AND `+keptUse+` ON CONFLICT DO NOTHING;
		INSERT INTO spent SELECT 'permit', permit, job FROM leases l WHERE permit <> x'' AND `+keptUse+` ON CONFLICT DO NOTHING;
		UPDATE accounts AS a SET used = 1 WHERE used = 0 AND (charged > 0 OR EXISTS
			(SELECT 1 FROM leases l WHERE l.manifest = a.manifest AND l.job = a.job AND l.state <> 'live' AND `+keptUse+`))`)
}

// leaseOfVersion1 reads a lease as version 1 stored it, whose leaves were one range.
func leaseOfVersion1(t *Tx, body []byte) (*Lease, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, fmt.Errorf("%w: lease: %w", ErrCorrupt, err)
	}
	var o map[string]json.RawMessage
	if err := json.Unmarshal(raw["obligations"], &o); err != nil {
		return nil, fmt.Errorf("%w: lease: %w", ErrCorrupt, err)
	}
	o["leaves"] = append(append([]byte{'['}, o["leaves"]...), ']')
	var err error
	if raw["obligations"], err = json.Marshal(o); err != nil {
		return nil, err
	}
	if body, err = json.Marshal(raw); err != nil {
		return nil, err
	}
	var l Lease
	if err := json.Unmarshal(body, &l); err != nil {
		return nil, fmt.Errorf("%w: lease: %w", ErrCorrupt, err)
	}
	signed, err := t.Job(l.Job)
	if err != nil {
		return nil, err
	}
	_, payload, _, err := envelope.Parts(signed)
	if err != nil {
		return nil, fmt.Errorf("%w: job: %w", ErrCorrupt, err)
	}
	var j struct {
		Predicate struct {
			Code    envelope.Digest `json:"code"`
			Purpose string          `json:"purpose"`
		} `json:"predicate"`
	}
	if err := json.Unmarshal(payload, &j); err != nil {
		return nil, fmt.Errorf("%w: job: %w", ErrCorrupt, err)
	}
	l.Code, l.Purpose = j.Predicate.Code, j.Predicate.Purpose
	return &l, nil
}

// blobs reads one column whole: the connection is needed for what is done with it.
func blobs(ctx context.Context, c *sql.Conn, query string) (out [][]byte, err error) {
	rows, err := c.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	defer rows.Close()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		out = append(out, b)
	}
	return out, rows.Err()
}
