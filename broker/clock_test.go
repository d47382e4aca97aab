// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// TestClockSetBackRevivesNothing: what has expired stays so when the clock jumps back, also after a restart.
func TestClockSetBackRevivesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.newEnclave(nil)
	e := w.released()
	w.clock.advance(time.Hour + time.Second) // the grant's end, and the nonce's
	fresh := w.newEnclave(nil)
	w.clock.advance(-2 * time.Hour)
	for _, restart := range []bool{false, true} {
		if restart {
			w.creator.restart()
			w.buyer.restart()
		}
		if err := old.release(w.code); !errors.Is(err, broker.ErrNonceExpired) && !errors.Is(err, broker.ErrNonce) { // or forgotten
			t.Errorf("a nonce that had expired: %v", err)
		}
		want(t, fresh.release(w.code), broker.ErrNonceExpired) // given out before the jump
		if a, err := e.heartbeat(w.data, 0); err != nil || a.Stop != grant.StopExpired {
			t.Errorf("restarted %v: the grant had ended, and now: %+v, %v", restart, a, err)
		}
		want(t, e.release(w.data), broker.ErrTicket)
	}
	// What is asked for from now on works: times go on from the highest seen.
	w.clock.advance(10 * time.Millisecond)
	w.newJob(nil)
	now := w.newEnclave(nil)
	must(t, now.release(w.code))
	must(t, now.release(w.data))
	if g := now.grants[w.data.ID].Predicate; g.Issued < w.clock.now().Add(2*time.Hour).UnixMilli() {
		t.Errorf("a grant is from before the last one: %d", g.Issued)
	}
}

// TestTicketsDoNotLastLongerByTheClock: a ticket that was too old is too old when the clock is set back.
func TestTicketsDoNotLastLongerByTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.newEnclave(nil)
	must(t, e.release(w.code))
	w.clock.advance(61 * time.Minute)
	_, err := w.challenge(w.data)
	must(t, err)
	w.clock.advance(-61 * time.Minute)
	want(t, e.release(w.data), broker.ErrTicket)
}

// TestTenThousandUnusedChallenges: they are bounded, cost other packages nothing and no memory. It is not parallel to
// others, whose memory it would measure.
func TestTenThousandUnusedChallenges(t *testing.T) {
	if testing.Short() {
		t.Skip("asks ten thousand times")
	}
	w := newWorld(t)
	other := w.creator.pack(dataset.KindDataset)
	mine := w.newEnclaveFor()
	const most = 500
	w.creator.SetMaxNonces(most)
	ask := func(n int) {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for range n / 50 {
					job := envelope.Digest(envelope.NewNonce())
					if _, err := w.creator.Challenge(t.Context(), &grant.ChallengeRequest{Manifest: other.ID, Job: job}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	ask(1000)
	before := heap()
	ask(9000)
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("the broker keeps %d bytes more", grown)
	}
	must(t, mine.release(w.code))
	must(t, mine.release(w.data))
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// away is a keyholder that does not answer for a while.
type away struct {
	keyholder.Keyholder
	gone   atomic.Bool
	asked  atomic.Int64
	during func() // called before it answers
}

func (a *away) Unwrap(ctx context.Context, context, wrapped []byte) ([]byte, error) {
	a.asked.Add(1)
	if a.during != nil {
		a.during()
	}
	if a.gone.Load() {
		return nil, keyholder.ErrUnavailable
	}
	return a.Keyholder.Unwrap(ctx, context, wrapped)
}

// holder puts a keyholder between the creator's broker and her file.
func (w *world) holder() *away {
	w.t.Helper()
	l := w.creator.cfg.Layout()
	f, err := keyholder.Open(l.Keyholder(), l.KeyholderIdentity())
	must(w.t, err)
	a := &away{Keyholder: f}
	w.creator.keys = a
	w.creator.restart()
	return a
}

// TestKeyholderAwayMidRelease: a keyholder that restarts between record and seal costs the caller a retry, nothing else,
// and there is never half a release.
func TestKeyholderAwayMidRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.holder()
	e := w.newEnclave(nil)
	must(t, e.release(w.code))
	k.gone.Store(true)
	for range 3 {
		r := w.creator.exchange(encode(t, &grant.Message{Release: e.request(w.data)}))
		if r.Error == nil || r.Error.Code != grant.CodeTryAgain || r.Release != nil {
			t.Fatalf("%+v", r)
		}
	}
	k.gone.Store(false)
	must(t, e.release(w.data))
	if g := e.grants[w.data.ID].Predicate; g.Sequence != 1 {
		t.Errorf("recorded %d times", g.Sequence)
	}
}

// TestKeyholderAwayForGood: a lease whose key never left gives everything back, privacy too.
func TestKeyholderAwayForGood(t *testing.T) {
	t.Parallel()
	w, m := shop(t)
	k := w.holder()
	r := w.sold(m)
	w.with(r)
	k.gone.Store(true)
	want(t, w.asking(1).release(w.data), keyholder.ErrUnavailable)
	w.clock.advance(testTimeout)
	must(t, w.creator.ExpireLeases(t.Context()))
	k.gone.Store(false)
	w.with(r)
	if p := w.plan(); !p.Allowed || p.UsesLeft != 100 || p.Access.Left != 1 {
		t.Errorf("%+v", p)
	}
	e := w.asking(1)
	must(t, e.release(w.data))
	if e.grants[w.data.ID].Predicate.Conditional {
		t.Error("a lease whose key never left counts as access")
	}
}

// TestRevokedWhileTheKeyIsUnwrapped: the owner's word counts until the key has left.
func TestRevokedWhileTheKeyIsUnwrapped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.holder()
	e := w.newEnclave(nil)
	must(t, e.release(w.code))
	k.gone.Store(true)
	if err := e.release(w.data); !errors.Is(err, keyholder.ErrUnavailable) {
		t.Fatal(err)
	}
	w.revoke(&grant.Revocation{Job: &w.jobID})
	k.gone.Store(false)
	asked := k.asked.Load()
	want(t, e.release(w.data), broker.ErrWithdrawn)
	if k.asked.Load() != asked {
		t.Error("the key of a revoked job was unwrapped")
	}
}

// TestRevokedAfterTheRecord: between record and seal the owner's word still counts, and the key that was unwrapped for
// nothing goes nowhere.
func TestRevokedAfterTheRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.holder()
	e := w.newEnclave(nil)
	must(t, e.release(w.code))
	k.during = func() {
		w.revoke(&grant.Revocation{Buyer: &w.job.Buyer})
		w.plan() // which reads what is new
	}
	want(t, e.release(w.data), broker.ErrWithdrawn)
	w.clock.advance(testTimeout)
	must(t, w.creator.ExpireLeases(t.Context()))
	k.during = nil
	if left := w.plan().UsesLeft; left != 2 {
		t.Errorf("%d uses left after a key that never left", left)
	}
}
