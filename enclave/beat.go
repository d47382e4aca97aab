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
	last    int64  // sequence of the last answered heartbeat
	pending []byte // signed heartbeat last+1, until it is answered
	told    int64  // leaves that the pending heartbeat reports
	allowed int64
	over    bool // the lease was committed; nothing more is to be said
}

// sequence is the last answered heartbeat.
func (b *beat) sequence() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// gate returns nil when one more leaf of p may be fetched. It asks the broker when the allowance is used up.
func (r *attempt) gate(ctx context.Context, p *pack) error {
	p.beat.mu.Lock()
	defer p.beat.mu.Unlock()
	if p.meter.delivered() < p.beat.allowed {
		return nil
	}
	// Two at the most: the first may only fetch the answer to a heartbeat sent before the last leaves were read.
	for range 2 {
		if err := r.heartbeat(ctx, p, r.patience(p)); err != nil {
			return err
		}
		if p.meter.delivered() < p.beat.allowed {
			return nil
		}
	}
	if p.meter.delivered() >= deliverable(&p.grant.Predicate.Obligations) {
		return fmt.Errorf("%w: every leaf of %s was delivered as often as granted", errNotPermitted, p.id)
	}
	return fmt.Errorf("%w: %s allows no more leaves", ErrLeased, p.id)
}

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
		p.beat.pending = signed
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
	p.beat.last, p.beat.pending = seq, nil
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
