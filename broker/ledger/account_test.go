// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

func update(t *testing.T, l *Ledger, f func(*Tx) error) {
	t.Helper()
	must(t, l.Update(t.Context(), f))
}

func view(t *testing.T, l *Ledger, f func(*Tx) error) {
	t.Helper()
	must(t, l.View(t.Context(), f))
}

func wantUses(t *testing.T, l *Ledger, buyer envelope.PublicKey, except envelope.Digest, all, hers int64) {
	t.Helper()
	view(t, l, func(tx *Tx) error {
		a, err := tx.Uses(manifestA, except)
		must(t, err)
		b, err := tx.BuyerUses(manifestA, buyer, except)
		must(t, err)
		if a != all || b != hers {
			t.Errorf("%d uses, %d by the buyer; want %d and %d", a, b, all, hers)
		}
		return nil
	})
}

func TestUsesPerBuyer(t *testing.T) {
	dir := t.TempDir()
	l, s, anna, bert := open(t, dir), signer(t), signer(t).Public(), signer(t).Public()
	none := newDigest()
	first, second := newLease(manifestA, newDigest(), anna), newLease(manifestA, newDigest(), bert)
	for _, lease := range []*Lease{first, second} {
		update(t, l, func(tx *Tx) error {
			must(t, tx.SetAccount(manifestA, lease.Job, Account{Reserved: 7}))
			return addGrant(tx, s, lease)
		})
	}
	wantUses(t, l, anna, none, 2, 1)
	wantUses(t, l, anna, first.Job, 1, 0)
	wantUses(t, l, anna, second.Job, 1, 1)
	update(t, l, func(tx *Tx) error { // nothing was read: the use comes back
		must(t, tx.SetAccount(manifestA, first.Job, Account{}))
		first.State = Failed
		return tx.SetLease(first)
	})
	wantUses(t, l, anna, none, 1, 0)
	wantUses(t, l, bert, none, 1, 1)
	update(t, l, func(tx *Tx) error { // spent, and counted once whatever the order
		second.State = Completed
		must(t, tx.SetLease(second))
		return tx.SetAccount(manifestA, second.Job, Account{Charged: 7, Used: true})
	})
	wantUses(t, l, bert, none, 1, 1)
	again := newLease(manifestA, second.Job, bert)
	again.Attempt = 2
	update(t, l, func(tx *Tx) error { return addGrant(tx, s, again) })
	wantUses(t, l, bert, none, 1, 1)
	must(t, l.Close())
	wantUses(t, open(t, dir), bert, none, 1, 1)
}

func TestAccountHasOneBuyer(t *testing.T) {
	l, s := open(t, t.TempDir()), signer(t)
	lease := newLease(manifestA, jobID, signer(t).Public())
	update(t, l, func(tx *Tx) error { return addGrant(tx, s, lease) })
	lease.State = Lost
	update(t, l, func(tx *Tx) error {
		must(t, tx.SetLease(lease))
		return tx.SetAccount(manifestA, jobID, Account{Used: true})
	})
	other := newLease(manifestA, jobID, signer(t).Public())
	other.Attempt = 2
	if err := l.Update(t.Context(), func(tx *Tx) error { return addGrant(tx, s, other) }); err == nil {
		t.Error("a second buyer's lease on the account of a job")
	}
}

