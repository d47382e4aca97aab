// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// preparer is a reader that remembers what it was asked to prepare, and for whom it ran.
type preparer struct {
	reader
	w        *world
	tenants  []string
	prepared []sandbox.Ahead
	given    [][]byte // the enclave's own copies of their modules
}

func (p *preparer) Run(ctx context.Context, s sandbox.Spec, d sandbox.Data) (*sandbox.Outcome, error) {
	p.tenants = append(p.tenants, s.Tenant)
	return p.reader.Run(ctx, s, d)
}

func (p *preparer) Prepare(a sandbox.Ahead) {
	if p.w.result == nil {
		p.w.t.Error("prepared before the host had the result")
	}
	p.given = append(p.given, a.Module)
	a.Module = bytes.Clone(a.Module)
	p.prepared = append(p.prepared, a)
}

// TestModuleIsPreparedForItsBuyer: after a completed run, and for the buyer who signed the job; not beyond what the code's grant lets
// the enclave have the code, nor beyond the most.
func TestModuleIsPreparedForItsBuyer(t *testing.T) {
	w := newWorld(t, nil)
	p := &preparer{w: w}
	if res, _ := w.run(p); res == nil || res.Outcome != "completed" {
		t.Fatalf("%+v", w.abandon)
	}
	j, err := job.Verify(w.job)
	check(t, err)
	buyer := j.Predicate.Buyer.String()
	if len(p.prepared) != 1 || len(p.tenants) != 1 || p.tenants[0] != buyer {
		t.Fatalf("%d modules prepared, ran for %q; want 1 and %q", len(p.prepared), p.tenants, buyer)
	}
	a := p.prepared[0]
	if a.Tenant != buyer || !bytes.HasPrefix(a.Module, []byte("\x00asm")) || a.MemoryBytes != j.Predicate.Limits.MemoryBytes || a.OutputBytes != j.Predicate.Limits.OutputBytes {
		t.Errorf("prepared %+v", a)
	}
	if len(bytes.Trim(p.given[0], "\x00")) > 0 {
		t.Error("the enclave kept the module beside the worker's copy")
	}
	if left := time.Until(a.Until); left <= 0 || left > aheadMost {
		t.Errorf("kept for %s", left)
	}
}

// TestModuleDiesWithItsGrant: the enclave has no leave to hold code beyond the grant that gave it.
func TestModuleDiesWithItsGrant(t *testing.T) {
	w := newWorld(t, nil)
	p := &preparer{w: w}
	w.result = &door.Result{}
	e := w.enclave(p)
	c := clock{asked: time.Now(), issued: 1_800_000_000_000}
	e.prepare(&lastRun{sandbox.Ahead{Tenant: "buyer"}, c.issued + 5_000, c})
	e.prepare(&lastRun{sandbox.Ahead{Tenant: "buyer"}, c.issued, c})
	e.prepare(nil)
	if len(p.prepared) != 1 || time.Until(p.prepared[0].Until) > 5*time.Second {
		t.Errorf("prepared %+v", p.prepared)
	}
}

// TestFailedModuleIsNotPrepared: what did not come to its end, for whatever reason, is forgotten with its job.
func TestFailedModuleIsNotPrepared(t *testing.T) {
	for name, change := range map[string]func(*world, *preparer){
		"trap": func(_ *world, p *preparer) {
			p.change = func(o *sandbox.Outcome) { o.Reason, o.Outputs = sandbox.ReasonTrap, nil }
		},
		"cancelled": func(w *world, p *preparer) { p.during = func() { w.cancelAndAwait() } },
		"output":    func(_ *world, p *preparer) { p.change = func(o *sandbox.Outcome) { o.Outputs[0].Name = "undeclared" } },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			p := &preparer{w: w}
			change(w, p)
			if res, _ := w.run(p); res != nil && res.Outcome == "completed" {
				t.Fatal("the run completed")
			}
			if len(p.prepared) != 0 {
				t.Error("the module was prepared")
			}
		})
	}
}

// cancelAndAwait has the host ask for the end of the run, and waits until the enclave has heard of it.
func (w *world) cancelAndAwait() {
	w.mu.Lock()
	w.cancel = true
	w.mu.Unlock()
	w.await(func() bool { return w.cancels > 0 })
}
