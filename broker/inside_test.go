// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestCacheIsBounded: strangers' statements push out each other; what does not verify is never remembered.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache[int](1000)
	calls := 0
	ask := func(signed []byte, err error) (int, error) {
		return c.verified(signed, func(b []byte) (int, error) { calls++; return len(b), err })
	}
	for i := range 1000 {
		if n, err := ask(fmt.Appendf(nil, "%0100d", i), nil); n != 100 || err != nil {
			t.Fatal(n, err)
		}
	}
	if c.held > 1000 || len(c.m) != 10 || c.used.Len() != 10 {
		t.Errorf("%d bytes in %d entries, %d in the list", c.held, len(c.m), c.used.Len())
	}
	calls = 0
	ask(fmt.Appendf(nil, "%0100d", 999), nil) //nolint:errcheck // counted
	ask(make([]byte, 251), nil)               //nolint:errcheck // too large a part of all
	ask(make([]byte, 251), nil)               //nolint:errcheck // counted
	bad := errors.New("forged")
	for range 2 {
		if _, err := ask([]byte("x"), bad); !errors.Is(err, bad) {
			t.Error(err)
		}
	}
	if calls != 4 {
		t.Errorf("%d verifications, want 4", calls)
	}
}

// TestWatchedFileRewrittenInPlace: a change shows even when size and time stamp are what they were.
func TestWatchedFileRewrittenInPlace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	write := func(s string, at time.Time) {
		if err := errors.Join(os.WriteFile(path, []byte(s), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	reads := 0
	w := &watched[string]{path: path, read: func() (string, error) {
		reads++
		b, err := os.ReadFile(path)
		return string(b), err
	}}
	want := func(s string, times int) {
		t.Helper()
		reads = 0
		if got, err := w.get(); got != s || err != nil || reads != times {
			t.Errorf("%q, %v, read %d times; want %q, %d", got, err, reads, s, times)
		}
	}
	if _, err := w.get(); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	now := time.Now()
	write("old", now)
	want("old", 1)
	write("new", now) // in the same tick of a coarse clock
	want("new", 1)
	write("now", now.Add(-time.Hour))
	want("now", 1)
	want("now", 0)
	w.forget()
	want("now", 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := w.get(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is gone: %v", err)
	}
}

// TestClockNeverGoesBack, whatever the wall clock does, also over restarts.
func TestClockNeverGoesBack(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	wall := time.UnixMilli(1_800_000_000_000)
	var c clock
	start := func(at int64) {
		c = clock{wall: func() time.Time { return wall }}
		c.start(at)
	}
	start(0)
	last := millis(c.read())
	for range 20_000 {
		switch rng.IntN(10) {
		case 0:
			wall = wall.Add(-time.Duration(rng.Int64N(int64(time.Hour))))
		case 1:
			wall = wall.Add(-time.Duration(rng.Int64N(int64(time.Second))))
		case 2:
			start(last)
		default:
			wall = wall.Add(time.Duration(rng.Int64N(int64(time.Minute))))
		}
		now := millis(c.read())
		if now < last || now < millis(wall)-1 {
			t.Fatalf("%d after %d, the wall clock says %d", now, last, millis(wall))
		}
		if behind := now-millis(wall) > clockSlack.Milliseconds(); behind && !c.wentBack(0) {
			t.Fatal("nonces from before the jump are believed")
		}
		last = now
	}
}