func TestLeaseRoundTrip(t *testing.T) {
	l, s := open(t, t.TempDir()), signer(t)
	lease := newLease(manifestA, jobID, signer(t).Public())
	permit, receipt, beat := newDigest(), newDigest(), newDigest()
	lease.Dataset, lease.Permit, lease.Receipt = envelope.PackageID{1}, &permit, &receipt
	lease.Population, lease.Entitlement, lease.SignedTicket = "p", []byte("e"), []byte("t")
	update(t, l, func(tx *Tx) error { return addGrant(tx, s, lease) })
	lease.Sealed, lease.Sequence, lease.Heartbeat, lease.Allowance, lease.Stop = []byte("s"), 3, &beat, []byte("a"), "revoked"
	update(t, l, func(tx *Tx) error { return tx.SetLease(lease) })
	usage := newDigest()
	lease.State, lease.Usage, lease.Commit = Completed, &usage, []byte("c")
	update(t, l, func(tx *Tx) error {
		must(t, tx.SetLease(lease))
		if stored, err := tx.SetSealed(lease.Grant, []byte("other")); stored || err != nil {
			t.Errorf("a second sealed key: %v, %v", stored, err)
		}
		return nil
	})
	view(t, l, func(tx *Tx) error {
		got, err := tx.Lease(lease.Grant)
		must(t, err)
		compareLeases(t, got, lease)
		for _, sel := range []Selector{
			OfGrant(lease.Grant), OfJob(jobID), OfManifest(manifestA), OfDataset(lease.Dataset), OfBuyer(lease.Buyer), OfCode(lease.Code),
			OfPermit(permit), OfLeaves(manifestA, grant.Range{First: 9, Count: 1}),
		} {
			if list, err := tx.Leases(sel); err != nil || len(list) != 1 {
				t.Errorf("%s: %d leases, %v", sel.column, len(list), err)
			}
		}
		for _, sel := range []Selector{OfGrant(permit), OfDataset(envelope.PackageID{2}), OfLeaves(manifestA, grant.Range{First: 10, Count: 5}), OfLeaves(manifestA)} {
			if list, err := tx.Leases(sel); err != nil || len(list) != 0 {
				t.Errorf("%s: %d leases, %v", sel.column, len(list), err)
			}
		}
		for _, sel := range []Selector{{}, OfDataset(envelope.PackageID{}), OfBuyer(envelope.PublicKey{}), OfCode(envelope.Digest{})} {
			if _, err := tx.Leases(sel); err == nil {
				t.Errorf("%q selects by nothing", sel.column)
			}
		}
		return nil
	})
}

func compareLeases(t *testing.T, got, want *Lease) {
	t.Helper()
	a, b := *got, *want
	if !a.Buyer.Equal(b.Buyer) || !a.SigningKey.Equal(b.SigningKey) || *a.Ticket != *b.Ticket || *a.Permit != *b.Permit ||
		*a.Receipt != *b.Receipt || *a.Heartbeat != *b.Heartbeat || *a.Usage != *b.Usage || a.Obligations.Leaves.Count() != b.Obligations.Leaves.Count() {
		t.Errorf("keys, digests or leaves differ: %+v", a)
	}
	for _, p := range [][2][]byte{
		{a.SignedGrant, b.SignedGrant},
		{a.SignedTicket, b.SignedTicket},
		{a.Entitlement, b.Entitlement},
		{a.Sealed, b.Sealed},
		{a.Allowance, b.Allowance},
		{a.Commit, b.Commit},
	} {
		if string(p[0]) != string(p[1]) {
			t.Errorf("%q, want %q", p[0], p[1])
		}
	}
	if a.Grant != b.Grant || a.Manifest != b.Manifest || a.Job != b.Job || a.Binding != b.Binding || a.Evidence != b.Evidence || a.Policy != b.Policy ||
		a.Attempt != b.Attempt || a.Assurance != b.Assurance || a.Dataset != b.Dataset || a.Code != b.Code || a.Issued != b.Issued ||
		a.Purpose != b.Purpose || a.Population != b.Population || a.State != b.State || a.Allowed != b.Allowed || a.Delivered != b.Delivered ||
		a.Sequence != b.Sequence || a.Stop != b.Stop || a.Obligations.Mode != b.Obligations.Mode {
		t.Errorf("%+v, want %+v", a, b)
	}
}

