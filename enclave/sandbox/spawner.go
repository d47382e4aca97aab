// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Config of the spawner. The zero value is complete.
type Config struct {
	// Pool is how many unused workers are kept ready, so that a job finds one in a millisecond; 0 means 1, less means none.
	Pool int
}

func (c Config) pool() int {
	if c.Pool == 0 {
		return 1
	}
	return max(c.Pool, 0)
}

// Spawner is the enclave's end of the spawner process. It is safe for concurrent use.
type Spawner struct {
	cmd     *exec.Cmd
	sock    int
	closing sync.Once

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan startReply // start requests without an answer
	exits   map[uint64]chan exitReport // running workers
	err     error                      // set once the spawner is gone
	gone    chan struct{}

	shelf shelf
}

// startRequest asks the spawner for one worker.
type startRequest struct {
	ID          uint64 `json:"id"`
	MemoryBytes int64  `json:"memoryBytes"`
	OutputBytes int64  `json:"outputBytes"`
	CPUSeconds  int64  `json:"cpuSeconds"`
}

func (q startRequest) memory() int64 { return workerMemory(q.MemoryBytes, q.OutputBytes) }

// controlMessage is what the spawner sends: exactly one of its parts.
type controlMessage struct {
	Started *startReply `json:"started,omitempty"`
	Exited  *exitReport `json:"exited,omitempty"`
}

// startReply answers a request; with an empty Error it carries the enclave's ends of the pipes, the windows
// and a pidfd.
type startReply struct {
	ID        uint64 `json:"id"`
	Isolation string `json:"isolation"`
	Error     string `json:"error"`
	fds       []int
}

// exitReport says how a worker ended, in the kernel's words.
type exitReport struct {
	ID       uint64 `json:"id"`
	Status   string `json:"status"`
	Code     int    `json:"code"` // that the worker ended with; -1 if a signal ended its init
	OOM      bool   `json:"oom"`  // the cgroup's memory limit killed it
	CPUNanos int64  `json:"cpuNanos"`
	PeakKiB  int64  `json:"peakKiB"`
}

// StartSpawner starts the spawner process. Call it before the process holds a key and before it becomes undumpable:
// the spawner inherits neither, and an undumpable process cannot start one.
func StartSpawner(c Config) (*Spawner, error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("sandbox: socket pair: %w", err)
	}
	child := os.NewFile(uintptr(p[1]), "spawner")
	defer child.Close()
	cmd := &exec.Cmd{
		Path: selfExe, Args: append([]string{argSpawner, strconv.Itoa(c.pool())}, testOnlyArgs...), Env: []string{}, Dir: "/",
		ExtraFiles:  []*os.File{child},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}, // a terminal's interrupt is the enclave's to handle
	}
	if err := cmd.Start(); err != nil {
		unix.Close(p[0])
		return nil, fmt.Errorf("sandbox: start spawner: %w", err)
	}
	s := &Spawner{
		cmd: cmd, sock: p[0], gone: make(chan struct{}),
		waiting: map[uint64]chan startReply{}, exits: map[uint64]chan exitReport{},
	}
	go s.receive()
	return s, nil
}

// Close ends the spawner and with it every worker. Further calls wait for the first.
func (s *Spawner) Close() { s.closing.Do(s.end) }

func (s *Spawner) end() {
	s.shelf.clear()
	s.mu.Lock()
	if s.err == nil {
		_ = unix.Shutdown(s.sock, unix.SHUT_RDWR)
	}
	s.mu.Unlock()
	<-s.gone
	t := time.AfterFunc(exitTimeout, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait()
	t.Stop()
}

// receive hands messages of the spawner to those who wait for them, until the socket closes.
func (s *Spawner) receive() {
	defer close(s.gone)
	for {
		b, fds, err := receiveMessage(s.sock)
		if err == nil {
			err = s.dispatch(b, fds)
		}
		if err != nil {
			s.fail(fmt.Errorf("%w: %w", ErrSpawner, err))
			return
		}
	}
}

func (s *Spawner) dispatch(b []byte, fds []int) error {
	var m controlMessage
	if err := envelope.DecodeStrict(b, maxControl, &m); err != nil {
		closeAll(fds)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case m.Started != nil:
		c, ok := s.waiting[m.Started.ID]
		if !ok {
			closeAll(fds)
			return errors.New("answer to no request")
		}
		delete(s.waiting, m.Started.ID)
		m.Started.fds = fds
		c <- *m.Started
	case m.Exited != nil:
		if c, ok := s.exits[m.Exited.ID]; ok {
			delete(s.exits, m.Exited.ID)
			c <- *m.Exited
		}
	}
	return nil
}

func (s *Spawner) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	for _, c := range s.waiting {
		close(c)
	}
	for _, c := range s.exits {
		close(c)
	}
	s.waiting, s.exits = nil, nil
	unix.Close(s.sock)
}

