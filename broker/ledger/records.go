// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const headLabel = "glovebox.dev/ledger-head/v1"

// Record is one signed statement in the ledger.
type Record struct {
	N        int64              // place in the ledger, from 1
	Manifest envelope.Digest    // whose chain it is in; zero for statements by others
	Sequence int64              // place in that chain, from 1; 0 for statements by others
	Digest   envelope.Digest    // identity of the statement
	Key      envelope.PublicKey // who signed it
	Signed   []byte
}

// link is what a chained statement says about its own place, and about what the accounts must show.
type link struct {
	PredicateType string `json:"predicateType"`
	Predicate     struct {
		Manifest *envelope.Digest `json:"manifest"`
		Sequence int64            `json:"sequence"`
		Previous *envelope.Digest `json:"previous"`
		Job      envelope.Digest  `json:"job"`
		Grant    envelope.Digest  `json:"grant"`
		Amount   int64            `json:"amount"`
		Outcome  string           `json:"outcome"`
	} `json:"predicate"`
}

// Next is the place of the next record in a manifest's chain, to be signed into it.
func (t *Tx) Next(manifest envelope.Digest) (sequence int64, previous *envelope.Digest, err error) {
	if manifest.IsZero() {
		return 0, nil, fmt.Errorf("%w: record of no package", ErrCorrupt)
	}
	if t.next.manifest == manifest {
		return t.next.sequence, t.next.previous, nil
	}
	var digest []byte
	err = t.row(`SELECT sequence, digest FROM records WHERE manifest = ? AND sequence > 0 ORDER BY sequence DESC LIMIT 1`,
		[]any{manifest[:]}, []any{&sequence, &digest})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return 0, nil, err
	}
	if err == nil {
		previous = new(envelope.Digest)
		if !fill(previous[:], digest) {
			return 0, nil, fmt.Errorf("%w: record digest of %d bytes", ErrCorrupt, len(digest))
		}
	}
	t.next = place{manifest, sequence + 1, previous}
	return sequence + 1, previous, nil
}

// Append adds a statement that the broker signed for the place [Tx.Next] gave.
func (t *Tx) Append(manifest envelope.Digest, signed []byte, key envelope.PublicKey) error {
	sequence, previous, err := t.Next(manifest)
	if err != nil {
		return err
	}
	payload, err := payloadOf(signed)
	if err != nil {
		return err
	}
	r := Record{Manifest: manifest, Sequence: sequence, Digest: envelope.Sum(payload), Key: key, Signed: signed}
	if _, err := checkLink(&r, payload, previous); err != nil {
		return err
	}
	return t.insert(&r)
}

// AppendForeign adds a statement by somebody else, such as a revocation, which has no place in a package's chain. A
// statement that is there already is left alone.
func (t *Tx) AppendForeign(signed []byte, key envelope.PublicKey) error {
	id, err := envelope.ID(signed)
	if err != nil {
		return err
	}
	var n int64
	if err := t.row(`SELECT n FROM records WHERE digest = ?`, []any{id[:]}, []any{&n}); !errors.Is(err, ErrNotFound) {
		return err
	}
	return t.insert(&Record{Digest: id, Key: key, Signed: signed})
}

func (t *Tx) insert(r *Record) error {
	n, head, err := t.head()
	if err != nil {
		return err
	}
	r.N, t.next = n+1, place{}
	key := t.q.keys.text(r.Key)
	head = nextHead(head, r, key)
	_, err = t.exec(`INSERT INTO records(n, manifest, sequence, digest, key, signed, head) VALUES (?,?,?,?,?,?,?)`,
		r.N, digestColumn(r.Manifest), r.Sequence, r.Digest[:], key, r.Signed, head[:])
	return err
}

// The frame of an envelope in canonical form, as [envelope.Sign] writes it.
const (
	frameStart  = `{"payload":"`
	frameMiddle = `","payloadType":"` + envelope.PayloadType + `","signatures":[{"sig":"`
	frameEnd    = `"}]}`
)