func TestUsagesAreFound(t *testing.T) {
	l, buyer := open(t, t.TempDir()), signer(t).Public()
	u := Usage{
		Grant: newDigest(), Usage: newDigest(), Job: jobID, Manifest: manifestA, Dataset: envelope.PackageID{1}, Buyer: buyer, Code: newDigest(),
		Outcome: "completed", Time: 5, Chunks: 4, Bytes: 4096, Records: 40, Leaves: []grant.Range{{First: 2, Count: 2}, {First: 8, Count: 2}}, Signed: []byte("u"),
	}
	update(t, l, func(tx *Tx) error { return tx.AddUsage(&u) })
	view(t, l, func(tx *Tx) error {
		for sel, want := range map[*Selector]int{
			{column: "grant_id", value: u.Grant[:]}:                       1,
			ptr(OfJob(jobID)):                                             1,
			ptr(OfDataset(u.Dataset)):                                     1,
			ptr(OfBuyer(buyer)):                                           1,
			ptr(OfCode(u.Code)):                                           1,
			ptr(OfManifest(manifestB)):                                    0,
			ptr(OfLeaves(manifestA, grant.Range{First: 3, Count: 1})):     1,
			ptr(OfLeaves(manifestA, grant.Range{First: 4, Count: 4})):     0,
			ptr(OfLeaves(manifestA, grant.Range{First: 9, Count: 1_000})): 1,
		} {
			list, err := tx.Usages(*sel)
			if err != nil || len(list) != want {
				t.Errorf("%s: %d usages, %v", sel.column, len(list), err)
			}
			if len(list) == 1 && (list[0].Bytes != 4096 || string(list[0].Signed) != "u" || len(list[0].Leaves) != 2) {
				t.Errorf("%+v", list[0])
			}
		}
		return nil
	})
	bad := u
	bad.Grant, bad.Bytes = newDigest(), -1
	if err := l.Update(t.Context(), func(tx *Tx) error { return tx.AddUsage(&bad) }); !errors.Is(err, ErrOverflow) {
		t.Errorf("negative bytes: %v", err)
	}
}

func ptr[T any](v T) *T { return &v }

func TestReplayedCapability(t *testing.T) {
	dir := t.TempDir()
	l, id, g := open(t, dir), newDigest(), newDigest()
	update(t, l, func(tx *Tx) error { return tx.UseCapability(id, g) })
	update(t, l, func(tx *Tx) error { return tx.UseCapability(id, g) }) // a retry
	must(t, l.Close())
	l = open(t, dir)
	if err := l.Update(t.Context(), func(tx *Tx) error { return tx.UseCapability(id, newDigest()) }); !errors.Is(err, ErrSpent) {
		t.Errorf("for another grant: %v", err)
	}
	for _, zero := range [][2]envelope.Digest{{{}, g}, {newDigest(), {}}} {
		if err := l.Update(t.Context(), func(tx *Tx) error { return tx.UseCapability(zero[0], zero[1]) }); !errors.Is(err, ErrSpent) {
			t.Errorf("nothing: %v", err)
		}
	}
}

func TestCountedPermit(t *testing.T) {
	l, id, job := open(t, t.TempDir()), newDigest(), newDigest()
	use := func(by envelope.Digest) (left int64, err error) {
		err = l.Update(t.Context(), func(tx *Tx) error {
			left, err = tx.Spend(Permit, id, by, 2)
			return err
		})
		return left, err
	}
	if left, err := use(job); err != nil || left != 1 {
		t.Fatal(left, err)
	}
	if left, err := use(job); err != nil || left != 1 {
		t.Errorf("the next attempt of the same job: %d, %v", left, err)
	}
	if left, err := use(newDigest()); err != nil || left != 0 {
		t.Fatal(left, err)
	}
	if _, err := use(newDigest()); !errors.Is(err, ErrSpent) {
		t.Errorf("a third job: %v", err)
	}
	update(t, l, func(tx *Tx) error { return tx.Return(Permit, id, job) })
	if left, err := use(newDigest()); err != nil || left != 0 {
		t.Errorf("after a return: %d, %v", left, err)
	}
	view(t, l, func(tx *Tx) error {
		n, err := tx.Spent(Permit, id, job)
		if n != 2 {
			t.Errorf("%d spent", n)
		}
		return err
	})
}