// process is one running worker, seen from the enclave.
type process struct {
	down, up, out *os.File
	window        []byte // shared with the worker, which can only read it: windowBytes that the enclave only writes
	results       int    // the worker's, to be mapped where it trains; -1 once closed
	isolation     string
	exit          chan exitReport

	mu      sync.Mutex  // a late kill must not hit a descriptor's next owner
	pidfd   int         // of the worker's init; -1 once closed
	killing *time.Timer // once the init was told to end the worker: what happens if it does not
}

// start asks for a worker that is confined and waits for its header.
func (s *Spawner) start(ctx context.Context, q startRequest) (*process, error) {
	reply, exit := make(chan startReply, 1), make(chan exitReport, 1)
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return nil, s.err
	}
	s.next++
	q.ID = s.next
	b, err := json.Marshal(q)
	if err == nil {
		err = unix.Sendmsg(s.sock, b, nil, nil, unix.MSG_NOSIGNAL)
	}
	if err != nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", ErrSpawner, err)
	}
	s.waiting[q.ID], s.exits[q.ID] = reply, exit
	s.mu.Unlock()
	select {
	case r, ok := <-reply:
		return newProcess(r, ok, exit)
	case <-ctx.Done():
		go func() { // the answer still comes; end what it started
			r, ok := <-reply
			if p, err := newProcess(r, ok, exit); err == nil {
				p.close()
			}
		}()
		return nil, ctx.Err()
	}
}

func newProcess(r startReply, ok bool, exit chan exitReport) (*process, error) {
	switch {
	case !ok:
		return nil, ErrSpawner
	case r.Error != "":
		closeAll(r.fds)
		return nil, fmt.Errorf("%w: %s", ErrIsolation, r.Error)
	case len(r.fds) != 6:
		closeAll(r.fds)
		return nil, fmt.Errorf("%w: %d descriptors", ErrSpawner, len(r.fds))
	}
	window, err := mapWindow(r.fds[3])
	if err != nil {
		_ = unix.PidfdSendSignal(r.fds[5], unix.SIGKILL, nil, 0)
		closeAll(r.fds)
		return nil, fmt.Errorf("%w: %w", ErrSpawner, err)
	}
	unix.Close(r.fds[3])
	for _, fd := range r.fds[:3] {
		_ = unix.SetNonblock(fd, true) // so that closing one ends a read that waits
	}
	return &process{
		down: os.NewFile(uintptr(r.fds[0]), "down"), up: os.NewFile(uintptr(r.fds[1]), "up"),
		out: os.NewFile(uintptr(r.fds[2]), "out"), window: window, results: r.fds[4], pidfd: r.fds[5],
		isolation: r.Isolation, exit: exit,
	}, nil
}

// kill ends the worker. It tells the init of their PID namespace to do it, which alone can learn what the worker used, even
// if somebody stopped it; and it kills the init and with it every process there, if that is not done soon. It may be called
// more than once, and does nothing after close: timers and contexts may call it late.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pidfd < 0 || p.killing != nil {
		return
	}
	_ = unix.PidfdSendSignal(p.pidfd, unix.SIGTERM, nil, 0)
	_ = unix.PidfdSendSignal(p.pidfd, unix.SIGCONT, nil, 0)
	p.killing = time.AfterFunc(killPatience, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.killAll()
	})
}

// killAll ends every process of the worker and asks nobody's help. The caller holds mu.
func (p *process) killAll() {
	if p.pidfd >= 0 {
		_ = unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0)
	}
}

// wait kills the worker unless it ends by itself within grace, and returns how it ended.
func (p *process) wait(grace time.Duration) (exitReport, error) {
	t := time.AfterFunc(grace, p.kill)
	defer t.Stop()
	select {
	case r, ok := <-p.exit:
		if !ok {
			return exitReport{}, ErrSpawner
		}
		return r, nil
	case <-time.After(grace + exitTimeout):
		return exitReport{}, fmt.Errorf("%w: worker not reaped", ErrSpawner)
	}
}

// close kills the worker, if nobody waited for its end, and releases what the enclave holds of it, the window's plaintext
// first. Call it once, last, when nothing writes to the window any more.
func (p *process) close() {
	p.closePipes()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killAll()
	if p.killing != nil {
		p.killing.Stop()
	}
	unix.Close(p.pidfd)
	p.pidfd = -1
	if p.results >= 0 {
		unix.Close(p.results)
		p.results = -1
	}
	clear(p.window) // the worker may not be reaped yet, and its pages live as long as it does
	_ = unix.Munmap(p.window)
	p.window = nil
}

func (p *process) closePipes() {
	p.down.Close()
	p.up.Close()
	p.out.Close()
}
