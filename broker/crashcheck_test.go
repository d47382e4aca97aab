// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// crashBooks is what the signed records alone say about one job: the accounts must agree.
type crashBooks struct {
	live    *envelope.Digest // grant without an end
	charged int64
	used    bool // for certain: a commit charged it
	grants  int
}

// crashState is a ledger as a crash left it, opened.
type crashState struct {
	t       *testing.T
	records []ledger.Record
	place   map[envelope.Digest]int // of each record's statement
	books   map[envelope.Digest]*crashBooks
	leases  map[envelope.Digest]*ledger.Lease
}

// inspect opens a copy of the ledger and holds it against everything that the broker ever answered.
func (c *crashes) inspect() {
	t := c.t
	t.Helper()
	c.run++
	c.totals.runs++
	l := config.Layout{Dir: c.ledgerFiles()}
	led, err := ledger.Open(t.Context(), ledger.Config{Path: l.Ledger(), Head: l.Head(), Lock: l.Lock()})
	if err != nil {
		t.Fatalf("after crash %d the ledger does not open: %v", c.run, err)
	}
	defer led.Close()
	s := &crashState{
		t: t, place: map[envelope.Digest]int{}, books: map[envelope.Digest]*crashBooks{}, leases: map[envelope.Digest]*ledger.Lease{},
	}
	must(t, led.Update(t.Context(), func(tx *ledger.Tx) (err error) {
		s.records, err = tx.Records(0, 1<<20)
		return err
	}))
	c.checkHistory(s)
	for i := range s.records {
		s.record(c, &s.records[i])
	}
	must(t, led.Update(t.Context(), func(tx *ledger.Tx) error { return c.checkState(tx, s) }))
	c.checkOrder(s)
	c.last = s
}

// checkHistory: records are only ever added.
func (c *crashes) checkHistory(s *crashState) {
	if len(s.records) < len(c.records) {
		c.t.Errorf("crash %d: %d records, there were %d", c.run, len(s.records), len(c.records))
	}
	for i, r := range s.records {
		s.place[r.Digest] = i
		if i < len(c.records) && !bytes.Equal(c.records[i], r.Signed) {
			c.t.Errorf("crash %d: record %d is another than before", c.run, r.N)
		}
	}
	c.records = c.records[:0]
	for _, r := range s.records {
		c.records = append(c.records, r.Signed)
	}
}

func (s *crashState) job(id envelope.Digest) *crashBooks {
	if s.books[id] == nil {
		s.books[id] = &crashBooks{}
	}
	return s.books[id]
}

// record adds one statement to the books.
func (s *crashState) record(c *crashes, r *ledger.Record) {
	key := c.w.data.Manifest.Broker.Key
	if v, err := grant.VerifyGrant(r.Signed, key); err == nil {
		b := s.job(v.Predicate.Job)
		if b.live != nil {
			s.t.Errorf("record %d: a second live grant of job %s", r.N, v.Predicate.Job)
		}
		b.live = &v.ID
		b.grants++
	} else if v, err := grant.VerifyCommit(r.Signed, key); err == nil {
		b := s.job(v.Predicate.Job)
		s.end(b, v.Predicate.Grant, r.N)
		b.charged = max(b.charged, v.Predicate.Amount)
		b.used = b.used || v.Predicate.Amount > 0
	} else if v, err := grant.VerifyLeaseLost(r.Signed, key); err == nil {
		s.end(s.job(v.Predicate.Job), v.Predicate.Grant, r.N)
	}
}

func (s *crashState) end(b *crashBooks, grantID envelope.Digest, n int64) {
	if b.live == nil || *b.live != grantID {
		s.t.Errorf("record %d ends grant %s, which is not live", n, grantID)
	}
	b.live = nil
}

