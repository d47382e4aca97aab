// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func TestEntries(t *testing.T) {
	l, s, buyer := open(t, t.TempDir()), signer(t), signer(t).Public()
	first, second := newLease(manifestA, newDigest(), buyer), newLease(manifestA, newDigest(), buyer)
	first.Population, first.Dataset, second.Issued = "p", envelope.PackageID{1}, 2
	update(t, l, func(tx *Tx) error {
		must(t, tx.SetAccount(manifestA, first.Job, Account{Reserved: 9}))
		must(t, addGrant(tx, s, first))
		return addGrant(tx, s, second)
	})
	lost := *first
	update(t, l, func(tx *Tx) error { // the first attempt is lost after its key was sealed
		lost.State, lost.Sealed, lost.Allowed = Lost, []byte("k"), 7
		must(t, tx.SetLease(&lost))
		return tx.SetAccount(manifestA, first.Job, Account{Used: true})
	})
	again := *first
	again.Attempt, again.Binding, again.Ticket, again.Issued = 2, newDigest(), ptr(newDigest()), 5
	update(t, l, func(tx *Tx) error {
		must(t, addGrant(tx, s, &again))
		must(t, commitLease(tx, s, &again, 3))
		return tx.AddUsage(&Usage{
			Grant: again.Grant, Usage: *again.Usage, Job: again.Job, Manifest: manifestA, Buyer: buyer, Outcome: "completed", Time: 6,
			Chunks: 4, Bytes: 100, Records: 40, Signed: []byte("u"),
		})
	})
	view(t, l, func(tx *Tx) error {
		commits := 0
		must(t, tx.EachCommit(func(manifest, job envelope.Digest, signed []byte) {
			if commits++; manifest != manifestA || job != again.Job || string(signed) != string(again.Commit) {
				t.Errorf("commit of %s, %s", manifest, job)
			}
		}))
		if commits != 1 {
			t.Errorf("%d commits", commits)
		}
		list, err := tx.Entries()
		must(t, err)
		if len(list) != 2 || list[0].Job != first.Job {
			t.Fatalf("%d entries", len(list))
		}
		e := list[0]
		if e.Attempts != 2 || e.State != Completed || e.First != 1 || e.Live || !e.Used || e.Charged != 3 || e.Reserved != 0 || e.Chunks != 4 ||
			e.Bytes != 100 || e.Records != 40 || e.Unheard != 7 || e.Purpose != "research" || e.Population != "p" || !e.Buyer.Equal(buyer) || e.Grant != again.Grant {
			t.Errorf("%+v", e)
		}
		if e := list[1]; !e.Live || e.Used || e.Attempts != 1 || e.Code != second.Code || e.Grant != second.Grant {
			t.Errorf("%+v", e)
		}
		return nil
	})
}

func TestPrivacyEntries(t *testing.T) {
	l, buyer := open(t, t.TempDir()), signer(t).Public()
	g, _, err := reserve(l, t, people, buyer, privacy.Cost{Pure: 5})
	must(t, err)
	_, _, err = reserve(l, t, people, buyer, privacy.Cost{Unbounded: true})
	must(t, err)
	update(t, l, func(tx *Tx) error { return tx.CommitPrivacy(g, &privacy.Cost{}) })
	view(t, l, func(tx *Tx) error {
		list, err := tx.PrivacyEntries(people.Name)
		must(t, err)
		if len(list) != 2 || !list[0].Buyer.Equal(buyer) {
			t.Fatalf("%d entries", len(list))
		}
		populations, err := tx.Populations()
		must(t, err)
		if len(populations) != 1 || populations[0] != people {
			t.Errorf("%+v", populations)
		}
		buyers, err := tx.PopulationBuyers(people.Name)
		if len(buyers) != 1 || !buyers[0].Equal(buyer) {
			t.Errorf("%v", buyers)
		}
		sum, _ := tx.PopulationSum(people.Name, nil)
		if sum.Pure != 0 || sum.Unbounded != 1 {
			t.Errorf("%+v", sum)
		}
		return err
	})
}

// TestReadBesideABroker reads while another holds the lock and writes, and after it is gone.
func TestReadBesideABroker(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	if err := Read(t.Context(), at(dir), func(*Tx) error { return nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no ledger: %v", err)
	}
	if _, err := os.Stat(at(dir).Path); err == nil {
		t.Error("reading made a ledger")
	}
	count := func() (n int) {
		t.Helper()
		must(t, Read(t.Context(), at(dir), func(tx *Tx) error {
			list, err := tx.Records(0, 1000)
			n = len(list)
			return err
		}))
		return n
	}
	l := open(t, dir)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			if err := deny(l, s, manifestA, "x"); err != nil {
				t.Error(err)
			}
		}
	}()
	last := 0
	for last < 100 {
		n := count()
		if n < last {
			t.Fatalf("%d records after %d", n, last)
		}
		select {
		case <-done:
			n = count()
			if n != 100 {
				t.Fatalf("%d records", n)
			}
		default:
		}
		last = n
	}
	must(t, l.Close())
	if n := count(); n != 100 {
		t.Errorf("%d records of a stopped broker", n)
	}
	err := Read(t.Context(), at(dir), func(tx *Tx) error { return tx.SetMeta(MetaReference, 5) })
	if !errors.Is(err, ErrWrite) {
		t.Errorf("writing: %v", err)
	}
	must(t, open(t, dir).Close())
}

func TestReadNoticesRollback(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	l := open(t, dir)
	must(t, deny(l, s, manifestA, "1"))
	must(t, l.Close())
	old := snapshot(t, dir)
	l = open(t, dir)
	must(t, deny(l, s, manifestA, "2"))
	must(t, l.Close())
	nothing := func(*Tx) error { return nil }
	copyFile(t, at(old).Path, at(dir).Path)
	if err := Read(t.Context(), at(dir), nothing); !errors.Is(err, ErrRolledBack) {
		t.Errorf("rolled back: %v", err)
	}
	must(t, os.Remove(at(dir).Head))
	if err := Read(t.Context(), at(dir), nothing); !errors.Is(err, ErrForked) {
		t.Errorf("no anchor: %v", err)
	}
	copyFile(t, at(old).Head, at(dir).Head)
	must(t, os.Remove(at(dir).Path))
	if err := Read(t.Context(), at(dir), nothing); !errors.Is(err, ErrRolledBack) {
		t.Errorf("no ledger: %v", err)
	}
	old1 := t.TempDir()
	version1(t, old1)
	if err := Read(t.Context(), at(old1), nothing); !errors.Is(err, ErrVersion) {
		t.Errorf("release 0.1: %v", err)
	}
}
