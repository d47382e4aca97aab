// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/host/client/tiles/tilestest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// watchWorld is a log that different places may show differently.
type watchWorld struct {
	t        *testing.T
	log      *tilestest.Log
	dirs     map[string]string
	remember string
	now      time.Time
}

func newWatchWorld(t *testing.T, entries int) *watchWorld {
	t.Helper()
	l, err := tilestest.New(entries)
	if err != nil {
		t.Fatal(err)
	}
	return &watchWorld{t: t, log: l, dirs: map[string]string{}, remember: filepath.Join(t.TempDir(), "watch.json"), now: time.Unix(1_700_000_000, 0)}
}

// show publishes a log at a place, with more signatures under its checkpoint. What the place had is gone.
func (x *watchWorld) show(place string, l *tilestest.Log, by ...*tlog.Cosigner) {
	x.t.Helper()
	if x.dirs[place] == "" {
		x.dirs[place] = filepath.Join(x.t.TempDir(), place)
	}
	if err := os.RemoveAll(x.dirs[place]); err != nil {
		x.t.Fatal(err)
	}
	text, err := l.Checkpoint()
	if err != nil {
		x.t.Fatal(err)
	}
	var lines string
	for i, c := range by {
		line, err := c.Cosign(text, int64(1_700_000_000+i))
		if err != nil {
			x.t.Fatal(err)
		}
		lines += line
	}
	if err := l.Write(x.dirs[place], lines); err != nil {
		x.t.Fatal(err)
	}
}

func (x *watchWorld) add(l *tilestest.Log, bodies ...string) {
	x.t.Helper()
	for _, b := range bodies {
		if err := l.Add(b); err != nil {
			x.t.Fatal(err)
		}
	}
}

// watch looks once at these mirrors, as a new process would.
func (x *watchWorld) watch(witnesses []string, places ...string) error {
	x.t.Helper()
	w := &watcher{log: x.log.Log.Log, say: x.t.Logf, now: func() time.Time { return x.now }}
	var dirs []string
	for _, p := range places {
		dirs = append(dirs, x.dirs[p])
	}
	if err := w.open(nil, dirs, witnesses); err != nil {
		x.t.Fatal(err)
	}
	if err := w.recall(x.remember); err != nil {
		x.t.Fatal(err)
	}
	return w.run(context.Background(), x.remember, x.remember+".evidence", time.Second, true)
}

func wantKind(t *testing.T, err error, k Kind, words string) {
	t.Helper()
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != k || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want kind %d with %q", err, k, words)
	}
}

func (x *watchWorld) evidence() (*tlog.Contradiction, error) {
	x.t.Helper()
	return x.evidenceAt(x.remember + ".evidence")
}

func (x *watchWorld) evidenceAt(path string) (*tlog.Contradiction, error) {
	x.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		x.t.Fatal(err)
	}
	e, err := tlog.DecodeEvidence(b)
	if err != nil {
		x.t.Fatal(err)
	}
	return e.Verify(x.log.Log.Log)
}

func TestWatchOfAnHonestLog(t *testing.T) {
	x := newWatchWorld(t, 250)
	x.show("host", x.log)
	x.show("mirror", x.log)
	for range 4 {
		if err := x.watch(nil, "host", "mirror"); err != nil {
			t.Fatal(err)
		}
		x.add(x.log, "a", "b", "c")
		x.show("host", x.log) // the mirror lags behind
	}
	x.show("mirror", x.log)
	if err := x.watch(nil, "host", "mirror"); err != nil {
		t.Fatal(err)
	}
}