// checkState holds accounts and leases against the books and the answers.
func (c *crashes) checkState(tx *ledger.Tx, s *crashState) error {
	manifest, spent := c.w.data.ID, int64(0)
	for id, b := range s.books {
		a, err := tx.Account(manifest, id)
		if err != nil {
			return err
		}
		if a.Charged != b.charged || (a.Reserved > 0) != (b.live != nil) || (b.used && !a.Used) {
			c.t.Errorf("crash %d: account of job %s is %+v, the records say %+v", c.run, id, a, *b)
		}
		if a.Used || b.live != nil {
			spent++
		}
	}
	if spent > c.uses {
		c.t.Errorf("crash %d: %d uses, the terms allow %d", c.run, spent, c.uses)
	}
	if n, err := tx.Uses(manifest, envelope.Digest{}); err != nil || n != spent {
		c.t.Errorf("crash %d: the ledger counts %d uses (%v), the accounts %d", c.run, n, err, spent)
	}
	if err := c.checkSpent(tx, spent); err != nil {
		return err
	}
	for _, a := range c.acks {
		if err := c.checkAck(tx, s, a); err != nil {
			return fmt.Errorf("answer in run %d: %w", a.run, err)
		}
	}
	return nil
}

// checkSpent: permits are counted once a job, and privacy once for each key that may have left.
func (c *crashes) checkSpent(tx *ledger.Tx, uses int64) error {
	if !c.permit.IsZero() {
		if n, err := tx.Spent(ledger.Permit, c.permit, envelope.Digest{}); err != nil || n != uses {
			c.t.Errorf("crash %d: %d uses of the permit (%v), want %d", c.run, n, err, uses)
		}
	}
	leases, err := tx.Leases(ledger.OfManifest(c.w.data.ID))
	if err != nil {
		return err
	}
	if c.training {
		return c.checkTrained(tx, leases)
	}
	left := int64(0)
	for _, l := range leases {
		if l.State == ledger.Live || len(l.Sealed) > 0 {
			left++
		}
	}
	for _, buyer := range []*envelope.PublicKey{nil, c.w.buyer.cfg.Buyer} {
		sum, err := tx.PopulationSum(c.w.data.Manifest.Terms.Privacy.Population, buyer)
		if err != nil {
			return err
		}
		if sum.Unbounded != left {
			c.t.Errorf("crash %d: privacy counts %d keys, %d may have left", c.run, sum.Unbounded, left)
		}
	}
	return nil
}

// crashSteps are those of a training that failed.
const crashSteps = 30

// trainingCost is what so many of the tests' steps cost an account: a test's clock does not wait for it twice.
func trainingCost(steps int64) privacy.Cost {
	if c, ok := trainingCosts.Load(steps); ok {
		return c.(privacy.Cost)
	}
	v, err := dp.Renyi(&dp.Composition{Adjacency: dataset.AddOrRemove, Mechanisms: []dp.Mechanism{trainingMechanism(steps)}})
	if err != nil {
		panic(err)
	}
	c, err := privacy.Renyi(v)
	if err != nil {
		panic(err)
	}
	trainingCosts.Store(steps, c)
	return c
}

var trainingCosts sync.Map // of privacy.Cost, by steps

// checkTrained: the account has what ran where the enclave told it, and all of what was granted where it did not, to the last
// digit; and no more than the cap.
func (c *crashes) checkTrained(tx *ledger.Tx, leases []*ledger.Lease) error {
	var want privacy.Sum
	for _, l := range leases {
		cost := trainingCost(trainingSteps)
		switch {
		case l.State != ledger.Live && len(l.Sealed) == 0:
			continue // nobody has the key
		case l.State == ledger.Failed:
			cost = trainingCost(crashSteps)
		}
		must(c.t, want.Add(&cost))
	}
	p := &c.w.data.Manifest.Terms.Privacy
	for _, buyer := range []*envelope.PublicKey{nil, c.w.buyer.cfg.Buyer} {
		sum, err := tx.PopulationSum(p.Population, buyer)
		if err != nil {
			return err
		}
		e, ok := sum.Guarantee(p.Delta)
		if *sum != want || !ok || e > p.BuyerEpsilon*1000 {
			c.t.Errorf("crash %d: privacy counts %d releases, epsilon %d; %d leases come to %d", c.run, sum.Releases, e, len(leases), want.Releases)
		}
	}
	return nil
}

