// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// feederAt is a feeder with one witness that says nothing by itself, and a clock.
func feederAt(t *testing.T, now *time.Time) *feeder {
	t.Helper()
	return &feeder{
		threshold: 1, now: func() time.Time { return *now }, news: func() {}, file: filepath.Join(t.TempDir(), cosignedFile),
		peers: []*peer{{}}, slog: slog.New(slog.DiscardHandler),
	}
}

func (f *feeder) mustShow(t *testing.T, latest string, size int64) string {
	t.Helper()
	text, err := f.shown(latest, size)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestStaticCheckpointWaitsForWitnesses: readers of files see a cosigned checkpoint while witnesses are at work on the
// next, and the next one without when they stay away.
func TestStaticCheckpointWaitsForWitnesses(t *testing.T) {
	now := time.Unix(1000, 0)
	f := feederAt(t, &now)
	old := f.add("old", 1)
	f.accept(f.peers[0], old, "line\n", tlog.Cosignature{Name: "a", Time: 5})
	f.add("new", 2)
	if got := f.mustShow(t, "new", 2); got != "oldline\n" {
		t.Errorf("at once: %q", got)
	}
	now = now.Add(headGrace + time.Second)
	if got := f.mustShow(t, "new", 2); got != "new" {
		t.Errorf("later: %q", got)
	}
}

// TestShownGoesBackWhenAnEntryArrives: with its witness away, a log that has shown an uncosigned checkpoint does not return
// to the cosigned one when it grows, nor to an older one that is cosigned late.
func TestShownGoesBackWhenAnEntryArrives(t *testing.T) {
	now := time.Unix(1000, 0)
	f := feederAt(t, &now)
	f.accept(f.peers[0], f.add("1 ", 1), "cosigned", tlog.Cosignature{Name: "a", Time: 5})
	second := f.add("2 ", 2)
	third := f.add("3 ", 3)
	now = now.Add(headGrace + time.Second)
	if got := f.mustShow(t, "3 ", 3); got != "3 " {
		t.Errorf("alone: %q", got)
	}
	f.add("4 ", 4)
	f.accept(f.peers[0], second, "late", tlog.Cosignature{Name: "a", Time: 6})
	if got := f.mustShow(t, "4 ", 4); got != "3 " {
		t.Errorf("with one more entry: %q", got)
	}
	f.accept(f.peers[0], third, "cosigned", tlog.Cosignature{Name: "a", Time: 7})
	if got := f.mustShow(t, "4 ", 4); got != "3 cosigned" {
		t.Errorf("cosigned at last: %q", got)
	}
}

// TestShownGoesBackToFirstCosigned: before any cosignature the latest is shown, and the first one that is cosigned does not
// take its place if it is smaller.
func TestShownGoesBackToFirstCosigned(t *testing.T) {
	now := time.Unix(1000, 0)
	f := feederAt(t, &now)
	first := f.add("1 ", 1)
	for i, text := range []string{"0 ", "1 ", "2 "} {
		if got := f.mustShow(t, text, int64(i)); got != text {
			t.Errorf("%q", got)
		}
	}
	f.accept(f.peers[0], first, "cosigned", tlog.Cosignature{Name: "a", Time: 5})
	if got := f.mustShow(t, "2 ", 2); got != "2 " {
		t.Errorf("%q", got)
	}
}

// TestShownIsOnDisk: nobody is shown a checkpoint that a restarted host would not know of.
func TestShownIsOnDisk(t *testing.T) {
	now := time.Unix(1000, 0)
	f := feederAt(t, &now)
	dir := filepath.Dir(f.file)
	f.file = filepath.Join(dir, "missing", cosignedFile)
	if text, err := f.shown("1 ", 1); err == nil {
		t.Errorf("shown without being kept: %q", text)
	}
	f.accept(f.peers[0], f.add("2 ", 2), "cosigned", tlog.Cosignature{Name: "a", Time: 5})
	if text, err := f.shown("2 ", 2); err == nil {
		t.Errorf("cosigned, shown without being kept: %q", text)
	}
	f.file = filepath.Join(dir, cosignedFile)
	if got := f.mustShow(t, "2 ", 2); got != "2 cosigned" {
		t.Errorf("%q", got)
	}
	if b, err := os.ReadFile(filepath.Join(dir, shownFile)); err != nil || string(b) != "2 " {
		t.Errorf("%q, %v", b, err)
	}
}

// TestShownOnlyGrows: whatever the log, its witness and the clock do.
func TestShownOnlyGrows(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		now := time.Unix(1000, 0)
		f := feederAt(t, &now)
		latest, before := f.add("1 ", 1), int64(0)
		for range 60 {
			switch rnd.IntN(4) {
			case 0:
				latest = f.add(fmt.Sprintf("%d ", latest.size+1), latest.size+1)
			case 1:
				h := f.heads[rnd.IntN(len(f.heads))]
				f.accept(f.peers[0], h, "cosigned", tlog.Cosignature{Name: "a", Time: 5})
			case 2:
				now = now.Add(time.Duration(rnd.Int64N(int64(2 * headGrace))))
			default:
				var size int64
				text := f.mustShow(t, latest.text, latest.size)
				if _, err := fmt.Sscan(text, &size); err != nil || size < before {
					t.Fatalf("seed %d: %q after %d, %v", seed, text, before, err)
				}
				before = size
			}
		}
	}
}

// served is /log/checkpoint, and its size.
func (w *world) served() (string, int64) {
	w.t.Helper()
	r, err := http.Get(w.srv.URL + "/log/checkpoint")
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		w.t.Fatal(r.Status, err)
	}
	cp, err := w.h.seq.log.ParseCheckpoint(string(text))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text), cp.Size
}

// age lets the feeder's heads be a minute older once it has one of this size.
func (w *world) age(size int64) {
	w.t.Helper()
	f := w.h.seq.feeder
	eventually(w.t, "a larger head", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.heads) == 0 || f.heads[len(f.heads)-1].size < size {
			return false
		}
		for _, h := range f.heads {
			h.since = h.since.Add(-time.Minute)
		}
		return true
	})
}

// TestShownGoesBackAfterRestart: nor does a restart, nor a time without witnesses.
func TestShownGoesBackAfterRestart(t *testing.T) {
	a := newFakeWitness(t, "a.test")
	w := newWorld(t, anywhere, witnessed(1, a))
	w.proven(w.append(), believe(t, 1, a))
	a.misbehave(refuse(http.StatusServiceUnavailable))
	w.append()
	w.age(2)
	if text, size := w.served(); size != 2 {
		t.Errorf("alone: %s", text)
	}
	w.restart()
	if text, size := w.served(); size < 2 {
		t.Errorf("after a restart: %s", text)
	}
	w.append()
	if text, size := w.served(); size < 2 {
		t.Errorf("after a restart, with one more entry: %s", text)
	}
	// Without witnesses the latest is shown at once, and with them again none before it.
	with := w.cfg
	w.stop()
	w.cfg.Witnesses, w.cfg.WitnessThreshold = nil, 0
	w.open()
	if text, size := w.served(); size != 3 {
		t.Errorf("without witnesses: %s", text)
	}
	w.stop()
	w.cfg = with
	w.open()
	if text, size := w.served(); size != 3 {
		t.Errorf("with witnesses again: %s", text)
	}
}
