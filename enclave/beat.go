// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/glovebox-dev/glovebox/internal/grant"
)

// errStopped is why a run ends when an owner revokes, the buyer cancels or a grant expires.
var errStopped = errors.New("enclave: stopped")

// beat is the leased progress of one package: no leaf beyond allowed is fetched. Progress is leased, not time, so a host
// that freezes the clock gains nothing.
type beat struct {
	mu      sync.Mutex
	last    int64     // sequence of the last answered heartbeat
	pending []byte    // signed heartbeat last+1, until it is answered
	signed  time.Time // when pending was
	told    int64     // leaves that the pending heartbeat reports
	heard   time.Time // when the question was first asked that the broker answered last, a release or a heartbeat
	allowed int64
	over    bool // the lease was committed; nothing more is to be said
}

// sequence is the last answered heartbeat.
func (b *beat) sequence() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// gate returns nil when one more leaf of p may be fetched. It asks the broker when the allowance is used up, and before the first
// leaf when her last word is old: a host that held it back may do so until she has revoked.
func (r *attempt) gate(ctx context.Context, p *pack) error {
	p.beat.mu.Lock()
	defer p.beat.mu.Unlock()
	since := time.Now().Add(-r.e.t.word)
	if p.mayRead(since) {
		return nil
	}
	// Two at the most: the first may only fetch the answer to a heartbeat sent before the last leaves were read.
	for range 2 {
		if err := r.heartbeat(ctx, p, r.patience(p)); err != nil {
			return err
		}
		if p.mayRead(since) {
			return nil
		}
	}
	if p.meter.delivered() >= deliverable(&p.grant.Predicate.Obligations) {
		return fmt.Errorf("%w: every leaf of %s was delivered as often as granted", errNotPermitted, p.id)
	}
	return fmt.Errorf("%w: %s allows no more leaves", ErrLeased, p.id)
}

// mayRead reports whether one more leaf is allowed. The first needs an answer to what was asked at since or later: from then on code
// may have read all that the answer allows. The caller holds p.beat.mu.
func (p *pack) mayRead(since time.Time) bool {
	n := p.meter.delivered()
	return n < p.beat.allowed && (n > 0 || !p.beat.heard.Before(since))
}

// left is how many leaves may be fetched before the next heartbeat is needed.
func (b *beat) left(m *meter) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.allowed - m.delivered()
}

// firstAllowance is how many leaves the grant itself allows, before the first heartbeat (docs/spec/release.md): the keys have just
// come from the broker, who would say the same again. If they have not, [attempt.gate] asks.
func firstAllowance(o *grant.Obligations) int64 { return min(o.Allowance, deliverable(o)) }

// deliverable is how many leaves a grant can ever deliver: its range, once an epoch.
func deliverable(o *grant.Obligations) int64 {
	if o.Leaves.Count() > math.MaxInt64/int64(o.Epochs) {
		return math.MaxInt64
	}
	return o.Leaves.Count() * int64(o.Epochs)
}

// heartbeat asks once for more; the caller holds p.beat.mu.
func (r *attempt) heartbeat(ctx context.Context, p *pack, patience time.Duration) error {
	seq := p.beat.last + 1
	if p.beat.pending == nil {
		p.beat.told = p.meter.delivered()
		h := &grant.Heartbeat{Binding: r.lease.d, Grant: p.grant.ID, Sequence: seq, Delivered: p.beat.told}
		signed, _, err := grant.Sign(h, r.lease.signer)
		if err != nil {
			return err
		}
		p.beat.pending, p.beat.signed = signed, time.Now()
	}
	var a grant.Allowance
	err := r.ask(ctx, p, patience, &grant.Message{Heartbeat: p.beat.pending}, func(reply *grant.Reply) error {
		v, err := grant.VerifyAllowance(reply.Allowance, p.broker)
		if err != nil {
			return err
		}
		a = v.Predicate
		if a.Binding != r.lease.d || a.Grant != p.grant.ID || a.Sequence != seq {
			return fmt.Errorf("%w: allowance for another lease or heartbeat", ErrBroker)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLeased, err)
	}
	p.beat.last, p.beat.pending, p.beat.heard = seq, nil, p.beat.signed
	if a.Stop != "" {
		return fmt.Errorf("%w: %s", errStopped, a.Stop)
	}
	// The grant bounds what one heartbeat may allow; a broker that says more is not believed.
	o := &p.grant.Predicate.Obligations
	p.beat.allowed = max(p.beat.allowed, min(a.Leaves, p.beat.told+o.Allowance, deliverable(o)))
	return nil
}

// keepAlive sends heartbeats while nothing is read (other owners release, the code computes, commits are awaited), so
// that a broker can tell work from silence and can stop it. It ends the run with errStopped and reports how far it is; a
// missing answer costs nothing here.
func (r *attempt) keepAlive(ctx context.Context, stop context.CancelCauseFunc) (halt func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(r.e.t.heartbeat):
			}
			for _, p := range r.granted() {
				if err := r.tryHeartbeat(ctx, p); errors.Is(err, errStopped) {
					stop(err)
				}
			}
			if r.progress(ctx) {
				stop(fmt.Errorf("%w: by the host", errStopped))
			}
		}
	}()
	return func() { cancel(); <-done }
}

// tryHeartbeat leaves p alone while a gate is already asking.
func (r *attempt) tryHeartbeat(ctx context.Context, p *pack) error {
	if ctx.Err() != nil || !p.beat.mu.TryLock() {
		return nil
	}
	defer p.beat.mu.Unlock()
	if p.beat.over {
		return nil
	}
	return r.heartbeat(ctx, p, 0)
}
