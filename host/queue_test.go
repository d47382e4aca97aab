// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

type queueBench struct {
	*queue
	t    *testing.T
	path string
	now  time.Time
}

func newQueue(t *testing.T) *queueBench {
	t.Helper()
	q := &queueBench{t: t, path: filepath.Join(t.TempDir(), "host.db"), now: time.Unix(1_800_000_000, 0)}
	q.queue = &queue{
		now: func() time.Time { return q.now }, backoff: backoff{time.Second, 8 * time.Second}, deaths: 3, waits: 5,
		changed: func(envelope.Digest) {},
	}
	q.reopen()
	t.Cleanup(func() { q.db.close() })
	return q
}

func (q *queueBench) reopen() {
	q.t.Helper()
	if q.db != nil {
		if err := q.db.close(); err != nil {
			q.t.Fatal(err)
		}
	}
	db, err := openDatabase(context.Background(), q.path)
	if err != nil {
		q.t.Fatal(err)
	}
	q.db = db
}

func (q *queueBench) add(name string) envelope.Digest {
	q.t.Helper()
	id := envelope.Sum([]byte(name))
	if _, err := q.submit(context.Background(), id, "buyer", []byte(name), 1, 100); err != nil {
		q.t.Fatal(err)
	}
	return id
}

func (q *queueBench) lease() *lease {
	q.t.Helper()
	l, err := q.take(context.Background())
	if err != nil {
		q.t.Fatal(err)
	}
	return l
}

func (q *queueBench) state(id envelope.Digest) (state, reason string) {
	q.t.Helper()
	if err := q.db.read.QueryRow(`SELECT state, reason FROM jobs WHERE id = ?`, id[:]).Scan(&state, &reason); err != nil {
		q.t.Fatal(err)
	}
	return state, reason
}

func TestOldEpochIsFenced(t *testing.T) {
	q, ctx := newQueue(t), context.Background()
	id := q.add("job")
	old := q.lease()
	if old == nil || old.job != id || old.epoch != 1 || string(old.signed) != "job" {
		t.Fatalf("lease %+v", old)
	}
	if err := q.giveUp(ctx, old, ending{retry: true, death: true}); err != nil {
		t.Fatal(err)
	}
	q.now = q.now.Add(time.Second)
	now := q.lease()
	if now == nil || now.epoch != 2 {
		t.Fatalf("second lease %+v", now)
	}
	for name, err := range map[string]error{
		"progress": <-q.move(old, door.StateRunning),
		"give up":  q.giveUp(ctx, old, ending{}),
		"check":    second(q.check(ctx, old)),
		"finish": q.db.update(ctx, func(tx *sql.Tx) error {
			return (&run{outcome: StateCompleted}).store(tx, &attempt{lease: *old}, 1)
		}),
	} {
		if !errors.Is(err, ErrFenced) {
			t.Errorf("%s with an old epoch: %v", name, err)
		}
	}
	if s, _ := q.state(id); s != door.StateAttesting {
		t.Errorf("an old epoch moved the job to %s", s)
	}
	if err := <-q.move(now, door.StateRunning); err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestJobIsLeasedOnce(t *testing.T) {
	q := newQueue(t)
	for _, n := range strings.Fields("a b c d e f g h") {
		q.add(n)
	}
	var mu sync.Mutex
	seen := map[envelope.Digest]int{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			l, err := q.take(context.Background())
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			} else if l != nil {
				seen[l.job]++
			}
		})
	}
	wg.Wait()
	if len(seen) != 8 {
		t.Fatalf("%d of 8 jobs were leased", len(seen))
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("job %s was leased %d times", id, n)
		}
	}
}

