// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	// stopGrace is how long an enclave may take to end after its door was closed.
	stopGrace = 3 * time.Second
	// drainGrace is how long what an ended enclave still wrote may be read.
	drainGrace = 250 * time.Millisecond
	maxLog     = 1 << 20 // of an enclave's words, kept twice
)

// Local starts glovebox-enclave processes on this machine. Their standard input and output are the door, their standard
// error goes to bounded files in LogDir.
type Local struct {
	Binary string
	Args   []string
	LogDir string
}

// Launch implements [Launcher].
func (l *Local) Launch(_ context.Context, slot int) (Conn, error) {
	log, err := openBoundedLog(filepath.Join(l.LogDir, "enclave-"+strconv.Itoa(slot)+".log"))
	if err != nil {
		return nil, err
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		log.Close()
		return nil, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, inR.Close(), inW.Close(), log.Close())
	}
	cmd := exec.Command(l.Binary, l.Args...)
	cmd.Env = environment()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, log
	cmd.WaitDelay = drainGrace
	// Killed with its host, and in a process group of its own so that it is killed as a whole.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	c := &localConn{in: inW, out: outR, done: make(chan struct{})}
	started := make(chan error)
	go c.run(cmd, started, log, inR, outW)
	if err := <-started; err != nil {
		return nil, errors.Join(err, inW.Close(), outR.Close())
	}
	return c, nil
}

// environment passes on nothing but where programs and temporary files are.
func environment() []string {
	var out []string
	for _, k := range []string{"PATH", "TMPDIR", "HOME", "LANG"} {
		if v, ok := os.LookupEnv(k); ok {
			out = append(out, k+"="+v)
		}
	}
	return out
}

type localConn struct {
	in, out *os.File
	pid     int
	once    sync.Once
	done    chan struct{}
	exit    string
}

// run starts and reaps the process on one thread: the kernel sends Pdeathsig when the thread that forked is gone.
func (c *localConn) run(cmd *exec.Cmd, started chan<- error, log *boundedLog, childEnds ...*os.File) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer log.Close()
	err := cmd.Start()
	for _, f := range childEnds {
		f.Close()
	}
	if err != nil {
		started <- err
		return
	}
	c.pid = cmd.Process.Pid
	started <- nil
	err = cmd.Wait()
	syscall.Kill(-c.pid, syscall.SIGKILL) //nolint:errcheck // what it left behind, if anything
	c.exit = "exit status 0"
	if err != nil {
		c.exit = err.Error()
	}
	if w := log.lastWords(); w != "" {
		c.exit += ": " + w
	}
	close(c.done)
	time.Sleep(drainGrace)
	c.out.Close()
}

func (c *localConn) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	if errors.Is(err, os.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

func (c *localConn) Write(p []byte) (int, error) { return c.in.Write(p) }

func (c *localConn) PID() int { return c.pid }

// Stop closes the door, which tells the enclave to end, then asks with a signal, then kills.
func (c *localConn) Stop() string {
	c.once.Do(func() {
		c.in.Close()
		select {
		case <-c.done:
			return
		case <-time.After(stopGrace / 3):
		}
		syscall.Kill(-c.pid, syscall.SIGTERM) //nolint:errcheck // SIGKILL follows
		select {
		case <-c.done:
			return
		case <-time.After(stopGrace * 2 / 3):
		}
		syscall.Kill(-c.pid, syscall.SIGKILL) //nolint:errcheck // it may have ended just now
	})
	<-c.done
	return c.exit
}

// boundedLog keeps the last one to two times maxLog bytes of what is written to it.
type boundedLog struct {
	path string
	mu   sync.Mutex
	f    *os.File
	n    int64
	tail []byte // of what was written since it was opened
}

// maxTail is how much of a log its last line is looked for in.
const maxTail = 512

// lastWords is the last line written, which is where a program that ends says why.
func (b *boundedLog) lastWords() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := bytes.TrimSpace(b.tail)
	return clip(string(t[bytes.LastIndexByte(t, '\n')+1:]))
}

func openBoundedLog(path string) (*boundedLog, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &boundedLog{path: path, f: f, n: st.Size()}, nil
}

// Write never fails: an enclave must not stop because its host's disk is full.
func (b *boundedLog) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tail = append(b.tail, p[max(0, len(p)-maxTail):]...)
	b.tail = bytes.Clone(b.tail[max(0, len(b.tail)-maxTail):])
	if b.n+int64(len(p)) > maxLog {
		b.rotate()
	}
	if b.f != nil {
		n, _ := b.f.Write(p[:min(len(p), maxLog)])
		b.n += int64(n)
	}
	return len(p), nil
}

func (b *boundedLog) rotate() {
	if b.f != nil {
		b.f.Close()
	}
	os.Rename(b.path, b.path+".1") //nolint:errcheck // then the old one is overwritten
	b.f, _ = os.OpenFile(b.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	b.n = 0
}

func (b *boundedLog) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.f == nil {
		return nil
	}
	err := b.f.Close()
	b.f = nil
	if err != nil {
		return fmt.Errorf("enclave log: %w", err)
	}
	return nil
}
