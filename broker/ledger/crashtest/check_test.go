// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// books is what a ledger must add up to, from what its jobs say each for itself.
type books struct {
	plan
	tx     *ledger.Tx
	t      *testing.T
	notes  map[string][]byte // records by what they say
	uses   map[envelope.Digest]int64
	ofWhom map[[2]string]int64
	permit map[envelope.Digest]int64
	loss   map[string]int64 // privacy by buyer; "" for all
	want   int              // records
}

// audit opens what a crash left and holds it against what was acknowledged. It returns the records.
func audit(t *testing.T, p plan, dir string, acks []ack, before [][]byte) (records [][]byte) {
	t.Helper()
	anchored, revision := anchor(t, dir, "sequence"), anchor(t, dir, "revision")
	l, err := ledger.Open(t.Context(), files(dir))
	if err != nil {
		t.Errorf("the owner cannot open her ledger: %v", err)
		return nil
	}
	defer l.Close()
	err = l.Update(t.Context(), func(tx *ledger.Tx) error {
		b := &books{
			plan: p, tx: tx, t: t, notes: map[string][]byte{}, uses: map[envelope.Digest]int64{}, ofWhom: map[[2]string]int64{},
			permit: map[envelope.Digest]int64{}, loss: map[string]int64{},
		}
		records, err = b.read()
		if err != nil {
			return err
		}
		for n := range p.Jobs {
			if err := b.job(n); err != nil {
				return fmt.Errorf("job %d: %w", n, err)
			}
		}
		if err := b.sums(); err != nil {
			return err
		}
		for _, a := range acks {
			if a.Revision > int64(revision) {
				t.Errorf("a reader saw revision %d, the anchor was at %d", a.Revision, revision)
			}
			if at := slices.IndexFunc(records, func(r []byte) bool { return bytes.Equal(r, a.Reply) }); at >= anchored {
				t.Errorf("%s of job %d was acknowledged with record %d, the anchor was at %d", a.Step, a.Job, at+1, anchored)
			}
			if err := b.acknowledged(a); err != nil {
				return fmt.Errorf("acknowledged %s of job %d: %w", a.Step, a.Job, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if len(records) < len(before) {
		t.Errorf("%d records, there were %d", len(records), len(before))
		return records
	}
	for i := range before {
		if !bytes.Equal(before[i], records[i]) {
			t.Errorf("record %d is another than it was", i+1)
		}
	}
	return records
}

// anchor is how far the head file goes, in records or revisions.
func anchor(t *testing.T, dir, what string) (n int) {
	t.Helper()
	b, err := os.ReadFile(files(dir).Head)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for _, m := range regexp.MustCompile(`"`+what+`":(\d+)`).FindAllSubmatch(b, -1) {
		v, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Error(err)
		}
		n = max(n, v)
	}
	return n
}

// read reads every record; [ledger.Open] has verified the chains.
func (b *books) read() (signed [][]byte, err error) {
	jobs := map[envelope.Digest]int{}
	for n := range b.Jobs {
		jobs[id("job", n)] = n
	}
	list, err := b.tx.Records(0, 1<<20)
	for _, r := range list {
		kind, job := b.kind(&r)
		note := fmt.Sprintf("%s %d", kind, jobs[job])
		if b.notes[note] != nil {
			b.t.Errorf("two records say %q", note)
		}
		b.notes[note] = r.Signed
		signed = append(signed, r.Signed)
	}
	return signed, err
}

func (b *books) kind(r *ledger.Record) (kind string, job envelope.Digest) {
	if v, err := grant.VerifyGrant(r.Signed, r.Key); err == nil {
		return "grant", v.Predicate.Job
	} else if v, err := grant.VerifyCommit(r.Signed, r.Key); err == nil {
		return "commit", v.Predicate.Job
	} else if v, err := grant.VerifyLeaseLost(r.Signed, r.Key); err == nil {
		return "lose", v.Predicate.Job
	}
	v, err := grant.VerifyDenial(r.Signed, r.Key)
	if err != nil {
		b.t.Fatalf("record %d: %v", r.N, err)
	}
	if r.Sequence == 0 {
		return "withdraw", v.Predicate.Job
	}
	return "deny", v.Predicate.Job
}

// record checks that something is on record just when it should be.
func (b *books) record(what string, n int, want bool, signed []byte) {
	note := fmt.Sprintf("%s %d", what, n)
	got := b.notes[note]
	if want {
		b.want++
	}
	if (got != nil) != want || (want && signed != nil && !bytes.Equal(got, signed)) {
		b.t.Errorf("%q is on record: %t, want %t", note, got != nil, want)
	}
}

func (b *books) wrong(n int, f string, a ...any) {
	b.t.Helper()
	b.t.Errorf("job %d: %s", n, fmt.Sprintf(f, a...))
}

// job checks that each step of a job happened altogether or not at all.
func (b *books) job(n int) error {
	l, err := b.tx.LeaseOf(manifest(n), id("binding", n))
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return err
	}
	denial, err := b.tx.Denial(manifest(n), id("binding", n))
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return err
	}
	withdrawn, err := b.tx.Withdrawn(ledger.WithdrawnJob, id("job", n).String())
	if err != nil {
		return err
	}
	if l != nil && denial != nil {
		b.wrong(n, "granted and denied")
	}
	ended := l != nil && l.State != ledger.Live
	b.record("grant", n, l != nil, granted(l))
	b.record("deny", n, denial != nil, denial)
	b.record("commit", n, ended && l.State != ledger.Lost, answer(l))
	b.record("lose", n, ended && l.State == ledger.Lost, answer(l))
	b.record("withdraw", n, withdrawn, nil)
	if err := b.nonce(n, l); err != nil {
		return err
	}
	return b.account(n, l)
}

func granted(l *ledger.Lease) []byte {
	if l == nil {
		return nil
	}
	return l.SignedGrant
}

// nonce: it is spent with the grant, and only then.
func (b *books) nonce(n int, l *ledger.Lease) error {
	got, err := b.tx.Nonce(nonce(n))
	if errors.Is(err, ledger.ErrNotFound) {
		if l != nil {
			b.wrong(n, "granted on a nonce that was never given out")
		}
		return nil
	}
	if err == nil && (got.Binding != nil) != (l != nil) {
		b.wrong(n, "nonce spent: %t, granted: %t", got.Binding != nil, l != nil)
	}
	return err
}

// account compares money, use, permit, receipt and capability with the lease's state, and adds them up.
func (b *books) account(n int, l *ledger.Lease) error {
	a, err := b.tx.Account(manifest(n), id("job", n))
	if err != nil {
		return err
	}
	want, loss, counted := ledger.Account{}, int64(0), l != nil
	if l != nil {
		switch {
		case l.State == ledger.Live:
			want.Reserved, loss = price, cost
		case l.State == ledger.Completed:
			want.Charged, want.Used, loss = price, true, cost/2
		case l.State == ledger.Lost && len(l.Sealed) > 0:
			want.Used, loss = true, cost
		default:
			counted = false
		}
	}
	if a != want {
		b.wrong(n, "account %+v, want %+v", a, want)
	}
	for _, x := range []struct {
		kind ledger.Kind
		id   envelope.Digest
		want bool
	}{{ledger.Capability, id("capability", n), l != nil}, {ledger.Receipt, id("receipt", n), counted}} {
		if got, err := b.tx.Spent(x.kind, x.id, envelope.Digest{}); err != nil || (got == 1) != x.want || got > 1 {
			b.wrong(n, "%s spent %d times (%v), want %t", x.kind, got, err, x.want)
		}
	}
	if counted {
		buyer := b.buyer(n).String()
		b.uses[manifest(n)]++
		b.ofWhom[[2]string{manifest(n).String(), buyer}]++
		b.permit[permit(n)]++
		b.loss[""] += loss
		b.loss[buyer] += loss
	}
	return nil
}

// sums compares what the ledger counts with what the jobs add up to, and both with what the terms allow.
func (b *books) sums() error {
	if got := len(b.notes); got != b.want {
		b.t.Errorf("%d records, the jobs account for %d", got, b.want)
	}
	for i := range 2 {
		m := manifest(i)
		if err := b.compare("uses", b.uses[m], maxUses)(b.tx.Uses(m, envelope.Digest{})); err != nil {
			return err
		}
		if err := b.compare("permits", b.permit[permit(i)], permitCount)(b.tx.Spent(ledger.Permit, permit(i), envelope.Digest{})); err != nil {
			return err
		}
		for _, buyer := range b.Buyers {
			want := b.ofWhom[[2]string{m.String(), buyer.String()}]
			if err := b.compare("uses of a buyer", want, buyerUses)(b.tx.BuyerUses(m, buyer, envelope.Digest{})); err != nil {
				return err
			}
		}
	}
	s, err := b.tx.PopulationSum(population, nil)
	if err != nil {
		return err
	}
	if err := b.compare("privacy", b.loss[""], capMicro*1000)(s.Pure, nil); err != nil {
		return err
	}
	for _, buyer := range b.Buyers {
		s, err := b.tx.PopulationSum(population, &buyer)
		if err != nil {
			return err
		}
		if err := b.compare("privacy of a buyer", b.loss[buyer.String()], buyerMicro*1000)(s.Pure, nil); err != nil {
			return err
		}
	}
	return nil
}

func (b *books) compare(what string, want, limit int64) func(int64, error) error {
	return func(got int64, err error) error {
		if err == nil && (got != want || got > limit) {
			b.t.Errorf("%s: %d counted, %d by the jobs, %d allowed", what, got, want, limit)
		}
		return err
	}
}

var errGone = errors.New("it is gone")

// acknowledged checks that what the outside heard is still so.
func (b *books) acknowledged(a ack) error {
	switch a.Step {
	case "nonce":
		_, err := b.tx.Nonce(nonce(a.Job))
		return err
	case "fat":
		got, err := b.tx.Job(id("fat", a.Job))
		if err == nil && !bytes.Equal(got, fat(a.Job)) {
			err = errGone
		}
		return err
	case "withdraw":
		got, err := b.tx.Withdrawn(ledger.WithdrawnJob, id("job", a.Job).String())
		if err == nil && !got {
			err = errGone
		}
		return err
	}
	l, err := b.tx.LeaseOf(manifest(a.Job), id("binding", a.Job))
	if a.Step == "look" && len(a.Reply) == 0 {
		return nil // there was nothing to see
	}
	if errors.Is(err, ledger.ErrNotFound) { // it was denied instead
		var got []byte
		if got, err = b.tx.Denial(manifest(a.Job), id("binding", a.Job)); err == nil && !bytes.Equal(got, a.Reply) {
			err = errGone
		}
		return err
	}
	if err == nil && !holds(l, a) {
		err = errGone
	}
	return err
}

// holds compares a lease with an answer given on it.
func holds(l *ledger.Lease, a ack) bool {
	switch a.Step {
	case "grant":
		return bytes.Equal(l.SignedGrant, a.Reply)
	case "seal":
		return bytes.Equal(l.Sealed, a.Reply)
	case "beat":
		return l.Sequence > 1 || bytes.Equal(l.Allowance, a.Reply)
	case "commit", "commit-unread", "lose", "lose-unsealed":
		return bytes.Equal(l.Commit, a.Reply)
	case "look":
		return seen(l, string(a.Reply))
	}
	return false
}

// seen: a reader never saw more than what is there now.
func seen(l *ledger.Lease, reply string) bool {
	var state, key string
	var sequence int64
	if n, err := fmt.Sscanf(reply, "%s %d %s", &state, &sequence, &key); n < 2 {
		return err == nil
	}
	return sequence <= l.Sequence && (state == string(ledger.Live) || state == string(l.State)) &&
		(key == "" || strings.EqualFold(key, fmt.Sprintf("%x", l.Sealed)))
}