func TestLeasesSurviveKill(t *testing.T) {
	q, ctx := newQueue(t), context.Background()
	id := q.add("job")
	l := q.lease()
	if err := <-q.move(l, door.StateCommitting); err != nil {
		t.Fatal(err)
	}
	q.reopen()
	if err := q.recover(ctx); err != nil {
		t.Fatal(err)
	}
	if s, r := q.state(id); s != StateRetrying || r != reasonHostStopped {
		t.Fatalf("after a restart: %s, %s", s, r)
	}
	if err := <-q.move(l, door.StateRunning); !errors.Is(err, ErrFenced) {
		t.Errorf("the lease of a host that is gone still counts: %v", err)
	}
	q.now = q.now.Add(time.Second)
	if l := q.lease(); l == nil || l.epoch != 2 {
		t.Fatalf("lease after a restart: %+v", l)
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	for _, c := range []struct {
		death    bool
		attempts int
	}{{true, 3}, {false, 5}} {
		q, ctx := newQueue(t), context.Background()
		id := q.add("job")
		var waited time.Duration
		n := 0
		for {
			l := q.lease()
			if l == nil {
				d, ok, err := q.nextReady(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				waited += d
				q.now = q.now.Add(d)
				continue
			}
			n++
			if err := q.giveUp(ctx, l, ending{reason: "r", message: "m", retry: true, death: c.death}); err != nil {
				t.Fatal(err)
			}
		}
		if s, r := q.state(id); s != StateFailed || r != reasonAttempts || n != c.attempts {
			t.Errorf("death %v: %s, %s after %d attempts", c.death, s, r, n)
		}
		if want := backoffSum(q.backoff, c.attempts-1); waited != want {
			t.Errorf("death %v: waited %v, want %v", c.death, waited, want)
		}
	}
}

func backoffSum(b backoff, n int) (d time.Duration) {
	for i := 1; i <= n; i++ {
		d += b.after(i)
	}
	return d
}

func TestBackoff(t *testing.T) {
	b := backoff{time.Second, 8 * time.Second}
	for n, want := range map[int]time.Duration{0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 8, 1 << 40: 8} {
		if got := b.after(n); got != want*time.Second {
			t.Errorf("after %d: %v", n, got)
		}
	}
}

// The clock of the host jumps back by a year: what waits must not wait for a year.
func TestClockAYearOff(t *testing.T) {
	q, ctx := newQueue(t), context.Background()
	q.add("queued")
	q.now = q.now.AddDate(-1, 0, 0)
	l := q.lease()
	if l == nil {
		t.Fatal("a queued job waits for the clock")
	}
	q.now = q.now.AddDate(2, 0, 0)
	if err := q.giveUp(ctx, l, ending{retry: true}); err != nil {
		t.Fatal(err)
	}
	q.now = q.now.AddDate(-2, 0, 0)
	if d, ok, err := q.nextReady(ctx); err != nil || !ok || d > q.backoff.max {
		t.Errorf("ready in %v, %v, %v", d, ok, err)
	}
	if q.lease() == nil {
		t.Error("a retrying job waits for the clock")
	}
}

func TestCancelledWhileRunning(t *testing.T) {
	q, ctx := newQueue(t), context.Background()
	id := q.add("job")
	l := q.lease()
	if err := q.cancel(ctx, id); err != nil {
		t.Fatal(err)
	}
	if c, err := q.check(ctx, l); err != nil || !c {
		t.Fatalf("the enclave is not told: %v, %v", c, err)
	}
	if err := q.giveUp(ctx, l, ending{retry: true, death: true, reason: "x"}); err != nil {
		t.Fatal(err)
	}
	if s, r := q.state(id); s != StateCancelled || r != reasonCancelled {
		t.Fatalf("%s, %s", s, r)
	}
	if q.lease() != nil {
		t.Error("a cancelled job was leased")
	}
}

// One write's error must not take others of its commit with it.
func TestGroupCommitIsolatesErrors(t *testing.T) {
	q := newQueue(t)
	boom := errors.New("boom")
	var wg sync.WaitGroup
	errs := make([]error, 64)
	for i := range errs {
		wg.Go(func() {
			id := envelope.Sum([]byte{byte(i)})
			errs[i] = q.db.update(context.Background(), func(tx *sql.Tx) error {
				_, err := tx.Exec(`INSERT INTO closed_grants(grant_id, signer) VALUES(?, '')`, id[:])
				if i%2 == 1 {
					return boom
				}
				return err
			})
		})
	}
	wg.Wait()
	for i, err := range errs {
		if (i%2 == 1) != errors.Is(err, boom) || (i%2 == 0 && err != nil) {
			t.Errorf("write %d: %v", i, err)
		}
	}
	var n int
	if err := q.db.read.QueryRow(`SELECT count(*) FROM closed_grants`).Scan(&n); err != nil || n != 32 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	q := newQueue(t)
	if err := q.db.update(context.Background(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`UPDATE meta SET version = 2`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := openDatabase(context.Background(), q.path); !errors.Is(err, ErrConfig) {
		t.Fatalf("opened: %v", err)
	}
}

func TestClip(t *testing.T) {
	if got := clip("a\nb\x00c\x7f\xff"); got != "a b c \ufffd" {
		t.Errorf("%q", got)
	}
	if n := len([]rune(clip(strings.Repeat("ü", 5000)))); n != maxText {
		t.Errorf("%d runes", n)
	}
}

// TestFullQueueIsCountedAgain: the bound holds whatever came and went since the queue was last counted.
func TestFullQueueIsCountedAgain(t *testing.T) {
	q, ctx := newQueue(t), context.Background()
	add := func(name string) error {
		_, err := q.submit(ctx, envelope.Sum([]byte(name)), "buyer", []byte(name), 1, 3)
		return err
	}
	for _, n := range []string{"a", "b", "c"} {
		if err := add(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := add("d"); !errors.Is(err, ErrBusy) {
		t.Fatalf("a fourth of three: %v", err)
	}
	l := q.lease()
	if err := add("d"); err != nil { // one has left
		t.Fatal(err)
	}
	if err := q.giveUp(ctx, l, ending{retry: true}); err != nil { // and comes back
		t.Fatal(err)
	}
	if err := add("e"); !errors.Is(err, ErrBusy) {
		t.Fatalf("a fifth of three: %v", err)
	}
	q.now = q.now.Add(time.Minute)
	q.lease()
	q.lease()
	if err := add("e"); err != nil {
		t.Fatal(err)
	}
	l = q.lease()
	if err := add("f"); err != nil {
		t.Fatal(err)
	}
	if err := q.giveUp(ctx, l, ending{retry: true}); err != nil {
		t.Fatal(err)
	}
	if err := add("g"); !errors.Is(err, ErrBusy) {
		t.Fatalf("four wait, of three: %v", err)
	}
}
