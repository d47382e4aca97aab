// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Ahead is a module for a run that may come: a worker compiles it now and waits with it.
type Ahead struct {
	Tenant      string // whose run it is kept for; see [Spec]
	Module      []byte
	MemoryBytes int64     // of the run, as the next
	OutputBytes int64     //
	Until       time.Time // when nobody has come by then, the worker dies
}

// shape is what a run must have in common with what a worker was prepared for.
type shape struct {
	tenant         string
	module         envelope.Digest
	memory, output int64
}

func shapeOf(s *Spec, tenant string) shape {
	return shape{tenant, envelope.Sum(s.Module), s.MemoryBytes, s.OutputBytes}
}

// prepared is a worker that compiled a module, or is at it. It has seen nothing else: no data, no job, no other module. It serves one
// run, of the same tenant, and dies as every worker does.
type prepared struct {
	shape
	settled chan struct{} // closed when it is known whether there is a worker
	process *process      // nil: there is none
	ended   bool          // nobody wants it any more
	expiry  *time.Timer
}

// shelf are a spawner's prepared workers, the one that was asked for longest ago first. Zero is an empty shelf.
type shelf struct {
	mu   sync.Mutex
	all  []*prepared
	used int // runs that found their worker here
}

// Prepare has a worker compile a module ahead and returns at once. There is one worker for a module and tenant, with the limits that
// were asked for last, and [maxPrepared] in all; the one that was asked for longest ago makes room. That it cannot be done shows in the time that the next run
// takes, and nowhere else.
func (s *Spawner) Prepare(a Ahead) {
	spec := Spec{Module: a.Module, Outputs: []Output{{"out", 1}}, MemoryBytes: a.MemoryBytes, OutputBytes: a.OutputBytes, Fuel: 1, Wall: compileTime()}
	if a.Tenant == "" || len(a.Module) == 0 || len(a.Module) > MaxModule || spec.validate(nil) != nil || time.Until(a.Until) <= 0 {
		return
	}
	w := &prepared{shape: shapeOf(&spec, a.Tenant), settled: make(chan struct{})}
	if !s.shelf.add(w, a.Until) {
		return
	}
	module := bytes.Clone(a.Module)
	go func() {
		defer clear(module)
		s.shelf.settle(w, s.compileAhead(&spec, module))
	}()
}

// add takes a worker in that is about to be prepared. Where there is one like it already, that one stays, and as long as it is asked
// for now; one for the same tenant and module with other limits goes, so that nobody fills the shelf with one module.
func (h *shelf) add(w *prepared, until time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.IndexFunc(h.all, func(o *prepared) bool { return o.tenant == w.tenant && o.module == w.module }); i >= 0 {
		old := h.all[i]
		h.all = slices.Delete(h.all, i, i+1)
		if old.shape == w.shape {
			h.all = append(h.all, old)
			old.expiry.Reset(time.Until(until))
			return false
		}
		old.drop()
	}
	for len(h.all) >= maxPrepared {
		h.all[0].drop()
		h.all = slices.Delete(h.all, 0, 1)
	}
	w.expiry = time.AfterFunc(time.Until(until), func() { h.expire(w) })
	h.all = append(h.all, w)
	return true
}

// settle says what became of the preparation.
func (h *shelf) settle(w *prepared, p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.process = p; p == nil {
		h.remove(w)
	} else if w.ended {
		p.close()
		w.process = nil
	}
	close(w.settled)
}

// expire ends a worker that nobody came for.
func (h *shelf) expire(w *prepared) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.remove(w) {
		w.drop()
	}
}

// remove takes w off the shelf; the caller holds mu.
func (h *shelf) remove(w *prepared) bool {
	i := slices.Index(h.all, w)
	if i < 0 {
		return false
	}
	w.expiry.Stop()
	h.all = slices.Delete(h.all, i, i+1)
	return true
}

// drop ends a worker that is off the shelf, now or when it is settled; the caller holds mu.
func (w *prepared) drop() {
	w.expiry.Stop()
	w.ended = true
	if w.process != nil {
		w.process.close()
		w.process = nil
	}
}

// clear ends all of them.
func (h *shelf) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.all {
		w.drop()
	}
	h.all = nil
}

// Prepared is how many workers wait with a compiled module now.
func (s *Spawner) Prepared() (n int) {
	s.shelf.mu.Lock()
	defer s.shelf.mu.Unlock()
	for _, w := range s.shelf.all {
		if w.process != nil {
			n++
		}
	}
	return n
}

// take gives a worker that was prepared for such a run, and nobody else will get it; nil if there is none. One that is at it is
// waited for: a worker that started now would take no less.
func (h *shelf) take(ctx context.Context, want shape) *process {
	h.mu.Lock()
	i := slices.IndexFunc(h.all, func(w *prepared) bool { return w.shape == want })
	if want.tenant == "" || i < 0 {
		h.mu.Unlock()
		return nil
	}
	w := h.all[i]
	h.remove(w)
	h.mu.Unlock()
	select {
	case <-w.settled:
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p := w.process
	if p == nil || !running(p.pidfd) {
		w.drop()
		return nil
	}
	w.process = nil
	h.used++
	return p
}

// running looks whether a process has not ended.
func running(pidfd int) bool {
	p := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, 0)
		if !errors.Is(err, unix.EINTR) { // a signal of this process's runtime
			return n == 0 && err == nil
		}
	}
}

// compileAhead starts a worker and waits until it has compiled the module; nil if that fails.
func (s *Spawner) compileAhead(spec *Spec, module []byte) *process {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	p, err := s.start(ctx, startRequest{MemoryBytes: spec.MemoryBytes, OutputBytes: spec.OutputBytes, CPUSeconds: mostCPU})
	if err != nil {
		return nil
	}
	watchdog := time.AfterFunc(aheadPatience, p.kill)
	defer watchdog.Stop()
	h := spec.header(modeAhead)
	h.CPUSeconds = mostCPU
	r := run{process: p, spec: spec}
	var word [1]byte
	if err := errors.Join(r.send(h), writeFrame(p.down, module)); err == nil {
		_, err = io.ReadFull(p.out, word[:])
		if err == nil && word[0] == aheadReady {
			return p
		}
	}
	p.close()
	return nil
}

// processFor is a worker for a run: one that was prepared for it, or any unused one.
func (s *Spawner) processFor(ctx context.Context, spec *Spec) (p *process, ahead bool, err error) {
	if spec.Tenant != "" {
		p = s.shelf.take(ctx, shapeOf(spec, spec.Tenant))
	}
	if p != nil {
		return p, true, nil
	}
	p, err = s.start(ctx, startRequest{MemoryBytes: spec.MemoryBytes, OutputBytes: spec.OutputBytes, CPUSeconds: spec.cpuSeconds()})
	return p, false, err
}
