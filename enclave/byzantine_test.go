// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// byzantine is a relay that misbehaves from its nth message on, or at it alone.
type byzantine struct {
	w *world
	n int // message to misbehave at

	mu       sync.Mutex
	seen     int
	messages [][]byte
	replies  [][]byte
}

// behaviours are what a host can do to a message. Each gets the message's turn and returns what the enclave sees.
var behaviours = map[string]func(b *byzantine, address string, msg []byte) ([]byte, error){
	"drops the message": func(*byzantine, string, []byte) ([]byte, error) {
		return nil, fmt.Errorf("%w: dropped", door.ErrRefused)
	},
	"drops the reply": func(b *byzantine, address string, msg []byte) ([]byte, error) {
		_, _ = b.w.forward(address, msg)
		return nil, fmt.Errorf("%w: dropped", door.ErrRefused)
	},
	"repeats the message": func(b *byzantine, address string, msg []byte) ([]byte, error) {
		if _, err := b.w.forward(address, msg); err != nil {
			return nil, err
		}
		return b.w.forward(address, msg)
	},
	"answers with an older reply": func(b *byzantine, _ string, _ []byte) ([]byte, error) {
		if len(b.replies) == 0 {
			return []byte("{}"), nil
		}
		return b.replies[len(b.replies)/2], nil
	},
	"sends an older message instead": func(b *byzantine, address string, msg []byte) ([]byte, error) {
		if len(b.messages) == 0 {
			return nil, fmt.Errorf("%w: nothing yet", door.ErrRefused)
		}
		return b.w.forward(address, b.messages[len(b.messages)-1])
	},
	"sends it to another broker": func(b *byzantine, address string, msg []byte) ([]byte, error) {
		if address == b.w.creator.cfg.Address {
			return b.w.forward(b.w.buyer.cfg.Address, msg)
		}
		return b.w.forward(b.w.creator.cfg.Address, msg)
	},
	"flips a byte of the reply": func(b *byzantine, address string, msg []byte) ([]byte, error) {
		r, err := b.w.forward(address, msg)
		if err == nil {
			r = bytes.Clone(r)
			r[len(r)/2] ^= 1
		}
		return r, err
	},
	"sends garbage": func(*byzantine, string, []byte) ([]byte, error) { return []byte("\x00\xff"), nil },
	"refuses in the broker's name": func(*byzantine, string, []byte) ([]byte, error) {
		return []byte(`{"error":{"code":"denied","denial":null,"hint":"","message":"no"}}`), nil
	},
}

// relay misbehaves once, or from then on for ever.
func (b *byzantine) relay(how func(*byzantine, string, []byte) ([]byte, error), forever bool) func(string, []byte) ([]byte, error) {
	return func(address string, msg []byte) ([]byte, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		turn := b.seen
		b.seen++
		if turn == b.n || (forever && turn > b.n) {
			return how(b, address, msg)
		}
		r, err := b.w.forward(address, msg)
		b.messages, b.replies = append(b.messages, msg), append(b.replies, r)
		return r, err
	}
}

// TestByzantineRelay has the host misbehave at every message of a run, once and for ever, in every way. Whatever it does:
// the header leaves only with both commits over the very usage attestation, nothing is counted twice, and what does not
// complete says so.
func TestByzantineRelay(t *testing.T) {
	probe := newWorldOf(t, 5_000, nil)
	count := &byzantine{w: probe, n: 1 << 30}
	probe.relay = count.relay(nil, false)
	if r, a := probe.run(reader{}); r == nil {
		t.Fatalf("honest run: %+v", a)
	}
	if count.seen < 6 { // a challenge, a release and a commit of each broker; heartbeats besides, if it takes long enough
		t.Fatalf("a run has only %d messages", count.seen)
	}
	for name, how := range behaviours {
		for _, forever := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s forever=%v", name, forever), func(t *testing.T) {
				t.Parallel()
				step := 1
				switch {
				case testing.Short():
					step = 5
				case forever: // ends at its first message; what comes later differs little from one to the next
					step = 2
				}
				for n := 0; n < count.seen; n += step {
					w := newWorldOf(t, 5_000, nil)
					b := &byzantine{w: w, n: n}
					w.relay = b.relay(how, forever)
					r, a := w.run(reader{})
					w.relay = nil
					checkByzantine(t, w, n, r, a)
				}
			})
		}
	}
}

func checkByzantine(t *testing.T, w *world, n int, r *door.Result, a *door.Abandon) {
	t.Helper()
	if (r == nil) == (a == nil) {
		t.Fatalf("message %d: a run must end in one way", n)
	}
	if r == nil {
		if len(a.Message) == 0 {
			t.Fatalf("message %d: abandoned without a word", n)
		}
		return
	}
	s, _ := w.statement(r)
	if len(r.Header) != 0 {
		if s.Outcome != usage.OutcomeCompleted || len(r.Commits) != 2 {
			t.Fatalf("message %d: a header left with %d commits, outcome %s", n, len(r.Commits), s.Outcome)
		}
		w.open(r)
	}
	for i, p := range []*party{w.buyer, w.creator}[:len(r.Commits)] {
		if _, err := grant.VerifyCommit(r.Commits[i], p.broker.Key()); err != nil {
			t.Fatalf("message %d: commit %d: %v", n, i, err)
		}
	}
	// The same job again: completed work is never done, or charged, twice.
	if s.Outcome == usage.OutcomeCompleted {
		if again, b := w.run(reader{}); again != nil && len(again.Header) != 0 || b != nil && b.Retry {
			t.Fatalf("message %d: a completed job ran again", n)
		}
	}
}

// TestDropsEverythingAfterTheModel: no model without a commit.
func TestDropsEverythingAfterTheModel(t *testing.T) {
	w := newWorldOf(t, 5_000, nil)
	var mu sync.Mutex
	gone := false
	w.relay = func(address string, msg []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		if gone {
			return nil, fmt.Errorf("%w: gone", door.ErrRefused)
		}
		return w.forward(address, msg)
	}
	r, a := w.run(reader{during: func() {
		mu.Lock()
		defer mu.Unlock()
		gone = true
	}})
	if r != nil || a == nil || !a.Retry {
		t.Fatalf("finished %v, %+v", r != nil, a)
	}
	if len(w.payload) == 0 {
		t.Fatal("the payload may leave early; this test wants to see that it does, and is worth nothing")
	}
}

// TestReplayedEvidence: evidence of one lease gets no key at another's nonce, nor twice with another ticket.
func TestReplayedEvidence(t *testing.T) {
	w := newWorldOf(t, 2_000, nil)
	var first []byte
	w.relay = func(address string, msg []byte) ([]byte, error) {
		m, err := grant.ParseMessage(msg)
		check(t, err)
		if m.Release != nil && address == w.creator.cfg.Address && first == nil {
			first = msg
		}
		return w.forward(address, msg)
	}
	if r, a := w.run(reader{}); r == nil {
		t.Fatalf("%+v", a)
	}
	b, err := w.forward(w.creator.cfg.Address, first)
	check(t, err)
	reply, err := grant.ParseReply(b)
	check(t, err)
	if reply.Error == nil || reply.Release != nil {
		t.Fatal("a finished lease was released again")
	}
}
