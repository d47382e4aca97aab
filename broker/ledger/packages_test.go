// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func TestPackagesAreRememberedForGood(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	p := Package{Manifest: newDigest(), Dataset: envelope.PackageID{1}, Version: 3}
	update(t, l, func(tx *Tx) error { return tx.SeePackage(p) })
	lower := p
	lower.Version = 2
	update(t, l, func(tx *Tx) error { return tx.SeePackage(lower) }) // what was seen stays
	for _, bad := range []Package{{}, {Manifest: p.Manifest, Version: 1}, {Manifest: p.Manifest, Dataset: p.Dataset}, {Dataset: p.Dataset, Version: 1}} {
		if err := l.Update(t.Context(), func(tx *Tx) error { return tx.SeePackage(bad) }); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	must(t, l.Close())
	view(t, open(t, dir), func(tx *Tx) error {
		all, err := tx.Packages()
		if len(all) != 1 || all[0] != p {
			t.Errorf("%+v", all)
		}
		return err
	})
}

// TestLedgerOfVersion2 gave back the use of a sale that another package of the job still stood on: it counts again.
func TestLedgerOfVersion2(t *testing.T) {
	dir := t.TempDir()
	l, s := open(t, dir), signer(t)
	sale := newDigest()
	lease := newLease(manifestA, newDigest(), signer(t).Public())
	lease.Receipt = &sale
	update(t, l, func(tx *Tx) error { return addGrant(tx, s, lease) })
	_, err := l.conn.ExecContext(t.Context(), `DROP TABLE packages; PRAGMA user_version = 2`)
	must(t, err)
	must(t, l.Close())
	l = open(t, dir)
	view(t, l, func(tx *Tx) error {
		if n, err := tx.Spent(Receipt, sale, newDigest()); n != 1 || err != nil {
			t.Errorf("%d uses, %v", n, err)
		}
		_, err := tx.Packages()
		return err
	})
	_, err = l.conn.ExecContext(t.Context(), `DELETE FROM spent`)
	must(t, err)
	must(t, l.Close())
	refused(t, dir, ErrCorrupt)
}

// TestLeasesOfRelease01AreNamed: dataset and access are entered once, for leases whose key left or may yet.
func TestLeasesOfRelease01AreNamed(t *testing.T) {
	dir := t.TempDir()
	leases := version1(t, dir)
	l := open(t, dir)
	p := Package{Manifest: manifestA, Dataset: envelope.PackageID{7}, Version: 1}
	people := &Population{Name: "people", Unit: "person", Adjacency: "add-remove", Cap: 1, BuyerCap: 1}
	other := *people
	other.Unit = "record"
	update(t, l, func(tx *Tx) error { return tx.DeclarePopulation(&other) }) // another package spoke of it first
	for range 2 {
		update(t, l, func(tx *Tx) error { return tx.NameLeases(p, people) })
	}
	view(t, l, func(tx *Tx) error {
		left, err := tx.Unnamed()
		must(t, err)
		sum, err := tx.PopulationSum("people", nil)
		must(t, err)
		of, err := tx.Leases(OfDataset(p.Dataset))
		must(t, err)
		want := int64(0)
		for _, lease := range leases {
			if lease.State == Live || len(lease.Sealed) > 0 {
				want++
			}
		}
		if len(left) != 0 || len(of) != len(leases) || want == 0 || sum.Unbounded != want {
			t.Errorf("%d unnamed, %d of the dataset, %d unbounded entries, want 0, %d, %d", len(left), len(of), sum.Unbounded, len(leases), want)
		}
		if *sum == (privacy.Sum{}) || !sum.Conditional() {
			t.Error("nothing is conditional")
		}
		return nil
	})
	must(t, l.Close())
	must(t, open(t, dir).Close())
}
