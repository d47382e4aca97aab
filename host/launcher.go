// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/door"
)

// Launcher starts enclaves. [Local] starts processes on this machine.
type Launcher interface {
	// Launch starts an enclave in a slot that has none.
	Launch(ctx context.Context, slot int) (Conn, error)
}

// Conn is the door of one running enclave.
type Conn interface {
	io.ReadWriter
	// PID is the enclave's process, or 0.
	PID() int
	// Stop ends the enclave, if it has not ended, waits for it and says how it ended. It may be called more than once.
	Stop() string
}

// Restart backoff of enclaves, and how long one must live to be thought healthy.
const (
	restartMin  = 200 * time.Millisecond
	restartMax  = 30 * time.Second
	healthyLife = time.Minute
	stallPoll   = 5 * time.Second
)

// slot is one enclave place and what the operator may know of it.
type slot struct {
	mu       sync.Mutex
	desk     *desk
	state    string
	pid      int
	restarts int64
	lastExit string
}

// States of a slot; an enclave with a job is "working".
const (
	slotStarting = "starting"
	slotIdle     = "idle"
	slotWorking  = "working"
	slotDown     = "down"
)

func (s *slot) set(f func(*slot)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *slot) status(i int) *pb.Enclave {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &pb.Enclave{Slot: int32(i), State: s.state, Pid: int64(s.pid), Restarts: s.restarts, LastExit: s.lastExit}
	if s.desk != nil && s.state == slotIdle {
		if id := s.desk.working(); id != nil {
			e.State, e.Job = slotWorking, id.String()
		}
	}
	return e
}

// keep runs enclaves in one slot until ctx ends: one at a time, again whenever one ends.
func (h *Host) keep(ctx context.Context, i int, s *slot) {
	b := backoff{restartMin, restartMax}
	for failures := 0; ctx.Err() == nil; {
		start := time.Now()
		exit := h.serveOne(ctx, i, s)
		if ctx.Err() != nil {
			break
		}
		if failures++; time.Since(start) > healthyLife {
			failures = 1
		}
		s.set(func(s *slot) { s.state, s.pid, s.desk, s.lastExit = slotDown, 0, nil, clip(exit); s.restarts++ })
		h.slog.Warn("enclave ended", "slot", i, "exit", exit, "restart", b.after(failures))
		select {
		case <-time.After(b.after(failures)):
		case <-ctx.Done():
		}
	}
	s.set(func(s *slot) { s.state, s.pid, s.desk = slotDown, 0, nil })
}

// serveOne starts an enclave, answers it until it ends, and gives its job back.
func (h *Host) serveOne(ctx context.Context, i int, s *slot) (exit string) {
	s.set(func(s *slot) { s.state = slotStarting })
	conn, err := h.cfg.Launcher.Launch(ctx, i)
	if err != nil {
		return fmt.Sprintf("start: %v", err)
	}
	d := &desk{h: h, lastWord: time.Now()}
	s.set(func(s *slot) { s.state, s.pid, s.desk = slotIdle, conn.PID(), d })
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { conn.Stop() })
	defer stop()
	go h.watchStall(ctx, cancel, d)
	err = door.Serve(ctx, conn, conn, d)
	exit = conn.Stop()
	if err != nil && context.Cause(ctx) == nil {
		exit = fmt.Sprintf("%s (%v)", exit, err)
	} else if cause := context.Cause(ctx); cause != nil {
		exit = fmt.Sprintf("%s (%v)", exit, cause)
	}
	d.lost(context.WithoutCancel(ctx), "the enclave ended during the attempt: "+exit, true)
	return exit
}

// watchStall ends an enclave that keeps a job for longer than the job may take.
func (h *Host) watchStall(ctx context.Context, cancel context.CancelCauseFunc, d *desk) {
	t := time.NewTicker(stallPoll)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if d.stalled() {
				cancel(fmt.Errorf("%w: the enclave has been silent for too long", ErrBusy))
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