// checkAck: what was answered is in the ledger.
func (c *crashes) checkAck(tx *ledger.Tx, s *crashState, a *crashAck) error {
	switch {
	case a.r.Challenge != nil:
		return c.checkNonce(tx, a)
	case a.r.Error != nil && len(a.r.Error.Denial) > 0:
		s.recorded(a, a.r.Error.Denial)
		return nil
	case a.r.Error != nil:
		return nil
	case a.r.Commit != nil:
		s.recorded(a, a.r.Commit)
	case a.r.Release != nil:
		s.recorded(a, a.r.Release.Grant)
	}
	id := a.e.grants[c.w.data.ID].ID
	l := s.leases[id]
	if l == nil {
		var err error
		if l, err = tx.Lease(id); err != nil {
			return fmt.Errorf("lease %s: %w", id, err)
		}
		s.leases[id] = l
	}
	return c.checkLease(s, a, l)
}

func (c *crashes) checkLease(s *crashState, a *crashAck, l *ledger.Lease) error {
	b := s.job(l.Job)
	if live := b.live != nil && *b.live == l.Grant; live != (l.State == ledger.Live) {
		c.t.Errorf("lease %s is %s, but by the records live is %t", l.Grant, l.State, live)
	}
	switch {
	case a.r.Release != nil && (!bytes.Equal(l.SignedGrant, a.r.Release.Grant) || !bytes.Equal(l.Sealed, a.r.Release.Sealed)):
		return fmt.Errorf("lease %s has another grant or sealed key than was sent", l.Grant)
	case a.r.Commit != nil && !bytes.Equal(l.Commit, a.r.Commit):
		return fmt.Errorf("lease %s has another commit than was sent", l.Grant)
	case a.r.Allowance != nil:
		v, err := grant.VerifyAllowance(a.r.Allowance, c.w.data.Manifest.Broker.Key)
		if err != nil {
			return err
		}
		if v.Predicate.Sequence > l.Sequence || (v.Predicate.Sequence == l.Sequence && !bytes.Equal(l.Allowance, a.r.Allowance)) {
			return fmt.Errorf("lease %s is at heartbeat %d, %d was answered", l.Grant, l.Sequence, v.Predicate.Sequence)
		}
	}
	return nil
}

// checkNonce: a nonce given out is there until it expires, and is spent once its evidence was accepted.
func (c *crashes) checkNonce(tx *ledger.Tx, a *crashAck) error {
	v, err := grant.VerifyChallenge(a.r.Challenge, c.w.data.Manifest.Broker.Key)
	if err != nil {
		return err
	}
	n, err := tx.Nonce(v.Predicate.Nonce)
	if err != nil && v.Predicate.Expires > c.clock.now().UnixMilli() {
		return fmt.Errorf("nonce: %w", err)
	}
	if err == nil && n.Binding == nil && a.e.grants[c.w.data.ID] != nil {
		return fmt.Errorf("nonce %s is unused, but its key was released", n.Nonce)
	}
	return nil
}

// recorded: a statement that was sent is a record, with the same bytes.
func (s *crashState) recorded(a *crashAck, signed []byte) {
	id, err := envelope.ID(signed)
	must(s.t, err)
	i, ok := s.place[id]
	if !ok || !bytes.Equal(s.records[i].Signed, signed) {
		s.t.Errorf("a statement answered in run %d is not on record", a.run)
	}
}

// kept says whether the broker keeps this answer: not a challenge, and not a refusal that is not on record.
func (a *crashAck) kept() bool {
	return a.r.Challenge == nil && (a.r.Error == nil || len(a.r.Error.Denial) > 0)
}

