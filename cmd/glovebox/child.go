// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

const childPatience = 15 * time.Second

// child is a daemon that runs as long as a command needs it. It ends with us, however we end, unless others may need it.
type child struct {
	name string
	log  string // file with its words; "" if they go to the terminal
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid once done is closed
}

// startChild starts a daemon in a process group of its own, so that Ctrl-C reaches it through us, in order. Its words go
// to w; log is the file behind w, if it is one.
func startChild(name string, w io.Writer, log, path string, args ...string) (*child, error) {
	return spawn(name, w, log, syscall.SIGTERM, path, args...)
}

// spawn starts a daemon that gets a signal when we end; with none it outlives us.
func spawn(name string, w io.Writer, log string, atEnd syscall.Signal, path string, args ...string) (*child, error) {
	c := &child{name: name, log: log, cmd: exec.Command(path, args...), done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = w, w
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: atEnd}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel sends Pdeathsig when the thread that forked is gone
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.err = c.cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

// startLogged is startChild with its words in a file of its own.
func startLogged(name, log, path string, args ...string) (*child, error) {
	return logged(name, log, syscall.SIGTERM, path, args...)
}

func logged(name, log string, atEnd syscall.Signal, path string, args ...string) (*child, error) {
	f, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	c, err := spawn(name, f, log, atEnd, path, args...)
	return c, errors.Join(err, f.Close())
}

// ready waits until probe succeeds; the daemon's own last words say why it does not.
func (c *child) ready(ctx context.Context, limit time.Duration, probe func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		if probe(ctx) {
			return nil
		}
		select {
		case <-c.done:
			return Errorf(KindError, "%s", c.where()).because("%s ended (%v): %s", c.name, c.err, c.tail())
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return Errorf(KindTryAgain, "%s", c.where()).because("%s is not ready after %v: %s", c.name, limit, c.tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *child) where() string {
	if c.log == "" {
		return "its words are above"
	}
	return "its log is " + c.log
}

// tail is the end of the log, for an error message.
func (c *child) tail() string {
	if c.log == "" {
		return "see above"
	}
	b, err := os.ReadFile(c.log)
	b = bytes.TrimSpace(b)
	if err != nil || len(b) == 0 {
		return "it said nothing"
	}
	return string(b[max(0, len(b)-600):])
}

// stop asks the daemon to end, and makes it after a while.
func (c *child) stop() {
	if c == nil {
		return
	}
	c.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may be gone already
	select {
	case <-c.done:
	case <-time.After(childPatience):
		syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // as above
		<-c.done
	}
}
