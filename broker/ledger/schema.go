// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"fmt"
)

const schemaVersion = 1

// Records are never changed or deleted. Everything else is state that the records and the protocol imply.
const schema = `
CREATE TABLE meta(k TEXT PRIMARY KEY, v INTEGER NOT NULL) STRICT;
INSERT INTO meta VALUES ('revision', 0), ('reference', 0), ('published', 0);

CREATE TABLE records(
	n        INTEGER PRIMARY KEY,
	manifest BLOB NOT NULL,
	sequence INTEGER NOT NULL,
	digest   BLOB NOT NULL UNIQUE,
	key      TEXT NOT NULL,
	signed   BLOB NOT NULL,
	head     BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX record_sequence ON records(manifest, sequence) WHERE sequence > 0;

CREATE TABLE nonces(
	nonce    BLOB PRIMARY KEY,
	manifest BLOB NOT NULL,
	job      BLOB NOT NULL,
	issued   INTEGER NOT NULL,
	expires  INTEGER NOT NULL,
	binding  BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX nonce_manifest ON nonces(manifest, expires);
CREATE INDEX nonce_job ON nonces(manifest, job, expires);

CREATE TABLE leases(
	grant_id BLOB PRIMARY KEY,
	manifest BLOB NOT NULL,
	job      BLOB NOT NULL,
	binding  BLOB NOT NULL,
	ticket   BLOB,
	attempt  INTEGER NOT NULL,
	live     INTEGER NOT NULL,
	body     BLOB NOT NULL,
	UNIQUE(manifest, binding),
	UNIQUE(manifest, ticket),
	UNIQUE(manifest, job, attempt)
) STRICT;
CREATE UNIQUE INDEX one_live_lease ON leases(manifest, job) WHERE live = 1;

CREATE TABLE accounts(
	manifest BLOB NOT NULL,
	job      BLOB NOT NULL,
	reserved INTEGER NOT NULL,
	charged  INTEGER NOT NULL,
	used     INTEGER NOT NULL,
	PRIMARY KEY(manifest, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX account_job ON accounts(job);

CREATE TABLE denials(manifest BLOB NOT NULL, binding BLOB NOT NULL, signed BLOB NOT NULL, PRIMARY KEY(manifest, binding)) STRICT;
CREATE TABLE jobs(job BLOB PRIMARY KEY, signed BLOB NOT NULL) STRICT;
CREATE TABLE withdrawn(kind TEXT NOT NULL, name TEXT NOT NULL, statement BLOB NOT NULL, PRIMARY KEY(kind, name)) STRICT;
`

// migrate creates the tables in an empty database and refuses one of another version.
func migrate(ctx context.Context, c *sql.Conn) error {
	var version int
	if err := c.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if version == schemaVersion {
		return nil
	}
	if version != 0 {
		return fmt.Errorf("%w: schema version %d, this build has %d", ErrCorrupt, version, schemaVersion)
	}
	script := fmt.Sprintf("BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT", schema, schemaVersion)
	if _, err := c.ExecContext(ctx, script); err != nil {
		return fmt.Errorf("%w: %w", ErrWrite, err)
	}
	return nil
}
