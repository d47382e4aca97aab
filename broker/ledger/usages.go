// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Usage is the usage statement that one grant was committed with, kept so that its outputs can be found again.
type Usage struct {
	Grant    envelope.Digest
	Usage    envelope.Digest // the statement's identity
	Job      envelope.Digest
	Manifest envelope.Digest
	Dataset  envelope.PackageID
	Buyer    envelope.PublicKey
	Code     envelope.Digest
	Outcome  string
	Time     int64         // of the commit, Unix milliseconds
	Chunks   int64         // leaves delivered, repeats included
	Bytes    int64         // of them
	Records  int64         // repeats included
	Leaves   []grant.Range // distinct leaves delivered
	Signed   []byte
}

// AddUsage keeps a statement with the commit of its grant.
func (t *Tx) AddUsage(u *Usage) error {
	if u.Chunks < 0 || u.Bytes < 0 || u.Records < 0 || u.Buyer.IsZero() {
		return fmt.Errorf("%w: usage of %d leaves, %d bytes, %d records", ErrOverflow, u.Chunks, u.Bytes, u.Records)
	}
	leaves, err := json.Marshal(u.Leaves)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO usages(grant_id, usage, job, manifest, dataset, buyer, code, outcome, time, chunks, bytes, records, leaves, signed)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, u.Grant[:], u.Usage[:], u.Job[:], u.Manifest[:], datasetColumn(u.Dataset), t.q.keys.text(u.Buyer),
		digestColumn(u.Code), u.Outcome, u.Time, u.Chunks, u.Bytes, u.Records, leaves, u.Signed)
	return err
}

// Selector says which leases or usages are meant; the zero value means none.
type Selector struct {
	column string
	value  any
	leaves []grant.Range // nil: any
}

// OfGrant selects one lease.
func OfGrant(id envelope.Digest) Selector { return Selector{column: "grant_id", value: id[:]} }

// OfJob selects the attempts of a job, on every package.
func OfJob(id envelope.Digest) Selector { return Selector{column: "job", value: id[:]} }

// OfManifest selects what was released of one version of a package.
func OfManifest(id envelope.Digest) Selector { return Selector{column: "manifest", value: id[:]} }

// OfDataset selects what was released of every version of a package.
func OfDataset(id envelope.PackageID) Selector {
	return Selector{column: "dataset", value: datasetColumn(id)}
}

// OfBuyer selects what was released to a buyer.
func OfBuyer(k envelope.PublicKey) Selector { return Selector{column: "buyer", value: k.String()} }

// OfCode selects what was released to a code package.
func OfCode(manifest envelope.Digest) Selector {
	return Selector{column: "code", value: digestColumn(manifest)}
}

// OfPermit selects the leases that a permit was used for; no usages.
func OfPermit(id envelope.Digest) Selector {
	return Selector{column: "permit", value: digestColumn(id)}
}

// OfLeaves selects what was granted, or delivered, of some leaves of a package, such as those of an erasure unit.
func OfLeaves(manifest envelope.Digest, leaves ...grant.Range) Selector {
	s := OfManifest(manifest)
	s.leaves = append([]grant.Range{}, leaves...)
	return s
}

var errSelector = errors.New("ledger: selector of nothing")

// where is the condition on a table's rows.
func (s *Selector) where(table string) (string, error) {
	b, blob := s.value.([]byte)
	if s.column == "" || (blob && len(b) == 0) || s.value == "" {
		return "", errSelector
	}
	if blob {
		return fmt.Sprintf(`%[1]s.%[2]s = ?1 AND %[1]s.%[2]s <> x''`, table, s.column), nil // the condition of the partial indices
	}
	return table + `.` + s.column + ` = ?`, nil
}

func (s *Selector) touches(ranges []grant.Range) bool {
	if s.leaves == nil {
		return true
	}
	for _, a := range s.leaves {
		for _, b := range ranges {
			if a.First < b.First+b.Count && b.First < a.First+a.Count {
				return true
			}
		}
	}
	return false
}

// Leases lists leases in any state, oldest first.
func (t *Tx) Leases(s Selector) (out []*Lease, err error) {
	where, err := s.where("l")
	if err != nil {
		return nil, err
	}
	err = t.rows(leaseQuery+where+` ORDER BY l.issued, l.attempt`, []any{s.value}, func(scan func(...any) error) error {
		l, err := t.scanLease(scan)
		if err == nil && s.touches(l.Obligations.Leaves) {
			out = append(out, l)
		}
		return err
	})
	return out, err
}

// Usages lists committed usage statements, oldest first.
func (t *Tx) Usages(s Selector) (out []*Usage, err error) {
	where, err := s.where("usages")
	if err != nil {
		return nil, err
	}
	if s.column == "permit" || s.column == "receipt" {
		return nil, errSelector
	}
	err = t.rows(`SELECT grant_id, usage, job, manifest, dataset, buyer, code, outcome, time, chunks, bytes, records, leaves, signed
		FROM usages WHERE `+where+` ORDER BY time`, []any{s.value}, func(scan func(...any) error) error {
		u, err := t.scanUsage(scan)
		if err == nil && s.touches(u.Leaves) {
			out = append(out, u)
		}
		return err
	})
	return out, err
}

func (t *Tx) scanUsage(scan func(...any) error) (*Usage, error) {
	var u Usage
	var id, usage, job, manifest, dataset, code, leaves []byte
	var buyer string
	err := scan(&id, &usage, &job, &manifest, &dataset, &buyer, &code, &u.Outcome, &u.Time, &u.Chunks, &u.Bytes, &u.Records, &leaves, &u.Signed)
	if err != nil {
		return nil, err
	}
	if !fill(u.Grant[:], id) || !fill(u.Usage[:], usage) || !fill(u.Job[:], job) || !fill(u.Manifest[:], manifest) ||
		(len(dataset) > 0 && !fill(u.Dataset[:], dataset)) || (len(code) > 0 && !fill(u.Code[:], code)) {
		return nil, fmt.Errorf("%w: usage with a digest of the wrong length", ErrCorrupt)
	}
	if u.Buyer, err = t.q.keys.parse(buyer); err != nil {
		return nil, fmt.Errorf("%w: usage: %w", ErrCorrupt, err)
	}
	if err := json.Unmarshal(leaves, &u.Leaves); err != nil {
		return nil, fmt.Errorf("%w: usage: %w", ErrCorrupt, err)
	}
	return &u, nil
}
