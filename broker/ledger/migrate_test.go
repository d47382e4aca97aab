// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// schema1 is that of release 0.1.
const schema1 = `
CREATE TABLE meta(k TEXT PRIMARY KEY, v INTEGER NOT NULL) STRICT;
INSERT INTO meta VALUES ('revision', 3), ('reference', 2), ('published', 1);
CREATE TABLE records(n INTEGER PRIMARY KEY, manifest BLOB NOT NULL, sequence INTEGER NOT NULL, digest BLOB NOT NULL UNIQUE, key TEXT NOT NULL,
	signed BLOB NOT NULL, head BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX record_sequence ON records(manifest, sequence) WHERE sequence > 0;
CREATE TABLE nonces(nonce BLOB PRIMARY KEY, manifest BLOB NOT NULL, job BLOB NOT NULL, issued INTEGER NOT NULL, expires INTEGER NOT NULL,
	binding BLOB) STRICT, WITHOUT ROWID;
CREATE INDEX nonce_manifest ON nonces(manifest, expires);
CREATE INDEX nonce_job ON nonces(manifest, job, expires);
CREATE TABLE leases(grant_id BLOB PRIMARY KEY, manifest BLOB NOT NULL, job BLOB NOT NULL, binding BLOB NOT NULL, ticket BLOB, attempt INTEGER NOT NULL,
	live INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE(manifest, binding), UNIQUE(manifest, ticket), UNIQUE(manifest, job, attempt)) STRICT;
CREATE UNIQUE INDEX one_live_lease ON leases(manifest, job) WHERE live = 1;
CREATE TABLE accounts(manifest BLOB NOT NULL, job BLOB NOT NULL, reserved INTEGER NOT NULL, charged INTEGER NOT NULL, used INTEGER NOT NULL,
	PRIMARY KEY(manifest, job)) STRICT, WITHOUT ROWID;
CREATE INDEX account_job ON accounts(job);
CREATE TABLE denials(manifest BLOB NOT NULL, binding BLOB NOT NULL, signed BLOB NOT NULL, PRIMARY KEY(manifest, binding)) STRICT;
CREATE TABLE jobs(job BLOB PRIMARY KEY, signed BLOB NOT NULL) STRICT;
CREATE TABLE withdrawn(kind TEXT NOT NULL, name TEXT NOT NULL, statement BLOB NOT NULL, PRIMARY KEY(kind, name)) STRICT;
PRAGMA user_version = 1;
`

// version1 writes a ledger with two leases, live and completed, as release 0.1 did. It returns the leases.
func version1(t *testing.T, dir string) []*Lease {
	t.Helper()
	scratch, s := open(t, t.TempDir()), signer(t)
	leases := []*Lease{newLease(manifestA, newDigest(), signer(t).Public()), newLease(manifestA, newDigest(), signer(t).Public())}
	for _, l := range leases {
		update(t, scratch, func(tx *Tx) error { return addGrant(tx, s, l) })
	}
	usage := newDigest()
	leases[1].State, leases[1].Usage, leases[1].Commit, leases[1].Sequence = Completed, &usage, []byte("c"), 4
	db, err := openDB(at(dir).Path, "_pragma=journal_mode(WAL)")
	must(t, err)
	defer db.Close()
	run := func(query string, args ...any) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), query, args...)
		must(t, err)
	}
	run(schema1)
	head, k := envelope.Digest{}, keyCache{}
	for _, r := range records(t, scratch) {
		head = nextHead(head, &r, k.text(r.Key))
		run(`INSERT INTO records VALUES (?,?,?,?,?,?,?)`, r.N, r.Manifest[:], r.Sequence, r.Digest[:], r.Key.String(), r.Signed, head[:])
	}
	for _, l := range leases {
		body, err := json.Marshal(l)
		must(t, err)
		old := strings.Replace(string(body), `"leaves":[{"first":0,"count":10}]`, `"leaves":{"first":0,"count":10}`, 1)
		if old == string(body) {
			t.Fatalf("no leaves in %s", body)
		}
		run(`INSERT INTO leases VALUES (?,?,?,?,?,?,?,?)`, l.Grant[:], l.Manifest[:], l.Job[:], l.Binding[:], l.Ticket[:], l.Attempt, l.State == Live, []byte(old))
		payload, err := json.Marshal(map[string]any{"predicate": map[string]any{"code": l.Code, "purpose": l.Purpose}})
		must(t, err)
		signed, err := envelope.Join(envelope.PayloadType, payload, []byte("s"))
		must(t, err)
		run(`INSERT INTO jobs VALUES (?,?)`, l.Job[:], signed)
	}
	run(`INSERT INTO accounts VALUES (?,?,5,0,0), (?,?,0,3,1)`, manifestA[:], leases[0].Job[:], manifestA[:], leases[1].Job[:])
	b, err := envelope.Canonical(map[string]any{"version": 1, "sequence": 2, "digest": head, "revision": 3})
	must(t, err)
	must(t, os.WriteFile(at(dir).Head, b, 0o600))
	return leases
}

func TestLedgerOfRelease01(t *testing.T) {
	dir := t.TempDir()
	want := version1(t, dir)
	for range 2 { // and again when it has been brought up to date
		l := open(t, dir)
		view(t, l, func(tx *Tx) error {
			for _, w := range want {
				got, err := tx.Lease(w.Grant)
				must(t, err)
				if got.State != w.State || !got.Buyer.Equal(w.Buyer) || got.Code != w.Code || got.Purpose != "research" ||
					got.Obligations.Leaves.Count() != 10 || string(got.Commit) != string(w.Commit) || got.Sequence != w.Sequence {
					t.Errorf("%+v, want %+v", got, w)
				}
			}
			a, err := tx.Account(manifestA, want[1].Job)
			must(t, err)
			if a != (Account{Charged: 3, Used: true}) {
				t.Errorf("%+v", a)
			}
			if v, err := tx.Meta(MetaReference); v != 2 || err != nil {
				t.Errorf("reference %d, %v", v, err)
			}
			return nil
		})
		wantUses(t, l, want[0].Buyer, envelope.Digest{}, 2, 1)
		must(t, l.Close())
		if st, err := os.Stat(at(dir).Head); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", st, err)
		}
	}
	l, s := open(t, dir), signer(t)
	must(t, deny(l, s, manifestA, "new"))
	must(t, l.Close())
	if st, err := os.Stat(at(dir).Head); err != nil || st.Size() != 2*slotSize {
		t.Errorf("the head file is still the old one: %v, %v", st, err)
	}
	must(t, open(t, dir).Close())
}

// TestDamagedLedgerOfRelease01 is not brought half-way up to date.
func TestDamagedLedgerOfRelease01(t *testing.T) {
	dir := t.TempDir()
	version1(t, dir)
	db, err := openDB(at(dir).Path, "_pragma=journal_mode(WAL)")
	must(t, err)
	_, err = db.ExecContext(t.Context(), `UPDATE leases SET body = x'00' WHERE live = 0`)
	must(t, err)
	must(t, db.Close())
	for range 2 {
		refused(t, dir, ErrCorrupt)
	}
	db, err = openDB(at(dir).Path, "_pragma=journal_mode(WAL)")
	must(t, err)
	defer db.Close()
	var version int
	must(t, db.QueryRowContext(t.Context(), `PRAGMA user_version`).Scan(&version))
	if version != 1 {
		t.Errorf("version %d", version)
	}
}

func TestLedgerOfLaterRelease(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	_, err := l.conn.ExecContext(t.Context(), `PRAGMA user_version = 99`)
	must(t, err)
	must(t, l.Close())
	refused(t, dir, ErrVersion)
}
