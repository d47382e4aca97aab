// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// posting is a host that relays several messages at a time, and does to the answers what change says.
type posting struct {
	*world
	change func(answers [][]byte) ([][]byte, error)
}

// RelayAll implements [together].
func (h *posting) RelayAll(ctx context.Context, posts []door.Post) ([][]byte, error) {
	answers := make([][]byte, len(posts))
	var wg sync.WaitGroup
	for i, p := range posts {
		wg.Go(func() { answers[i], _ = h.Relay(ctx, p.Address, p.Message) })
	}
	wg.Wait()
	return h.change(answers)
}

// TestChallengesTogether: brokers are asked at the same time; whoever's answer is lost, altered, swapped or a refusal is asked alone, and
// her nonce is in the evidence as if she had never been asked otherwise.
func TestChallengesTogether(t *testing.T) {
	lost := fmt.Errorf("%w: unknown question", door.ErrRefused)
	for name, c := range map[string]struct {
		change func([][]byte) ([][]byte, error)
		alone  int
	}{
		"honest":   {func(a [][]byte) ([][]byte, error) { return a, nil }, 0},
		"one lost": {func(a [][]byte) ([][]byte, error) { a[1] = []byte{}; return a, nil }, 1},
		"swapped":  {func(a [][]byte) ([][]byte, error) { slices.Reverse(a); return a, nil }, 2},
		"twice":    {func(a [][]byte) ([][]byte, error) { a[1] = a[0]; return a, nil }, 1},
		"altered": {func(a [][]byte) ([][]byte, error) {
			a[0] = bytes.Clone(a[0])
			a[0][len(a[0])/2] ^= 1
			return a, nil
		}, 1},
		"refused": {func(a [][]byte) ([][]byte, error) {
			a[1] = []byte(`{"error":{"code":"denied","denial":null,"hint":"","message":"no"}}`)
			return a, nil
		}, 1},
		"too many": {func(a [][]byte) ([][]byte, error) { return append(a, a...), nil }, 0},
		"too few":  {func(a [][]byte) ([][]byte, error) { return a[:1], nil }, 1},
		"old host": {func([][]byte) ([][]byte, error) { return nil, lost }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldOf(t, 500, nil)
			asked := 0
			w.relay = func(address string, msg []byte) ([]byte, error) {
				if grant.KindOf(msg) == grant.KindChallenge {
					asked++
				}
				return w.forward(address, msg)
			}
			e := w.enclave(reader{})
			e.c.Host = &posting{w, c.change}
			check(t, e.serveOne(t.Context(), &door.Assignment{Token: "t", Job: w.job}))
			if w.result == nil || w.result.Outcome != usage.OutcomeCompleted || asked != 2+c.alone {
				t.Errorf("%+v, %+v; %d challenges, want %d", w.result, w.abandon, asked, 2+c.alone)
			}
		})
	}
}

// TestChallengeForAnother: a broker's word about another package, job or audience is none about this one, however it came.
func TestChallengeForAnother(t *testing.T) {
	w := newWorldOf(t, 500, nil)
	r, err := w.enclave(reader{}).accept(t.Context(), &door.Assignment{Token: "t", Job: w.job})
	check(t, err)
	key, err := envelope.LoadKeyFile(w.creator.cfg.Layout().BrokerKey(), envelope.RoleBroker)
	check(t, err)
	for name, change := range map[string]func(*grant.Challenge){
		"":         func(*grant.Challenge) {},
		"manifest": func(c *grant.Challenge) { c.Manifest = w.code.ID },
		"job":      func(c *grant.Challenge) { c.Job = w.code.ID },
		"audience": func(c *grant.Challenge) { c.Audience = r.packages[0].m.Broker.Key },
		"life":     func(c *grant.Challenge) { c.Expires = c.Issued + grant.MaxNonceLife.Milliseconds() + 1 },
	} {
		c := grant.Challenge{Nonce: envelope.NewNonce(), Audience: key.Public(), Manifest: w.data.ID, Job: r.job.ID, Issued: 1_800_000_000_000, Expires: 1_800_000_060_000}
		change(&c)
		signed, _, err := grant.Sign(&c, key)
		if err != nil {
			if name == "" {
				t.Fatal(err)
			}
			continue // it cannot even be said
		}
		if nonce, err := r.acceptChallenge(r.packages[1], &grant.Reply{Challenge: signed}); (err == nil) != (name == "") || nonce.IsZero() == (name == "") {
			t.Errorf("another %s: %v", name, err)
		}
	}
}
