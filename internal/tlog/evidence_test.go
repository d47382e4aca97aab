// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

func TestEvidence(t *testing.T) {
	l := newLog(t, 5)
	fork, old := l.Fork(5), checkpoint(t, l)
	l.Append([]byte("for the buyer"))
	fork.Append([]byte("for the auditor"))
	fork.Append([]byte("and on"))
	a, b := cosigner(t, "a.example.org"), cosigner(t, "b.example.org")
	buyers, auditors := checkpoint(t, l), checkpoint(t, fork)
	buyers += cosign(t, a, buyers, 10) + cosign(t, b, buyers, 10)
	auditors += cosign(t, a, auditors, 11)
	shorter := l.Fork(5) // the fork as it was at the first's size
	shorter.Append([]byte("for the auditor"))
	good := tlog.Evidence{
		Version: 1, Log: l.String(), First: buyers, Second: auditors, Root: rootOf(t, checkpoint(t, shorter)), Hashes: fork.Consistency(6),
		Witnesses: []string{b.String(), a.String()},
	}
	c, err := good.Verify(l.Log)
	if err != nil || !c.Fork || c.First.Size != 6 || c.Second.Size != 7 || !slices.Equal(c.Witnesses, []string{"a.example.org"}) {
		t.Fatalf("%+v, %v", c, err)
	}
	equal := good
	equal.Second, equal.Root, equal.Hashes = buyers, rootOf(t, buyers), []envelope.Digest{}
	if _, err := equal.Verify(l.Log); !errors.Is(err, tlog.ErrEvidence) {
		t.Errorf("a checkpoint against itself: %v", err)
	}
	honest := good
	honest.First, honest.Second, honest.Root, honest.Hashes = old, buyers, rootOf(t, old), l.Consistency(5)
	if c, err := honest.Verify(l.Log); !errors.Is(err, tlog.ErrEvidence) || c.Fork {
		t.Errorf("a log that grew: %v", err)
	}
	for name, bend := range map[string]func(e *tlog.Evidence){
		"about another log":     func(e *tlog.Evidence) { e.Log = newLog(t, 1).String() },
		"of no log":             func(e *tlog.Evidence) { e.Log = "" },
		"another root":          func(e *tlog.Evidence) { e.Root[0] ^= 1 },
		"the first's own root":  func(e *tlog.Evidence) { e.Root = rootOf(t, buyers) },
		"no proof":              func(e *tlog.Evidence) { e.Hashes = nil },
		"the wrong way round":   func(e *tlog.Evidence) { e.First, e.Second = e.Second, e.First },
		"an unsigned first":     func(e *tlog.Evidence) { e.First = checkpoint(t, newLog(t, 6)) },
		"an unsigned second":    func(e *tlog.Evidence) { e.Second = checkpoint(t, newLog(t, 7)) },
		"a witness that is one": func(e *tlog.Evidence) { e.Witnesses = []string{"x"} },
	} {
		e := good
		e.Hashes = slices.Clone(good.Hashes)
		bend(&e)
		if _, err := e.Verify(l.Log); err == nil {
			t.Errorf("%s: proven", name)
		}
	}
	if _, err := good.Verify(nil); !errors.Is(err, tlog.ErrEvidence) {
		t.Errorf("under no log: %v", err)
	}
}

// rootOf reads the root out of a checkpoint that is known to be good.
func rootOf(t *testing.T, text string) envelope.Digest {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(strings.Split(text, "\n")[2])
	if err != nil {
		t.Fatal(err)
	}
	return envelope.Digest(b)
}

// TestHonestWitnessWhoseClockWasSetBack: the order of times proves nothing against anybody.
func TestHonestWitnessWhoseClockWasSetBack(t *testing.T) {
	l := newLog(t, 5)
	old := checkpoint(t, l)
	l.Append([]byte("more"))
	now := checkpoint(t, l)
	a := cosigner(t, "a.example.org")
	e := tlog.Evidence{
		Version: 1, Log: l.String(), Root: rootOf(t, old), Hashes: l.Consistency(5), Witnesses: []string{a.String()},
		First: old + cosign(t, a, old, 30), Second: now + cosign(t, a, now, 20),
	}
	if c, err := e.Verify(l.Log); !errors.Is(err, tlog.ErrEvidence) || len(c.Witnesses) > 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// FuzzDecodeEvidence: what is decoded verifies or does not, and never panics.
func FuzzDecodeEvidence(f *testing.F) {
	l := newLog(f, 3)
	for _, s := range []string{"", "{}", `{"version":1,"log":"","first":"","second":"","root":"sha256:00","hashes":[],"witnesses":[]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := tlog.DecodeEvidence(b); err == nil {
			if _, err := e.Verify(l.Log); err == nil {
				t.Error("proven against a log that signed nothing twice")
			}
		}
	})
}
