// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// alter changes the checkpoint that a place shows.
func (x *watchWorld) alter(place string, f func(string) string) {
	x.t.Helper()
	p := filepath.Join(x.dirs[place], "checkpoint")
	b, err := os.ReadFile(p)
	if err == nil {
		err = os.WriteFile(p, []byte(f(string(b))), 0o600)
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

// forgeries are checkpoints that were read and do not verify.
var forgeries = map[string]func(string) string{
	"altered size":      func(s string) string { return strings.Replace(s, "\n20\n", "\n21\n", 1) },
	"altered signature": func(s string) string { return s[:len(s)-8] + "AAAA" + s[len(s)-4:] },
	"cut off":           func(s string) string { return s[:len(s)/2] },
	"empty":             func(string) string { return "" },
	"unsigned":          func(s string) string { return s[:strings.Index(s, "\n\n")+2] },
	"too large":         func(s string) string { return s + strings.Repeat("\n", tlog.MaxCheckpoint) },
}

// TestForgedCheckpointIsNoOutage: a forgery is a finding (4), whatever else cannot be reached (5).
func TestForgedCheckpointIsNoOutage(t *testing.T) {
	for name, forge := range forgeries {
		t.Run(name, func(t *testing.T) {
			x := newWatchWorld(t, 20)
			x.show("good", x.log)
			x.show("forged", x.log)
			x.dirs["away"] = filepath.Join(t.TempDir(), "away")
			x.alter("forged", forge)
			wantKind(t, x.watch(nil, "away"), KindTryAgain, "not everything was seen")
			wantKind(t, x.watch(nil, "forged"), KindVerify, "does not verify")
			err := x.watch(nil, "away", "forged", "good")
			wantKind(t, err, KindVerify, "not seen: mirror "+x.dirs["away"])
			if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Hint, "somebody altered it") || strings.Contains(e.Hint, "reached") {
				t.Errorf("hint: %+v", e)
			}
			// What it shows is not remembered, and what the others show is.
			s := x.state()
			if len(s.Places) != 0 && s.Places["mirror "+x.dirs["forged"]] != "" {
				t.Errorf("remembered: %v", s.Places)
			}
			if cp, err := x.log.Log.Log.ParseCheckpoint(s.Checkpoint); err != nil || cp.Size != 20 {
				t.Errorf("known: %+v, %v", cp, err)
			}
		})
	}
}

// TestWitnessThatDidNotSign: what a witness shows must be cosigned by it, and is compared even so.
func TestWitnessThatDidNotSign(t *testing.T) {
	x := newWatchWorld(t, 9)
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tlog.NewCosigner("w.example.org", key)
	if err != nil {
		t.Fatal(err)
	}
	x.show("host", x.log)
	mux := http.NewServeMux()
	mux.HandleFunc("/"+envelope.Sum([]byte(x.log.Origin())).Hex()+"/checkpoint", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(x.dirs["witness"], "checkpoint"))
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	witness := []string{srv.URL + "=" + c.String()}

	x.show("witness", x.log, c)
	if err := x.watch(witness, "host"); err != nil {
		t.Fatal(err)
	}
	x.show("witness", x.log)
	wantKind(t, x.watch(witness, "host"), KindVerify, "not witnessed")

	fork := x.log.Fork()
	x.add(x.log, "buyer")
	x.add(fork, "auditor")
	x.show("host", x.log)
	x.show("witness", fork)
	wantKind(t, x.watch(witness, "host"), KindVerify, "two histories")
}

// TestWatchSaysAForgeryOnce: a watch that goes on names it once, and again after the place was well between; it ends with it.
func TestWatchSaysAForgeryOnce(t *testing.T) {
	x := newWatchWorld(t, 20)
	x.show("a", x.log)
	var said []string
	w := &watcher{log: x.log.Log.Log, now: time.Now, say: func(f string, a ...any) { said = append(said, fmt.Sprintf(f, a...)) }}
	if err := w.open(nil, []string{x.dirs["a"]}, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.recall(x.remember); err != nil {
		t.Fatal(err)
	}
	look := func() {
		t.Helper()
		if missed, found := w.look(t.Context()); missed != nil || found != nil {
			t.Fatalf("%v, %v", missed, found)
		}
	}
	findings := func() int { return strings.Count(strings.Join(said, "\n"), "finding: its checkpoint does not verify") }
	x.alter("a", forgeries["altered size"])
	look()
	look()
	if findings() != 1 {
		t.Errorf("said: %q", said)
	}
	x.show("a", x.log)
	look()
	x.alter("a", forgeries["cut off"])
	look()
	look()
	if findings() != 2 {
		t.Errorf("said: %q", said)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantKind(t, w.run(ctx, x.remember, x.remember+".evidence", time.Second, false), KindVerify, "does not verify")
}
