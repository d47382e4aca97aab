// SPDX-License-Identifier: Apache-2.0

package localtx

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// Child is glovebox-run with a module in it. It implements tx.Conversation.
type Child struct {
	Opened Opened

	cmd    *exec.Cmd
	in     *os.File // its standard input
	out    *os.File // and output
	caller *tx.Caller
	done   chan struct{} // closed when it has ended
	dying  sync.Once

	mu    sync.Mutex
	ended error
}

// patience is how long glovebox-run may take to end once nobody asks it anything: its workers end first.
const patience = 15 * time.Second

// errClosed is a conversation that is over.
var errClosed = errors.New("closed")

// Module runs a pinned step's module for records of a schema in the program at path. A pipeline's Env asks for it.
func Module(ctx context.Context, path string, s *dataset.Step, module []byte, in transforms.Schema, lent tx.Lent) (transforms.Module, error) {
	c, err := Start(ctx, path, s, module, in, lent)
	if err != nil {
		return nil, err
	}
	m, err := tx.NewModule(s, in, c)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return m, nil
}

// Start starts the program at path and a pinned step's module in it. A module that does not come to its first batch gives a
// tx.ModuleError. The program's own words go to this process's standard error.
func Start(ctx context.Context, path string, s *dataset.Step, module []byte, in transforms.Schema, lent tx.Lent) (*Child, error) {
	if err := errors.Join(s.Validate(), tx.Pinned(s, module)); err != nil {
		return nil, err
	}
	q := Request{Step: *s, Format: in.Format, Columns: in.Columns, Token: lent.Token, Words: lent.Words != nil}
	if q.Columns == nil {
		q.Columns = []string{}
	}
	request, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	c := &Child{done: make(chan struct{})}
	if err := c.start(path); err != nil {
		return nil, err
	}
	out := bufio.NewReaderSize(c.out, tx.BatchBytes)
	c.caller = tx.NewCaller(c.in, out, lent)
	err = c.deal(ctx, func() error { return c.open(out, request, module, lent.Words) })
	switch {
	case err != nil:
	case c.Opened.Error != "":
		err = fmt.Errorf("%w: %s", transforms.ErrEnv, c.Opened.Error)
	case c.Opened.Reason != "":
		err = &tx.ModuleError{Reason: c.Opened.Reason, Detail: c.Opened.Detail}
	default:
		return c, nil
	}
	_ = c.Close()
	return nil, err
}

// start starts the program with a pipe to it and one from it.
func (c *Child) start(path string) error {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return err
	}
	defer theirOut.Close()
	c.in, c.out = in, out
	c.cmd = exec.Command(path, ModeTransform)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirIn, theirOut, os.Stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel sends Pdeathsig when the thread that forked is gone
		defer runtime.UnlockOSThread()
		defer close(c.done)
		err := c.cmd.Start()
		started <- err
		if err == nil {
			_ = c.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		in.Close()
		out.Close()
		return fmt.Errorf("start glovebox-run: %w", err)
	}
	return nil
}

// open sends the step and its module, and waits until it is ready.
func (c *Child) open(out *bufio.Reader, request, module []byte, words io.Writer) error {
	if err := errors.Join(WriteFrame(c.in, request), WriteFrame(c.in, module)); err != nil {
		return err
	}
	b, err := ReadFrame(out, MaxOpened)
	if err != nil {
		return err
	}
	if err := envelope.DecodeStrict(b, MaxOpened, &c.Opened); err != nil {
		return fmt.Errorf("%w: %w", tx.ErrProtocol, err)
	}
	if words != nil {
		_, _ = words.Write(c.Opened.Words)
	}
	return nil
}

// Batch implements tx.Conversation.
func (c *Child) Batch(ctx context.Context, batch []byte, n int) (r tx.Result, out []byte, err error) {
	err = c.deal(ctx, func() (err error) {
		r, out, err = c.caller.Batch(batch, n)
		return err
	})
	return r, out, err
}

// Flush implements tx.Conversation.
func (c *Child) Flush(ctx context.Context) (r tx.Result, out []byte, err error) {
	err = c.deal(ctx, func() (err error) {
		r, out, err = c.caller.Flush()
		return err
	})
	return r, out, err
}

// deal runs f, a dealing with the child. If it fails, or the context ends meanwhile, the child is over.
func (c *Child) deal(ctx context.Context, f func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return c.ended
	}
	going := context.AfterFunc(ctx, c.die)
	err := f()
	if going() && err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	c.ended = fmt.Errorf("glovebox-run: %w", err)
	c.die()
	return c.ended
}

// die ends the child without waiting for it. Whoever reads from it finds its end.
func (c *Child) die() {
	c.dying.Do(func() {
		c.in.Close()
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
		c.out.Close()
		time.AfterFunc(patience, func() {
			select {
			case <-c.done:
			default:
				_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
			}
		})
	})
}

// Close ends the child, also in the middle of a batch. It implements tx.Conversation.
func (c *Child) Close() error {
	c.die()
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.caller != nil {
		c.caller.Wipe()
	}
	if c.ended == nil {
		c.ended = fmt.Errorf("glovebox-run: %w", errClosed)
	}
	return nil
}