// statement is what an answer put on record; nil if nothing.
func (a *crashAck) statement() []byte {
	switch {
	case a.r.Release != nil:
		return a.r.Release.Grant
	case a.r.Commit != nil:
		return a.r.Commit
	case a.r.Error != nil:
		return a.r.Error.Denial
	}
	return nil
}

// checkOrder: what was answered before something else was asked for is on record before it.
func (c *crashes) checkOrder(s *crashState) {
	type spot struct {
		a  *crashAck
		at int
	}
	var spots []spot
	for _, a := range c.acks {
		if signed := a.statement(); len(signed) > 0 {
			id, err := envelope.ID(signed)
			must(c.t, err)
			spots = append(spots, spot{a, s.place[id]})
		}
	}
	for _, x := range spots {
		for _, y := range spots {
			if x.a.end < y.a.first && x.at > y.at {
				c.t.Errorf("record %d was answered before record %d was asked for", x.at+1, y.at+1)
			}
		}
	}
}

// repeat asks again for what was answered before the last crash, and now and then for something older: the answer is the
// same, byte for byte, unless the lease has ended since.
func (c *crashes) repeat() {
	s := c.last
	for _, a := range c.acks {
		if !a.kept() || (a.run != c.run-1 && c.rng.IntN(20) != 0) {
			continue
		}
		got, err := c.post(a.message)
		if err != nil && c.lostPower() {
			return
		}
		must(c.t, err)
		if c.lostPower() && tryAgain(got) {
			return
		}
		c.totals.repeated++
		if !bytes.Equal(got, a.reply) && !c.mayDiffer(s, a, got) {
			c.t.Errorf("asked again after crash %d:\n%s\nwas in run %d\n%s", c.run, got, a.run, a.reply)
		}
	}
}

// mayDiffer: a key is not released again when its lease has ended, and of heartbeats only the last is answered again.
func (c *crashes) mayDiffer(s *crashState, a *crashAck, got []byte) bool {
	r, err := grant.ParseReply(got)
	if err != nil || r.Error == nil || a.r.Error != nil {
		return false
	}
	l := s.leases[a.e.grants[c.w.data.ID].ID]
	switch {
	case l == nil:
		return false
	case a.r.Release != nil && r.Error.Code == grant.CodeInvalid:
		return c.overdue(a)
	case a.r.Release != nil:
		return (r.Error.Code == grant.CodeEnded && (l.State != ledger.Live || c.clock.Speed > 1)) ||
			(r.Error.Code == grant.CodeDenied && a.job.kind == "revoke")
	case a.r.Allowance != nil:
		v, err := grant.VerifyAllowance(a.r.Allowance, c.w.data.Manifest.Broker.Key)
		return err == nil && v.Predicate.Sequence < l.Sequence
	}
	return false
}

// overdue: on a slow machine the run ticket that a message has may be over. The code's release has none.
func (c *crashes) overdue(a *crashAck) bool {
	m, err := grant.ParseMessage(a.message)
	must(c.t, err)
	if len(m.Release.Ticket) == 0 {
		return false
	}
	t, err := grant.VerifyTicket(m.Release.Ticket, c.w.code.Manifest.Broker.Key)
	must(c.t, err)
	return c.clock.now().UnixMilli() >= t.Predicate.Expires
}

// finish counts what was done.
func (c *crashes) finish() {
	for _, a := range c.acks {
		c.totals.answers++
		switch {
		case a.r.Challenge != nil:
			c.totals.challenges++
		case a.r.Release != nil:
			c.totals.grants++
		case a.r.Commit != nil:
			c.totals.commits++
		case a.r.Allowance != nil:
			c.totals.heartbeats++
		case a.r.Error != nil && len(a.r.Error.Denial) > 0:
			c.totals.denials++
		}
	}
	for _, signed := range c.records {
		if _, err := grant.VerifyLeaseLost(signed, c.w.data.Manifest.Broker.Key); err == nil {
			c.totals.lost++
		}
	}
}
