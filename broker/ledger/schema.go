// SPDX-License-Identifier: Apache-2.0

package ledger

const schemaVersion = 3

// Records are never changed or deleted. Everything else is state that the records and the protocol imply.
const schema = `
CREATE TABLE meta(k TEXT PRIMARY KEY, v INTEGER NOT NULL) STRICT, WITHOUT ROWID;
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

CREATE TABLE denials(manifest BLOB NOT NULL, binding BLOB NOT NULL, signed BLOB NOT NULL, PRIMARY KEY(manifest, binding)) STRICT;
CREATE TABLE jobs(job BLOB PRIMARY KEY, signed BLOB NOT NULL) STRICT;
CREATE TABLE withdrawn(kind TEXT NOT NULL, name TEXT NOT NULL, statement BLOB NOT NULL, PRIMARY KEY(kind, name)) STRICT;
` + schemaLeases + schemaAccounts + schemaSpent + schemaOutstanding + schemaPackages

// What a lease is never changes, but for its end and its sealed key; how far it got is in progress, whose rows are small.
// The tables admit one lease for each binding, each ticket and each attempt, and one live one for each job and package.
// The grant is among the records.
const schemaLeases = `
CREATE TABLE leases(
	n           INTEGER PRIMARY KEY,
	grant_id    BLOB NOT NULL UNIQUE,
	manifest    BLOB NOT NULL,
	job         BLOB NOT NULL,
	binding     BLOB NOT NULL,
	ticket      BLOB,
	attempt     INTEGER NOT NULL,
	buyer       TEXT NOT NULL,
	dataset     BLOB NOT NULL,
	code        BLOB NOT NULL,
	permit      BLOB NOT NULL,
	receipt     BLOB NOT NULL,
	issued      INTEGER NOT NULL,
	signing_key BLOB NOT NULL,
	fixed       BLOB NOT NULL,
	state       TEXT NOT NULL,
	sealed      BLOB NOT NULL,
	used_by     BLOB,
	answer      BLOB NOT NULL,
	UNIQUE(manifest, binding),
	UNIQUE(manifest, ticket),
	UNIQUE(job, manifest, attempt)
) STRICT;
CREATE UNIQUE INDEX one_live_lease ON leases(manifest, job) WHERE state = 'live';
CREATE INDEX lease_buyer ON leases(buyer);
CREATE INDEX lease_dataset ON leases(dataset) WHERE dataset <> x'';
CREATE INDEX lease_code ON leases(code) WHERE code <> x'';
CREATE INDEX lease_permit ON leases(permit) WHERE permit <> x'';
CREATE INDEX lease_receipt ON leases(receipt) WHERE receipt <> x'';

CREATE TABLE progress(
	n         INTEGER PRIMARY KEY REFERENCES leases,
	allowed   INTEGER NOT NULL,
	delivered INTEGER NOT NULL,
	sequence  INTEGER NOT NULL,
	heartbeat BLOB,
	allowance BLOB NOT NULL,
	stop      TEXT NOT NULL
) STRICT;

CREATE TABLE usages(
	grant_id BLOB PRIMARY KEY,
	usage    BLOB NOT NULL,
	job      BLOB NOT NULL,
	manifest BLOB NOT NULL,
	dataset  BLOB NOT NULL,
	buyer    TEXT NOT NULL,
	code     BLOB NOT NULL,
	outcome  TEXT NOT NULL,
	time     INTEGER NOT NULL,
	chunks   INTEGER NOT NULL,
	bytes    INTEGER NOT NULL,
	records  INTEGER NOT NULL,
	leaves   BLOB NOT NULL,
	signed   BLOB NOT NULL
) STRICT;
CREATE INDEX usage_job ON usages(job);
CREATE INDEX usage_manifest ON usages(manifest);
CREATE INDEX usage_dataset ON usages(dataset) WHERE dataset <> x'';
CREATE INDEX usage_buyer ON usages(buyer);
CREATE INDEX usage_code ON usages(code) WHERE code <> x'';
`

