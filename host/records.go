// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// record is a signed statement on its way into the log. Its identity is its statement and its signer: signatures are
// malleable, and another key's signature over the same statement must not take its place.
type record struct {
	statement envelope.Digest
	signer    envelope.PublicKey
	typ       string
	job       envelope.Digest
	manifest  envelope.Digest   // zero for a usage statement, which is about several
	closes    []envelope.Digest // grants that are accounted for by it
	voice     *voice            // nil: the signer is the key that the manifest pins, or not a broker
	signed    []byte
}

// parseRecord verifies one of a broker's records.
func parseRecord(signed []byte, broker envelope.PublicKey) (*record, error) {
	if len(signed) > maxRecord {
		return nil, fmt.Errorf("%w: record of %d bytes, at most %d", ErrTooLarge, len(signed), maxRecord)
	}
	_, payload, _, err := envelope.Parts(signed)
	if err != nil {
		return nil, err
	}
	var head struct {
		PredicateType string `json:"predicateType"`
	}
	if err := json.Unmarshal(payload, &head); err != nil {
		return nil, fmt.Errorf("%w: %w", envelope.ErrMalformed, err)
	}
	r := &record{signer: broker, typ: head.PredicateType, signed: signed}
	switch r.typ {
	case envelope.GrantType:
		v, err := grant.VerifyGrant(signed, broker)
		if err != nil {
			return nil, err
		}
		r.statement, r.job, r.manifest = v.ID, v.Predicate.Job, v.Predicate.Manifest
	case envelope.DenialType:
		v, err := grant.VerifyDenial(signed, broker)
		if err != nil {
			return nil, err
		}
		r.statement, r.job, r.manifest = v.ID, v.Predicate.Job, v.Predicate.Manifest
	case envelope.CommitType:
		v, err := grant.VerifyCommit(signed, broker)
		if err != nil {
			return nil, err
		}
		r.statement, r.job, r.manifest = v.ID, v.Predicate.Job, v.Predicate.Manifest
	case envelope.LeaseLostType:
		v, err := grant.VerifyLeaseLost(signed, broker)
		if err != nil {
			return nil, err
		}
		r.statement, r.job, r.manifest = v.ID, v.Predicate.Job, v.Predicate.Manifest
		r.closes = []envelope.Digest{v.Predicate.Grant}
	default:
		return nil, fmt.Errorf("%w: %.100q is not a record that brokers log", ErrInvalid, r.typ)
	}
	return r, nil
}

// usageRecord is the record of a verified usage statement.
func usageRecord(v *envelope.Verified[usage.Statement], key envelope.PublicKey, signed []byte) *record {
	r := &record{statement: v.ID, signer: key, typ: envelope.UsageType, job: v.Predicate.Job, signed: signed}
	for _, p := range v.Predicate.Packages {
		r.closes = append(r.closes, p.Grant)
	}
	return r
}