// TestSplitView: one key, two trees; one is shown to buyers and the other to an auditor.
func TestSplitView(t *testing.T) {
	for name, sizes := range map[string][2]int{"of one size": {1, 1}, "the second is larger": {1, 30}, "the first is larger": {30, 1}} {
		t.Run(name, func(t *testing.T) {
			x := newWatchWorld(t, 250)
			fork := x.log.Fork()
			x.add(x.log, slices.Repeat([]string{"buyer"}, sizes[0])...)
			x.add(fork, slices.Repeat([]string{"auditor"}, sizes[1])...)
			x.show("host", x.log)
			if err := x.watch(nil, "host"); err != nil {
				t.Fatal(err)
			}
			x.show("mirror", fork)
			wantKind(t, x.watch(nil, "host", "mirror"), KindVerify, "two histories")
			c, err := x.evidence()
			if err != nil || !c.Fork {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
}

// TestHistoryRewritten: the host itself comes back with other entries, longer than before.
func TestHistoryRewritten(t *testing.T) {
	x := newWatchWorld(t, 250)
	fork := x.log.Fork()
	x.add(x.log, "inconvenient")
	x.show("host", x.log)
	if err := x.watch(nil, "host"); err != nil {
		t.Fatal(err)
	}
	x.add(fork, "x", "y", "z")
	x.show("host", fork)
	wantKind(t, x.watch(nil, "host"), KindVerify, "two histories")
	if c, err := x.evidence(); err != nil || !c.Fork || c.First.Size != 251 || c.Second.Size != 253 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestRollback: the host goes back. Another place still has the later tree, so that it is known to be an older one.
func TestRollback(t *testing.T) {
	x := newWatchWorld(t, 5)
	older := x.log.Fork()
	x.add(x.log, "inconvenient")
	x.show("host", x.log)
	x.show("mirror", x.log)
	if err := x.watch(nil, "host", "mirror"); err != nil {
		t.Fatal(err)
	}
	x.show("host", older)
	wantKind(t, x.watch(nil, "host", "mirror"), KindVerify, "went back")
	if c, err := x.evidence(); err == nil || (c != nil && c.Fork) {
		t.Errorf("a rollback alone proves nothing to others: %+v, %v", c, err)
	}
	// Without another place nothing shows that it is the same log: not seen, and not forgotten either.
	y := newWatchWorld(t, 5)
	older = y.log.Fork()
	y.add(y.log, "inconvenient")
	y.show("host", y.log)
	if err := y.watch(nil, "host"); err != nil {
		t.Fatal(err)
	}
	y.show("host", older)
	wantKind(t, y.watch(nil, "host"), KindVerify, "went back")
}

func wantHint(t *testing.T, err error, words string) {
	t.Helper()
	if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Hint, words) {
		t.Errorf("got %+v, want a hint with %q", err, words)
	}
}

// TestRollbackHidesFork: a fork is found, and the watcher started again. Meanwhile the log went back, before where it forked, and
// what is found now must not take the place of the only proof.
func TestRollbackHidesFork(t *testing.T) {
	x := newWatchWorld(t, 250)
	older, fork := x.log.Fork(), x.log.Fork()
	x.add(x.log, "buyer")
	x.add(fork, "auditor")
	x.show("host", x.log)
	if err := x.watch(nil, "host"); err != nil {
		t.Fatal(err)
	}
	first := x.remember + ".evidence"
	for range 2 { // the same finding is the same file
		x.show("host", fork)
		err := x.watch(nil, "host")
		wantKind(t, err, KindVerify, "two histories")
		wantHint(t, err, "give it to others: glovebox auditor log evidence "+first+" ")
	}
	x.show("host", older)
	err := x.watch(nil, "host")
	wantKind(t, err, KindVerify, "went back")
	wantHint(t, err, "keep "+first+".2, and ask the operator; it proves nothing to others")
	if c, err := x.evidence(); err != nil || !c.Fork {
		t.Errorf("the proof of the fork is gone: %+v, %v", c, err)
	}
	if c, err := x.evidenceAt(first + ".2"); err == nil || c != nil && c.Fork {
		t.Errorf("evidence of the rollback: %+v, %v", c, err)
	}
	if all, err := filepath.Glob(first + "*"); err != nil || len(all) != 2 {
		t.Errorf("files: %v, %v", all, err)
	}
}

// TestEvidenceFilesAreBounded: whoever starts the watcher again and again does not fill the disk, and hears the finding still.
func TestEvidenceFilesAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "evidence")
	for n := range maxEvidenceFiles {
		if _, err := keepEvidence(path, []byte{byte(n)}); err != nil {
			t.Fatal(n, err)
		}
	}
	if at, err := keepEvidence(path, []byte("more")); err == nil {
		t.Errorf("another one is at %s", at)
	}
	if at, err := keepEvidence(path, []byte{7}); err != nil || at != path+".8" {
		t.Errorf("one that is kept = %s, %v", at, err)
	}
}

// TestWitnessThatSignsTwoViews: the evidence names it, and not the one who signed one view.
func TestWitnessThatSignsTwoViews(t *testing.T) {
	x := newWatchWorld(t, 9)
	var by []*tlog.Cosigner
	for _, n := range []string{"bad.example.org", "good.example.org"} {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := tlog.NewCosigner(n, key)
		if err != nil {
			t.Fatal(err)
		}
		by = append(by, c)
	}
	fork := x.log.Fork()
	x.add(x.log, "buyer")
	x.add(fork, "auditor")
	x.show("host", x.log, by[0], by[1])
	x.show("mirror", fork, by[0])
	// The witnesses serve what they signed last: the bad one the second view.
	mux := http.NewServeMux()
	serve := func(name, place string) {
		mux.HandleFunc("/"+name+"/"+envelope.Sum([]byte(x.log.Origin())).Hex()+"/checkpoint", func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join(x.dirs[place], "checkpoint"))
		})
	}
	serve("bad", "mirror")
	serve("good", "host")
	srv := httptest.NewServer(mux)
	defer srv.Close()
	witnesses := []string{srv.URL + "/bad=" + by[0].String(), srv.URL + "/good=" + by[1].String()}
	wantKind(t, x.watch(witnesses, "host"), KindVerify, "witness bad.example.org shows another")
	c, err := x.evidence()
	if err != nil || !c.Fork || !slices.Equal(c.Witnesses, []string{"bad.example.org"}) {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestWatchForgetsNothing: whatever a place shows, what was known stays known.
func TestWatchForgetsNothing(t *testing.T) {
	x := newWatchWorld(t, 20)
	stranger := newWatchWorld(t, 30)
	refused := []string{"another log", "garbage", "without end"}
	for name, spoil := range map[string]func(){
		"away":        func() { os.RemoveAll(x.dirs["host"]) },
		"another log": func() { x.show("host", stranger.log) },
		"without its tiles": func() {
			x.add(x.log, "more")
			x.show("host", x.log)
			os.RemoveAll(filepath.Join(x.dirs["host"], "tile"))
		},
		"garbage":     func() { os.WriteFile(filepath.Join(x.dirs["host"], "checkpoint"), []byte("garbage"), 0o600) },
		"without end": func() { os.WriteFile(filepath.Join(x.dirs["host"], "checkpoint"), make([]byte, 1<<20), 0o600) },
	} {
		x.show("host", x.log)
		if err := x.watch(nil, "host"); err != nil {
			t.Fatal(name, err)
		}
		before := x.state().Checkpoint
		spoil()
		err := x.watch(nil, "host")
		want := KindTryAgain
		if slices.Contains(refused, name) {
			want = KindVerify
		}
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != want {
			t.Errorf("%s: %v", name, err)
		}
		if x.state().Checkpoint != before {
			t.Errorf("%s: it forgot", name)
		}
	}
	w := &watcher{log: stranger.log.Log.Log}
	if err := w.recall(x.remember); err == nil {
		t.Error("another log's memory was taken")
	}
	for name, b := range map[string]string{"words": "words", "another version": `{"version":2,"log":"","checkpoint":"","places":{}}`, "a card": `{"name":"x"}`} {
		if err := os.WriteFile(x.remember, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (&watcher{log: x.log.Log.Log}).recall(x.remember); err == nil {
			t.Errorf("%s: taken for a memory", name)
		}
	}
}

func (x *watchWorld) state() (s watchState) {
	x.t.Helper()
	b, err := os.ReadFile(x.remember)
	if err != nil || json.Unmarshal(b, &s) != nil {
		x.t.Fatal(err)
	}
	return s
}