// The table uses counts the accounts whose job used the package or holds a live lease on it: for each buyer, and in the
// row of no buyer for all. Triggers keep it, so that no statement can forget to.
const schemaAccounts = `
CREATE TABLE accounts(
	manifest BLOB NOT NULL,
	job      BLOB NOT NULL,
	buyer    TEXT NOT NULL,
	reserved INTEGER NOT NULL,
	charged  INTEGER NOT NULL,
	used     INTEGER NOT NULL CHECK (used IN (0, 1)),
	live     INTEGER NOT NULL CHECK (live IN (0, 1)),
	PRIMARY KEY(manifest, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX account_job ON accounts(job);

CREATE TABLE uses(
	manifest BLOB NOT NULL,
	buyer    TEXT NOT NULL,
	n        INTEGER NOT NULL CHECK (n >= 0),
	PRIMARY KEY(manifest, buyer)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER use_new AFTER INSERT ON accounts WHEN (new.used | new.live) = 1 BEGIN
	INSERT INTO uses VALUES (new.manifest, '', 1), (new.manifest, new.buyer, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER use_added AFTER UPDATE ON accounts WHEN (old.used | old.live) = 0 AND (new.used | new.live) = 1 BEGIN
	INSERT INTO uses VALUES (new.manifest, '', 1), (new.manifest, new.buyer, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER use_returned AFTER UPDATE ON accounts WHEN (old.used | old.live) = 1 AND (new.used | new.live) = 0 BEGIN
	UPDATE uses SET n = n - 1 WHERE manifest = old.manifest AND buyer IN ('', old.buyer);
END;
CREATE TRIGGER account_buyer BEFORE UPDATE ON accounts
WHEN old.buyer <> new.buyer AND (old.used | old.live) = 1 BEGIN SELECT RAISE(ABORT, 'an account has one buyer'); END;
`

// What is spent once or counted by statements, and privacy. sums holds what the entries of privacy add up to, for each
// buyer and in the row of no buyer for all.
const schemaSpent = `
CREATE TABLE spent(
	kind TEXT NOT NULL,
	id   BLOB NOT NULL,
	by   BLOB NOT NULL,
	PRIMARY KEY(kind, id, by)
) STRICT, WITHOUT ROWID;

CREATE TABLE populations(
	name      TEXT PRIMARY KEY,
	unit      TEXT NOT NULL,
	adjacency TEXT NOT NULL,
	delta     INTEGER NOT NULL,
	cap       INTEGER NOT NULL,
	buyer_cap INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE privacy(
	grant_id   BLOB PRIMARY KEY,
	population TEXT NOT NULL,
	buyer      TEXT NOT NULL,
	manifest   BLOB NOT NULL,
	job        BLOB NOT NULL,
	state      TEXT NOT NULL,
	cost       BLOB NOT NULL,
	time       INTEGER NOT NULL
) STRICT;
CREATE INDEX privacy_population ON privacy(population, time);
CREATE TABLE sums(population TEXT NOT NULL, buyer TEXT NOT NULL, sum BLOB NOT NULL, PRIMARY KEY(population, buyer)) STRICT, WITHOUT ROWID;
`

// How many nonces of a package are outstanding: counting them anew for each challenge would be slow when there are many.
const schemaOutstanding = `
CREATE TABLE outstanding(manifest BLOB PRIMARY KEY, n INTEGER NOT NULL CHECK (n >= 0)) STRICT, WITHOUT ROWID;
INSERT INTO outstanding SELECT manifest, COUNT(*) FROM nonces GROUP BY manifest;
CREATE TRIGGER nonce_new AFTER INSERT ON nonces BEGIN
	INSERT INTO outstanding VALUES (new.manifest, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER nonce_gone AFTER DELETE ON nonces BEGIN
	UPDATE outstanding SET n = n - 1 WHERE manifest = old.manifest;
END;
`

// Every package that was ever here. Rows are never changed or deleted.
const schemaPackages = `
CREATE TABLE packages(
	manifest BLOB PRIMARY KEY,
	dataset  BLOB NOT NULL,
	version  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`