// insert makes the record durable, once. The log follows.
func (r *record) insert(tx *sql.Tx, now int64) (created bool, err error) {
	body, err := tlog.Body(r.signed, r.signer)
	if err != nil {
		return false, err
	}
	leaf := tlog.LeafHash(body)
	res, err := tx.Exec(`INSERT INTO records(statement, signer, seq, type, job, leaf, body, signed, added)
		VALUES(?, ?, (SELECT coalesce(max(seq),0)+1 FROM records), ?, ?, ?, ?, ?, ?) ON CONFLICT(statement, signer) DO NOTHING`,
		r.statement[:], r.signer.String(), r.typ, r.job[:], leaf[:], body, r.signed, now)
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	by := []string{r.signer.String()}
	switch {
	case r.typ == envelope.UsageType:
		by = []string{""} // a lease's usage statement accounts for all its grants, whoever gave them
	case r.voice != nil:
		if err := r.voice.remember(tx); err != nil {
			return false, err
		}
		by = r.voice.keys
	}
	for _, g := range r.closes {
		for _, k := range by {
			if _, err := tx.Exec(`INSERT OR IGNORE INTO closed_grants(grant_id, signer) VALUES(?, ?)`, g[:], k); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// appendRecord logs a broker's record about a package published here.
func (h *Host) appendRecord(ctx context.Context, signed []byte, broker envelope.PublicKey) (envelope.Digest, bool, error) {
	r, err := parseRecord(signed, broker)
	if err != nil {
		return envelope.Digest{}, false, err
	}
	m, err := h.manifestInfo(ctx, r.manifest)
	if err != nil {
		return envelope.Digest{}, false, err
	}
	if r.voice, err = h.speaks(ctx, &m, r); err != nil {
		return envelope.Digest{}, false, err
	}
	if !h.rate.allow(m.broker, h.cfg.Now()) {
		return envelope.Digest{}, false, fmt.Errorf("%w: too many records", ErrBusy)
	}
	var created bool
	err = h.db.update(ctx, func(tx *sql.Tx) (err error) {
		created, err = r.insert(tx, h.cfg.Now().UnixMilli())
		return err
	})
	if created {
		h.seq.poke()
	}
	return r.statement, created, err
}

func (h *Host) listRecords(ctx context.Context, q *pb.ListRecordsRequest) ([]*pb.Record, string, error) {
	limit, after, err := page(q.Limit, q.Page)
	if err != nil {
		return nil, "", err
	}
	job := []byte{}
	if q.Job != "" {
		d, err := envelope.ParseDigest(q.Job)
		if err != nil {
			return nil, "", err
		}
		job = d[:]
	}
	open := q.OpenGrants
	rows, err := h.db.read.QueryContext(ctx, `SELECT seq, statement, type, signer, job, added, idx, signed FROM records r
		WHERE seq > ? AND (? = '' OR type = ?) AND (length(?) = 0 OR job = ?) AND (NOT ? OR (type = ? AND NOT EXISTS
		(SELECT 1 FROM closed_grants c WHERE c.grant_id = r.statement AND c.signer IN ('', r.signer)))) ORDER BY seq LIMIT ?`,
		after, q.Type, q.Type, job, job, open, envelope.GrantType, limit+1)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	var out []*pb.Record
	var last int64
	size := 0
	for rows.Next() {
		if len(out) == limit || size > maxBodies {
			return out, strconv.FormatInt(last, 10), nil
		}
		var statement, job []byte
		var idx sql.NullInt64
		r := new(pb.Record)
		if err := rows.Scan(&last, &statement, &r.Type, &r.Signer, &job, &r.Added, &idx, &r.Signed); err != nil {
			return nil, "", err
		}
		r.Statement, r.Job, r.Index, r.Published = digestText(statement), digestText(job), idx.Int64, idx.Valid
		out, size = append(out, r), size+len(r.Signed)
	}
	return out, "", rows.Err()
}

// recordIndex is where a statement is in the log. Of several signers' the first is meant.
func (h *Host) recordIndex(ctx context.Context, statement envelope.Digest) (int64, error) {
	var idx sql.NullInt64
	err := h.db.read.QueryRowContext(ctx, `SELECT idx FROM records WHERE statement = ? ORDER BY seq LIMIT 1`, statement[:]).Scan(&idx)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("%w: statement %s", ErrUnknown, statement)
	}
	if err == nil && !idx.Valid {
		return 0, fmt.Errorf("%w: statement %s is not yet in the log", ErrNotReady, statement)
	}
	return idx.Int64, err
}

// rateLimit is a token bucket for each broker. The keys are those of published manifests, which bounds the map.
type rateLimit struct {
	perSecond, burst float64
	mu               sync.Mutex
	buckets          map[string]*bucket
}

type bucket struct {
	tokens float64
	last   time.Time
}

func (r *rateLimit) allow(key string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.buckets[key]
	if b == nil {
		if r.buckets == nil {
			r.buckets = map[string]*bucket{}
		}
		b = &bucket{r.burst, now}
		r.buckets[key] = b
	}
	if d := now.Sub(b.last); d > 0 {
		b.tokens = min(r.burst, b.tokens+d.Seconds()*r.perSecond)
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
