// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"time"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
)

// aheadMost is how long a worker waits with a compiled module for the next run of it.
const aheadMost = 10 * time.Minute

// Preparer is the extra ability of runners that can have a module compiled before it is asked for.
// What they keep of it they copy.
type Preparer interface{ Prepare(sandbox.Ahead) }

// tenant is whose compiled modules a job may find: the buyer's who signed it, and nobody else's. How long a job takes to start tells
// a buyer what she ran before, which she knows.
func (r *attempt) tenant() string { return r.job.Predicate.Buyer.String() }

// lastRun is a module that ran to its end, and how long its owner's grant lets the enclave have it.
type lastRun struct {
	sandbox.Ahead
	expires int64 // by the code's broker
	clock   clock
}

// keep remembers a module that has run.
func (r *attempt) keep(s *sandbox.Spec) {
	code := r.packages[0]
	r.ran = &lastRun{
		sandbox.Ahead{Tenant: s.Tenant, Module: s.Module, MemoryBytes: s.MemoryBytes, OutputBytes: s.OutputBytes},
		code.grant.Predicate.Obligations.Expires, code.clock,
	}
}

// prepare has a worker compile what ran last, so that the same buyer's next run of it starts at once. That run needs grants of its
// own like any other, and the module in its code package decides which worker it gets. The job is over: its result has left and its
// owners have committed, so none of them had withdrawn. The worker sees the module only, and not beyond the grant that
// gave it to the enclave.
func (e *Enclave) prepare(c *lastRun) {
	if c == nil {
		return
	}
	defer func() { // the worker has a copy, and dies in time
		clear(c.Module)
		e.ran = nil
	}()
	p, able := e.c.Runner.(Preparer)
	if !able {
		return
	}
	left := min(time.Duration(c.expires-c.clock.now())*time.Millisecond, aheadMost)
	if left > 0 {
		c.Until = time.Now().Add(left)
		p.Prepare(c.Ahead)
	}
}
