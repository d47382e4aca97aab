// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Package is a version of a dataset or of code that this broker has held.
type Package struct {
	Manifest envelope.Digest
	Dataset  envelope.PackageID
	Version  int64
}

// SeePackage remembers a package for good: removing or damaging its files does not bring the version before it back.
func (t *Tx) SeePackage(p Package) error {
	if p.Manifest.IsZero() || p.Dataset.IsZero() || p.Version < 1 {
		return fmt.Errorf("%w: package without manifest, dataset or version", ErrCorrupt)
	}
	_, err := t.exec(`INSERT INTO packages VALUES (?,?,?) ON CONFLICT DO NOTHING`, p.Manifest[:], p.Dataset[:], p.Version)
	return err
}

// Packages lists what [Tx.SeePackage] remembered.
func (t *Tx) Packages() (out []Package, err error) {
	err = t.rows(`SELECT manifest, dataset, version FROM packages ORDER BY manifest`, nil, func(scan func(...any) error) error {
		var p Package
		var manifest, id []byte
		if err := scan(&manifest, &id, &p.Version); err != nil {
			return err
		}
		if !fill(p.Manifest[:], manifest) || !fill(p.Dataset[:], id) {
			return fmt.Errorf("%w: package with a digest of the wrong length", ErrCorrupt)
		}
		out = append(out, p)
		return nil
	})
	return out, err
}

// Unnamed lists the packages whose leases name no dataset: those of release 0.1, until [Tx.NameLeases].
func (t *Tx) Unnamed() (out []envelope.Digest, err error) {
	err = t.rows(`SELECT DISTINCT manifest FROM leases WHERE dataset = x''`, nil, func(scan func(...any) error) error {
		var b []byte
		if err := scan(&b); err != nil {
			return err
		}
		var d envelope.Digest
		if !fill(d[:], b) {
			return fmt.Errorf("%w: lease with a digest of the wrong length", ErrCorrupt)
		}
		out = append(out, d)
		return nil
	})
	return out, err
}

// NameLeases gives the leases of release 0.1 on a package what that release did not write down: the dataset, and, where
// the terms name a population, the access without differential privacy of every lease whose key left or still may.
func (t *Tx) NameLeases(p Package, people *Population) error {
	unnamed, err := t.leases(`l.manifest = ? AND l.dataset = x''`, p.Manifest[:])
	if err == nil {
		err = t.SeePackage(p)
	}
	if err != nil {
		return err
	}
	for _, l := range unnamed {
		if people == nil || (l.State != Live && len(l.Sealed) == 0) {
			continue
		}
		if err := t.accessed(l, *people); err != nil {
			return err
		}
	}
	_, err = t.exec(`UPDATE leases SET dataset = ? WHERE manifest = ? AND dataset = x''`, p.Dataset[:], p.Manifest[:])
	return err
}

// accessed keeps an unbounded entry for a lease that has none. It counts for the population of that name even where
// another package said otherwise of it: such packages are refused later, what was seen was seen.
func (t *Tx) accessed(l *Lease, people Population) error {
	var entered bool
	err := t.row(`SELECT EXISTS (SELECT 1 FROM privacy WHERE grant_id = ?)`, []any{l.Grant[:]}, []any{&entered})
	if err != nil || entered {
		return err
	}
	r := Reservation{
		Population: people, Grant: l.Grant, Manifest: l.Manifest, Job: l.Job, Buyer: l.Buyer,
		Cost: privacy.Cost{Unbounded: true}, Time: l.Issued,
	}
	_, err = t.ReservePrivacy(&r)
	if errors.Is(err, ErrPopulation) {
		if r.Population, err = t.population(people.Name); err != nil {
			return err
		}
		_, err = t.ReservePrivacy(&r)
	}
	if err != nil {
		return err
	}
	return t.KeepPrivacy(l.Grant)
}