// TestRaceForTheLastUse: many at once, one winner.
func TestRaceForTheLastUse(t *testing.T) {
	l, id := open(t, t.TempDir()), newDigest()
	var wins atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			err := l.Update(t.Context(), func(tx *Tx) error {
				_, err := tx.Spend(Receipt, id, newDigest(), 1)
				return err
			})
			switch {
			case err == nil:
				wins.Add(1)
			case !errors.Is(err, ErrSpent):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d winners", wins.Load())
	}
}

var people = Population{Name: "patients", Unit: "person", Adjacency: "add-remove", Delta: 1_000_000, Cap: 1_000_000, BuyerCap: 600_000}

func reserve(l *Ledger, t *testing.T, p Population, buyer envelope.PublicKey, c privacy.Cost) (g envelope.Digest, conditional bool, err error) {
	g = newDigest()
	err = l.Update(t.Context(), func(tx *Tx) error {
		conditional, err = tx.ReservePrivacy(&Reservation{
			Population: p, Grant: g, Manifest: manifestA, Job: jobID, Buyer: buyer, Cost: c, Time: 1,
		})
		return err
	})
	return g, conditional, err
}

// TestRaceForTheLastPrivacy: many enclaves ask for what is enough for one.
func TestRaceForTheLastPrivacy(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	p := people
	p.BuyerCap = p.Cap
	cost := privacy.Cost{Pure: 600_000_000}
	var wins atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			_, _, err := reserve(l, t, p, signer(t).Public(), cost)
			switch {
			case err == nil:
				wins.Add(1)
			case !errors.Is(err, ErrBudget):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d winners", wins.Load())
	}
	must(t, l.Close())
	if _, _, err := reserve(open(t, dir), t, p, signer(t).Public(), cost); !errors.Is(err, ErrBudget) {
		t.Errorf("after a restart: %v", err)
	}
}

