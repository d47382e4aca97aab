// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/glovebox-dev/glovebox/internal/door"
)

// answering is an enclave that says of each probe what it was asked; on "die" it ends, on "other" it answers another.
func answering(ctx context.Context, c *door.Client, _ int) error {
	c.AnswerProbes()
	for {
		a, err := c.Next(ctx)
		switch {
		case err != nil:
			return err
		case a == nil:
			continue
		case !a.Probe:
			if err := fakeJob(ctx, c, a, "good"); err != nil {
				return err
			}
			continue
		}
		switch string(a.Job) {
		case "die":
			return errors.New("the enclave is gone")
		case "lose":
			continue
		case "other":
			if err := c.Probed(ctx, "another", door.Probed{}); !errors.Is(err, door.ErrRefused) {
				return err
			}
		}
		if err := c.Probed(ctx, a.Token, door.Probed{Evidence: append([]byte("evidence for "), a.Job...), Message: "words\x1b"}); err != nil {
			return err
		}
	}
}

func TestProbe(t *testing.T) {
	w := newWorld(t, anywhere, with(answering))
	for _, q := range []string{"one", "two", "other"} {
		ev, words, err := w.c.Probe(t.Context(), []byte(q))
		if err != nil || string(ev) != "evidence for "+q || words != "words " {
			t.Errorf("%s: %q, %q, %v", q, ev, words, err)
		}
	}
	for _, q := range []string{"die", "lose"} {
		if ev, words, err := w.c.Probe(t.Context(), []byte(q)); err != nil || len(ev) != 0 || !strings.Contains(words, "enclave") {
			t.Errorf("%s: %q, %q, %v", q, ev, words, err)
		}
	}
	for name, q := range map[string][]byte{"nothing": nil, "oversized": make([]byte, maxProbe+1)} {
		if _, _, err := w.c.Probe(t.Context(), q); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProbeWithoutEnclave: nobody to ask is a reason to try again, not a failure.
func TestProbeWithoutEnclave(t *testing.T) {
	w := newWorld(t, anywhere, func(*Config) {})
	if _, _, err := w.c.Probe(t.Context(), []byte("q")); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("no enclaves: %v", err)
	}
}

func TestProbeOfAnEnclaveThatKnowsOfNone(t *testing.T) {
	w := newWorld(t, anywhere, always("good"))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, _, err := w.c.Probe(ctx, []byte("q")); err == nil {
		t.Error("an enclave that knows of no probes was asked")
	}
}

// TestProbesAreBounded: strangers cannot make the host keep more questions than it has room for.
func TestProbesAreBounded(t *testing.T) {
	w := newWorld(t, anywhere, always("good"))
	w.h.asking.Store(maxProbes)
	if _, _, err := w.c.Probe(t.Context(), []byte("q")); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("%v", err)
	}
	if n := w.h.asking.Load(); n != maxProbes {
		t.Errorf("%d ask afterwards", n)
	}
}