// payloadOf takes an envelope apart. One in canonical form needs no parser.
func payloadOf(signed []byte) ([]byte, error) {
	if rest, ok := bytes.CutPrefix(signed, []byte(frameStart)); ok {
		text, rest, _ := bytes.Cut(rest, []byte(`"`))
		sig, ok := bytes.CutPrefix(rest, []byte(frameMiddle[1:]))
		sig, end := bytes.CutSuffix(sig, []byte(frameEnd))
		payload := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		n, err := base64.StdEncoding.Strict().Decode(payload, text)
		if _, serr := base64.StdEncoding.Strict().Decode(make([]byte, len(sig)), sig); ok && end && err == nil && serr == nil && n > 0 && len(sig) > 0 {
			return payload[:n], nil
		}
	}
	_, payload, _, err := envelope.Parts(signed)
	return payload, err
}

// nextHead chains a record, with its place and its signer, to all before it.
func nextHead(head envelope.Digest, r *Record, key string) envelope.Digest {
	sequence := binary.BigEndian.AppendUint64(nil, uint64(r.Sequence))
	return envelope.Hash(headLabel, head[:], digestColumn(r.Manifest), sequence, r.Digest[:], []byte(key))
}

// Head is how far the ledger is: records, the chain up to the last of them (nil without any), and transactions. Inside
// [Ledger.Update] the transaction under way is not counted, its records are.
func (t *Tx) Head() (records int64, digest *envelope.Digest, revision int64, err error) {
	n, head, err := t.head()
	if err != nil {
		return 0, nil, 0, err
	}
	if n > 0 {
		digest = &head
	}
	revision, err = t.Meta(metaRevision)
	return n, digest, revision, err
}

// head is the last record's number and the chain up to it; zero for an empty ledger.
func (t *Tx) head() (n int64, head envelope.Digest, err error) {
	var b []byte
	err = t.row(`SELECT n, head FROM records ORDER BY n DESC LIMIT 1`, nil, []any{&n, &b})
	if errors.Is(err, ErrNotFound) {
		return 0, head, nil
	}
	if err != nil {
		return 0, head, err
	}
	if !fill(head[:], b) {
		return 0, head, fmt.Errorf("%w: head of %d bytes", ErrCorrupt, len(b))
	}
	return n, head, nil
}

// Records returns at most limit records after the one numbered n.
func (t *Tx) Records(n int64, limit int) (out []Record, err error) {
	err = t.rows(`SELECT n, manifest, sequence, digest, key, signed, head FROM records WHERE n > ? ORDER BY n LIMIT ?`, []any{n, limit},
		func(scan func(...any) error) error {
			r, _, err := t.scanRecord(scan)
			if err == nil {
				out = append(out, *r)
			}
			return err
		})
	return out, err
}

func (t *Tx) scanRecord(scan func(...any) error) (*Record, envelope.Digest, error) {
	var r Record
	var manifest, digest, stored []byte
	var head envelope.Digest
	var key string
	if err := scan(&r.N, &manifest, &r.Sequence, &digest, &key, &r.Signed, &stored); err != nil {
		return nil, head, err
	}
	if (len(manifest) != 0 && !fill(r.Manifest[:], manifest)) || !fill(r.Digest[:], digest) || !fill(head[:], stored) {
		return nil, head, fmt.Errorf("%w: record %d has a digest of the wrong length", ErrCorrupt, r.N)
	}
	k, err := t.q.keys.parse(key)
	if err != nil {
		return nil, head, fmt.Errorf("%w: record %d: %w", ErrCorrupt, r.N, err)
	}
	r.Key = k
	return &r, head, nil
}

// checkLink compares what a statement says about its place with the place it has.
func checkLink(r *Record, payload []byte, previous *envelope.Digest) (*link, error) {
	var l link
	if err := json.Unmarshal(payload, &l); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	p := l.Predicate
	if p.Manifest == nil || *p.Manifest != r.Manifest || p.Sequence != r.Sequence || (p.Previous == nil) != (previous == nil) ||
		(previous != nil && *p.Previous != *previous) {
		return nil, fmt.Errorf("%w: a statement is out of its place in the chain of %s", ErrCorrupt, r.Manifest)
	}
	return &l, nil
}