func TestPrivacyCaps(t *testing.T) {
	l, anna, bert := open(t, t.TempDir()), signer(t).Public(), signer(t).Public()
	half := privacy.Cost{Pure: 500_000_000}
	if _, _, err := reserve(l, t, people, anna, half); err != nil {
		t.Fatal(err)
	}
	if _, _, err := reserve(l, t, people, anna, half); !errors.Is(err, ErrBudget) {
		t.Errorf("over the buyer's cap: %v", err)
	}
	g, _, err := reserve(l, t, people, bert, half)
	must(t, err)
	if _, _, err := reserve(l, t, people, signer(t).Public(), privacy.Cost{Pure: 1}); !errors.Is(err, ErrBudget) {
		t.Errorf("one unit over the population's cap: %v", err)
	}
	less := privacy.Cost{Pure: 100_000_000}
	update(t, l, func(tx *Tx) error { return tx.CommitPrivacy(g, &less) })
	g, _, err = reserve(l, t, people, bert, privacy.Cost{Pure: 400_000_000})
	must(t, err)
	if err := l.Update(t.Context(), func(tx *Tx) error { return tx.CommitPrivacy(g, &half) }); !errors.Is(err, ErrBudget) {
		t.Errorf("more than was reserved: %v", err)
	}
	update(t, l, func(tx *Tx) error { return tx.KeepPrivacy(g) })
	for name, f := range map[string]func(tx *Tx) error{
		"kept, then committed": func(tx *Tx) error { return tx.CommitPrivacy(g, &less) },
		"kept twice":           func(tx *Tx) error { return tx.KeepPrivacy(g) },
		"never reserved":       func(tx *Tx) error { return tx.KeepPrivacy(newDigest()) },
	} {
		if err := l.Update(t.Context(), f); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := reserve(l, t, people, signer(t).Public(), privacy.Cost{Pure: 1}); !errors.Is(err, ErrBudget) {
		t.Errorf("a lease that was lost gave its privacy back: %v", err)
	}
	view(t, l, func(tx *Tx) error {
		sum, err := tx.PopulationSum(people.Name, &bert)
		if sum.Pure != 500_000_000 {
			t.Errorf("%+v", sum)
		}
		return err
	})
}

func TestZeroCapDenies(t *testing.T) {
	p := people
	p.Cap, p.BuyerCap = 0, 0
	l := open(t, t.TempDir())
	if _, _, err := reserve(l, t, p, signer(t).Public(), privacy.Cost{Pure: 1}); !errors.Is(err, ErrBudget) {
		t.Error(err)
	}
	if _, _, err := reserve(l, t, people, signer(t).Public(), privacy.Cost{}); !errors.Is(err, ErrOverflow) {
		t.Errorf("a cost of nothing: %v", err)
	}
}

// TestPopulationDeclaredOtherwise: one account, one meaning.
func TestPopulationDeclaredOtherwise(t *testing.T) {
	l, buyer := open(t, t.TempDir()), signer(t).Public()
	_, _, err := reserve(l, t, people, buyer, privacy.Cost{Pure: 1})
	must(t, err)
	for name, edit := range map[string]func(*Population){
		"unit": func(p *Population) { p.Unit = "record" }, "adjacency": func(p *Population) { p.Adjacency = "replace" },
		"δ": func(p *Population) { p.Delta++ }, "no name": func(p *Population) { p.Name = "" }, "negative cap": func(p *Population) { p.Cap = -1 },
		"δ of one": func(p *Population) { p.Delta = privacy.MaxDelta }, "cap out of range": func(p *Population) { p.BuyerCap = privacy.MaxLoss },
	} {
		p := people
		edit(&p)
		if _, _, err := reserve(l, t, p, buyer, privacy.Cost{Pure: 1}); !errors.Is(err, ErrPopulation) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := people
	p.Cap *= 2
	if _, _, err := reserve(l, t, p, buyer, privacy.Cost{Pure: 1}); err != nil {
		t.Errorf("a cap of its own: %v", err)
	}
}

func TestRawAccessMakesLaterGuaranteesConditional(t *testing.T) {
	l, buyer := open(t, t.TempDir()), signer(t).Public()
	for i, step := range []struct {
		cost        privacy.Cost
		conditional bool
	}{
		{privacy.Cost{Pure: 1}, false},
		{privacy.Cost{Unbounded: true}, false},
		{privacy.Cost{Pure: 1}, true},
		{privacy.Cost{Unbounded: true}, false},
	} {
		if _, conditional, err := reserve(l, t, people, buyer, step.cost); err != nil || conditional != step.conditional {
			t.Errorf("step %d: %v, %v", i, conditional, err)
		}
	}
}

// TestTamperedBudget lowers an account behind the ledger's back.
func TestTamperedBudget(t *testing.T) {
	for name, query := range map[string]string{
		"account emptied": `UPDATE sums SET sum = zeroblob(length(sum))`,
		"account deleted": `DELETE FROM sums WHERE buyer = ''`,
		"entry deleted":   `DELETE FROM privacy`,
		"account cut":     `UPDATE sums SET sum = x'00'`,
		"entry lowered":   `UPDATE privacy SET cost = CAST('{"pure":1}' AS BLOB)`,
	} {
		dir := t.TempDir()
		l := open(t, dir)
		_, _, err := reserve(l, t, people, signer(t).Public(), privacy.Cost{Pure: 100, Renyi: &privacy.Vector{5}})
		must(t, err)
		_, err = l.conn.ExecContext(t.Context(), query)
		must(t, err)
		must(t, l.Close())
		t.Log(name)
		refused(t, dir, ErrCorrupt)
	}
}

func TestWithdrawals(t *testing.T) {
	l, id, unit := open(t, t.TempDir()), envelope.PackageID{7}, newDigest()
	update(t, l, func(tx *Tx) error {
		must(t, tx.Withdraw(WithdrawnUnit, UnitName(id, unit), newDigest()))
		must(t, tx.Withdraw(WithdrawnUnit, UnitName(envelope.PackageID{8}, unit), newDigest()))
		return tx.Withdraw(WithdrawnDataset, id.String(), newDigest())
	})
	view(t, l, func(tx *Tx) error {
		list, err := tx.Withdrawals(WithdrawnUnit, id.String()+"/")
		if len(list) != 1 || list[0].Name != UnitName(id, unit) || list[0].Statement.IsZero() {
			t.Errorf("%+v", list)
		}
		must(t, err)
		list, err = tx.Withdrawals(WithdrawnUnit, "")
		if len(list) != 2 {
			t.Errorf("%+v", list)
		}
		return err
	})
}

// TestChallengesNeverUsed: ten thousand nonces that nobody comes back for are counted, pruned, and leave nothing.
func TestChallengesNeverUsed(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	update(t, l, func(tx *Tx) error {
		for i := range 10_000 {
			m := []envelope.Digest{manifestA, manifestB}[i%10/9]
			must(t, tx.AddNonce(&Nonce{Nonce: envelope.NewNonce(), Manifest: m, Job: jobID, Issued: 1, Expires: int64(10 + i%2)}))
		}
		return nil
	})
	must(t, l.Close())
	l = open(t, dir)
	for _, step := range []struct{ now, left int64 }{{10, 9000}, {11, 4000}, {12, 0}} {
		update(t, l, func(tx *Tx) error {
			left, err := tx.PruneNonces(manifestA, step.now)
			if left != step.left {
				t.Errorf("at %d: %d left, want %d", step.now, left, step.left)
			}
			return err
		})
	}
	update(t, l, func(tx *Tx) error {
		dropped, err := tx.DropNonces(manifestB, nil, 400)
		must(t, err)
		left, err := tx.PruneNonces(manifestB, 1)
		if dropped != 400 || left != 600 {
			t.Errorf("%d dropped, %d left", dropped, left)
		}
		return err
	})
	must(t, l.Close())
	must(t, open(t, dir).Close())
}

// TestWithdrawnAmong: of more things than one question holds, those withdrawn are found, and a name only under its own kind.
func TestWithdrawnAmong(t *testing.T) {
	l := open(t, t.TempDir())
	var all []Named
	for range 3 * maxAsked {
		d := newDigest().String()
		all = append(all, Named{WithdrawnJob, d}, Named{WithdrawnGrant, d})
	}
	want := map[Named]bool{all[0]: true, all[2*maxAsked+1]: true, all[len(all)-1]: true}
	update(t, l, func(tx *Tx) error {
		for w := range want {
			must(t, tx.Withdraw(w.Kind, w.Name, newDigest()))
		}
		return nil
	})
	view(t, l, func(tx *Tx) error {
		got, err := tx.WithdrawnAmong(all)
		must(t, err)
		if !maps.Equal(got, want) {
			t.Errorf("%v; want %v", got, want)
		}
		none, err := tx.WithdrawnAmong(nil)
		if err != nil || len(none) != 0 {
			t.Errorf("of nothing: %v, %v", none, err)
		}
		return nil
	})
}

// TestReserveKeepsWhatIsOwed: holding an amount for a lease changes nothing else in the account, and no amount is negative.
func TestReserveKeepsWhatIsOwed(t *testing.T) {
	l, id := open(t, t.TempDir()), newDigest()
	update(t, l, func(tx *Tx) error {
		must(t, tx.SetAccount(manifestA, id, Account{Reserved: 7, Charged: 5, Used: true}))
		return tx.Reserve(manifestA, id, 9)
	})
	view(t, l, func(tx *Tx) error {
		a, err := tx.Account(manifestA, id)
		if want := (Account{Reserved: 9, Charged: 5, Used: true}); err != nil || a != want {
			t.Errorf("%+v, %v; want %+v", a, err, want)
		}
		return nil
	})
	for _, amount := range []int64{-1, job.MaxAmount + 1} {
		if err := l.Update(t.Context(), func(tx *Tx) error { return tx.Reserve(manifestA, id, amount) }); !errors.Is(err, ErrOverflow) {
			t.Errorf("%d: %v", amount, err)
		}
	}
}
