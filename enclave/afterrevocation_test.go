// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// tapped counts the bytes of the dataset's segments that an enclave fetches.
type tapped struct {
	*world
	fetched int
}

func (h *tapped) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	n, err := h.world.ReadAt(ctx, d, p, off)
	for _, s := range h.data.Manifest.Segments {
		if s.Blob == d {
			h.fetched += n
		}
	}
	return n, err
}

// held runs the job with brokers' last words always old when the first leaf is wanted, and gives what was fetched.
func (w *world) held(r Runner) *tapped {
	e := w.enclave(r)
	e.t.word = 0
	h := &tapped{world: w}
	e.c.Host = h
	check(w.t, e.serveOne(w.t.Context(), &door.Assignment{Token: "t", Job: w.job}))
	return h
}

// revoke has the creator revoke the dataset, and her broker write the lease off.
func (w *world) revoke() {
	_, err := config.AddRevocation(w.creator.dir, &grant.Revocation{Manifest: &w.data.ID, Reason: "test", Time: time.Now().UnixMilli()})
	check(w.t, err)
	w.creator.lose(w.t)
}

// TestAttackReadAfterRevocation: the host holds a release's answer until the owner has revoked and her broker has written the lease
// off; then it delivers the answer and drops all heartbeats. The grant's own allowance is too old by then.
func TestAttackReadAfterRevocation(t *testing.T) {
	w := newWorldOf(t, 20_000, nil)
	w.relay = func(address string, msg []byte) ([]byte, error) {
		kind := grant.KindOf(msg)
		if kind == grant.KindHeartbeat && address == w.creator.cfg.Address {
			return nil, fmt.Errorf("%w: dropped", door.ErrRefused)
		}
		b, err := w.forward(address, msg)
		if kind == grant.KindRelease && address == w.creator.cfg.Address {
			w.revoke()
		}
		return b, err
	}
	if h := w.held(reader{}); h.fetched != 0 || w.result != nil && w.result.Outcome == usage.OutcomeCompleted {
		t.Errorf("%d bytes were fetched after the revocation; %+v", h.fetched, w.result)
	}
}

// later is a reader that does something before it reads.
type later struct {
	reader
	before func()
}

func (l later) Run(ctx context.Context, s sandbox.Spec, d sandbox.Data) (*sandbox.Outcome, error) {
	l.before()
	return l.reader.Run(ctx, s, d)
}

// TestAttackHeldHeartbeat: the same with the answer to a heartbeat that went out before the revocation.
func TestAttackHeldHeartbeat(t *testing.T) {
	w := newWorldOf(t, 20_000, nil)
	var sent, answer []byte
	revoked := false
	w.relay = func(address string, msg []byte) (b []byte, err error) {
		if grant.KindOf(msg) != grant.KindHeartbeat || address != w.creator.cfg.Address {
			return w.forward(address, msg)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if sent == nil {
			sent = bytes.Clone(msg)
			answer, err = w.forward(address, msg)
			check(t, err)
		}
		if revoked && bytes.Equal(msg, sent) {
			return answer, nil
		}
		return nil, fmt.Errorf("%w: dropped", door.ErrRefused)
	}
	h := w.held(later{before: func() {
		w.await(func() bool { return sent != nil })
		w.mu.Lock()
		defer w.mu.Unlock()
		w.revoke()
		revoked = true
	}})
	if h.fetched != 0 || w.result != nil && w.result.Outcome == usage.OutcomeCompleted {
		t.Errorf("%d bytes were fetched after the revocation; %+v", h.fetched, w.result)
	}
}

// TestOldWordIsAskedAgain: a broker that is only slow to be heard is asked once more, and the job goes on.
func TestOldWordIsAskedAgain(t *testing.T) {
	w := newWorldOf(t, 500, nil)
	if h := w.held(reader{}); h.fetched == 0 || w.result == nil || w.result.Outcome != usage.OutcomeCompleted {
		t.Fatalf("%+v, %+v", w.result, w.abandon)
	}
	if s, _ := w.statement(w.result); s.Packages[1].Heartbeat < 1 {
		t.Errorf("%d heartbeats", s.Packages[1].Heartbeat)
	}
}
