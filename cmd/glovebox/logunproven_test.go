// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/host/client/tiles/tilestest"
)

// withoutTiles shows a log at a place as a head and nothing else.
func (x *watchWorld) withoutTiles(place string, l *tilestest.Log) {
	x.t.Helper()
	x.show(place, l)
	if err := os.RemoveAll(filepath.Join(x.dirs[place], "tile")); err != nil {
		x.t.Fatal(err)
	}
}

// falseTiles shows a log at a place with a byte of every tile turned.
func (x *watchWorld) falseTiles(place string, l *tilestest.Log) {
	x.t.Helper()
	x.show(place, l)
	err := filepath.Walk(filepath.Join(x.dirs[place], "tile"), func(p string, i os.FileInfo, err error) error {
		if err != nil || i.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		b[0] ^= 1
		return os.WriteFile(p, b, 0o600)
	})
	if err != nil {
		x.t.Fatal(err)
	}
}

// forked is a world in which place a showed one more entry than a fork begins with, and the fork, which is larger.
func forked(t *testing.T) (x *watchWorld, fork *tilestest.Log) {
	t.Helper()
	x = newWatchWorld(t, 5)
	fork = x.log.Fork()
	x.add(x.log, "one")
	x.show("a", x.log)
	if err := x.watch(nil, "a"); err != nil {
		t.Fatal(err)
	}
	x.add(fork, "other", "other2")
	return x, fork
}

// notProof checks that the last evidence has both heads, and accuses nobody before others.
func (x *watchWorld) notProof() {
	x.t.Helper()
	c, err := x.evidence()
	if err == nil || (c != nil && c.Fork) {
		x.t.Errorf("it proves nothing to others: %+v, %v", c, err)
	}
}

// TestForkWithoutTiles: a log that forks and shows no tiles of its new history is found all the same.
func TestForkWithoutTiles(t *testing.T) {
	x, fork := forked(t)
	x.withoutTiles("a", fork)
	for range unprovenLooks + 1 { // many looks at once prove nothing
		wantKind(t, x.watch(nil, "a"), KindTryAgain, "not proven")
	}
	if u := x.state().Unproven; len(u) != 1 || u["mirror "+x.dirs["a"]].Looks != unprovenLooks+1 {
		t.Errorf("remembered: %+v", u)
	}
	x.now = x.now.Add(unprovenTime)
	wantKind(t, x.watch(nil, "a"), KindVerify, "not proven in 5 looks and 5m0s")
	x.notProof()

	// Nor does much time with too few looks.
	x, fork = forked(t)
	x.withoutTiles("a", fork)
	for range unprovenLooks - 1 {
		wantKind(t, x.watch(nil, "a"), KindTryAgain, "")
		x.now = x.now.Add(time.Hour)
	}
	x.add(fork, "other3") // a newer head does not begin it anew
	x.withoutTiles("a", fork)
	wantKind(t, x.watch(nil, "a"), KindVerify, "not proven in 3 looks")
}

// TestForkWithFalseTiles: files that contradict the signature over the head that they come with.
func TestForkWithFalseTiles(t *testing.T) {
	x, fork := forked(t)
	x.falseTiles("a", fork)
	for range 2 { // and a later run says so again
		wantKind(t, x.watch(nil, "a"), KindVerify, "its own files contradict")
		x.notProof()
	}
	if len(x.state().Unproven) != 1 {
		t.Error("the head was not kept")
	}
}

// TestForkTakenBack: the fork was shown once; the place goes back, or on as if nothing had been.
func TestForkTakenBack(t *testing.T) {
	x, fork := forked(t)
	x.withoutTiles("a", fork)
	wantKind(t, x.watch(nil, "a"), KindTryAgain, "")
	x.show("a", x.log)
	wantKind(t, x.watch(nil, "a"), KindVerify, "went back: it showed 7 entries, and shows 6")

	x.add(x.log, "two", "three")
	x.show("a", x.log)
	wantKind(t, x.watch(nil, "a"), KindVerify, "two histories")
	if c, err := x.evidenceAt(x.remember + ".evidence.2"); err != nil || !c.Fork || c.First.Size != 7 || c.Second.Size != 8 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestForkProvenByAnotherPlace: who shows the head is no longer watched, and another place has its tiles.
func TestForkProvenByAnotherPlace(t *testing.T) {
	x, fork := forked(t)
	x.withoutTiles("b", fork)
	wantKind(t, x.watch(nil, "b"), KindTryAgain, "")
	x.add(x.log, "two", "three")
	x.show("a", x.log)
	wantKind(t, x.watch(nil, "a"), KindVerify, "two histories")
}

// TestUnprovenButHonest: nobody is accused of what a later look proves, or of what another place has lost.
func TestUnprovenButHonest(t *testing.T) {
	x := newWatchWorld(t, 5)
	lagging := x.log.Fork()
	x.add(x.log, "one")
	x.show("a", x.log)
	x.show("b", lagging)
	if err := x.watch(nil, "a", "b"); err != nil {
		t.Fatal(err)
	}
	// The tiles come late.
	x.add(x.log, "two")
	x.withoutTiles("a", x.log)
	wantKind(t, x.watch(nil, "a", "b"), KindTryAgain, "")
	x.show("a", x.log)
	if err := x.watch(nil, "a", "b"); err != nil || len(x.state().Unproven) != 0 {
		t.Errorf("%v, %+v", err, x.state().Unproven)
	}
	// Damaged at one place, and proven by another.
	x.add(x.log, "three")
	x.falseTiles("b", x.log)
	x.show("a", x.log)
	if err := x.watch(nil, "b", "a"); err != nil {
		t.Error(err)
	}
	// A mirror that lags behind while the host is away for long.
	x.add(lagging, "one")
	x.show("c", lagging)
	if err := os.RemoveAll(x.dirs["a"]); err != nil {
		t.Fatal(err)
	}
	for range unprovenLooks + 2 {
		x.now = x.now.Add(time.Hour)
		wantKind(t, x.watch(nil, "a", "c"), KindTryAgain, "")
	}
	x.show("a", x.log)
	if err := x.watch(nil, "a", "c"); err != nil || len(x.state().Unproven) != 0 {
		t.Error(err)
	}
}
